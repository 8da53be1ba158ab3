/**
 * The pool's hooks, SQLAlchemy's pool events: your functions, called at the turns of a connection's life.
 *
 * @module
 */

/** What a hook is given. */
export interface HookedConnection<C> {
  /** The driver's client. */
  readonly client: C;
  /** The address that was dialled. */
  readonly address: string;
  /** Your notes about the connection: they stay with it until it is closed. */
  readonly info: Record<string, unknown>;
}

/**
 * Functions to be called at the turns of a connection's life. Each may return a promise, which is waited for: up to
 * `connectTimeout` seconds, `invalidate`, `close` and `detach` up to 2. What takes longer counts as failed.
 */
export interface PoolHooks<C> {
  /** Once per pool, on the first connection, before any lease is handed out. Called again if it throws. */
  firstConnect?(connection: HookedConnection<C>): void | Promise<void>;
  /** On each new connection. If it throws, the connection is terminated and the checkout fails. */
  connect?(connection: HookedConnection<C>): void | Promise<void>;
  /**
   * Before each handover. If it throws a `DisconnectionError`, the connection is replaced, twice at most; any
   * other error puts the connection back and fails the checkout.
   */
  checkout?(connection: HookedConnection<C>): void | Promise<void>;
  /** When a connection comes back, before rollback or commit. If it throws, the connection is closed. */
  reset?(connection: HookedConnection<C>): void | Promise<void>;
  /** When a connection came back, after rollback or commit. If it throws, the connection is closed. */
  checkin?(connection: HookedConnection<C>): void | Promise<void>;
  /** Before a connection is closed because it is no good, with the reason. */
  invalidate?(connection: HookedConnection<C>, error: unknown): void | Promise<void>;
  /** Before a connection is closed, whatever the reason. */
  close?(connection: HookedConnection<C>): void | Promise<void>;
  /** When a connection leaves the pool by `detach()`. */
  detach?(connection: HookedConnection<C>): void | Promise<void>;
}

/** The names of all hooks. */
export const HOOK_NAMES: readonly (keyof PoolHooks<unknown>)[] = [
  "firstConnect",
  "connect",
  "checkout",
  "reset",
  "checkin",
  "invalidate",
  "close",
  "detach",
];
