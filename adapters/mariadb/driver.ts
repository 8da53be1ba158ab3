/**
 * The part of `npm:mariadb` that the adapter needs, as types.
 *
 * @module
 */

import type { Socket } from "node:net";
import type { TlsOptions } from "../shared/tls.ts";

/** What the adapter sets on a new connection; `connectArgs` may add whatever else the driver knows. */
export interface MariadbConfig {
  /** The host name, for TLS. It is not dialled. */
  host: string;
  /** TCP port. */
  port: number;
  /** Gives the socket to the driver. */
  stream: (callback?: (error?: Error, socket?: Socket) => void) => void;
  /** Milliseconds; 0 for none, for the engine has its own. */
  connectTimeout: number;
  /** A server must not send a connection to another one. */
  permitRedirect: boolean;
  /** Whether bind values stand in errors. */
  logParam?: boolean;
  /** Is told of every error. */
  logger: MariadbLogger;
  /** User name. */
  user?: string;
  /** Password. */
  password?: string;
  /** Database name. */
  database?: string;
  /** TLS options; missing for none. */
  ssl?: TlsOptions;
}

/** What the driver tells. */
export interface MariadbLogger {
  /** Bytes that come and go. */
  network?: (text: string) => void;
  /** Statements. */
  query?: (text: string) => void;
  /** Warnings. */
  warning?: (text: string) => void;
  /** Errors, whoever handles them. */
  error?: (error: Error) => void;
}

/** The part of the driver's `Connection` that the adapter needs. */
export interface MariadbClient {
  /** What the driver knows of it. */
  info: unknown;
  /** Runs one statement. */
  query(sql: string | MariadbStatement): Promise<unknown>;
  /** Runs one prepared statement. */
  execute(sql: string | MariadbStatement, values: unknown[]): Promise<unknown>;
  /** One round trip. */
  ping(): Promise<void>;
  /** Says goodbye. */
  end(): Promise<void>;
}

/** A statement, and how its rows shall look. */
export interface MariadbStatement {
  /** Its text. */
  sql: string;
  /** Rows are lists. */
  rowsAsArray?: boolean;
  /** Columns are grouped by table. */
  nestTables?: boolean;
  /** The rows come in a list, with what the columns are. */
  metaAsArray?: boolean;
}

/** The part of the module `mariadb` that the adapter needs. */
export interface MariadbModule<C extends MariadbClient> {
  /** The driver's own version. */
  version?: string;
  /** Opens a connection. */
  createConnection(config: MariadbConfig): Promise<C>;
}
