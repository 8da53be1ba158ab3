/**
 * The lanes of the drill of PostgreSQL: each pool as its users configure it, behind functions that run a statement or a
 * transaction and return one value.
 *
 * @module
 */

import { execFile } from "node:child_process";
import process from "node:process";
import { promisify } from "node:util";
import type { Adapter } from "../../adapters/adapter.ts";
import { pgAdapter } from "../../adapters/pg.ts";
import { postgresjsAdapter } from "../../adapters/postgresjs.ts";
import { DnsPgPool } from "../../drop_in/pg_pool.ts";
import { dnsPostgres } from "../../drop_in/postgresjs.ts";
import { type EngineOptions, getDnsEngine } from "../../mod.ts";
import type { LaneClient } from "../failover/clients.ts";
import { type LaneTask, POOL_SIZE } from "../failover/lanes.ts";

// deno-lint-ignore no-explicit-any -- the modules are not known when types are checked
type Driver = any;

/** The task of a lane's process, as JSON in its first argument. */
export interface PostgresTask extends LaneTask {
  /** The addresses of both servers. */
  readonly servers: readonly string[];
}

/** The names of the long work of each lane. */
export const SLOW_RESULT = "slow result";
export const TRANSACTION = "transaction";

/** Runs a statement in a transaction; resolves with the first value of the first row, if there is one. */
export type Ask = (text: string) => Promise<string>;

/** The client of a lane. */
export interface PostgresClient extends LaneClient {
  /** Runs a transaction. Default: it has none. */
  transaction?(work: (ask: Ask) => Promise<string>): Promise<string>;
}

/** A lane. */
export interface PostgresLane {
  readonly name: string;
  /** Whether it has to reach the goals. */
  readonly ours?: true;
  /** Whether it reads from the standby. Default: it writes to the primary. */
  readonly reads?: true;
  /** Creates its client. */
  create(task: PostgresTask): Promise<PostgresClient>;
}

const execute = promisify(execFile);

/** The names are computed, so that Node loads the released packages. */
const [PG, POSTGRES] = [["pg"].join(), ["postgres"].join()];
const ADAPTERS: Readonly<Record<string, (module: Driver) => Adapter<Driver>>> = {
  [PG!]: pgAdapter,
  [POSTGRES!]: postgresjsAdapter,
};
/** Seconds after which a connection is replaced: a server that waits for its clients to leave is noticed by a connect. */
const RECYCLE = 10;
const WRITES = { targetSessionAttrs: "read-write" } as const;
const READ_WRITE = { ...WRITES, poolRecycle: RECYCLE } as const;

/** All lanes. */
export const POSTGRES_LANES: readonly PostgresLane[] = [
  { name: "dnspool, pg", create: engineOn(PG!) },
  { name: "dnspool, pg, read-write", ours: true, create: engineOn(PG!, READ_WRITE) },
  { name: "dnspool, postgres", create: engineOn(POSTGRES!) },
  { name: "dnspool, postgres, read-write", ours: true, create: engineOn(POSTGRES!, READ_WRITE) },
  {
    name: "dnspool, pg, several hosts",
    ours: true,
    create: (task) =>
      // No record says that a frozen primary has lost its role.
      engineOn(PG!, { ...READ_WRITE, leaseProbeAfter: 2 })({
        ...task,
        host: task.servers.map((host) => `${host}:${task.port}`).join(","),
      }),
  },
  {
    name: "DnsPgPool, read-write",
    ours: true,
    create: async (task) =>
      pooled(
        new DnsPgPool(
          await load(PG!),
          {
            ...common(task),
            ...WRITES,
            maxLifetimeSeconds: RECYCLE,
            connectionTimeoutMillis: 30_000, // as the engine's `poolTimeout`
          } as Driver,
        ),
      ),
  },
  {
    name: "dnsPostgres, read-write",
    ours: true,
    create: async (task) =>
      ofPostgresjs(
        dnsPostgres(await load(POSTGRES!))({
          ...postgresjsOptions(task),
          target_session_attrs: "read-write",
          max_lifetime: RECYCLE,
        }),
      ),
  },
  { name: "pg.Pool", create: pgPool },
  { name: "postgres.js", create: postgresjs },
  {
    name: "postgres.js, several hosts",
    create: async (task) =>
      ofPostgresjs((await load(POSTGRES!))({
        ...postgresjsOptions(task),
        host: task.servers,
        port: task.servers.map(() => task.port),
        target_session_attrs: "primary", // its "read-write" takes standbys too
      })),
  },
  {
    name: "psql, several hosts",
    create({ servers, port, user, password, database }) {
      const hosts = servers.map((host) => `${host}:${port}`).join(",");
      const options = "target_session_attrs=read-write&connect_timeout=2";
      const url = `postgresql://${user}@${hosts}/${database}?${options}`;
      const env = { ...process.env, PGPASSWORD: password };
      return Promise.resolve({
        // A session per statement: it looks for the primary each time.
        async query(text: string) {
          try {
            return (await execute("psql", [url, "-qtAc", text], { env })).stdout.split(/[|\n]/)[0]!;
          } catch (error) {
            throw new Error((error as { stderr?: string }).stderr?.trim().split("\n").at(-1));
          }
        },
      });
    },
  },
  { name: "dnspool, pg, standby", reads: true, ours: true, create: engineOn(PG!) },
  { name: "dnspool, postgres, standby", reads: true, ours: true, create: engineOn(POSTGRES!) },
  { name: "pg.Pool, standby", reads: true, create: pgPool },
  { name: "postgres.js, standby", reads: true, create: postgresjs },
];

async function load(name: string): Promise<Driver> {
  const module = await import(name);
  return module.default ?? module;
}

function valueOf(rows: readonly Readonly<Record<string, unknown>>[]): string {
  const [row] = rows;
  return row === undefined ? "" : String(Object.values(row)[0]);
}

/** Returns the function that creates a client with an engine. */
function engineOn(driver: string, options: EngineOptions<Driver> = {}) {
  return async (task: PostgresTask): Promise<PostgresClient> => {
    const { host, port, user, password, database } = task;
    const adapter = ADAPTERS[driver]!(await load(driver));
    const where = host.includes(":") ? host : `${host}:${port}`;
    const engine = getDnsEngine(`postgresql://${user}:${password}@${where}/${database}`, {
      ...{ adapter, poolSize: POOL_SIZE, maxOverflow: 0 },
      ...options,
    });
    return {
      query: async (text) => valueOf(await engine.query(text)),
      transaction: (work) =>
        engine.begin(({ client }) =>
          work(async (text) => valueOf(await adapter.query!(client, text) as Driver))
        ),
    };
  };
}

function common({ host, port, user, password, database }: LaneTask) {
  return { host, port, user, password, database, max: POOL_SIZE };
}

/** Without a timeout, callers of `pg.Pool` wait without end for a frozen server. */
function pgOptions(task: LaneTask) {
  return { ...common(task), connectionTimeoutMillis: 10_000 };
}

function postgresjsOptions(task: LaneTask) {
  return { ...common(task), onnotice: () => {} };
}

async function pgPool(task: PostgresTask): Promise<PostgresClient> {
  return pooled(new (await load(PG!)).Pool(pgOptions(task)));
}

async function postgresjs(task: PostgresTask): Promise<PostgresClient> {
  return ofPostgresjs((await load(POSTGRES!))(postgresjsOptions(task)));
}

/** Uses a pool of the shape of `pg.Pool`. */
function pooled(pool: Driver): PostgresClient {
  pool.on("error", () => {}); // the pool removes an idle client that fails; without a listener the process would end
  return {
    query: async (text) => valueOf((await pool.query(text)).rows),
    async transaction(work) {
      const client = await pool.connect();
      client.on("error", () => {});
      try {
        const ask: Ask = async (text) => valueOf((await client.query(text)).rows);
        await ask("BEGIN");
        const result = await work(ask);
        await ask("COMMIT");
        client.release();
        return result;
      } catch (error) {
        client.release(true);
        throw error;
      }
    },
  };
}

/** Uses the function of postgres.js. */
function ofPostgresjs(sql: Driver): PostgresClient {
  return {
    query: async (text) => valueOf(await sql.unsafe(text)),
    transaction: (work) =>
      sql.begin((sql: Driver) => work(async (text) => valueOf(await sql.unsafe(text)))),
  };
}
