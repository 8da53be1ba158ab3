/**
 * Cancels a running statement of MySQL and MariaDB: by `KILL QUERY` on a second connection.
 *
 * @module
 */

import { delay } from "../../internal/async.ts";
import { maintenanceTimer } from "../../internal/clock.ts";
import { asDriverError } from "./driver_error.ts";

/** Time that a statement has to end before it is cancelled once more. */
const KILL_INTERVAL_MS = 100;
/** What the server calls the other side of a Unix socket. */
const LOCAL = "localhost";
/** No such thread: the session has ended, and its statement with it. */
const NO_SUCH_THREAD = 1094;
/** The statement was interrupted. */
const INTERRUPTED = 1317;

/** A connection, and the port of its socket on this side. */
export interface LocalConnection<C> {
  readonly client: C;
  /** Port of its socket on this side. */
  readonly localPort: number | undefined;
}

/** What a cancel needs. */
export interface KillParts<C> extends LocalConnection<C> {
  /** ID of the session. */
  readonly sessionId: number;
  /** Whether the client is terminated: then its session is ended as a whole. */
  readonly terminated: boolean;
  /** Opens a second connection to the same address, with the same login. */
  open(): Promise<LocalConnection<C>>;
  /** Runs one statement; its rows are objects. */
  ask(client: C, text: string): Promise<unknown>;
  /** Closes the second connection. */
  close(client: C): Promise<void>;
  /** Closes the second connection at once. */
  terminate(client: C): void;
}

/** A row of the list of sessions. */
interface Session {
  readonly id: number | string | bigint;
  readonly host: string;
}

/**
 * Cancels the statement that is running in a session, if there is one.
 *
 * @param parts The connection, and how to open a second one.
 * @param signal Ends the attempt.
 * @returns Fulfilled when the statement has ended and the session has run an empty one, which takes a cancel that came
 *   too late for its statement; for a client that is terminated, when the server was told to end the session.
 * @throws The driver's error; an error if the address may lead to several servers; or the signal's reason.
 */
export async function killQuery<C>(parts: KillParts<C>, signal: AbortSignal): Promise<void> {
  const other = await parts.open();
  const onAbort = () => parts.terminate(other.client);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    if (!await isSession(parts, other)) return;
    if (parts.terminated) await parts.ask(other.client, `KILL CONNECTION ${parts.sessionId}`);
    else await killUntilIdle(parts, other.client, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (asDriverError(error).errno !== NO_SUCH_THREAD) throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
    await parts.close(other.client).catch(() => parts.terminate(other.client));
  }
}

/** Cancels what is running until it has ended: a cancel may come before its statement, and then has no effect. */
async function killUntilIdle<C>(
  { client, sessionId, ask }: KillParts<C>,
  other: C,
  signal: AbortSignal,
): Promise<void> {
  // Drivers run statements in turn: this one after what is running.
  const idle = new AbortController();
  const ended = runEmpty(ask, client).finally(() => idle.abort());
  ended.catch(() => {});
  const until = AbortSignal.any([idle.signal, signal]);
  while (!until.aborted) {
    await ask(other, `KILL QUERY ${sessionId}`);
    await delay(KILL_INTERVAL_MS, until, maintenanceTimer).catch(() => {});
  }
  signal.throwIfAborted();
  await ended;
  await runEmpty(ask, client);
}

/** Runs a statement that does nothing, and takes a cancel that came too late for the one before it. */
async function runEmpty<C>(ask: KillParts<C>["ask"], client: C): Promise<void> {
  try {
    await ask(client, "DO 0");
  } catch (error) {
    if (asDriverError(error).errno !== INTERRUPTED) throw error;
  }
}

/**
 * Makes sure that the second connection leads to the session's server: behind a balancer, the same number is another
 * session's on another server. The server knows each session by the address and the port of its socket.
 *
 * @returns `false` if the server has no session with that number.
 * @throws {Error} if the session is another one, or the server does not see the sockets themselves.
 */
async function isSession<C>(
  { sessionId, localPort, ask }: KillParts<C>,
  other: LocalConnection<C>,
): Promise<boolean> {
  const rows = await ask(
    other.client,
    `SELECT id AS id, host AS host, id = CONNECTION_ID() AS own FROM information_schema.processlist WHERE id IN (CONNECTION_ID(), ${sessionId})`,
  ) as (Session & { readonly own: unknown })[];
  const own = rows.find((row) => Number(row.own) === 1)?.host;
  const session = rows.find((row) => Number(row.own) !== 1)?.host;
  if (session === undefined) return false;
  // By a Unix socket.
  if (localPort === undefined && other.localPort === undefined) {
    if (own === LOCAL && session === LOCAL) return true;
  }
  const host = own?.slice(0, -`${other.localPort}`.length);
  if (own === `${host}${other.localPort}` && session === `${host}${localPort}`) return true;
  throw new Error(
    "Cannot cancel a statement: the second connection may be open to another server, or a proxy is in between",
  );
}
