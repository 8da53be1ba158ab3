/**
 * The handle on a connection that callers are given.
 *
 * @module
 */

/**
 * A caller's handle on a connection, from checkout to checkin. Give it back with `release()` in a `finally`, or take
 * it with `await using` or `using`.
 *
 * @typeParam C The driver's client.
 *
 * @example Use a connection and give it back
 * ```ts
 * import { getDnsEngine } from "@dnspool/dnspool";
 * import { fakeAdapter } from "@dnspool/dnspool/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const engine = getDnsEngine("fake://127.0.0.1/orders", { adapter: fakeAdapter() });
 * const lease = await engine.connect();
 * try {
 *   assertEquals(lease.client.open, true);
 * } finally {
 *   await lease.release();
 * }
 * await engine.close();
 * ```
 */
export interface Lease<C> {
  /**
   * The driver's own client.
   *
   * @throws {TypeError} if the lease was released: another caller may have the connection by then.
   * @throws The reason of {@linkcode signal}, if the pool terminated the connection.
   */
  readonly client: C;
  /** The IP address that the connection is open to. */
  readonly address: string;
  /** The port that it is open to. */
  readonly port: number;
  /** The host whose answer has the address. */
  readonly host: string;
  /** Your notes about the connection: they stay with it from lease to lease, until it is closed. */
  readonly info: Record<string, unknown>;
  /** Whether the lease was released, invalidated or detached, or its connection terminated. */
  readonly released: boolean;
  /**
   * A signal that is aborted if the connection is lost while you hold it: the pool terminates it, or the server or the
   * network closes it. Its reason is a {@linkcode ConnectionLostError}; what the server said last is its `cause`.
   */
  readonly signal: AbortSignal;
  /**
   * Gives the connection back. A second call does nothing.
   *
   * @param error What went wrong while you had it, if anything: if the adapter recognizes it as a lost connection or
   *   a read-only server, the connection is closed and the name is looked up again; otherwise it is reused.
   * @returns Fulfilled when the connection was reset and is idle, handed on or closed. Never rejected.
   */
  release(error?: unknown): Promise<void>;
  /**
   * Declares the connection unusable. It is not handed out again; a new one takes its place.
   *
   * @param error Why, for the hooks and the log.
   * @param options With `soft`, you may go on using the connection, and it is closed when you release it.
   * @throws {TypeError} if an option is invalid.
   */
  invalidate(error?: unknown, options?: { soft?: boolean }): void;
  /**
   * Takes the connection out of the pool for good: its place is free at once, and closing it is up to you.
   *
   * @returns The driver's own client.
   * @throws {TypeError} if the lease was released before.
   */
  detach(): C;
  /**
   * Waits for work on this connection, at most until the connection is lost.
   *
   * @param work The work.
   * @returns What the work returns.
   * @throws What the work throws; or the reason of {@linkcode signal}, as soon as the connection is lost.
   */
  untilLost<T>(work: T | Promise<T>): Promise<T>;
  /** Gives the connection back: `await using lease = await engine.connect()`. */
  [Symbol.asyncDispose](): Promise<void>;
  /** Gives the connection back, and does not wait until it was reset: `using lease = engine.tryConnect()`. */
  [Symbol.dispose](): void;
}
