/**
 * The part of `npm:mariadb` that the adapter needs, as types.
 *
 * @module
 */

import type { Socket } from "node:net";
import type { TlsOptions } from "../shared/tls.ts";

/** What the adapter sets on a new connection; `connectArgs` may add any other option of the driver. */
export interface MariadbConfig {
  /** Host name, for TLS. The driver does not connect to it. */
  host: string;
  /** TCP port. */
  port: number;
  /** Passes the socket to the driver. */
  stream: (callback?: (error?: Error, socket?: Socket) => void) => void;
  /** Connect timeout in milliseconds; 0 turns it off, because the engine has its own. */
  connectTimeout: number;
  /** Whether the server may send the connection to another server. */
  permitRedirect: boolean;
  /** Whether errors contain bind values. */
  logParam?: boolean;
  /** Maximum number of prepared statements that the connection keeps. */
  prepareCacheLength: number;
  /** Takes every error. */
  logger: MariadbLogger;
  /** User name. */
  user?: string;
  /** Password. */
  password?: string;
  /** Database name. */
  database?: string;
  /** TLS options; missing for plain text. */
  ssl?: TlsOptions;
}

/** The functions that the driver logs with. */
export interface MariadbLogger {
  /** Takes the bytes that are sent and received. */
  network?: (text: string) => void;
  /** Takes statements. */
  query?: (text: string) => void;
  /** Takes warnings. */
  warning?: (text: string) => void;
  /** Takes errors, also those that a caller handles. */
  error?: (error: Error) => void;
}

/** The part of the driver's `Connection` that the adapter needs. */
export interface MariadbClient {
  /** What the driver knows about the connection. */
  info: unknown;
  /** ID of the session. */
  threadId: number | bigint | null;
  /** Runs one statement. */
  query(sql: string | MariadbStatement): Promise<unknown>;
  /** Prepares a statement. */
  prepare(sql: string | MariadbStatement): Promise<object>;
  /** Makes the session like a new one. */
  reset(): Promise<void>;
  /** Returns whether the connection is open. */
  isValid(): boolean;
  /** Closes the connection. */
  end(): Promise<void>;
}

/** A prepared statement, with a member that the driver's types leave out. */
export interface MariadbPrepared {
  /** Number of placeholders. */
  readonly parameterCount: number;
  /** Runs it. */
  execute(values: unknown, options?: object): Promise<unknown>;
  /** Gives it back: the driver keeps it, or tells the server to forget it. */
  close(): void;
}

/** A statement, and the form of its rows. */
export interface MariadbStatement {
  /** Text of the statement. */
  sql: string;
  /** Whether each row is an array. */
  rowsAsArray?: boolean;
  /** Whether columns are grouped by table. */
  nestTables?: boolean;
  /** Whether the values are an object of names. */
  namedPlaceholders?: boolean;
  /** Whether the result is an array of the rows and the column descriptions. */
  metaAsArray?: boolean;
}

/** The part of the module `mariadb` that the adapter needs. */
export interface MariadbModule<C extends MariadbClient> {
  /** Version of the driver. */
  version?: string;
  /** Opens a connection. */
  createConnection(config: MariadbConfig): Promise<C>;
}
