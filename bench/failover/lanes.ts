/**
 * The lanes of the drill, and the messages between the drill and the process of a lane.
 *
 * @module
 */

import type { EngineOptions } from "../../mod.ts";

/** A lane: one pool, used in one way. */
export interface LaneSpec {
  readonly name: string;
  readonly database: "postgres" | "mariadb";
  /** The runtime of its process. Default: Node 22. */
  readonly runtime?: "deno";
  /** Whether it is dnspool, and must reach the goals. */
  readonly ours?: true;
  /** Whether it closes the client of each failed query, as `pg.Pool` does. */
  readonly closesOnError?: true;
  /** Settings of the PgBouncer between the pool and the servers, if there is one. */
  readonly pgbouncer?: Readonly<Record<string, string | number>>;
  /** Whether `--quick` includes it. */
  readonly quick?: true;
}

/** All lanes. `--lane` takes their names. */
export const LANES: readonly LaneSpec[] = [
  { name: "dnspool", database: "postgres", ours: true, quick: true },
  { name: "dnspool read-write", database: "postgres", ours: true },
  {
    name: "dnspool drop-in for pg",
    database: "postgres",
    ours: true,
    closesOnError: true,
    quick: true,
  },
  { name: "dnspool on Deno", database: "postgres", runtime: "deno", ours: true },
  { name: "pg.Pool query", database: "postgres", quick: true },
  { name: "pg.Pool connect, release", database: "postgres", quick: true },
  { name: "pg.Pool, 2 s time-outs", database: "postgres" },
  { name: "postgres.js", database: "postgres", quick: true },
  { name: "AWS wrapper for pg", database: "postgres" },
  { name: "PgBouncer", database: "postgres", pgbouncer: {} },
  {
    name: "PgBouncer, tuned",
    database: "postgres",
    pgbouncer: {
      pool_mode: "transaction",
      dns_max_ttl: 1,
      server_lifetime: 10,
      server_connect_timeout: 2,
      server_login_retry: 1,
      query_timeout: 5,
    },
  },
  { name: "dnspool with mysql2", database: "mariadb", ours: true },
  { name: "dnspool with mariadb", database: "mariadb", ours: true },
  { name: "mysql2 query", database: "mariadb" },
  { name: "mysql2 getConnection", database: "mariadb" },
  { name: "mariadb", database: "mariadb" },
];

/** Number of workers of each lane. */
export const WORKERS = 8;

/** Size of each pool. */
export const POOL_SIZE = 10;

/** The first argument of a lane's process, as JSON. */
export interface LaneTask {
  readonly lane: string;
  readonly dialect: LaneSpec["database"];
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** Whether half of the operations are writes. */
  readonly work: "write and read" | "read";
  /** Operations started per second, without waiting for earlier ones; without it, workers run in a closed loop. */
  readonly perSecond?: number | undefined;
  /** Several hosts in place of `host`, one of which takes writes. */
  readonly hosts?: readonly string[] | undefined;
  /** The name of SRV records in place of `host` and `port`. */
  readonly srv?: string | undefined;
  /** Options for dnspool. */
  readonly options?: EngineOptions | undefined;
}

/** Marks the line with the report. */
export const REPORT = "REPORT ";

/** Printed by a lane that is ready and waits for "go". */
export const READY = "READY";

/** The report of a lane. Times are as `Date.now()` returns them. */
export interface LaneReport {
  /** Start and duration of each operation, and its index in `results`; both -1 if it did not end. */
  readonly operations: readonly (readonly [startMs: number, tookMs: number, result: number])[];
  /** The distinct results. */
  readonly results: readonly OperationResult[];
  /** Time and host of each connect. */
  readonly dials: readonly (readonly [atMs: number, host: string])[];
  /** Errors that would have ended the process, with their counts. */
  readonly uncaught: readonly (readonly [error: string, count: number])[];
  /** The status of the pool, if it has one. */
  readonly status?: unknown;
}

/** The result of an operation: the server that answered, or the error. */
export interface OperationResult {
  readonly server?: string;
  readonly error?: string;
  /** Whether a read-only server refused it. */
  readonly readOnly?: boolean;
}
