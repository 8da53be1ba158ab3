/**
 * Statements of the adapters' contract suite in the SQL of each server.
 *
 * @module
 */

import type { SettingValue } from "../../adapters/adapter.ts";

/** A text that is no part of a statement. */
const HOSTILE = "'; DROP TABLE things; -- \\ \" ` $1 ? :a %s é😀";

/** The SQL of one kind of server. Each statement returns one row, or none, with the columns that are named here. */
export interface Dialect {
  /** Returns `ip` and `port`, the server's own address as it knows it. */
  readonly whereAmI: string;
  /** Returns `who`, user and database with a space between. */
  readonly whoAmI: string;
  /** Returns `id`, the ID of the session. */
  readonly session: string;
  /** Returns `n`, the number of sessions, this one included. */
  readonly sessions: string;
  /** Returns a row for each session that is running a statement with this text in it. */
  running(text: string): string;
  /** Returns a row if the session exists. */
  alive(id: unknown): string;
  /** Ends a session. */
  kill(id: unknown): string;
  /** Takes 30 seconds. */
  readonly sleep: string;
  /** Takes so many seconds. */
  nap(seconds: number): string;
  /** Inserts a row into `things`, and takes so many seconds. */
  slowInsert(seconds: number): string;
  /** Takes two values; returns `n`, the first one plus one, and `t`, the second one. */
  readonly echo: string;
  /** Takes one value and inserts it into `things`. */
  readonly insert: string;
  /** Whether each error of a statement ends the work of its transaction. */
  readonly errorsEndTransactions: boolean;
  /** Creates what `raise` needs; may be run again. */
  readonly raiser: string;
  /** Takes a value; a function of the database raises an error with it in the message. */
  readonly raise: string;
  /** Creates the table `things`, whose column `name` is unique. */
  readonly table: string;
  /** Returns `n`, the number of rows of `things`. */
  readonly count: string;
  /** Makes new sessions of the tests' user read-only, or no longer. */
  readonly readOnly: readonly [on: string, off: string];
  /** Make the session, or a transaction of it, read-only. */
  readonly ownReadOnly: readonly string[];
  /** Creates a user that may use the database. */
  createUser(name: string, password: string): readonly string[];
  /** Changes the password of a user. */
  setPassword(name: string, password: string): string;
  /** Removes a user. */
  dropUser(name: string): string;
  /** Returns `level`, the isolation level with spaces, in any case. */
  readonly level: string;
  /** The server's default isolation level. */
  readonly defaultLevel: string;
  /** Settings for one transaction, and the statement that returns `t`, the present values with `|` between. */
  readonly transaction: {
    readonly settings: Readonly<Record<string, SettingValue>>;
    readonly read: string;
    readonly inside: string;
    readonly outside: string;
    /** Whether there are deferrable transactions. */
    readonly deferrable: boolean;
  };
  /** Matches the server's log line about a client that closed its socket without a message. */
  readonly abortedLogLine: RegExp;
}

/** PostgreSQL. The user of the tests is a superuser. */
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
  nap: (seconds) => `SELECT pg_sleep(${seconds})`,
  slowInsert: (seconds) =>
    `INSERT INTO things (name) SELECT 'slow' || random() FROM pg_sleep(${seconds})`,
  echo: "SELECT $1::int + 1 AS n, $2::text AS t",
  insert: "INSERT INTO things (name) VALUES ($1)",
  errorsEndTransactions: true,
  raiser:
    "CREATE OR REPLACE FUNCTION raiser(value text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE 'no credit for % (%)', value, upper(value); END $$",
  raise: "SELECT raiser($1)",
  table: "CREATE TABLE things (name text UNIQUE)",
  count: "SELECT count(*)::int AS n FROM things",
  createUser: (name, password) => [`CREATE ROLE ${name} LOGIN PASSWORD '${password}'`],
  setPassword: (name, password) => `ALTER ROLE ${name} PASSWORD '${password}'`,
  dropUser: (name) => `DROP ROLE ${name}`,
  readOnly: [
    "ALTER DATABASE orders SET default_transaction_read_only = on",
    "ALTER DATABASE orders RESET default_transaction_read_only",
  ],
  ownReadOnly: ["SET default_transaction_read_only = on", "BEGIN READ ONLY"],
  level: "SELECT current_setting('transaction_isolation') AS level",
  defaultLevel: "read committed",
  transaction: {
    settings: {
      role: "pg_monitor", // the first, although it could not set the next one
      log_statement: "none",
      "app.tenant": HOSTILE,
      search_path: ['a "b", c', "public"],
      "app.n": 42,
    },
    read:
      "SELECT concat_ws('|', nullif(current_setting('app.tenant', true), ''), current_setting('search_path'), nullif(current_setting('app.n', true), ''), current_user) AS t",
    inside: `${HOSTILE}|"a ""b"", c", "public"|42|pg_monitor`,
    outside: '"$user", public|app',
    deferrable: true,
  },
  abortedLogLine: /unexpected EOF|could not receive data|Connection reset/i,
};

/** MariaDB. The user of the tests may not write while the server is read-only. */
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
  nap: (seconds) => `SELECT SLEEP(${seconds})`,
  slowInsert: (seconds) =>
    `INSERT INTO things (name) SELECT CONCAT('slow', RAND(), SLEEP(${seconds}))`,
  echo: "SELECT CAST(? AS SIGNED) + 1 AS n, ? AS t",
  insert: "INSERT INTO things (name) VALUES (?)",
  errorsEndTransactions: false,
  raiser:
    "CREATE OR REPLACE PROCEDURE raiser(value text) BEGIN SET @said = CONCAT('no credit for ', value, ' (', UPPER(value), ')'); SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = @said; END",
  raise: "CALL raiser(?)",
  table: "CREATE TABLE things (name varchar(100) UNIQUE)",
  createUser: (name, password) => [
    `CREATE USER ${name} IDENTIFIED BY '${password}'`,
    `GRANT ALL ON orders.* TO ${name}`,
  ],
  setPassword: (name, password) => `ALTER USER ${name} IDENTIFIED BY '${password}'`,
  dropUser: (name) => `DROP USER ${name}`,
  count: "SELECT COUNT(*) AS n FROM things",
  readOnly: ["SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0"],
  ownReadOnly: ["SET SESSION TRANSACTION READ ONLY", "START TRANSACTION READ ONLY"],
  level: "SELECT REPLACE(@@tx_isolation, '-', ' ') AS level",
  defaultLevel: "repeatable read",
  transaction: {
    settings: {
      "@ten`ant": HOSTILE,
      sql_mode: "ANSI_QUOTES,NO_BACKSLASH_ESCAPES",
      sort_buffer_size: 262144,
      max_statement_time: 12.5,
      sql_safe_updates: true,
      lock_wait_timeout: 77n,
    },
    read:
      "SELECT CONCAT_WS('|', @`ten``ant`, @@sql_mode, @@sort_buffer_size, FORMAT(@@max_statement_time, 1), @@sql_safe_updates, @@lock_wait_timeout) AS t",
    inside: `${HOSTILE}|ANSI_QUOTES,NO_BACKSLASH_ESCAPES|262144|12.5|ON|77`,
    outside:
      "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION|2097152|0.0|OFF|86400",
    deferrable: false,
  },
  abortedLogLine: /aborted connection/i,
};
