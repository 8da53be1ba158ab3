/**
 * What the drivers for PostgreSQL have in common, because it is the server's: parameters, error codes, role, isolation level.
 *
 * @module
 */

import { checkLevel } from "./isolation.ts";
import type { ParamKind } from "./params.ts";
import { isSocketError } from "../../internal/socket_errors.ts";
import type { Role } from "../adapter.ts";

/** The port for a URL that names none. */
export const DEFAULT_PORT = 5432;

/** URL parameters that are the server's, whatever driver hands them to it. */
export const SESSION_PARAMS: Readonly<Record<string, ParamKind>> = {
  application_name: "text",
  fallback_application_name: "text",
  idle_in_transaction_session_timeout: "number",
  lock_timeout: "number",
  options: "text",
  statement_timeout: "number",
};

/**
 * SQLSTATEs after which the connection is of no use (PostgreSQL, appendix A): 08 connection exceptions,
 * 57P01 to 57P05 server shutdown, crash, start-up and idle session time-out.
 */
const DISCONNECTED = /^(08...|57P0[1-5])$/;
/** 25006: read-only transaction. */
const READ_ONLY = "25006";

/**
 * What an error code means for the connection.
 *
 * @param code A SQLSTATE, or the code of a socket's error.
 * @returns The verdict; `undefined` for a mere error.
 */
export function verdictOf(code: unknown): "disconnect" | "read-only" | undefined {
  if (code === READ_ONLY) return "read-only";
  if (typeof code !== "string") return undefined;
  return DISCONNECTED.test(code) || isSocketError({ code }) ? "disconnect" : undefined;
}

/** Asks for the server's role; {@linkcode roleOf} reads the row. */
export const ROLE_QUERY =
  "SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS readonly";

/** The role in the row that {@linkcode ROLE_QUERY} gives. */
export function roleOf(row: unknown): Role {
  const { standby, readonly } = row as { standby: boolean; readonly: boolean };
  return { standby, readOnly: readonly };
}

/**
 * Sets the isolation level of the session.
 *
 * @param level Such as `"serializable"`; `undefined`: back to the server's.
 * @returns The statement.
 * @throws {TypeError} where there is no such level.
 */
export function isolationStatement(level: string | undefined): string {
  return level === undefined
    ? "RESET default_transaction_isolation"
    : `SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL ${checkLevel(level)}`;
}
