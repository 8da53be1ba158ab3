/**
 * What holders do with connections to MariaDB, for the suite `contracts/handover.ts`.
 *
 * @module
 */

import type { Deed, HandoverSubject } from "../contracts/handover.ts";
import { ignore } from "./handover_postgres.ts";
import { MARIADB_SUBJECT } from "./mysql_subject.ts";

/** Many rows, so many that a driver stops reading if they are not taken from it. */
export const MANY = "SELECT seq, REPEAT('x', 1000) FROM seq_1_to_50000";

/** Variables that change with each statement, or belong to the connection or the server. */
const OF_STATEMENTS = [
  "error_count",
  "gtid_binlog_pos",
  "gtid_current_pos",
  "identity",
  "in_transaction",
  "insert_id",
  "last_gtid",
  "last_insert_id",
  "pseudo_thread_id",
  "rand_seed1",
  "rand_seed2",
  "timestamp",
  "warning_count",
].map((name) => `'${name}'`).join();

/** What both drivers have in common; `run` sends a statement. */
export function mariadbHandover<C>(
  run: (client: C, text: string) => Promise<unknown>,
): Omit<HandoverSubject<C>, "factory" | "adapter" | "stuck"> {
  const ran = (...texts: string[]): Deed<C> => async (client) => {
    for (const text of texts) await run(client, text);
  };
  const sent = (...texts: string[]): Deed<C> => (client) => {
    for (const text of texts) ignore(run(client, text));
  };
  return {
    url: { dialect: "mysql", user: MARIADB_SUBJECT.user, password: MARIADB_SUBJECT.password },
    start: MARIADB_SUBJECT.start,
    setUp: [
      "CREATE TABLE things (id int PRIMARY KEY)",
      "INSERT INTO things VALUES (1)",
    ],
    probe: "SELECT ?n AS n, @@in_transaction = 0 AS own",
    level: "SELECT @@tx_isolation AS level",
    deeds: {
      "a statement": ran("SELECT 1"),
      "a failed statement": ran("SELECT nothing"),
      "a statement that fails after rows": ran(
        "SELECT IF(seq < 500, seq, (SELECT 1 UNION SELECT 2)) FROM seq_1_to_1000",
      ),
      "a statement that is not awaited": sent("SELECT 7 AS n, 0 AS own"),
      "slow statements that are not awaited": sent("SELECT SLEEP(0.1)", "SELECT 7 AS n"),
      "failed statements that are not awaited": sent("SELECT nothing", "SELECT 7 AS n", "SELEC"),
      "a transaction": ran("BEGIN", "SELECT * FROM things"),
      "a failed transaction": ran("BEGIN", "INSERT INTO things VALUES (1)"),
      "BEGIN that is not awaited": sent("BEGIN"),
      "BEGIN that is not awaited, behind another statement": sent("SELECT 1", "BEGIN"),
      "a statement after a statement, not awaited": (client) =>
        ignore(run(client, "SELECT 1").then(() => run(client, "SELECT 7 AS n, 0 AS own"))),
      "is closed by the server": (client) => ignore(run(client, "KILL CONNECTION_ID()")),
    },
    changes: {
      setting: ran("SET time_zone = '+05:00'"),
      mode: ran("SET sql_mode = 'ANSI'"),
      variable: ran("SET @mine = 7"),
      database: ran("USE information_schema"),
      "character set": ran("SET NAMES latin1"),
      "named lock": ran("SELECT GET_LOCK('mine', 9)"),
      "isolation level": ran("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE"),
      "temporary table": ran(
        "CREATE TEMPORARY TABLE IF NOT EXISTS orders.mine (id int)",
        "SET @temporary = 1",
      ),
      "prepared statement": ran("PREPARE mine FROM 'SELECT 1'", "SET @prepared = 1"),
      autocommit: ran("SET autocommit = 0"),
      "other settings": ran(
        "SET wait_timeout = 1234, lock_wait_timeout = 7, max_statement_time = 99",
        "SET foreign_key_checks = 0, unique_checks = 0, sql_safe_updates = 1",
        "SET collation_connection = utf8mb4_bin, character_set_results = NULL",
        "SET div_precision_increment = 9, lc_time_names = 'de_DE', auto_increment_increment = 7",
      ),
    },
    session: `SELECT @@time_zone AS zone, @@sql_mode AS mode, @mine AS variable,
      DATABASE() AS name, @@character_set_client AS chars, @@collation_connection AS collation,
      COALESCE(IS_USED_LOCK('mine') = CONNECTION_ID(), 0) AS named, @@tx_isolation AS level,
      @temporary AS temporary, @prepared AS prepared, @@autocommit AS autocommit,
      (SELECT GROUP_CONCAT(variable_name, '=', variable_value ORDER BY variable_name SEPARATOR ' ')
        FROM information_schema.session_variables WHERE variable_name NOT IN (${OF_STATEMENTS}))
        AS settings`,
    gone: ["SELECT * FROM orders.mine", "EXECUTE mine"],
  };
}
