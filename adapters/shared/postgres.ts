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
 * 57P02 crash, 57P03 start-up or shutdown. Not 08P01: it is also the code for a wrong number of bind values, which does
 * no harm to the connection, and of everything that PgBouncer says to one client; where it ends the session, its severity
 * tells.
 */
const DISCONNECTED = /^(08(?!P01)...|57P0[23])$/;
/**
 * SQLSTATEs with which the server ends or refuses one session: 57P04 its database was dropped, 57P05 it was idle for too
 * long, 53300 there are too many connections.
 */
const CLOSED = /^(57P0[45]|53300)$/;
/** 57P01: the administrator ended this session, or the server; both in the same words. */
const ADMIN_SHUTDOWN = "57P01";
/** The routines of the server that say so when its main process has died, and when all processes have to end at once. */
const SERVER_ENDS = /^(secure_(read|write)|quickdie)$/;
/** 25P02: an earlier error has ended the transaction. */
const IN_FAILED_TRANSACTION = "25P02";
/** 25006: read-only transaction. */
const READ_ONLY = "25006";
/** 57P01 and 57P02. */
const SHUTDOWN_OR_CRASH = /^57P0[12]$/;
/** Severities of an error that ends the session (PostgreSQL, chapter "Error and Notice Message Fields"). */
const FATAL = /^(FATAL|PANIC)$/;
/**
 * SQLSTATEs of a login that the server refuses, which are FATAL as well: 0A and 22 settings, 28 authorization, 3D no such
 * database, 42 names and privileges.
 */
const LOGIN_REFUSED = /^(0A|22|28|3D|42)...$/;

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

/** Returns whether an error or a notice of the server says why it ends the session. */
export function isFatal(error: unknown): boolean {
  const { severity, severity_local } = (error ?? {}) as ServerError;
  return matches(FATAL, severity ?? severity_local) || endsSession(error);
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
  if (code === ADMIN_SHUTDOWN) return endsServer(error) ? "disconnect" : "closed";
  if (matches(CLOSED, code)) return "closed";
  switch (severity ?? severity_local) {
    case "PANIC":
      return "disconnect";
    case "FATAL":
      return matches(LOGIN_REFUSED, code) ? undefined : "closed";
    default:
      return undefined;
  }
}

/** Returns whether the routine that reported an error does so only when the whole server ends. */
function endsServer(error: unknown): boolean {
  return matches(SERVER_ENDS, (error as { routine?: unknown } | null)?.routine);
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
  return routine === "quickdie" && matches(SHUTDOWN_OR_CRASH, code);
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
