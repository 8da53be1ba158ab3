/**
 * What the adapters' contract suite asks a server, in the server's own words.
 *
 * @module
 */

/** One server's SQL. Every statement gives one row, or none, with the columns named here. */
export interface Dialect {
  /** `ip` and `port`: where the server is, as it knows it itself. */
  readonly whereAmI: string;
  /** `who`: user and database, with a space between. */
  readonly whoAmI: string;
  /** `id`: the session. */
  readonly session: string;
  /** `n`: how many sessions there are, this one included. */
  readonly sessions: string;
  /** A row for each session that runs a statement with this text in it. */
  running(text: string): string;
  /** A row if the session is there. */
  alive(id: unknown): string;
  /** Ends a session. */
  kill(id: unknown): string;
  /** Takes 30 seconds. */
  readonly sleep: string;
  /** `n` and `t`: the first value plus one, and the second. */
  readonly echo: string;
  /** Inserts its one value into `things`, whose column `name` is unique. */
  readonly insert: string;
  /** A table `things` with a unique `name`. */
  readonly table: string;
  /** `n`: how many rows `things` has. */
  readonly count: string;
  /** Every new session is read-only for whom it should be, or not. */
  readonly readOnly: readonly [on: string, off: string];
  /** `level`: the isolation level, with spaces, in any case. */
  readonly level: string;
  /** What the server does by itself. */
  readonly defaultLevel: string;
  /** A line of the server's log about a client that did not say goodbye. */
  readonly complaint: RegExp;
}

/** PostgreSQL's; the user of the tests is its superuser. */
export const POSTGRES: Dialect = {
  whereAmI: "SELECT host(inet_server_addr()) AS ip, inet_server_port() AS port",
  whoAmI: "SELECT current_user::text || ' ' || current_database()::text AS who",
  session: "SELECT pg_backend_pid() AS id",
  sessions: "SELECT count(*)::int AS n FROM pg_stat_activity WHERE backend_type = 'client backend'",
  running: (text) =>
    `SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%${text}%' AND pid <> pg_backend_pid()`,
  alive: (id) => `SELECT pid FROM pg_stat_activity WHERE pid = ${id}`,
  kill: (id) => `SELECT pg_terminate_backend(${id})`,
  sleep: "SELECT pg_sleep(30)",
  echo: "SELECT $1::int + 1 AS n, $2::text AS t",
  insert: "INSERT INTO things (name) VALUES ($1)",
  table: "CREATE TABLE things (name text UNIQUE)",
  count: "SELECT count(*)::int AS n FROM things",
  readOnly: [
    "ALTER DATABASE orders SET default_transaction_read_only = on",
    "ALTER DATABASE orders RESET default_transaction_read_only",
  ],
  level: "SELECT current_setting('transaction_isolation') AS level",
  defaultLevel: "read committed",
  complaint: /unexpected EOF|could not receive data|Connection reset/i,
};

/** MariaDB's; the user of the tests may not write while the server is read-only. */
export const MARIADB: Dialect = {
  whereAmI: "SELECT @@bind_address AS ip, @@port AS port",
  whoAmI: "SELECT CONCAT(SUBSTRING_INDEX(CURRENT_USER(), '@', 1), ' ', DATABASE()) AS who",
  session: "SELECT CONNECTION_ID() AS id",
  sessions:
    "SELECT COUNT(*) AS n FROM information_schema.processlist WHERE user NOT IN ('system user', 'event_scheduler')",
  running: (text) =>
    `SELECT id FROM information_schema.processlist WHERE info LIKE '%${text}%' AND id <> CONNECTION_ID()`,
  alive: (id) => `SELECT id FROM information_schema.processlist WHERE id = ${id}`,
  kill: (id) => `KILL CONNECTION ${id}`,
  sleep: "SELECT SLEEP(30)",
  echo: "SELECT CAST(? AS SIGNED) + 1 AS n, ? AS t",
  insert: "INSERT INTO things (name) VALUES (?)",
  table: "CREATE TABLE things (name varchar(100) UNIQUE)",
  count: "SELECT COUNT(*) AS n FROM things",
  readOnly: ["SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0"],
  level: "SELECT REPLACE(@@tx_isolation, '-', ' ') AS level",
  defaultLevel: "repeatable read",
  complaint: /aborted connection/i,
};
