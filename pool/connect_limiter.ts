/**
 * Connections on their way: how many at once, when the next try may begin, and what is known of the server
 * meanwhile.
 *
 * @module
 */

import { maintenanceTimer, now, type Timer, timer } from "../internal/clock.ts";

/** Opens one connection. */
export interface Opener<T> {
  /** Opens it. */
  open(signal: AbortSignal): Promise<T>;
  /** Whether an error of `open` may pass by itself, so that waiters had better wait. */
  isTransient(error: unknown): boolean;
  /** Keeps the addresses known fresh until the returned function is called. */
  keepFresh(): () => void;
}

/** What comes of it. */
export interface ConnectLimiterEvents<T> {
  /** A connection is there. */
  onOpened(opened: T): void;
  /** One could not be opened; `passing` says whether it will be tried again. */
  onFailed(error: unknown, passing: boolean): void;
  /** A pause is over. */
  onReady(): void;
}

/** Pauses between tries while connects fail: doubling, each drawn from its upper half. */
const BACKOFF = { firstMs: 50, mostMs: 500 };

/** Opens connections of one source: several at once, but one at a time, with pauses, while the server is failing. */
export class ConnectLimiter<T> {
  /** What the last try failed with, if none succeeded since. */
  lastError: unknown;

  readonly #opener: Opener<T>;
  readonly #concurrency: number;
  readonly #events: ConnectLimiterEvents<T>;
  readonly #under: Set<AbortController> = new Set();
  #failures = 0;
  #suspect = false;
  #pause: Timer | undefined;
  /** The next try may not begin before this. */
  #notBeforeMs = -Infinity;

  /**
   * @param opener Opens one connection.
   * @param concurrency How many at once.
   * @param events What comes of it.
   */
  constructor(opener: Opener<T>, concurrency: number, events: ConnectLimiterEvents<T>) {
    this.#opener = opener;
    this.#concurrency = concurrency;
    this.#events = events;
  }

  /** How many are under way. */
  get size(): number {
    return this.#under.size;
  }

  /** Whether the last tries failed in a way that may pass. */
  get failing(): boolean {
    return this.#failures > 0;
  }

  /** A connection was found broken: until one is opened, one at a time is enough. */
  suspect(): void {
    this.#suspect = true;
  }

  /**
   * Begins as many as are wanted and allowed.
   *
   * @param waiting How many connections somebody waits for.
   * @param ahead How many more shall be ready before anybody does.
   * @param free How many may be opened.
   */
  begin(waiting: number, ahead: number, free: number): void {
    const most = this.failing || this.#suspect ? 1 : this.#concurrency;
    const wanted = Math.min(waiting + ahead, this.size + free, most);
    while (this.size < wanted) {
      const pauseMs = this.#notBeforeMs - now();
      // Unless the server is failing, only what is opened ahead of need has to pause.
      if (pauseMs > 0 && (this.failing || this.size >= waiting)) {
        this.#pause ??= this.#rest(pauseMs, waiting > 0);
        return;
      }
      this.#open();
    }
  }

  /** There is reason to believe that the next try fares better: no pause. */
  hurry(): void {
    this.#notBeforeMs = -Infinity;
    this.idle();
  }

  /** Nobody waits: the pause need not be kept, though the next try still comes no sooner. */
  idle(): void {
    this.#pause?.clear();
    this.#pause = undefined;
  }

  /** Gives up what is under way. */
  abandon(reason: unknown): void {
    for (const controller of this.#under) controller.abort(reason);
  }

  /** Until the next try; where somebody waits for it, the name is watched, for a change of address ends the pause. */
  #rest(pauseMs: number, waited: boolean): Timer {
    const unwatch = waited ? this.#opener.keepFresh() : () => {};
    const pause = (waited ? timer : maintenanceTimer)(pauseMs, () => {
      this.#pause = undefined;
      unwatch();
      this.#events.onReady();
    });
    return {
      clear() {
        pause.clear();
        unwatch();
      },
    };
  }

  #open(): void {
    const controller = new AbortController();
    this.#under.add(controller);
    this.#opener.open(controller.signal).then(
      (opened) => {
        this.#under.delete(controller);
        this.#failures = 0;
        this.#suspect = false;
        this.#notBeforeMs = -Infinity;
        this.lastError = undefined;
        this.#events.onOpened(opened);
      },
      (error) => {
        this.#under.delete(controller);
        this.lastError = error;
        const passing = this.#opener.isTransient(error);
        const pauseMs = passing
          ? Math.min(BACKOFF.firstMs * 2 ** this.#failures++, BACKOFF.mostMs) *
            (0.5 + Math.random() / 2)
          : BACKOFF.mostMs;
        this.#notBeforeMs = now() + pauseMs;
        this.#events.onFailed(error, passing);
      },
    );
  }
}
