/**
 * The pool's hooks, modeled on SQLAlchemy's pool events: functions of the user, called during a connection's life.
 *
 * @module
 */

/** The connection that a hook is called for. */
export interface HookedConnection<C> {
  /** The driver's client. */
  readonly client: C;
  /** The address that the connection is open to; with several hosts: `10.0.0.1:5432 (db1.internal)`. */
  readonly address: string;
  /** Your notes about the connection: they stay with it until it is closed. */
  readonly info: Record<string, unknown>;
}

/**
 * Functions to be called during a connection's life. Each may return a promise, which is waited for: at most
 * `connectTimeout` seconds, for `invalidate`, `close` and `detach` at most 2. A hook that takes longer has failed.
 */
export interface PoolHooks<C> {
  /** Once per pool, for the first connection, before any lease is handed out. Called again if it throws. */
  firstConnect?(connection: HookedConnection<C>): void | Promise<void>;
  /**
   * For each new connection. If it throws, the connection is terminated and the checkout fails. With
   * `poolResetOnReturn: "reset"` also after each reset of the session; if it throws then, the connection is closed.
   */
  connect?(connection: HookedConnection<C>): void | Promise<void>;
  /**
   * Before each handover. If it throws a `DisconnectionError`, the connection is replaced, once per checkout; with any
   * other error the connection is put back and the checkout fails.
   */
  checkout?(connection: HookedConnection<C>): void | Promise<void>;
  /**
   * When a connection came back, after rollback or commit: no transaction is open, unless `poolResetOnReturn` is `null`.
   * If it throws, the connection is closed. It may reset the session: `isolationLevel` is set again.
   */
  reset?(connection: HookedConnection<C>): void | Promise<void>;
  /** The last step before a connection is free again. As `reset` otherwise. */
  checkin?(connection: HookedConnection<C>): void | Promise<void>;
  /** Before an invalid connection is closed, with the reason. */
  invalidate?(connection: HookedConnection<C>, error: unknown): void | Promise<void>;
  /** Before a connection is closed, for whatever reason. */
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

/** Begins the message of the `TimeoutError` for a hook. */
export function noEndOf(hook: string): string {
  return `no end of the hook "${hook}"`;
}
