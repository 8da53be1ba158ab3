/**
 * Limits the number of connects at once, and backs off while they fail.
 *
 * @module
 */

import { maintenanceTimer, now, type Timer, timer } from "../internal/clock.ts";

/** Opens connections. */
export interface Opener<T> {
  /** Opens one connection. */
  open(signal: AbortSignal): Promise<T>;
  /** Returns whether an error of `open()` may be gone at the next try, so that waiters go on waiting. */
  isTransient(error: unknown): boolean;
  /** Returns whether an error says that a server is well, and has another role than the wanted one. */
  awaitsRole(error: unknown): boolean;
  /** Keeps the host's addresses fresh until the returned function is called. */
  keepFresh(): () => void;
}

/** What a limiter reports. */
export interface ConnectLimiterEvents<T> {
  /** A connection was opened. */
  onOpened(opened: T): void;
  /**
   * A connect failed; a transient failure is tried again.
   *
   * @param newest The order of the newest waiter when the connect began: later ones did not wait for it.
   */
  onFailed(error: unknown, transient: boolean, newest: number): void;
  /** A pause is over. */
  dispatch(): void;
}

/** How many connections are needed. */
export interface Demand {
  /** Number of callers that wait for one. */
  readonly waiting: number;
  /** Number of connections to be opened ahead of need. */
  readonly prefill: number;
  /** Number of connections that may be opened. */
  readonly capacity: number;
  /** The order of the newest waiter. */
  readonly newest: number;
}

/** Pauses between failed connects: the maximum doubles from one to the next, each is drawn from its upper half. */
const MIN_BACKOFF_MS = 50;
const MAX_BACKOFF_MS = 500;
/** The maximum while servers answer and none has the wanted role: nothing reports when one is promoted. */
const MAX_ROLE_BACKOFF_MS = 250;

/** Maximum number of connects at once after an outage; each that succeeds raises it by one. */
const CONNECTS_AFTER_OUTAGE = 4;

/**
 * Opens several connections at once, but one at a time, with pauses, while the server is failing. A server that is back
 * gets more and more of them at once.
 */
export class ConnectLimiter<T> {
  /** The error of the last connect, if it failed. */
  lastError: unknown;

  readonly #opener: Opener<T>;
  readonly #concurrency: number;
  readonly #events: ConnectLimiterEvents<T>;
  /** The connects under way. */
  #connects: Set<AbortController> | undefined;
  /** Number of transient failures since the last success. */
  #failures = 0;
  /** Whether one connect shall show that the server is well before there are several at once. */
  #halfOpen = false;
  /** Maximum number of connects at once unless the server is failing. */
  #limit: number;
  #pause: Timer | undefined;
  /** The earliest time of the next connect. */
  #notBeforeMs = -Infinity;

  /**
   * @param opener Opens one connection.
   * @param concurrency Maximum number of connects at once.
   * @param events What the limiter reports.
   */
  constructor(opener: Opener<T>, concurrency: number, events: ConnectLimiterEvents<T>) {
    this.#opener = opener;
    this.#concurrency = this.#limit = concurrency;
    this.#events = events;
  }

  /** Number of connects under way. */
  get size(): number {
    return this.#connects === undefined ? 0 : this.#connects.size;
  }

  /** Whether the last connects failed with a transient error. */
  get failing(): boolean {
    return this.#failures > 0;
  }

  /** Allows one connect at a time until one has succeeded: a connection to the server broke. */
  setHalfOpen(): void {
    this.#halfOpen = true;
  }

  /** Begins as many connects as are needed and allowed. */
  start({ waiting, prefill, capacity, newest }: Demand): void {
    const isFailing = this.failing || this.#halfOpen;
    if (isFailing) this.#limit = Math.min(this.#concurrency, CONNECTS_AFTER_OUTAGE);
    const limit = isFailing ? 1 : this.#limit;
    const wanted = Math.min(waiting + prefill, this.size + capacity, limit);
    while (this.size < wanted) {
      const pauseMs = this.#notBeforeMs - now();
      // The pause is for prefill always, for waiters only while connects fail.
      if (pauseMs > 0 && (this.failing || this.size >= waiting)) {
        this.#pause ??= this.#startPause(pauseMs, waiting > 0);
        return;
      }
      this.#open(newest);
    }
  }

  /** Allows the next connect at once: there is reason to expect that it succeeds. */
  resetBackoff(): void {
    this.#notBeforeMs = -Infinity;
    this.clearPause();
  }

  /** Cancels the timer of a pause that no caller waits for; the earliest time of the next connect still applies. */
  clearPause(): void {
    this.#pause?.clear();
    this.#pause = undefined;
  }

  /** Aborts the connects under way. */
  abortAll(reason: unknown): void {
    for (const controller of this.#connects ?? []) controller.abort(reason);
  }

  /** Starts a pause. If callers wait for its end, the addresses are kept fresh: a change of address ends the pause. */
  #startPause(pauseMs: number, callersWait: boolean): Timer {
    const release = callersWait ? this.#opener.keepFresh() : () => {};
    const pause = (callersWait ? timer : maintenanceTimer)(pauseMs, () => {
      this.#pause = undefined;
      release();
      this.#events.dispatch();
    });
    return {
      clear() {
        pause.clear();
        release();
      },
    };
  }

  #open(newest: number): void {
    const controller = new AbortController();
    const connects = this.#connects ??= new Set();
    connects.add(controller);
    // An empty set is larger than the rest of the limiter.
    const end = () => {
      connects.delete(controller);
      if (connects.size === 0) this.#connects = undefined;
    };
    this.#opener.open(controller.signal).then(
      (opened) => {
        end();
        if (!this.failing && !this.#halfOpen && this.#limit < this.#concurrency) this.#limit++;
        this.#failures = 0;
        this.#halfOpen = false;
        this.#notBeforeMs = -Infinity;
        this.lastError = undefined;
        this.#events.onOpened(opened);
      },
      (error) => {
        end();
        this.lastError = error;
        const transient = this.#opener.isTransient(error);
        this.#notBeforeMs = now() + (transient ? this.#nextBackoffMs(error) : MAX_BACKOFF_MS);
        this.#events.onFailed(error, transient, newest);
      },
    );
  }

  #nextBackoffMs(error: unknown): number {
    const maxMs = this.#opener.awaitsRole(error) ? MAX_ROLE_BACKOFF_MS : MAX_BACKOFF_MS;
    const backoffMs = Math.min(MIN_BACKOFF_MS * 2 ** this.#failures++, maxMs);
    return backoffMs * (0.5 + Math.random() / 2);
  }
}
