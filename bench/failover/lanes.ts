/**
 * The lanes of the drill: who takes part, on what, and what a lane's process is told and tells.
 *
 * @module
 */

/** One pool, used in one way. */
export interface LaneSpec {
  readonly name: string;
  readonly database: "postgres" | "mariadb";
  /** What its process runs on. Default: Node 22. */
  readonly runtime?: "deno";
  /** Whether it is held to the goals. */
  readonly ours?: true;
  /** Whether it closes the client of every query that fails, as `pg.Pool` does. */
  readonly closesOnError?: true;
  /** It goes through PgBouncer, with these settings. */
  readonly pgbouncer?: Readonly<Record<string, string | number>>;
  /** Whether `--quick` has it. */
  readonly quick?: true;
}

/** Every lane. Names are as on the command line, `--lane`. */
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

/** How many work at the same time. */
export const WORKERS = 8;

/** Connections of each pool. */
export const POOL_SIZE = 10;

/** How a lane's process is told what to do: JSON, its first argument. */
export interface LaneOrders {
  readonly lane: string;
  readonly dialect: LaneSpec["database"];
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** Half writes, half reads; or reads only. */
  readonly work: "write and read" | "read";
  /** Operations a second, whether or not earlier ones are done; without it, workers in a closed loop. */
  readonly perSecond?: number | undefined;
  /** `dnsAddressLinger`, for those who have it. */
  readonly linger?: number | undefined;
}

/** Stands before the report in a lane's last line. */
export const REPORT = "REPORT ";

/** A lane is ready when it says so; then it waits for "go". */
export const READY = "READY";

/** What a lane lived through. Moments are `Date.now()`. */
export interface LaneReport {
  /** Every operation: when it began, how long it took (-1: it has no end), and which of `ends` it came to. */
  readonly operations: readonly (readonly [startMs: number, tookMs: number, end: number])[];
  /** What operations came to. */
  readonly ends: readonly OperationEnd[];
  /** When connections were dialled, and whereto. */
  readonly dials: readonly (readonly [atMs: number, host: string])[];
  /** Errors that nobody could catch, and how often each came: without the drill, the process would have ended. */
  readonly uncaught: readonly (readonly [error: string, count: number])[];
  /** Whatever else the pool tells, for the curious. */
  readonly status?: unknown;
}

/** Who answered, or what went wrong. */
export interface OperationEnd {
  readonly server?: string;
  readonly error?: string;
  /** Refused by a server that is read-only. */
  readonly readOnly?: boolean;
}
