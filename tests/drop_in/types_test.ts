/**
 * Checks at compile time that a drop-in has the types of the module that is passed in.
 */

import { assert } from "@std/assert";
import { drizzle } from "npm:drizzle-orm@^0.45/node-postgres";
import { drizzle as drizzleOnMysql2 } from "npm:drizzle-orm@^0.45/mysql2";
import { drizzle as drizzleOnPostgresjs } from "npm:drizzle-orm@^0.45/postgres-js";
import { MysqlDialect, type MysqlPool, PostgresDialect, type PostgresPool } from "npm:kysely@^0.29";
import mysqlOfCallbacks from "npm:mysql2@^3.24";
import mysql from "npm:mysql2@^3.24/promise";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
// @ts-types="npm:@types/pg@^8"
import * as pgModule from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import { dnsMysql2, DnsMysql2Pool } from "../../drop_in/mysql2_pool.ts";
import { dnsPg, DnsPgPool } from "../../drop_in/pg_pool.ts";
import { dnsPostgres } from "../../drop_in/postgresjs.ts";
import type { EngineStatus } from "../../engine.ts";
import type { Same } from "../support/target.ts";

const same = <A, B>(yes: Same<A, B>) => assert(yes);

Deno.test("new DnsPgPool(pg, …) has the type of pg.Pool, with an engine", async () => {
  const pool = new DnsPgPool(pg, {
    host: "db.internal",
    max: 5,
    onConnect: (client) => void client.query("SELECT 1"),
    dnsNameservers: ["10.0.0.2"],
    targetSessionAttrs: "read-write",
  });
  const plain: pg.Pool = pool;
  same<Awaited<ReturnType<typeof connect>>, pg.PoolClient>(true);
  same<Awaited<ReturnType<typeof rows>>, { n: number }[]>(true);
  same<ReturnType<typeof status>, EngineStatus | undefined>(true);
  const dialect: PostgresPool = pool;
  drizzle({ client: pool });
  new PostgresDialect({ pool: dialect });
  await plain.end();

  function connect() {
    return pool.connect();
  }
  async function rows() {
    return (await pool.query<{ n: number }>("SELECT 1 AS n")).rows;
  }
  function status() {
    return pool.engine?.status();
  }
});

Deno.test("new DnsPgPool(pg, …) takes the options of pg.Pool and dnspool, and no others", () => {
  // @ts-expect-error a misspelt option of pg
  const misspelt = () => new DnsPgPool(pg, { maximum: 5 });
  // @ts-expect-error an option of dnspool with a value of another type
  const mistyped = () => new DnsPgPool(pg, { dnsTimeout: "5 s" });
  // @ts-expect-error a value that is not the module
  const wrong = () => new DnsPgPool({ Client: pg.Client });
  assert([misspelt, mistyped, wrong].length === 3);
});

Deno.test("dnsPg(pg) has the type of what was passed in", () => {
  const module = dnsPg(pg, { dnsNameservers: ["10.0.0.2"] });
  same<typeof module, typeof pg>(true);
  const namespace = dnsPg(pgModule);
  same<typeof namespace, typeof pgModule>(true);
  const client: pg.Client = new module.Client();
  assert(client instanceof pg.Client);
});

Deno.test("new DnsMysql2Pool(mysql2, …) has the type of the module's pool, with an engine", async () => {
  const ofPromises = new DnsMysql2Pool(mysql, {
    host: "db.internal",
    connectionLimit: 5,
    dnsNameservers: ["10.0.0.2"],
    targetSessionAttrs: "read-write",
    poolTimeout: 5,
  });
  const plain: mysql.Pool = ofPromises;
  same<Awaited<ReturnType<typeof connect>>, mysql.PoolConnection>(true);
  same<ReturnType<typeof status>, EngineStatus | undefined>(true);
  drizzleOnMysql2({ client: ofPromises });
  const ofCallbacks = new DnsMysql2Pool(mysqlOfCallbacks, "mysql://app@db.internal/orders");
  const core: mysqlOfCallbacks.Pool = ofCallbacks;
  const dialect: MysqlPool = ofCallbacks;
  new MysqlDialect({ pool: dialect });
  await plain.end();
  await core.promise().end();

  function connect() {
    return ofPromises.getConnection();
  }
  function status() {
    return ofPromises.engine?.status();
  }
});

Deno.test("new DnsMysql2Pool(mysql2, …) takes the options of mysql2 and dnspool, and no others", () => {
  // @ts-expect-error a misspelt option of mysql2
  const misspelt = () => new DnsMysql2Pool(mysql, { connectionLimits: 5 });
  // @ts-expect-error an option of dnspool with a value of another type
  const mistyped = () => new DnsMysql2Pool(mysql, { dnsTimeout: "5 s" });
  // @ts-expect-error a value that is not the module
  const wrong = () => new DnsMysql2Pool({ createPool: mysql.createPool }, {});
  assert([misspelt, mistyped, wrong].length === 3);
});

Deno.test("dnsMysql2(mysql2) has the type of what was passed in", () => {
  const module = dnsMysql2(mysql, { dnsNameservers: ["10.0.0.2"] });
  same<typeof module, typeof mysql>(true);
  const ofCallbacks = dnsMysql2(mysqlOfCallbacks);
  same<typeof ofCallbacks, typeof mysqlOfCallbacks>(true);
});

Deno.test("dnsPostgres(postgres) has the type of postgres, with an engine and dnspool's options", async () => {
  const made = dnsPostgres(postgres, { dnsNameservers: ["10.0.0.2"] });
  const original: typeof postgres = made;
  const sql = made("postgres://app@db.internal/orders", {
    max: 5,
    transform: postgres.camel,
    targetSessionAttrs: "read-write",
    poolTimeout: 10,
  });
  const plain: postgres.Sql = sql;
  const typed = made("postgres://app@db.internal/orders", { types: { bigint: postgres.BigInt } });
  same<ReturnType<typeof status>, EngineStatus | undefined>(true);
  same<Awaited<ReturnType<typeof rows>>, { n: number }[]>(true);
  same<ReturnType<typeof value>, postgres.Parameter<bigint>>(true);
  drizzleOnPostgresjs({ client: sql });
  await plain.end();
  await typed.end();
  await original({ host: "db.internal" }).end();

  function status() {
    return sql.engine?.status();
  }
  async function rows() {
    return [...await sql<{ n: number }[]>`SELECT 1 AS n`];
  }
  function value() {
    return typed.types.bigint(1n);
  }
});
