/**
 * The part of `npm:postgres` that the adapter needs, as types.
 *
 * @module
 */

/** What the adapter passes to `postgres()`; `connectArgs` may add any other option of the driver. */
export interface PostgresjsOptions {
  /** IP address of the server. */
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
  /** Takes the server's notices. */
  onnotice: (notice: object) => void;
  /** Takes the notifications. */
  onnotify: (channel: string, payload: string) => void;
  /** Number of connections: one per client. */
  max: 1;
  /** TLS is off in the driver: the socket is encrypted already. */
  ssl: false;
  /** Idle timeout is off: the pool limits the idle time. */
  idle_timeout: undefined;
  /** Maximum lifetime is off: the pool limits the age. */
  max_lifetime: null;
  /** Connect timeout is off: the pool limits the time of a connect. */
  connect_timeout: 0;
  /** Reconnecting is off: a lost connection stays lost. */
  backoff: false;
  /** Keepalive is off in the driver: it is set on the socket. */
  keep_alive: null;
  /** Returns the socket, connected. */
  socket: () => unknown;
}

/** The part of what `postgres()` returns that the adapter needs. */
export interface PostgresjsSql {
  /** Runs one statement. */
  // deno-lint-ignore no-explicit-any -- the driver's own type for values is generic
  unsafe(text: string, values?: any[]): PromiseLike<Iterable<unknown>>;
  /** Closes the connection: when its queries are done, or after `timeout` seconds. */
  end(options?: { timeout?: number }): Promise<void>;
}

/** The part of the module `postgres` that the adapter needs: the function that it exports. */
export type PostgresjsFunction<S extends PostgresjsSql> = (options: PostgresjsOptions) => S;
