/**
 * The signal and the timeout of one call of `query` or `begin`: they end the wait for a connection, and then the work on
 * it, by a cancel on the server.
 *
 * @module
 */

import type { Adapter } from "../adapters/adapter.ts";
import { delay } from "../internal/async.ts";
import { now, type Timer, timer } from "../internal/clock.ts";
import { isOf, messageOf } from "../internal/thrown.ts";
import { cancelStatement, connectionLost } from "../pool/connection/close.ts";
import type { CheckoutOptions } from "../pool/contract.ts";
import type { Lease } from "../pool/lease.ts";
import { PoolLease } from "../pool/pool_lease.ts";

/**
 * Extra time after which a call's own timeout ends a checkout. The pool's comes first, because its error tells the
 * reason; but a waiter for which a connection is being opened waits on there.
 */
const EXTRA_TIMEOUT_MS = 5;
/** Time that cancelled work has to end before it is cancelled once more. */
const CANCEL_INTERVAL_MS = 100;

/** What the limit of a call depends on. */
export interface CallLimitParts<C> {
  /** What is limited, for messages: `"query"`. */
  readonly what: string;
  readonly adapter: Adapter<C>;
  /** Maximum duration of a cancel, and of the end of the work after it. */
  readonly probeTimeoutMs: number;
  /** Whether other callers use the same connection at the same time: their statements must not be hit. */
  readonly shared: boolean;
  /** Returns what the last connect failed with: the reason of a timeout in the wait for a connection. */
  connectError(): unknown;
}

/** Runs work whose statement may be cancelled. */
export type Guard = <T>(work: () => T | Promise<T>, options?: GuardOptions) => Promise<T>;

/** How work is guarded. */
export interface GuardOptions {
  /** Whether a result that came in spite of the abort counts: the work is done. Default: no. */
  readonly keepsResult?: boolean;
}

/** The limit of one call. */
export class CallLimit<C> {
  readonly #parts: CallLimitParts<C>;
  readonly #given: CheckoutOptions;
  readonly #endMs: number;
  readonly #controller = new AbortController();
  readonly #onAbort: () => void;
  #timer: Timer | undefined;

  /**
   * @param parts What the limit depends on.
   * @param given The signal and the timeout of the call.
   */
  constructor(parts: CallLimitParts<C>, given: CheckoutOptions) {
    this.#parts = parts;
    this.#given = given;
    const { signal, timeoutMs = Infinity } = given;
    this.#endMs = now() + timeoutMs;
    this.#onAbort = () => this.#controller.abort(signal!.reason);
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (signal?.aborted) this.#onAbort();
  }

  /** The options of the checkout. */
  get checkout(): CheckoutOptions {
    this.#startTimer(EXTRA_TIMEOUT_MS, () => this.#parts.connectError());
    return { ...this.#given, signal: this.#controller.signal };
  }

  /** Ends the limit: the call is over. */
  end(): void {
    this.#timer?.clear();
    this.#given.signal?.removeEventListener("abort", this.#onAbort);
  }

  /**
   * Runs the call's work on a connection. After the signal or the timeout, what is running in a guard is cancelled. If
   * the work has not ended within `probeTimeout` after that, the connection is terminated.
   *
   * @param lease The connection.
   * @param work The work.
   * @returns What the work returns.
   * @throws What the work throws; the reason of the signal or a `TimeoutError` if it was cancelled; or a
   *   `ConnectionLostError` with that as its cause if the connection was terminated.
   */
  run<T>(lease: Lease<C>, work: (guard: Guard) => Promise<T>): Promise<T> {
    const { adapter, probeTimeoutMs, shared } = this.#parts;
    const { signal } = this.#controller;
    this.#startTimer(0);
    return new Promise((resolve, reject) => {
      let limit: Timer | undefined;
      const terminate = (why: string) => {
        const said = messageOf(signal.reason);
        const lost = connectionLost(lease.address, `${said}, ${why}`, signal.reason);
        PoolLease.terminate(lease, lost);
        reject(lost);
      };
      const onAbort = () => {
        // The connection is not this call's alone, and what runs on it may be another's.
        if (shared) return reject(signal.reason);
        // A connection without a network has no server that could be silent.
        if (adapter.local) return;
        const seconds = probeTimeoutMs / 1000;
        const why = `and its work did not end within ${seconds} seconds after that`;
        limit = timer(probeTimeoutMs, () => terminate(why));
      };
      const end = () => {
        limit?.clear();
        signal.removeEventListener("abort", onAbort);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
      const guard: Guard = (work, options) => this.#guard(lease, work, { ...options, terminate });
      work(guard).then(resolve, reject).then(end);
    });
  }

  async #guard<T>(
    lease: Lease<C>,
    work: () => T | Promise<T>,
    { keepsResult = false, terminate }: GuardOptions & { terminate(why: string): void },
  ): Promise<T> {
    const { signal } = this.#controller;
    signal.throwIfAborted();
    const over = new AbortController();
    let cancelling: Promise<void> | undefined;
    const onAbort = () => {
      PoolLease.takeServerError(lease);
      cancelling = this.#cancel(lease, { terminate, over: over.signal });
    };
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      const result = await work();
      if (!keepsResult) signal.throwIfAborted();
      // The cancel may have ended the server's wait for its replica, and nothing else.
      if (cancelling && PoolLease.takeServerError(lease) !== undefined) {
        terminate("and the server did not wait until its replica had the work");
        signal.throwIfAborted();
      }
      return result;
    } catch (error) {
      throw signal.aborted ? this.#interrupted(error) : error;
    } finally {
      signal.removeEventListener("abort", onAbort);
      over.abort();
      await cancelling;
    }
  }

  /**
   * Cancels the statement that is running, and any that follows it, until the work is over; terminates the connection
   * if that is not possible. A cancel may come before its statement, and then has no effect.
   */
  async #cancel(
    lease: Lease<C>,
    { terminate, over }: { terminate(why: string): void; readonly over: AbortSignal },
  ): Promise<void> {
    const { adapter, probeTimeoutMs, shared } = this.#parts;
    if (shared || adapter.local) return;
    if (!adapter.cancel) return terminate("and its driver cannot cancel a statement");
    while (!over.aborted && !lease.released) {
      const cancelled = cancelStatement(lease.client, adapter, probeTimeoutMs);
      if (cancelled) {
        PoolLease.noteCancel(lease, cancelled);
        if (!await cancelled) return terminate("and the server could not be told to cancel it");
      }
      await delay(CANCEL_INTERVAL_MS, over).catch(() => {});
    }
  }

  /** Returns what a call throws whose statement was cancelled. */
  #interrupted(error: unknown): unknown {
    const { reason } = this.#controller.signal;
    if (!isCausedBy(error, reason) && this.#given.signal?.aborted !== true) {
      setCause(reason, error);
    }
    return reason;
  }

  /** Starts the timer anew. `cause` returns the reason of the timeout, if there is one. */
  #startTimer(extraMs: number, cause: () => unknown = () => undefined): void {
    this.#timer?.clear();
    if (this.#endMs === Infinity) return;
    this.#timer = timer(this.#endMs - now() + extraMs, () => {
      const seconds = Number((this.#given.timeoutMs! / 1000).toFixed(3));
      const message = `no end of the ${this.#parts.what} within ${seconds} seconds`;
      const error = new DOMException(message, "TimeoutError");
      setCause(error, cause());
      this.#controller.abort(error);
    });
  }
}

/** Maximum number of causes that are looked at. */
const MAX_CAUSES = 10;

/** Returns whether an error is another one, or that is among its causes, as for a connection that was terminated for it. */
function isCausedBy(error: unknown, reason: unknown): boolean {
  for (let depth = 0; depth < MAX_CAUSES; depth++) {
    if (error === reason) return true;
    if (!isOf(error, Error)) return false;
    error = error.cause;
  }
  return false;
}

/** Sets the cause of an error that was made without one; `undefined` is none. */
function setCause(error: object, cause: unknown): void {
  if (cause === undefined) return;
  Object.defineProperty(error, "cause", { value: cause, configurable: true, writable: true });
}
