/**
 * What the servers of MySQL's family say and are asked, whichever driver is in between.
 *
 * @module
 */

import { checkLevel } from "./isolation.ts";
import { isSocketError } from "../../internal/socket_errors.ts";
import type { Destination, Role } from "../adapter.ts";

/** The port of MySQL and MariaDB. */
export const DEFAULT_PORT = 3306;

/**
 * Numbers of server errors after which the connection is of no use (the error references of MySQL and of MariaDB).
 * Some come from proxies, which hand on what clients say.
 */
const DISCONNECTED = new Set([
  1053, // server shutdown in progress
  1080, // closing the session by force
  1152, // aborted connection
  1158, // error reading from the network
  1159, // time-out reading from it
  1160, // error writing to it
  1161, // time-out writing to it
  1184, // aborted connection, with more details
  1927, // connection was killed (MariaDB)
  2006, // server has gone away
  2013, // lost connection during a query
  2055, // lost connection, with more details
  3032, // server is in offline mode (MySQL)
  3169, // session was killed (MySQL)
  4031, // closed for inactivity (MySQL)
]);

/** A node of a Galera cluster that has left it answers statements with "unknown command". */
const UNKNOWN_COMMAND = 1047;

/** An option of the server prevents the statement; which one is in the text. */
const OPTION_PREVENTS = 1290;

/** Read-only transaction; read-only mode; InnoDB in read-only mode. */
const READ_ONLY = new Set([1792, 1836, 1874]);

/** Variables differ between versions, and to name one that a server does not have is an error: they are filtered. */
const SERVER_READ_ONLY = ["read_only", "super_read_only", "innodb_read_only"];
const SESSION_READ_ONLY = ["tx_read_only", "transaction_read_only"];
const ISOLATION_VARIABLES = ["tx_isolation", "transaction_isolation"];

/** A row of SHOW VARIABLES. */
interface Variable {
  readonly Variable_name: string;
  readonly Value: string;
}

/** Runs one statement, and gives its rows as objects whatever the user's settings. */
export type Ask = (text: string) => Promise<unknown>;

/**
 * What an error of the server or of the socket means for the connection.
 *
 * @param error Anything.
 * @returns `undefined`: nothing, or it is the driver's own.
 */
export function classifyMysql(error: unknown): "disconnect" | "read-only" | undefined {
  const { errno, message } = (error ?? {}) as { errno?: unknown; message?: unknown };
  if (isSocketError(error)) return "disconnect";
  if (typeof errno !== "number") return undefined;
  const text = String(message);
  if (DISCONNECTED.has(errno) || errno === UNKNOWN_COMMAND && /WSREP/i.test(text)) {
    return "disconnect";
  }
  if (READ_ONLY.has(errno) || errno === OPTION_PREVENTS && /read[-_]only/i.test(text)) {
    return "read-only";
  }
  return undefined;
}

/**
 * Asks a server for its role. Who replicates from whom needs a privilege to see, and says little where two servers
 * replicate from each other; a server that must not be written to is kept read-only, so that is the sign.
 *
 * @param ask Runs a statement.
 */
export async function askRole(ask: Ask): Promise<Role> {
  const names = [...SERVER_READ_ONLY, ...SESSION_READ_ONLY];
  const on = (await askVariables(ask, "SESSION", names))
    .filter(({ Value }) => !/^(OFF|0)$/i.test(Value))
    .map(({ Variable_name }) => Variable_name.toLowerCase());
  return { standby: on.some((name) => SERVER_READ_ONLY.includes(name)), readOnly: on.length > 0 };
}

/**
 * Sets the isolation level of the session.
 *
 * @param ask Runs a statement.
 * @param level The level; `undefined`: what the server gives new sessions.
 * @throws {TypeError} where there is no such level.
 */
export async function setLevel(ask: Ask, level: string | undefined): Promise<void> {
  const wanted = level === undefined
    ? (await askVariables(ask, "GLOBAL", ISOLATION_VARIABLES))[0]!.Value.replaceAll("-", " ")
    : level;
  await ask(`SET SESSION TRANSACTION ISOLATION LEVEL ${checkLevel(wanted)}`);
}

async function askVariables(
  ask: Ask,
  scope: "SESSION" | "GLOBAL",
  names: readonly string[],
): Promise<readonly Variable[]> {
  const list = names.map((name) => `'${name}'`).join(", ");
  return await ask(`SHOW ${scope} VARIABLES WHERE Variable_name IN (${list})`) as Variable[];
}

/**
 * Refuses arguments that would send a connection elsewhere than to the address that it is to have.
 *
 * @param destination What `connectArgs` say.
 * @param names The arguments.
 * @throws {TypeError} that names the first.
 */
export function refuseDetours({ connectArgs }: Destination, names: readonly string[]): void {
  for (const name of names) {
    if (!connectArgs[name]) continue;
    throw new TypeError(
      `Cannot use "${name}" in "connectArgs": every connection goes to an address of the host in the URL`,
    );
  }
}

/** A client's own port, where it has one. */
export function portOf({ port, connectArgs }: Destination): number {
  return Number(connectArgs.port ?? port);
}
