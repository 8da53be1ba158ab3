/**
 * The part of `jsr:@db/postgres` that the adapter needs, as types.
 *
 * @module
 */

/** What the adapter asks a client for; `connectArgs` may add whatever else the driver knows. */
export interface DbPostgresOptions {
  /** What is dialled; with TLS, also what the certificate is for. */
  hostname: string;
  /** TCP, not a socket in the file system. */
  host_type: "tcp";
  /** TCP port. */
  port: number;
  /** User name. */
  user?: string;
  /** Password. */
  password?: string;
  /** Database name. */
  database?: string;
  /** The session's name. */
  applicationName?: string;
  /** Settings of the session. */
  options?: string | Record<string, string>;
  /** Either none at all, or nothing without it. */
  tls: { enabled: boolean; enforce: boolean; caCertificates: string[] };
  /** A connection that died stays dead. */
  connection: { attempts: 0 };
}

/** The part of the driver's `Client` that the adapter needs. */
export interface DbPostgresClient {
  /** Its transaction, where one of the driver's own kind is open. */
  readonly session: { readonly current_transaction: string | null };
  /** Opens the connection. */
  connect(): Promise<void>;
  /** Closes it. */
  end(): Promise<void>;
  /** Runs one statement, and gives lists. */
  queryArray(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
  /** Runs one statement, and gives objects. */
  queryObject(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
  /** Makes a transaction of the driver's own kind. */
  createTransaction(name: string): unknown;
}

/** The part of the module `@db/postgres` that the adapter needs. */
export interface DbPostgresModule<C extends DbPostgresClient> {
  /** The client class. */
  Client: new (options: DbPostgresOptions) => C;
}
