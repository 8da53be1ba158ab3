/**
 * The part of `npm:pg` that the adapter needs, as types.
 *
 * @module
 */

import { type TlsOptions, withServerName } from "../shared/tls.ts";

/** What the adapter sets on a new client; `connectArgs` may add any other option of the driver. */
export interface PgConfig {
  /** IP address to connect to. */
  host: string;
  /** TCP port. */
  port: number;
  /** User name. */
  user?: string;
  /** Password. */
  password?: string;
  /** Database name. */
  database?: string;
  /** TLS options, or `false` for plain text. */
  ssl?: TlsOptions | false;
  /** Whether to enable TCP keepalive. */
  keepAlive: boolean;
  /** Milliseconds before the first keepalive probe. */
  keepAliveInitialDelayMillis: number;
}

/** The part of `pg.Client` that the adapter needs. All three methods are called with a callback too. */
export interface PgClient {
  /** Opens the connection. */
  connect(): Promise<unknown>;
  /** Closes the connection. */
  end(): Promise<void>;
  /** Runs one statement. */
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[]; command?: string }>;
  /** Listens for `error` and `end`. */
  on(event: "error" | "end", listener: (error?: Error) => void): unknown;
}

/** The part of the module `pg` that the adapter needs. */
export interface PgModule<C extends PgClient> {
  /** The client class. */
  Client: new (config: PgConfig) => C;
}

/** Members of `pg.Client` that its types leave out, or that only newer versions have. */
export interface PgInternals {
  ref?(): void;
  unref?(): void;
  connection?: PgConnection;
  /** The address that the client is connected to. */
  host?: string;
  port?: number;
  user?: string;
  password?: unknown;
  /** The process of the session. */
  processID?: number | null;
  /** Its secret key; bytes from protocol 3.2 on. */
  secretKey?: number | Uint8Array | null;
  sslNegotiation?: string;
  connectionParameters?: { host?: string; user?: string; password?: unknown };
  readyForQuery?: boolean;
  /** Whether `end()` was called. */
  _ending?: boolean;
  /** Whether the client is connected. */
  _connected?: boolean;
  /** Whether the connection is closed. */
  _ended?: boolean;
  /** `false` once the connection is lost. */
  _queryable?: boolean;
  /** The queries that wait for the running one. */
  _queryQueue?: readonly unknown[];
  /** In pipeline mode, the queries that are sent and wait for their turn to be answered. */
  _sentQueryQueue?: readonly unknown[];
  on?(
    event: "notification",
    listener: (message: { channel: string; payload?: string }) => void,
  ): unknown;
  once?(event: "drain" | "end", listener: () => void): unknown;
  off?(event: "drain" | "end", listener: () => void): unknown;
  getTransactionStatus?(): string | null;
}

/** The connection below a client. */
export interface PgConnection {
  stream?: PgStream;
  ssl?: TlsOptions | boolean;
  /** The texts of the named statements that the server has, by name. */
  parsedStatements?: object;
  /** The texts of those that it was sent. */
  submittedNamedStatements?: object;
  /** Sends one message. */
  _send?(message: Uint8Array): unknown;
  // deno-lint-ignore no-explicit-any -- each event has its own argument
  prependListener?(event: string, listener: (message: any) => void): unknown;
  on?(event: "errorMessage", listener: (error: unknown) => void): unknown;
}

/** A socket; the last two properties are those of a TLS socket. */
interface PgStream {
  destroy(error?: Error): void;
  on?(event: "error", listener: () => void): unknown;
  writable?: boolean;
  encrypted?: boolean;
  authorized?: boolean;
}

/**
 * Calls a method of a client with a callback, as the driver's own pool does: a subclass may know no other way. One that
 * ignores the callback and returns a promise is supported as well.
 *
 * @param call Calls the method.
 * @param isDone Returns whether a promise without a value is the end, and not one of a method that only passes on the
 *   callback.
 * @param onDone Called in the callback, if there is no error.
 * @returns What the callback or the promise gives.
 * @throws The error that the callback or the promise gives.
 */
export function withCallback<T>(
  call: (callback: (error: unknown, result?: T) => void) => unknown,
  isDone: () => boolean,
  onDone?: () => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const returned = call((error, result) => {
      if (error) return reject(error);
      resolve(result!);
      onDone?.();
    }) as Promise<T> | undefined;
    returned?.then?.((result) => {
      if (result !== undefined || isDone()) resolve(result);
    }, reject);
  });
}

/** Makes TLS check the certificate for the host name: pg would check it for the address that it connects to. */
export function addServerName(client: PgClient, host: string): void {
  const { connection } = internalsOf(client);
  if (!connection?.ssl) return;
  connection.ssl = withServerName(host, connection.ssl === true ? {} : connection.ssl);
}

/** Returns a client with the members that its type leaves out. */
export function internalsOf(client: PgClient): PgInternals {
  return client as unknown as PgInternals;
}

/** The result of a statement. A text with several statements has an array of results. */
export interface PgResult {
  rows: unknown[];
  fields?: unknown[];
  command?: string;
}

/** A function with a callback as its last argument. */
export type WithCallback<A extends unknown[], T> = (
  ...args: [...A, (error: unknown, result?: T) => void]
) => unknown;
