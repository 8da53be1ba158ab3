/**
 * Those who wait for something, in the order they came, each with a deadline and perhaps a signal.
 *
 * @module
 */

import { now, Tick, type Timer, timer } from "../internal/clock.ts";
import { Queue, type Queued, type Row } from "./chunked_queue.ts";

/**
 * What a promise is resolved with in order to be rejected: to keep the function that rejects it, beside the one that
 * resolves it, would be so much more memory for each who waits.
 */
export class Rejection {
  /** @param error Why. */
  constructor(readonly error: unknown) {}

  /** What the promise does next. */
  then(_resolve: unknown, reject: (error: unknown) => void): void {
    reject(this.error);
  }
}

/** Ends somebody's wait. */
type Resolve<T> = (outcome: T | Rejection) => void;

/** What {@linkcode keep} was given last: with it, no promise needs an executor of its own. */
let kept: Resolve<unknown>;

function keep(resolve: Resolve<unknown>): void {
  kept = resolve;
}

/** Somebody who waits. */
export class Waiter<T> implements Queued<Waiter<T>> {
  /** What he is given in the end. */
  readonly promise: Promise<T> = new Promise<unknown>(keep) as Promise<T>;
  /** Ends the wait. */
  resolve: Resolve<T> = kept;
  row: Row<Waiter<T>> | undefined = undefined;
  seat = 0;
  /** Whether the wait goes on. */
  waiting = true;
  /** How often what it was given proved no good. */
  tries = 0;
  /** When the wait began. */
  readonly since: Tick = Tick.current;
  /** Where it was wished for; kept only where somebody asks. */
  madeAt: string | undefined = undefined;
  /** Told when the wait ends. */
  onLeave: (() => void) | undefined = undefined;

  /** @param timeoutMs How long it may take; `Infinity` for ever. */
  constructor(readonly timeoutMs: number) {}

  /** Whether it stands in the line; not, for instance, while a connection is being checked for it. */
  get queued(): boolean {
    return this.row !== undefined;
  }

  /** When its time is up. */
  get deadlineMs(): number {
    return this.since.ms + this.timeoutMs;
  }
}

/** The line. Its timer holds the process up, for somebody waits. */
export class WaitQueue<T> {
  /** When the one who came last began to wait; `undefined` while nobody waits. */
  newest: Tick | undefined = undefined;

  readonly #line: Queue<Waiter<T>> = new Queue();
  readonly #onLate: () => void;
  readonly #onEmpty: () => void;
  #timer: Timer | undefined;
  /** When it goes off. */
  #timerMs = Infinity;
  /** How long after it was set. */
  #spanMs = Infinity;

  /** @param events `onLate`: somebody's time is up; `onEmpty`: the line has become empty. */
  constructor(events: { onLate: () => void; onEmpty: () => void }) {
    this.#onLate = events.onLate;
    this.#onEmpty = events.onEmpty;
  }

  /** How many stand in the line. */
  get size(): number {
    return this.#line.size;
  }

  /** Who is next. */
  get first(): Waiter<T> | undefined {
    return this.#line.first;
  }

  /** Lets a signal end somebody's wait. */
  heed(waiter: Waiter<T>, signal: AbortSignal): void {
    const onAbort = () => this.reject(waiter, signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    waiter.onLeave = () => signal.removeEventListener("abort", onAbort);
  }

  /** Puts somebody at the end. */
  push(waiter: Waiter<T>): void {
    this.#line.push(waiter);
    this.newest = waiter.since;
    // Who comes after the timer was set, and may wait no less, need not look at the clock.
    if (this.#timer === undefined || waiter.timeoutMs < this.#spanMs) {
      this.#watch(waiter.deadlineMs);
    }
  }

  /** Puts somebody back to the front: what it was given proved no good. */
  unshift(waiter: Waiter<T>): void {
    this.#line.unshift(waiter);
    this.#watch(waiter.deadlineMs);
  }

  /** Takes somebody out of the line who goes on waiting. */
  stepAside(waiter: Waiter<T>): void {
    if (!waiter.queued) return;
    this.#line.remove(waiter);
    this.#tidy();
  }

  /** Gives somebody what it waited for. */
  serve(waiter: Waiter<T>, value: T): void {
    this.#leave(waiter);
    waiter.resolve(value);
  }

  /** Ends somebody's wait with an error; one that has ended stays as it is. */
  reject(waiter: Waiter<T>, error: unknown): void {
    if (!waiter.waiting) return;
    this.#leave(waiter);
    waiter.resolve(new Rejection(error));
  }

  /** Ends everybody's wait. */
  rejectAll(error: unknown): void {
    for (const waiter of this.#line.members()) this.reject(waiter, error);
  }

  /**
   * Ends the wait of those whose time is up.
   *
   * @param covered So many at the front are given more time, for what they wait for is on its way.
   * @param moreMs How much more.
   * @param error Makes the error, from the seconds waited.
   */
  rejectLate(covered: number, moreMs: number, error: (waited: number) => Error): void {
    if (this.#line.size === 0) return;
    // The moment of whoever came just now: to him, not even the time between two readings has passed.
    const nowMs = Tick.current.ms;
    let nextMs = Infinity;
    for (const [index, waiter] of this.#line.members().entries()) {
      // The covered ones: at first, their own deadline; then what a dial may take on top of it.
      const endMs = waiter.deadlineMs + (index < covered ? moreMs : 0);
      if (endMs <= nowMs) this.reject(waiter, error((nowMs - waiter.since.ms) / 1000));
      else nextMs = Math.min(nextMs, waiter.deadlineMs > nowMs ? waiter.deadlineMs : endMs);
    }
    this.#timer?.clear();
    this.#timer = undefined;
    if (this.#line.size > 0) this.#watch(nextMs);
  }

  #leave(waiter: Waiter<T>): void {
    waiter.waiting = false;
    waiter.onLeave?.();
    this.stepAside(waiter);
  }

  /** Makes sure that the timer goes off by then. */
  #watch(deadlineMs: number): void {
    if (this.#timer && deadlineMs >= this.#timerMs) return;
    this.#timer?.clear();
    this.#timerMs = deadlineMs;
    this.#spanMs = deadlineMs - now();
    this.#timer = timer(this.#spanMs, this.#onLate);
  }

  #tidy(): void {
    if (this.#line.size > 0) return;
    this.newest = undefined;
    this.#timer?.clear();
    this.#timer = undefined;
    this.#onEmpty();
  }
}
