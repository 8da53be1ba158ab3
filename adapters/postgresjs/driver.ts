/**
 * The part of `npm:postgres` that the adapter needs, as types.
 *
 * @module
 */

/** What the adapter asks `postgres()` for; `connectArgs` may add whatever else the driver knows. */
export interface PostgresjsOptions {
  /** The IP address. */
  host: string;
  /** TCP port. */
  port: number;
  /** User name. */
  user?: string;
  /** Password. */
  pass?: string;
  /** Database name. */
  database?: string;
  /** Settings of the session. */
  connection: Record<string, string>;
  /** Is told what the server notes by the way. */
  onnotice: (notice: object) => void;
  /** One connection for each client. */
  max: 1;
  /** TLS is the socket's. */
  ssl: false;
  /** How long a connection lives is for the pool to say. */
  idle_timeout: undefined;
  /** How long a connection lives is for the pool to say. */
  max_lifetime: null;
  /** How long a handshake may take is for the dialer to say. */
  connect_timeout: 0;
  /** A connection that died stays dead. */
  backoff: false;
  /** Keepalive is the socket's. */
  keep_alive: null;
  /** Gives the socket, connected. */
  socket: () => unknown;
}

/** The part of what `postgres()` returns that the adapter needs. */
export interface PostgresjsSql {
  /** Runs one statement. */
  // deno-lint-ignore no-explicit-any -- the driver's own type for values is generic
  unsafe(text: string, values?: any[]): PromiseLike<Iterable<unknown>>;
  /** Ends the connection; after `timeout` seconds, whatever it is doing. */
  end(options?: { timeout?: number }): Promise<void>;
}

/** The part of the module `postgres` that the adapter needs: the function that it exports. */
export type PostgresjsFunction<S extends PostgresjsSql> = (options: PostgresjsOptions) => S;
