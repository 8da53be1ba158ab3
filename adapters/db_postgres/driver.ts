/**
 * The part of `jsr:@db/postgres` that the adapter needs, as types.
 *
 * @module
 */

/** What the adapter passes to a client; `connectArgs` may add any other option of the driver. */
export interface DbPostgresOptions {
  /** Name or IP address to connect to; with TLS, the certificate must be for it. */
  hostname: string;
  /** Connects by TCP, not to a socket in the file system. */
  host_type: "tcp";
  /** TCP port. */
  port: number;
  /** User name. */
  user?: string;
  /** Password. */
  password?: string;
  /** Database name. */
  database?: string;
  /** Application name of the session. */
  applicationName?: string;
  /** Settings of the session. */
  options?: string | Record<string, string>;
  /** TLS: either none, or no fallback to plain text. */
  tls: { enabled: boolean; enforce: boolean; caCertificates: string[] };
  /** Reconnecting is off: a lost connection stays lost. */
  connection: { attempts: 0 };
}

/** The part of the driver's `Client` that the adapter needs. */
export interface DbPostgresClient {
  /** The session; `current_transaction` is the name of the driver's transaction that is open. */
  readonly session: { readonly current_transaction: string | null };
  /** Opens the connection. */
  connect(): Promise<void>;
  /** Closes the connection. */
  end(): Promise<void>;
  /** Runs one statement; each row is an array. */
  queryArray(
    text: string,
    values?: unknown[],
  ): Promise<{ rows: unknown[]; command?: string }>;
  /** Runs one statement; each row is an object. */
  queryObject(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
  /** Makes one of the driver's transactions. */
  createTransaction(name: string): unknown;
}

/** The part of the module `@db/postgres` that the adapter needs. */
export interface DbPostgresModule<C extends DbPostgresClient> {
  /** The client class. */
  Client: new (options: DbPostgresOptions) => C;
}
