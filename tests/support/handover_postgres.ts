/**
 * What holders do with connections to PostgreSQL, for the suite `contracts/handover.ts`.
 *
 * @module
 */

import type { Deed, HandoverSubject } from "../contracts/handover.ts";
import { postgresSubject } from "./postgres_subject.ts";

/** The login of the tests. The password is printable ASCII, as @db/postgres wants it. */
export const HANDOVER_LOGIN = { user: "app", password: "s3cret" };
const SUBJECT = postgresSubject(HANDOVER_LOGIN);

/** Leaves a promise alone that may reject. */
export function ignore(promise: unknown): void {
  Promise.resolve(promise).catch(() => {});
}

/** What all drivers have in common; `run` begins a statement, and sends it although its result is not awaited. */
export function POSTGRES_HANDOVER<C>(
  run: (client: C, text: string) => PromiseLike<unknown>,
): Omit<HandoverSubject<C>, "factory" | "adapter" | "stuck"> {
  const ran = (...texts: string[]): Deed<C> => async (client) => {
    for (const text of texts) await run(client, text);
  };
  const sent = (...texts: string[]): Deed<C> => (client) => {
    for (const text of texts) ignore(run(client, text));
  };
  return {
    url: { dialect: "postgresql", ...HANDOVER_LOGIN },
    start: SUBJECT.start,
    setUp: [
      "CREATE TABLE things (id int PRIMARY KEY)",
      "INSERT INTO things VALUES (1)",
      "CREATE ROLE somewhat",
      "CREATE SCHEMA other",
    ],
    probe: "SELECT ?n AS n, now() = statement_timestamp() AS own",
    level: "SELECT current_setting('transaction_isolation') AS level",
    deeds: {
      "a statement": ran("SELECT 1"),
      "a failed statement": ran("SELECT 1 / 0"),
      "a statement that fails after rows": ran(
        "SELECT 1 / (i - 5) FROM generate_series(1, 9) AS i",
      ),
      "a statement that is not awaited": sent("SELECT 7 AS n, false AS own"),
      "slow statements that are not awaited": sent("SELECT pg_sleep(0.1)", "SELECT 7 AS n"),
      "failed statements that are not awaited": sent("SELECT 1 / 0", "SELECT 7 AS n", "SELEC"),
      "a transaction": ran("BEGIN", "SELECT 1"),
      "a failed transaction": ran("BEGIN", "SELECT 1 / 0"),
      "BEGIN that is not awaited": sent("BEGIN"),
      "BEGIN that is not awaited, behind another statement": sent("SELECT 1", "BEGIN"),
      "a statement after a statement, not awaited": (client) =>
        ignore(run(client, "SELECT 1").then(() => run(client, "SELECT 7 AS n, false AS own"))),
      "is closed by the server": (client) =>
        ignore(run(client, "SELECT pg_terminate_backend(pg_backend_pid())")),
    },
    changes: {
      setting: ran("SET statement_timeout = 54321"),
      "search path": ran("SET search_path = other"),
      role: ran("SET ROLE somewhat"),
      "temporary table": ran("CREATE TEMP TABLE IF NOT EXISTS mine (id int)"),
      LISTEN: ran("LISTEN news"),
      "advisory lock": ran("SELECT pg_advisory_lock(7)"),
      "prepared statement": ran("PREPARE mine AS SELECT 1"),
      "cursor with hold": ran("DECLARE held CURSOR WITH HOLD FOR SELECT 1"),
      "isolation level": ran(
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
      ),
    },
    session: `SELECT current_user::text AS role, session_user::text AS who,
      current_setting('search_path') AS path, current_setting('statement_timeout') AS timeout,
      current_setting('default_transaction_isolation') AS level,
      (SELECT count(*)::int FROM pg_class WHERE relnamespace = pg_my_temp_schema()) AS temporary,
      (SELECT count(*)::int FROM pg_listening_channels()) AS channels,
      (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,
      (SELECT count(*)::int FROM pg_prepared_statements WHERE from_sql) AS prepared,
      (SELECT count(*)::int FROM pg_cursors WHERE name = 'held') AS cursors,
      (SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings
        WHERE source = 'session' OR context IN ('user', 'superuser')) AS settings`,
  };
}

/** The connection below a `pg.Client`, as far as a query of one's own needs it. */
interface PgConnection {
  query(text: string): void;
}

/** A query for `pg.Client` that begins a COPY and sends nothing. */
export class CopyQuery {
  readonly text: string;
  readonly begun: Promise<void>;
  #onBegun!: () => void;

  constructor(text: string) {
    this.text = text;
    this.begun = new Promise((resolve) => this.#onBegun = resolve);
  }
  submit(connection: PgConnection): void {
    connection.query(this.text);
  }
  handleCopyInResponse(): void {
    this.#onBegun();
  }
  handleCopyData(): void {}
  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleCommandComplete(): void {}
  handleReadyForQuery(): void {}
  handleError(): void {}
}
