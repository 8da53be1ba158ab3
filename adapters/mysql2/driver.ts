/**
 * The part of `npm:mysql2` that the adapter needs, as types.
 *
 * @module
 */

import type { Socket } from "node:net";

/** What the adapter sets on a new connection; `connectArgs` may add any other option of the driver. */
export interface Mysql2Config {
  /** Host name, for TLS. The driver does not connect to it. */
  host: string;
  /** TCP port. */
  port: number;
  /** Socket of the connection, connected. */
  stream: Socket;
  /** Connect timeout in milliseconds; 0 turns it off, because the engine has its own. */
  connectTimeout: number;
  /** Maximum number of prepared statements that the connection keeps. */
  maxPreparedStatements: number;
  /** User name. */
  user?: string;
  /** Password. */
  password?: string;
  /** Database name. */
  database?: string;
  /** TLS options; missing for plain text. */
  ssl?: Mysql2Tls;
}

/** The TLS options that the adapter passes to mysql2. */
export interface Mysql2Tls {
  /** Whether an unverified certificate ends the attempt. */
  rejectUnauthorized: boolean;
  /** Whether a certificate for another name ends the attempt. */
  verifyIdentity: boolean;
  /** Trusted authorities, instead of the runtime's own. */
  ca?: string;
  /** Client certificate. */
  cert?: string;
  /** Key of the client certificate. */
  key?: string;
}

/** The part of a connection of `mysql2/promise` that the adapter needs. */
export interface Mysql2Client {
  /** Runs one statement. */
  query(sql: string): Promise<[unknown, unknown]>;
  /** Runs one prepared statement; its values are the second argument. */
  execute(sql: string): Promise<[unknown, unknown]>;
  /** Closes the connection. */
  end(): Promise<unknown>;
}

/** The part of the module `mysql2/promise` that the adapter needs. */
export interface Mysql2PromiseModule<C extends Mysql2Client> {
  /** Opens a connection. */
  createConnection(config: Mysql2Config): Promise<C>;
}

/** The part of the module `mysql2` that the adapter needs. */
export interface Mysql2Module<C extends Mysql2Client> {
  /** Opens a connection; leases hand out its `promise()`. */
  createConnection(config: Mysql2Config): { promise(): C };
}
