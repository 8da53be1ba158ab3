/**
 * The pools, each as its users have it, reduced to "run this statement and give me its one value".
 *
 * Drivers are those installed beside the bundle, so that Node and Deno run what their users run.
 *
 * @module
 */

import process from "node:process";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { pgAdapter } from "../../adapters/pg.ts";
import { DnsPgPool } from "../../drop_in/pg_pool.ts";
import { type Adapter, type EngineOptions, getDnsEngine } from "../../mod.ts";
import { type LaneOrders, POOL_SIZE } from "./lanes.ts";

/** Runs a statement that gives one value. */
export interface LaneClient {
  ask(sql: string): Promise<string>;
  status?(): unknown;
}

// deno-lint-ignore no-explicit-any -- drivers of four makers, each used in a line or two
type Driver = any;
type Rows = readonly Readonly<Record<string, unknown>>[];

const load = async (name: string): Promise<Driver> => {
  const module = await import(name);
  return module.default ?? module;
};

const valueOf = (rows: unknown): string => String(Object.values((rows as Rows)[0]!)[0]);

/** What the drivers' own pools are told. */
function common({ host, port, user, password, database }: LaneOrders) {
  return { host, port, user, password, database };
}

/** An engine on the driver. */
async function engineOn(
  orders: LaneOrders,
  driver: "pg" | "mysql2" | "mariadb",
  options: EngineOptions<unknown> = {},
): Promise<LaneClient> {
  const adapters: Record<string, (module: Driver) => Adapter<unknown>> = {
    pg: pgAdapter,
    mysql2: mysql2Adapter,
    mariadb: mariadbAdapter,
  };
  const { host, port, user, password, database, linger } = orders;
  const scheme = driver === "pg" ? "postgresql" : "mysql";
  const engine = getDnsEngine(`${scheme}://${user}:${password}@${host}:${port}/${database}`, {
    adapter: adapters[driver]!(await load(driver)),
    poolSize: POOL_SIZE,
    maxOverflow: 0,
    ...(linger !== undefined && { dnsAddressLinger: linger }),
    ...options,
  });
  if (process.env.DRILL_VERBOSE) {
    for (const type of ["addresschange", "retire", "lookuperror"] as const) {
      engine.addEventListener(type, (event) => console.error(Date.now(), type, event));
    }
  }
  return {
    ask: async (sql) => valueOf(await engine.query(sql)),
    status: () => engine.status(),
  };
}

async function pgPool(
  orders: LaneOrders,
  options: Readonly<Record<string, unknown>> = {},
): Promise<Driver> {
  const pg = await load("pg");
  const pool = new pg.Pool({ ...common(orders), max: POOL_SIZE, ...options });
  pool.on("error", () => {}); // an idle client died: the pool drops it, and the process goes on
  return pool;
}

async function pgQuery(orders: LaneOrders, options?: Readonly<Record<string, unknown>>) {
  const pool = await pgPool(orders, options);
  return { ask: async (sql: string) => valueOf((await pool.query(sql)).rows) };
}

async function mysql2Pool(orders: LaneOrders): Promise<Driver> {
  const mysql = await load("mysql2/promise");
  return mysql.createPool({ ...common(orders), connectionLimit: POOL_SIZE });
}

/** By the lane's name. */
export const CLIENTS: Readonly<Record<string, (orders: LaneOrders) => Promise<LaneClient>>> = {
  "dnspool": (orders) => engineOn(orders, "pg"),
  "dnspool read-write": (orders) => engineOn(orders, "pg", { targetSessionAttrs: "read-write" }),
  "dnspool on Deno": (orders) => engineOn(orders, "pg"),
  "dnspool with mysql2": (orders) => engineOn(orders, "mysql2"),
  "dnspool with mariadb": (orders) => engineOn(orders, "mariadb"),

  async "dnspool drop-in for pg"(orders) {
    const options: Driver = {
      ...common(orders),
      max: POOL_SIZE,
      connectionTimeoutMillis: 10_000, // without it, it fails as fast as pg.Pool does
      ...(orders.linger !== undefined && { dnsAddressLinger: orders.linger }),
    };
    const pool: Driver = new DnsPgPool(await load("pg"), options);
    pool.on("error", () => {});
    return {
      ask: async (sql) => valueOf((await pool.query(sql)).rows),
      status: () => pool.engine?.status(),
    };
  },

  "pg.Pool query": (orders) => pgQuery(orders),
  "pg.Pool, 2 s time-outs": (orders) =>
    pgQuery(orders, { query_timeout: 2000, connectionTimeoutMillis: 2000 }),
  "PgBouncer": (orders) => pgQuery(orders),
  "PgBouncer, tuned": (orders) => pgQuery(orders),

  async "pg.Pool connect, release"(orders) {
    const pool = await pgPool(orders);
    return {
      async ask(sql) {
        const client = await pool.connect();
        try {
          return valueOf((await client.query(sql)).rows);
        } finally {
          client.release();
        }
      },
    };
  },

  async "postgres.js"(orders) {
    const postgres = await load("postgres");
    const sql = postgres({ ...common(orders), max: POOL_SIZE, onnotice: () => {} });
    return { ask: async (text) => valueOf(await sql.unsafe(text)) };
  },

  async "AWS wrapper for pg"(orders) {
    const { AwsPgPoolClient } = await load("aws-advanced-nodejs-wrapper/pg");
    const { AwsPoolConfig } = await load("aws-advanced-nodejs-wrapper");
    const pool = new AwsPgPoolClient(
      common(orders),
      new AwsPoolConfig({ maxConnections: POOL_SIZE }),
    );
    return {
      async ask(sql) {
        const client = await pool.connect();
        try {
          return valueOf((await client.query(sql)).rows);
        } finally {
          await client.release();
        }
      },
    };
  },

  async "mysql2 query"(orders) {
    const pool = await mysql2Pool(orders);
    return { ask: async (sql) => valueOf((await pool.query(sql))[0]) };
  },

  async "mysql2 getConnection"(orders) {
    const pool = await mysql2Pool(orders);
    return {
      async ask(sql) {
        const connection = await pool.getConnection();
        try {
          return valueOf((await connection.query(sql))[0]);
        } finally {
          connection.release();
        }
      },
    };
  },

  async "mariadb"(orders) {
    const mariadb = await load("mariadb");
    const pool = mariadb.createPool({ ...common(orders), connectionLimit: POOL_SIZE });
    return { ask: async (sql) => valueOf(await pool.query(sql)) };
  },
};
