/**
 * What the adapters for PostgreSQL share because it belongs to the server: URL parameters, error codes and the
 * statements of the adapter itself.
 *
 * @module
 */

import { isSocketError } from "../../internal/socket_errors.ts";
import type { Adapter, Role } from "../adapter.ts";
import { matches, type Verdict } from "./driver_error.ts";
import type { ParamTypes } from "./params.ts";
import { checkIsolationLevel, endStatement } from "./sql.ts";

/** The port of PostgreSQL. */
export const DEFAULT_PORT = 5432;

/** URL parameters that a driver passes on to the server. */
export const SESSION_PARAMS: ParamTypes = {
  application_name: "string",
  fallback_application_name: "string",
  idle_in_transaction_session_timeout: "number",
  lock_timeout: "number",
  options: "string",
  statement_timeout: "number",
};

/**
 * SQLSTATEs after which no connection to the server can be used (PostgreSQL, appendix A): 08 connection exceptions,
 * 57P01 to 57P04 server shutdown, crash, start-up and dropped database.
 */
const DISCONNECTED = /^(08...|57P0[1-4])$/;
/**
 * 57P05: idle session timeout. 08P01: protocol violation, which is the code of everything that PgBouncer says to one
 * client: that it waited too long, or that there are too many.
 */
const CLOSED = /^(57P05|08P01)$/;
/** Refusals of a login, which end a session that has not begun: 28 invalid authorization, 3D000 no such database. */
const LOGIN_REFUSED = /^(28...|3D000)$/;
/** 25006: read-only transaction. */
const READ_ONLY = "25006";

const ROLE_QUERY =
  "SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS readonly";

/** The fields of a server's error by which it is classified; drivers give the severity different names. */
interface ServerError {
  readonly code?: unknown;
  /** Severity in English; PgBouncer and servers before 9.6 do not send it. */
  readonly severity?: unknown;
  /** Severity in the language of the server's messages. */
  readonly severity_local?: unknown;
}

/**
 * Tells what an error of the server or of the socket means for the connection.
 *
 * @param error The error, or its fields.
 */
export function classifyPostgres(error: unknown): Verdict {
  const { code, severity, severity_local } = (error ?? {}) as ServerError;
  if (code === READ_ONLY) return "read-only";
  if (matches(CLOSED, code)) return "closed";
  if (matches(DISCONNECTED, code) || isSocketError({ code })) return "disconnect";
  switch (severity ?? severity_local) {
    case "PANIC":
      return "disconnect";
    case "FATAL":
      return matches(LOGIN_REFUSED, code) ? undefined : "closed";
    default:
      return undefined;
  }
}

/**
 * Makes the adapter methods that only run a statement.
 *
 * @param run Runs one statement and returns its rows as objects.
 */
export function postgresSessionMethods<C>(
  run: (client: C, text: string) => Promise<readonly unknown[]>,
): Required<Pick<Adapter<C>, "ping" | "reset" | "setIsolationLevel" | "role">> {
  return {
    async ping(client: C): Promise<void> {
      await run(client, "SELECT 1");
    },
    async reset(client: C, how: "rollback" | "commit"): Promise<void> {
      await run(client, endStatement(how));
    },
    async setIsolationLevel(client: C, level: string | undefined): Promise<void> {
      await run(client, isolationStatement(level));
    },
    async role(client: C): Promise<Role> {
      const [row] = await run(client, ROLE_QUERY);
      const { standby, readonly } = row as { standby: boolean; readonly: boolean };
      return { standby, readOnly: readonly };
    },
  };
}

function isolationStatement(level: string | undefined): string {
  return level === undefined
    ? "RESET default_transaction_isolation"
    : `SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL ${checkIsolationLevel(level)}`;
}
