/**
 * What the adapters for PostgreSQL share because it belongs to the server: URL parameters, error codes and the
 * statements of the adapter itself.
 *
 * @module
 */

import { isSocketError } from "../../internal/socket_errors.ts";
import type { Adapter, TransactionStatus, Verdict } from "../adapter.ts";
import { asDriverError, matches } from "./driver_error.ts";
import type { ParamTypes } from "./params.ts";
import { checkIsolationLevel, endStatement } from "./sql.ts";

/** The port of PostgreSQL. */
export const DEFAULT_PORT = 5432;

/** Returns the path of a server's Unix socket in a directory (PostgreSQL, `unix_socket_directories`). */
export function postgresSocketPath(directory: string, port: number): string {
  return `${directory.replace(/\/$/, "")}/.s.PGSQL.${port}`;
}

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
 * 57P01 to 57P04 server shutdown, crash, start-up and dropped database. Not 08P01: it is also the code for a wrong number of
 * bind values, which does no harm to the connection, and of everything that PgBouncer says to one client; where it ends
 * the session, its severity tells.
 */
const DISCONNECTED = /^(08(?!P01)...|57P0[1-4])$/;
/** 57P05: idle session timeout. */
const IDLE_TOO_LONG = "57P05";
/** 25P02: an earlier error has ended the transaction. */
const IN_FAILED_TRANSACTION = "25P02";
/** 25006: read-only transaction. */
const READ_ONLY = "25006";
/** Severities of an error that ends the session (PostgreSQL, chapter "Error and Notice Message Fields"). */
const FATAL = /^(FATAL|PANIC)$/;
/**
 * SQLSTATEs of a login that the server refuses, which are FATAL as well: 0A and 22 settings, 28 authorization, 3D no such
 * database, 42 names and privileges, 53300 too many connections.
 */
const LOGIN_REFUSED = /^(0A|22|28|3D|42)...$|^53300$/;

/** 28000 and 28P01: user or password is refused; the first also by PAM, as with the tokens of a cloud. */
const PASSWORD_REFUSED = /^28(000|P01)$/;
/** 57P03: the server is starting, or waits for its clients to leave. */
const CLIENTS_REFUSED = "57P03";
/** PgBouncer's code for all that it refuses, and its text for a password, which is always English. */
const PROXY_REFUSED = "08P01";
const PROXY_PASSWORD_REFUSED = /authentication failed$/;

/** The fields of a server's error by which it is classified; drivers give the severity different names. */
interface ServerError {
  readonly code?: unknown;
  /** Severity in English; PgBouncer and servers before 9.6 do not send it. */
  readonly severity?: unknown;
  /** Severity in the language of the server's messages. */
  readonly severity_local?: unknown;
}

/** Returns whether the server refused user or password. */
export function refusesPostgresLogin(error: unknown): boolean {
  const { code, message } = asDriverError(error);
  return matches(PASSWORD_REFUSED, code) ||
    code === PROXY_REFUSED && matches(PROXY_PASSWORD_REFUSED, message);
}

/** Returns whether the server lets no client in. */
export function refusesPostgresClients(error: unknown): boolean {
  return asDriverError(error).code === CLIENTS_REFUSED;
}

/** Returns whether an error of the server ends the session, whatever its SQLSTATE. */
export function isFatal(error: unknown): boolean {
  const { severity, severity_local } = (error ?? {}) as ServerError;
  return matches(FATAL, severity ?? severity_local);
}

/**
 * Tells what an error of the server or of the socket means for the connection.
 *
 * @param error The error, or its fields.
 */
export function classifyPostgres(error: unknown): Verdict {
  const { code, severity, severity_local } = (error ?? {}) as ServerError;
  if (code === READ_ONLY) return "read-only";
  if (matches(DISCONNECTED, code) || isSocketError({ code })) return "disconnect";
  if (code === IDLE_TOO_LONG) return "closed";
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
 * Returns whether a notice says that a COMMIT is done here, but not on the replica that it waited for: the wait was
 * cancelled. The server then acknowledges the COMMIT (PostgreSQL, chapter "Synchronous Replication").
 */
export function isUnconfirmed(notice: unknown): boolean {
  // Its SQLSTATE is that of every warning, and its text depends on the language.
  return (notice as { routine?: unknown } | null)?.routine === "SyncRepWaitForLSN";
}

/**
 * Returns whether a notice says that the server ends the session, in an immediate shutdown or after a crash: that is a warning,
 * and the socket is closed behind it.
 */
export function endsSession(notice: unknown): boolean {
  // A function of the user's may raise a warning with any SQLSTATE.
  const { routine, code } = (notice ?? {}) as { routine?: unknown; code?: unknown };
  return routine === "quickdie" && matches(DISCONNECTED, code);
}

/** Returns whether the code of an error only says that an earlier error ended the transaction. */
export function isInFailedTransaction(code: unknown): boolean {
  return code === IN_FAILED_TRANSACTION;
}

/**
 * Makes the adapter method `commit`. PostgreSQL answers the COMMIT of a failed transaction with the tag ROLLBACK and
 * without an error, and that of none with a warning.
 *
 * @param parts `transactionStatus` of the adapter; `send` sends COMMIT and returns the tag of the answer.
 */
export function postgresCommit<C>({ transactionStatus, send }: {
  readonly transactionStatus: (client: C) => TransactionStatus | undefined;
  readonly send: (client: C) => Promise<string | undefined>;
}): NonNullable<Adapter<C>["commit"]> {
  return async (client) => {
    if (transactionStatus(client) === "idle") return {};
    return await send(client) === "ROLLBACK" ? {} : undefined;
  };
}

/**
 * Makes the adapter methods that only run a statement.
 *
 * @param run Runs one statement and returns its rows as objects.
 */
export function postgresSessionMethods<C>(
  run: (client: C, text: string) => Promise<readonly unknown[]>,
): Required<Pick<Adapter<C>, "ping" | "reset" | "resetSession" | "setIsolationLevel">> {
  return {
    async ping(client: C): Promise<void> {
      await run(client, "SELECT 1");
    },
    async reset(client: C, how: "rollback" | "commit"): Promise<void> {
      await run(client, endStatement(how));
    },
    async resetSession(client: C): Promise<void> {
      await run(client, "DISCARD ALL");
    },
    async setIsolationLevel(client: C, level: string | undefined): Promise<void> {
      await run(client, isolationStatement(level));
    },
  };
}

function isolationStatement(level: string | undefined): string {
  return level === undefined
    ? "RESET default_transaction_isolation"
    : `SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL ${checkIsolationLevel(level)}`;
}
