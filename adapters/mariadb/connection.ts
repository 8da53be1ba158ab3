/**
 * Opens, uses and closes connections of mariadb, by way of the connection below the driver's client.
 *
 * @module
 */

import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { mustBe } from "../../internal/argument_error.ts";
import { isSocketError } from "../../internal/socket_errors.ts";
import type { BindValues, Destination } from "../adapter.ts";
import { connectionClosed } from "../shared/driver_error.ts";
import type { MysqlSession, SessionDriver } from "../shared/mysql_session.ts";
import { checkValueCount, hasValues, isList } from "../shared/values.ts";
import { keepListener, socketClosed } from "../shared/socket.ts";
import type { MariadbClient, MariadbConfig, MariadbLogger, MariadbPrepared } from "./driver.ts";

/** The lowest number of the driver's own errors. */
const MIN_DRIVER_ERROR = 45_000;
/** First byte of an error packet. */
const ERROR = 0xff;

/** The connection below a client. It is private to the driver, so every member may be missing. */
export interface CoreConnection {
  /** The socket that was dialed, or the TLS socket around it. */
  readonly socket?: Socket;
  /** The commands that wait for an answer. */
  readonly receiveQueue?: {
    readonly length: number;
    peekFront(): { readonly onPacketReceive: unknown } | undefined;
  };
  /** Runs one statement, with functions that are called before the next answer is read. */
  query?(
    command: { readonly sql: string },
    resolve: () => void,
    reject: (error: unknown) => void,
  ): void;
  /** The commands that are not sent yet. */
  readonly sendQueue?: { readonly length: number };
  /** The driver's options. */
  readonly opts?: { readonly user?: string };
  /** Ends the connection and rejects all that waits for it. */
  fatalError?(error: Error, silently: boolean): void;
}

/** Receives the errors of one connection, once it has a listener. */
export interface ErrorTap {
  listener?: (error: unknown) => void;
}

/** A client as an event emitter, which its type leaves out. */
export interface Emitter {
  on(event: string, listener: (error?: unknown) => void): unknown;
  once(event: string, listener: (this: CoreConnection) => void): unknown;
}

/**
 * Makes the driver's option `stream`. The driver asks for a second socket if its user calls `destroy()` while a
 * statement is running, in order to kill the session; that socket goes to the same server.
 *
 * @param socket The first socket.
 * @param dial Opens another socket to the same server.
 */
export function streamOf(
  socket: Socket,
  dial: (signal: AbortSignal) => Promise<Socket>,
): MariadbConfig["stream"] {
  let first = true;
  const another = dialingStream(dial);
  return (callback) => {
    if (!first) return another(callback);
    first = false;
    give(socket, callback!);
  };
}

/**
 * Makes the driver's option `stream` for connections that open a socket each.
 *
 * @param dial Opens a socket.
 */
export function dialingStream(
  dial: (signal: AbortSignal) => Promise<Socket>,
): MariadbConfig["stream"] {
  return (callback) =>
    void dial(new AbortController().signal)
      .then((socket) => give(socket, callback!), callback);
}

function give(
  socket: Socket,
  callback: NonNullable<Parameters<MariadbConfig["stream"]>[0]>,
): void {
  callback(undefined, socket);
  // The driver sets its timeouts at this event.
  socket.emit("connect");
}

/**
 * Makes the driver's option `logger`: the user's own logger, with a tap on its errors.
 *
 * @param destination The destination with the `connectArgs`.
 * @param tap Receives the errors.
 */
export function loggerOf(
  { connectArgs }: Pick<Destination, "connectArgs">,
  tap: ErrorTap,
): MariadbLogger {
  const { logger, debug, debugCompress } = connectArgs;
  const own: MariadbLogger = typeof logger === "function"
    ? { network: logger, query: logger, warning: logger, error: logger } as MariadbLogger
    : { ...(logger as MariadbLogger | undefined) };
  if (logger === undefined && (debug || debugCompress)) own.network = console.log;
  return {
    ...own,
    error(error: Error): void {
      if (isFromServer(error)) tap.listener?.(error);
      own.error?.(error);
    },
  };
}

/** Returns whether an error has a number of the server's: sockets have negative ones, or none. */
function isFromServer(error: Error): boolean {
  const { errno = 0 } = error as { errno?: number };
  return errno > 0 && errno < MIN_DRIVER_ERROR && !isSocketError(error);
}

/**
 * Calls a function of the driver that makes an emitter, and shows the emitter at once. The driver shows it to its base
 * class alone, whose methods its constructor calls.
 *
 * @param members The members by which the emitter is told from others.
 * @param onMade Called with the emitter, before its first listener is added.
 * @param create Makes the emitter before it returns.
 * @returns What `create` returns.
 */
export function whileMaking<T>(
  members: readonly string[],
  onMade: (emitter: EventEmitter) => void,
  create: () => T,
): T {
  const base = EventEmitter.prototype;
  const { on } = base;
  base.on = function (this: EventEmitter, ...args: Parameters<typeof on>) {
    if (args[0] !== "error" && members.every((name) => name in this)) {
      base.on = on;
      onMade(this);
    }
    return on.apply(this, args);
  };
  try {
    return create();
  } finally {
    base.on = on;
  }
}

/** The members of {@linkcode CoreConnection} by which it is told from other emitters. */
export const OF_CONNECTION: readonly string[] = [
  "receiveQueue",
  "fatalError",
] satisfies (keyof CoreConnection)[];

/**
 * Calls a function of the driver that makes a connection, and gives the connection a listener for its errors at once.
 * Until the client is there, the driver (3.5) has none: a server that closes the connection in the middle of the login, or
 * just after it, would end the process.
 *
 * @param create Makes the connection before it returns.
 * @returns What `create` returns.
 */
export function withErrorListener<T>(create: () => T): T {
  return whileMaking(OF_CONNECTION, (emitter) => {
    emitter.on("error", () => {});
    guardSockets(emitter as CoreConnection);
  }, create);
}

/** Gives each socket that a connection uses, also the one for TLS, a listener for its errors for its whole life. */
function guardSockets(core: CoreConnection): void {
  let { socket } = core;
  Object.defineProperty(core, "socket", {
    configurable: true,
    enumerable: true,
    get: () => socket,
    set(next: Socket | undefined) {
      socket = next;
      if (next) keepListener(next, "error", () => {});
    },
  });
}

/** Returns the connection below a client. The driver shows it only to event listeners, as `this`. */
export function coreOf(client: MariadbClient): CoreConnection {
  let core: CoreConnection | undefined;
  emitterOf(client).once("newListener", function (this: CoreConnection) {
    core = this;
  });
  // Without a listener, the `error` of an idle connection ends the process.
  emitterOf(client).on("error", () => {});
  return core ?? {};
}

/** Returns whether a command waits for an answer; `undefined` if that cannot be seen. */
export function isBusy({ receiveQueue, sendQueue }: CoreConnection): boolean | undefined {
  if (!receiveQueue) return undefined;
  if (sendQueue && sendQueue.length > 0) return true;
  // The last command may stay in the queue although it has its answer.
  return receiveQueue.length > 1 ||
    receiveQueue.length === 1 && receiveQueue.peekFront()?.onPacketReceive !== null;
}

/**
 * Reports an error that the server sends between two statements, in a packet with the number 0: why it closes the
 * session. The driver drops most of them without a word.
 *
 * @param socket The socket that the packets come from.
 * @param core The connection.
 * @param tap Receives the error.
 */
export function tapLastWords(socket: Socket, core: CoreConnection, tap: ErrorTap): void {
  socket.prependListener("data", (chunk: Uint8Array) => {
    if (chunk[3] === 0 && chunk[4] === ERROR && isBusy(core) === false) {
      tap.listener?.(readError(chunk));
    }
  });
}

/** Reads an error packet: the number, "#" and the SQLSTATE, the message. */
function readError(packet: Uint8Array): Error {
  const length = packet[0]! | packet[1]! << 8;
  const text = new TextDecoder().decode(packet.subarray(7, 4 + length));
  const [, sqlState, message = text] = /^#(.{5})(.*)$/s.exec(text) ?? [];
  const errno = packet[5]! | packet[6]! << 8;
  return Object.assign(new Error(message), { errno, ...(sqlState && { sqlState }) });
}

/** Returns what is known about the session of a client. */
export function driverOf(client: MariadbClient, core: CoreConnection): SessionDriver {
  return {
    // After an error, which has no flags, the driver sets the flag for an open transaction.
    flags: () => core.receiveQueue && (client.info as { status: number }).status,
    busy: () => isBusy(core),
    run: (text) => client.query(text),
    async holdTransaction() {
      // The driver may read several answers before it tells of the first: their flags are not told apart. Where there is
      // no such variable, as on MySQL, the transaction counts as ended.
      const [, rows] = await Promise.all([
        client.query("SET autocommit = 0"),
        ask(client, "SELECT @@in_transaction AS value"),
      ]);
      return Number((rows as { value: unknown }[])[0]?.value) === 1;
    },
  };
}

/** Returns a client as an event emitter. */
export function emitterOf(client: MariadbClient): Emitter {
  return client as unknown as Emitter;
}

/** A client's connection, and the socket that was dialed. */
interface Sockets {
  readonly core: CoreConnection;
  readonly socket: Socket;
}

/** Closes a client gracefully. If a statement is running, closes it at once: `end()` would leave it pending for ever. */
export async function closeClient(client: MariadbClient, sockets: Sockets): Promise<void> {
  if (isBusy(sockets.core)) return terminateClient(sockets);
  const closed = socketClosed(sockets.socket);
  await client.end();
  await closed;
}

/** Closes a client at once. Its own `destroy()` would first open another connection, in order to kill the session. */
export function terminateClient({ core, socket }: Sockets, reason?: Error): void {
  core.fatalError?.(reason ?? connectionClosed("ECONNABORTED"), true);
  socket.destroy();
}

/** Runs one statement of the adapter itself. Its rows are objects, whatever the user's settings. */
export function ask(client: MariadbClient, sql: string): Promise<unknown> {
  const plain = { rowsAsArray: false, nestTables: false, metaAsArray: false, typeCast: undefined };
  return client.query({ sql, ...plain });
}

/**
 * Runs one statement of the user. With values it is a prepared statement: the driver would write the values into the
 * text, which a server quotes in its errors.
 *
 * @param client The client.
 * @param text The statement.
 * @param values The bind values.
 * @param session Commits the statement if autocommit is off.
 * @returns The rows.
 * @throws The driver's error.
 */
export async function runStatement(
  client: MariadbClient,
  text: string,
  values: BindValues | undefined,
  session: MysqlSession,
): Promise<readonly unknown[]> {
  const result = await resultOf(client, text, values);
  if (session.isUncommitted) await session.commitStatement();
  return rowsOf(result);
}

async function resultOf(
  client: MariadbClient,
  text: string,
  values: BindValues | undefined,
): Promise<unknown> {
  const statement = { sql: text, metaAsArray: false };
  if (!hasValues(values)) return await client.query(statement);
  const list = isList(values);
  // A driver with `namedPlaceholders` takes no list, and one without it takes an object for a single value.
  const options = { ...statement, ...(list && { namedPlaceholders: false }) };
  const prepared = await client.prepare(options) as MariadbPrepared;
  try {
    if (list) checkValueCount(values, prepared.parameterCount);
    else if (!isNamed(prepared)) {
      throw mustBe("values", "an array, or with namedPlaceholders=true an object", values);
    }
    return await prepared.execute(list ? [...values] : values, options);
  } finally {
    prepared.close();
  }
}

/** Returns whether the driver has looked for names in a statement. */
function isNamed(prepared: object): boolean {
  return Array.isArray((prepared as { _placeHolderIndex?: unknown })._placeHolderIndex);
}

/** Returns the rows of the first result that has any: a procedure gives several results. */
function rowsOf(result: unknown): readonly unknown[] {
  if (!Array.isArray(result)) return [];
  return "meta" in result ? result : result.find((each) => Array.isArray(each)) ?? [];
}
