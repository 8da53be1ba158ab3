/**
 * `deno task bench:query`: starts a PostgreSQL and a MariaDB server, and runs `bench/run.ts query` with their URLs.
 * MariaDB must be installed (`apt-get install mariadb-server`).
 *
 * @module
 */

import mysql from "npm:mysql2@^3.24/promise";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { freePort, loopbackPair } from "../lab/free_port.ts";
import { startMariadb } from "../lab/mariadb.ts";
import { startPostgres } from "../lab/postgres.ts";

const LOGIN = { user: "bench", password: "bench", database: "bench" };
const TABLE = "CREATE TABLE bench (id int PRIMARY KEY, name varchar(40), amount decimal(12, 2), " +
  "made timestamp)";
const ROWS = Array.from(
  { length: 100 },
  (_, id) => `(${id}, 'a name of the usual length, ${id}', ${id * 12.34}, '2026-01-02 03:04:05')`,
);
const STATEMENTS = [TABLE, `INSERT INTO bench VALUES ${ROWS.join(", ")}`];

const [host] = await loopbackPair();
await using postgres = await startPostgres({ ...LOGIN, host, port: await freePort([host]) });
await using mariadb = await startMariadb({ ...LOGIN, host, port: await freePort([host]) });
const client = new pg.Client({ connectionString: postgres.url() });
await client.connect();
for (const statement of STATEMENTS) await client.query(statement);
await client.end();
const connection = await mysql.createConnection(mariadb.url());
for (const statement of STATEMENTS) await connection.query(statement);
await connection.end();

const child = new Deno.Command(Deno.execPath(), {
  args: ["run", "-A", "--no-lock", "bench/run.ts", "query", ...Deno.args],
  env: { BENCH_POSTGRES: postgres.url(), BENCH_MARIADB: mariadb.url() },
}).spawn();
Deno.exitCode = (await child.status).code;
