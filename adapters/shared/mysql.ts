/**
 * What the adapters for MySQL and MariaDB share because it belongs to the server: error numbers, the statements of the
 * adapter itself, and arguments that both drivers have.
 *
 * @module
 */

import { mustNotBeGiven } from "../../internal/argument_error.ts";
import { maintenanceTimer } from "../../internal/clock.ts";
import { isSocketError } from "../../internal/socket_errors.ts";
import type { Adapter, Destination, Role, Target, Verdict } from "../adapter.ts";
import { asDriverError } from "./driver_error.ts";
import { argName } from "./params.ts";
import { checkIsolationLevel } from "./sql.ts";

/** The port of MySQL and MariaDB. */
export const DEFAULT_PORT = 3306;

/**
 * Numbers of server errors after which the connection cannot be used (the error references of MySQL and of MariaDB).
 * Some come from proxies, which pass on the errors of client libraries.
 */
const DISCONNECTED = new Set([
  1053, // server shutdown in progress
  1080, // closing the session by force
  1152, // aborted connection
  1158, // error reading from the network
  1159, // timeout reading from the network
  1160, // error writing to the network
  1161, // timeout writing to the network
  1184, // aborted connection, with more details
  2006, // server has gone away
  2013, // lost connection during a query
  2055, // lost connection, with more details
  3032, // server is in offline mode (MySQL)
]);

/** Numbers of server errors with which the server ended or refused one session. */
const CLOSED = new Set([
  1040, // too many connections
  1203, // too many connections of this user
  1927, // connection was killed (MariaDB)
  3169, // session was killed (MySQL)
  4031, // closed for inactivity (MySQL)
]);

/** Numbers of server errors for a login that is refused. */
const LOGIN_REFUSED = new Set([
  1045, // user or password
  1698, // no password was expected or given
]);

/**
 * What a node of a Galera cluster says that has lost the others, by the number, which has other meanings as well: to a
 * statement "unknown command", and to a commit that was under way "error during commit".
 */
const WITHOUT_CLUSTER: Readonly<Record<number, RegExp>> = {
  1047: /WSREP/i,
  1180: /Primary Component/i,
};

/** A limit of this user is reached; the message names the limit. That of queries leaves the session as it is. */
const USER_LIMIT = 1226;

/** An option of the server prevents the statement; the message names the option. */
const OPTION_PREVENTS = 1290;

/** Read-only transaction; read-only mode; InnoDB in read-only mode. */
const READ_ONLY = new Set([1792, 1836, 1874]);

/** Versions differ in their variables. SHOW VARIABLES leaves out those that a server lacks; naming one in SELECT fails. */
const SERVER_READ_ONLY = ["read_only", "super_read_only", "innodb_read_only"];
const NEW_SESSIONS_READ_ONLY = ["tx_read_only", "transaction_read_only"];
/** A node of a Galera cluster has both of them. */
const GALERA = ["wsrep_on", "wsrep_provider"];
/** Makes such a node refuse statements, although it is ready. */
const GALERA_REJECTS = "wsrep_reject_queries";
const ISOLATION_VARIABLES = ["tx_isolation", "transaction_isolation"];

/** A row of SHOW VARIABLES. */
interface Variable {
  readonly Variable_name: string;
  readonly Value: string;
}

/** Runs one statement. Its rows are objects, whatever the user's settings. */
type Ask<C> = (client: C, text: string) => Promise<unknown>;

/**
 * Tells what an error of the server or of the socket means for the connection.
 *
 * @param error Any value.
 */
export function classifyMysql(error: unknown): Verdict {
  if (isSocketError(error)) return "disconnect";
  const { errno, message } = asDriverError(error);
  if (typeof errno !== "number") return undefined;
  if (CLOSED.has(errno)) return "closed";
  const text = String(message);
  if (errno === USER_LIMIT && text.includes("max_user_connections")) return "closed";
  if (DISCONNECTED.has(errno) || WITHOUT_CLUSTER[errno]?.test(text)) return "disconnect";
  if (READ_ONLY.has(errno) || errno === OPTION_PREVENTS && /read[-_]only/i.test(text)) {
    return "read-only";
  }
  return undefined;
}

/** Returns whether the server refused user or password. */
export function refusesMysqlLogin(error: unknown): boolean {
  return LOGIN_REFUSED.has(asDriverError(error).errno as number);
}

/**
 * Makes the adapter methods that only run a statement.
 *
 * @param ask Runs one statement of the adapter itself.
 */
export function mysqlSessionMethods<C>(
  ask: Ask<C>,
): Required<Pick<Adapter<C>, "ping" | "setIsolationLevel" | "role">> {
  return {
    // A node that has left its cluster answers COM_PING, and so does a proxy for a server that is gone.
    async ping(client: C): Promise<void> {
      await ask(client, "DO 0");
    },
    setIsolationLevel: (client: C, level: string | undefined) =>
      setIsolationLevel((text) => ask(client, text), level),
    role: (client: C) => askRole((text) => ask(client, text)),
  };
}

/** The part of a new session's state that COM_RESET_CONNECTION leaves as it is, or sets otherwise than the login did. */
export interface NewSession {
  readonly name: string | null;
  readonly mode: string;
  readonly client: string;
  readonly results: string;
  readonly collation: string;
}

const SESSION_QUERY =
  "SELECT DATABASE() AS name, @@sql_mode AS mode, @@character_set_client AS client, @@character_set_results AS results, @@collation_connection AS collation";

/** Asks for the state of a new session. */
export async function askSession(ask: (text: string) => Promise<unknown>): Promise<NewSession> {
  return (await ask(SESSION_QUERY) as readonly [NewSession])[0];
}

/**
 * Puts back what COM_RESET_CONNECTION does not: the database, and what drivers set with flags of the login.
 *
 * @param ask Runs one statement of the adapter itself.
 * @param session The state of a new session; `undefined` if it is not known.
 * @throws {Error} if a new session has no database, and this one has: that cannot be put back.
 */
export async function restoreSession(
  ask: (text: string) => Promise<unknown>,
  session: NewSession | undefined,
): Promise<void> {
  if (!session) return;
  const { name, mode, client, results, collation } = session;
  await ask(
    `SET sql_mode = '${mode}', character_set_client = ${client}, character_set_results = ${results}, collation_connection = ${collation}`,
  );
  if (name) return void await ask(`USE \`${name.replaceAll("`", "``")}\``);
  if ((await askSession(ask)).name) {
    throw new Error("A statement chose a database, and a new session has none");
  }
}

/** Throws if the holder logged in as another user: the session cannot be made like a new one. */
export function refuseOtherUser(user: unknown, userNow: unknown): void {
  if (userNow === user) return;
  throw new Error("Its holder logged in as another user");
}

async function setIsolationLevel(
  ask: (text: string) => Promise<unknown>,
  level: string | undefined,
): Promise<void> {
  const wanted = level === undefined
    ? (await askVariables(ask, ISOLATION_VARIABLES))[0]!.Value.replaceAll("-", " ")
    : level;
  await ask(`SET SESSION TRANSACTION ISOLATION LEVEL ${checkIsolationLevel(wanted)}`);
}

/**
 * Asks a server for its role. A server that must not be written to is kept read-only, so that is the sign of a standby.
 * Whether it replicates from another server takes a privilege to see, and tells little if two servers replicate from
 * each other.
 */
async function askRole(ask: (text: string) => Promise<unknown>): Promise<Role> {
  const names = [...SERVER_READ_ONLY, ...NEW_SESSIONS_READ_ONLY, ...GALERA, GALERA_REJECTS];
  // A session that its caller made read-only says nothing about the server.
  const enabled = (await askVariables(ask, names))
    .filter(({ Value }) => !/^(OFF|0|none|)$/i.test(Value))
    .map(({ Variable_name }) => Variable_name.toLowerCase());
  // A node that has left its cluster lets clients in, and refuses all but SHOW and SET.
  const isGalera = GALERA.every((name) => enabled.includes(name));
  const isReady = !isGalera || await isGaleraReady(ask);
  return {
    standby: enabled.some((name) => SERVER_READ_ONLY.includes(name)),
    readOnly: !isReady || enabled.some((name) => !GALERA.includes(name)),
  };
}

async function isGaleraReady(ask: (text: string) => Promise<unknown>): Promise<boolean> {
  const [row] = await ask("SHOW STATUS LIKE 'wsrep_ready'") as Variable[];
  return row === undefined || /^ON$/i.test(row.Value);
}

async function askVariables(
  ask: (text: string) => Promise<unknown>,
  names: readonly string[],
): Promise<readonly Variable[]> {
  const list = names.map((name) => `'${name}'`).join(", ");
  return await ask(`SHOW GLOBAL VARIABLES WHERE Variable_name IN (${list})`) as Variable[];
}

/**
 * Refuses arguments that would send a connection elsewhere than to the address that the pool chose.
 *
 * @param destination The destination with the `connectArgs`.
 * @param names The arguments; `false` or `undefined` as a value is allowed.
 * @throws {TypeError} for the first one that is given.
 */
export function refuseOtherServers({ connectArgs }: Destination, names: readonly string[]): void {
  for (const name of names) {
    if (!connectArgs[name]) continue;
    const reason = "every connection goes to an address of the host in the database URL";
    throw mustNotBeGiven(argName(name), reason);
  }
}

/**
 * Maximum number of prepared statements that a connection keeps by default. The drivers' own defaults are for a program
 * that has the server to itself: the server has one limit for all connections of all its clients, by default 16,382
 * (max_prepared_stmt_count of MySQL and MariaDB).
 */
export const MAX_PREPARED_STATEMENTS = 100;

/** Milliseconds in which the login behind a probe must end: the server's own `connect_timeout` by default. */
const MAX_LOGIN_MS = 10_000;

/** How a probe opens a client, and closes it. */
export interface GreetedOpener<C> {
  /** Opens a client; calls `onGreeting` at the first byte of the server. */
  open(target: Target, onGreeting: () => void): Promise<C>;
  /** Closes a client gracefully. */
  close(client: C): Promise<void>;
}

/**
 * Waits for the first byte of a server, which speaks first. Then the login goes on, and is closed gracefully, without the
 * caller: the server takes a client that leaves before its login for an attack. It logs "Aborted connection", and
 * refuses the whole host after `max_connect_errors` of them.
 *
 * @param target What to connect to, and the signal that ends the wait.
 * @param opener How to open a client and close it.
 * @throws The socket's error, or the signal's reason.
 */
export function probeByGreeting<C>(target: Target, opener: GreetedOpener<C>): Promise<void> {
  const { signal } = target;
  return new Promise((resolve, reject) => {
    const login = new AbortController();
    const limit = maintenanceTimer(MAX_LOGIN_MS, () => login.abort(new Error("the login is slow")));
    const onAbort = () => login.abort(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    const onGreeting = () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    };
    opener.open({ ...target, signal: login.signal }, onGreeting)
      .then((client) => opener.close(client))
      .then(resolve, reject)
      .finally(() => {
        signal.removeEventListener("abort", onAbort);
        limit.clear();
      });
  });
}
