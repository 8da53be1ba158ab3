/**
 * The pools, each configured as its users do, behind one function that runs a statement and returns its one value.
 *
 * The drivers are those installed beside the bundle, so that Node and Deno load the released packages.
 *
 * @module
 */

import process from "node:process";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { pgAdapter } from "../../adapters/pg.ts";
import { DnsMariadbPool } from "../../drop_in/mariadb_pool.ts";
import { DnsMysql2Pool } from "../../drop_in/mysql2_pool.ts";
import { DnsPgPool } from "../../drop_in/pg_pool.ts";
import { type Adapter, type EngineOptions, getDnsEngine } from "../../mod.ts";
import { type LaneTask, POOL_SIZE } from "./lanes.ts";

/** The client of a lane. */
export interface LaneClient {
  /** Runs a statement that returns one value. */
  query(sql: string): Promise<string>;
  status?(): unknown;
}

// deno-lint-ignore no-explicit-any -- several drivers, each used in a line or two
type Driver = any;
type Rows = readonly Readonly<Record<string, unknown>>[];

const load = async (name: string): Promise<Driver> => {
  const module = await import(name);
  return module.default ?? module;
};

const valueOf = (rows: unknown): string => String(Object.values((rows as Rows)[0]!)[0]);

/** Returns the options that all drivers share. */
function common({ host, port, user, password, database }: LaneTask) {
  return { host, port, user, password, database };
}

function urlOf(
  { host, port, user, password, database, hosts, srv, options }: LaneTask,
  scheme: string,
) {
  const login = `${user}:${password}@`;
  if (srv !== undefined) return `${scheme}+srv://${login}${srv}/${database}`;
  const list = (hosts ?? [host]).map((host) => `${host}:${port}`).join(",");
  const wanted = options?.targetSessionAttrs ?? "read-write";
  const role = hosts === undefined || scheme !== "postgresql"
    ? ""
    : `?target_session_attrs=${wanted}`;
  return `${scheme}://${login}${list}/${database}${role}`;
}

/** Creates an engine with the driver. */
async function engineOn(
  task: LaneTask,
  driver: "pg" | "mysql2" | "mariadb",
  options: EngineOptions<unknown> = {},
): Promise<LaneClient> {
  const adapters: Record<string, (module: Driver) => Adapter<unknown>> = {
    pg: pgAdapter,
    mysql2: mysql2Adapter,
    mariadb: mariadbAdapter,
  };
  const engine = getDnsEngine(urlOf(task, driver === "pg" ? "postgresql" : "mysql"), {
    adapter: adapters[driver]!(await load(driver)),
    poolSize: POOL_SIZE,
    maxOverflow: 0,
    ...task.options,
    ...options,
  });
  if (process.env.DRILL_VERBOSE) {
    for (const type of ["addresschange", "retire", "lookuperror"] as const) {
      engine.addEventListener(type, ({ detail }) => console.error(Date.now(), type, detail));
    }
  }
  return {
    query: async (sql) => valueOf(await engine.query(sql)),
    status: () => engine.status(),
  };
}

async function pgPool(
  task: LaneTask,
  options: Readonly<Record<string, unknown>> = {},
): Promise<Driver> {
  const pg = await load("pg");
  const pool = new pg.Pool({ ...common(task), max: POOL_SIZE, ...options });
  pool.on("error", () => {}); // the pool removes an idle client that fails; without a listener the process would end
  return pool;
}

async function pgQuery(task: LaneTask, options?: Readonly<Record<string, unknown>>) {
  const pool = await pgPool(task, options);
  return { query: async (sql: string) => valueOf((await pool.query(sql)).rows) };
}

async function mysql2Pool(task: LaneTask): Promise<Driver> {
  const mysql = await load("mysql2/promise");
  return mysql.createPool({ ...common(task), connectionLimit: POOL_SIZE });
}

/** Creates the client of a lane, by the lane's name. */
export const CLIENTS: Readonly<Record<string, (task: LaneTask) => Promise<LaneClient>>> = {
  "dnspool": (task) => engineOn(task, "pg"),
  "dnspool read-write": (task) => engineOn(task, "pg", { targetSessionAttrs: "read-write" }),
  "dnspool on Deno": (task) => engineOn(task, "pg"),
  "dnspool with mysql2": (task) => engineOn(task, "mysql2"),
  "dnspool with mariadb": (task) => engineOn(task, "mariadb"),

  async "dnspool drop-in for pg"(task) {
    const options: Driver = {
      ...common(task),
      max: POOL_SIZE,
      connectionTimeoutMillis: 10_000, // as for pg.Pool, the default would be no timeout
      ...task.options,
    };
    const pool: Driver = new DnsPgPool(await load("pg"), options);
    pool.on("error", () => {});
    return {
      query: async (sql) => valueOf((await pool.query(sql)).rows),
      status: () => pool.engine?.status(),
    };
  },

  async "dnspool drop-in for mysql2"(task) {
    const options: Driver = { ...common(task), connectionLimit: POOL_SIZE, ...task.options };
    const pool = new DnsMysql2Pool(await load("mysql2/promise"), options);
    return { query: async (sql) => valueOf((await pool.query(sql))[0]) };
  },

  async "dnspool drop-in for mariadb"(task) {
    const options: Driver = { ...common(task), connectionLimit: POOL_SIZE, ...task.options };
    const pool = new DnsMariadbPool(await load("mariadb"), options);
    return { query: async (sql) => valueOf(await pool.query(sql)) };
  },

  "pg.Pool query": (task) => pgQuery(task),
  "pg.Pool, 2 s time-outs": (task) =>
    pgQuery(task, { query_timeout: 2000, connectionTimeoutMillis: 2000 }),
  "PgBouncer": (task) => pgQuery(task),
  "PgBouncer, tuned": (task) => pgQuery(task),

  async "pg.Pool connect, release"(task) {
    const pool = await pgPool(task);
    return {
      async query(sql) {
        const client = await pool.connect();
        try {
          return valueOf((await client.query(sql)).rows);
        } finally {
          client.release();
        }
      },
    };
  },

  async "postgres.js"(task) {
    const postgres = await load("postgres");
    const { hosts, port } = task;
    const several = hosts && {
      host: hosts,
      port: hosts.map(() => port),
      target_session_attrs: "read-write",
    };
    const sql = postgres({ ...common(task), ...several, max: POOL_SIZE, onnotice: () => {} });
    return { query: async (text) => valueOf(await sql.unsafe(text)) };
  },

  async "AWS wrapper for pg"(task) {
    const { AwsPgPoolClient } = await load("aws-advanced-nodejs-wrapper/pg");
    const { AwsPoolConfig } = await load("aws-advanced-nodejs-wrapper");
    const pool = new AwsPgPoolClient(
      common(task),
      new AwsPoolConfig({ maxConnections: POOL_SIZE }),
    );
    return {
      async query(sql) {
        const client = await pool.connect();
        try {
          return valueOf((await client.query(sql)).rows);
        } finally {
          await client.release();
        }
      },
    };
  },

  async "mysql2 query"(task) {
    const pool = await mysql2Pool(task);
    return { query: async (sql) => valueOf((await pool.query(sql))[0]) };
  },

  async "mysql2 getConnection"(task) {
    const pool = await mysql2Pool(task);
    return {
      async query(sql) {
        const connection = await pool.getConnection();
        try {
          return valueOf((await connection.query(sql))[0]);
        } finally {
          connection.release();
        }
      },
    };
  },

  async "mariadb"(task) {
    const mariadb = await load("mariadb");
    const pool = mariadb.createPool({ ...common(task), connectionLimit: POOL_SIZE });
    return { query: async (sql) => valueOf(await pool.query(sql)) };
  },
};
