/**
 * The part of `npm:mysql2` that the adapter needs, as types.
 *
 * @module
 */

import type { Socket } from "node:net";

/** What the adapter sets on a new connection; `connectArgs` may add whatever else the driver knows. */
export interface Mysql2Config {
  /** The host name, for TLS. It is not dialled. */
  host: string;
  /** TCP port. */
  port: number;
  /** The socket, open. */
  stream: Socket;
  /** Milliseconds; 0 for none, for the engine has its own. */
  connectTimeout: number;
  /** User name. */
  user?: string;
  /** Password. */
  password?: string;
  /** Database name. */
  database?: string;
  /** TLS options; missing for none. */
  ssl?: Mysql2Tls;
}

/** The TLS options that mysql2 knows, and no others. */
export interface Mysql2Tls {
  /** Whether an unverified certificate ends the attempt. */
  rejectUnauthorized: boolean;
  /** Whether one for another name does. */
  verifyIdentity: boolean;
  /** The authorities trusted, in place of the runtime's own. */
  ca?: string;
  /** The client's certificate. */
  cert?: string;
  /** The client's key. */
  key?: string;
}

/** The part of a connection of `mysql2/promise` that the adapter needs. */
export interface Mysql2Client {
  /** Runs one statement. */
  query(sql: string): Promise<[unknown, unknown]>;
  /** Runs one prepared statement; its values come second. */
  execute(sql: string): Promise<[unknown, unknown]>;
  /** One round trip. */
  ping(): Promise<unknown>;
  /** Says goodbye. */
  end(): Promise<unknown>;
}

/** The part of the module `mysql2/promise` that the adapter needs. */
export interface Mysql2PromiseModule<C extends Mysql2Client> {
  /** Opens a connection. */
  createConnection(config: Mysql2Config): Promise<C>;
}

/** The part of the module `mysql2` that the adapter needs. */
export interface Mysql2Module<C extends Mysql2Client> {
  /** Opens a connection, which is handed out as its `promise()`. */
  createConnection(config: Mysql2Config): { promise(): C };
}
