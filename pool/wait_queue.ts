/**
 * A first-in, first-out queue of waiters, each with a timeout and perhaps an abort signal.
 *
 * @module
 */

import { now, Tick, type Timer, timer } from "../internal/clock.ts";
import { type Chunk, ChunkedQueue, type Queued } from "./chunked_queue.ts";
import { createDeferred, Rejection, type Settle, settleOfLast } from "./deferred.ts";
import type { SafeObserver } from "./observer.ts";

/** A caller's wait. Its promise is settled once the waiter is served or rejected. */
export class Waiter<T> implements Queued<Waiter<T>> {
  readonly promise: Promise<T> = createDeferred();
  readonly settle: Settle<T> = settleOfLast();
  chunk: Chunk<Waiter<T>> | undefined = undefined;
  index = 0;
  /** Whether the caller still waits: in the queue, or while a connection is checked for it. */
  waiting = true;
  /** Number in the order of arrival; given by the queue. */
  order = 0;
  /** Number of connections that failed their check for this waiter. */
  tries = 0;
  /** The tick in which the wait began. */
  readonly since: Tick = Tick.current;
  /** Stack of the checkout; only recorded if an option needs it. */
  stack: string | undefined = undefined;
  /** Called when the wait ends, before the promise is settled. */
  listener: ((outcome: T | Rejection) => void) | undefined = undefined;

  /** Takes what is waited for, in place of the promise, at the moment when it is there. It does not throw. */
  deliver: ((value: T) => void) | undefined = undefined;

  /** @param timeoutMs The longest wait; `Infinity` for none. */
  constructor(readonly timeoutMs: number) {}

  /** When the wait is over. */
  get deadlineMs(): number {
    return this.since.ms + this.timeoutMs;
  }

  /** Calls `listener` when the wait ends, before the promise is settled and after earlier listeners. */
  onSettled(listener: (outcome: T | Rejection) => void): void {
    const { listener: earlier } = this;
    this.listener = earlier === undefined ? listener : (outcome) => {
      earlier(outcome);
      listener(outcome);
    };
  }
}

/** Number of waiters that are looked at, on average, in a millisecond. */
const LOOKED_AT_PER_MS = 1000;

/** What a queue reports. */
export interface WaitQueueEvents {
  /** Called when the timeout of a waiter in the queue is over. */
  rejectLate(): void;
  /** Called when the last waiter has left the queue. */
  onEmpty(): void;
}

/** The queue. Its timer keeps the process alive, because callers wait. */
export class WaitQueue<T extends { readonly address: string }> {
  /** The tick of the waiter added last; `undefined` while the queue is empty. */
  newest: Tick | undefined = undefined;
  /** Number of waiters created: the order of the newest one. */
  created = 0;

  readonly #queue: ChunkedQueue<Waiter<T>> = new ChunkedQueue();
  /** Waiters outside the queue that go on waiting. */
  #aside: Set<Waiter<T>> | undefined;
  readonly #observer: SafeObserver | undefined;
  readonly #events: WaitQueueEvents;
  /** What waiters are rejected with since `close()`. */
  #end: Rejection | undefined;
  #timer: Timer | undefined;
  /** When the timer fires. */
  #timerMs = Infinity;
  /** The delay that the timer was set with. */
  #timerDelayMs = Infinity;
  /** The timeout that all waiters in the queue have: their deadlines are in order. `NaN` if timeouts differ. */
  #commonTimeoutMs = NaN;
  /** Number of waiters whose timeout was over at the last look, and which had extra time. */
  #spared = 0;
  #isDelivering = false;

  /**
   * @param events What the queue reports.
   * @param observer Hears of each wait and of its end.
   */
  constructor(events: WaitQueueEvents, observer?: SafeObserver) {
    this.#events = events;
    this.#observer = observer;
  }

  /** Number of waiters in the queue. */
  get size(): number {
    return this.#queue.size;
  }

  /** Number of waiters, in the queue or set aside. */
  get waiting(): number {
    return this.#queue.size + (this.#aside?.size ?? 0);
  }

  /** The waiter to be served next. */
  get first(): Waiter<T> | undefined {
    return this.#queue.first;
  }

  /**
   * Creates a waiter, which is not in the queue yet.
   *
   * @param timeoutMs The longest wait; `Infinity` for none.
   * @param signal Rejects the waiter with the signal's reason, also while it is not in the queue.
   */
  create(timeoutMs: number, signal?: AbortSignal): Waiter<T> {
    const waiter = new Waiter<T>(timeoutMs);
    waiter.order = ++this.created;
    if (this.#observer !== undefined) observe(waiter, this.#observer);
    if (signal) this.#abortOn(waiter, signal);
    return waiter;
  }

  /** Adds a waiter at the end. A closed queue rejects it. */
  push(waiter: Waiter<T>): void {
    if (this.#end !== undefined) return this.#settle(waiter, this.#end);
    this.#noteTimeout(waiter);
    this.#queue.push(waiter);
    this.newest = waiter.since;
    // A waiter added after the timer was set, with no smaller timeout, need not read the clock.
    if (this.#timer === undefined || waiter.timeoutMs < this.#timerDelayMs) {
      this.#setTimer(waiter.deadlineMs);
    }
  }

  /** Puts a waiter back to its place among those that came before and after it: its connection was unusable. */
  putBack(waiter: Waiter<T>): void {
    this.#aside?.delete(waiter);
    this.#noteTimeout(waiter);
    const earlier: Waiter<T>[] = [];
    for (let first; (first = this.#queue.first) && first.order < waiter.order;) {
      this.#queue.remove(first);
      earlier.push(first);
    }
    this.#queue.unshift(waiter);
    while (earlier.length > 0) this.#queue.unshift(earlier.pop()!);
    this.#setTimer(waiter.deadlineMs);
  }

  /**
   * Takes a waiter out of the queue that goes on waiting, for instance while a connection is checked for it. A closed
   * queue rejects it; one whose wait has ended is ignored.
   */
  setAside(waiter: Waiter<T>): void {
    if (!waiter.waiting) return;
    if (this.#end !== undefined) return this.#settle(waiter, this.#end);
    this.#dequeue(waiter);
    (this.#aside ??= new Set()).add(waiter);
  }

  /** Gives a waiter what it waited for. */
  serve(waiter: Waiter<T>, value: T): void {
    // What is delivered may be given back at once, to the next waiter: calls do not nest, however many there are.
    if (waiter.deliver === undefined || this.#isDelivering) return this.#settle(waiter, value);
    this.#endWait(waiter, value);
    this.#isDelivering = true;
    waiter.deliver(value);
    this.#isDelivering = false;
  }

  /** Ends a wait with an error; one that has ended is ignored. */
  reject(waiter: Waiter<T>, error: unknown): void {
    if (waiter.waiting) this.#settle(waiter, new Rejection(error));
  }

  /** Rejects the first waiter, if its order is at most `newest`. */
  rejectFirst(error: unknown, newest: number): void {
    const { first } = this;
    if (first !== undefined && first.order <= newest) this.reject(first, error);
  }

  /** Rejects all waiters in the queue. */
  rejectQueued(error: unknown): void {
    for (const waiter of this.#queue.toArray()) this.reject(waiter, error);
  }

  /** Rejects all waiters, in the queue or set aside, and those that come later: what calls this may be a hook. */
  close(error: unknown): void {
    this.#end = new Rejection(error);
    this.rejectQueued(error);
    for (const waiter of this.#aside ?? []) this.reject(waiter, error);
  }

  /**
   * Rejects the waiters whose timeout is over.
   *
   * @param makeError Makes the error from the number of seconds waited.
   * @param extra The first `count` waiters, whose connection is already being opened, get `ms` on top of their timeout.
   */
  rejectLate(
    makeError: (waited: number) => Error,
    extra: { readonly count: number; readonly ms: number },
  ): void {
    if (this.#queue.size === 0) return;
    // This tick's timestamp, so that a waiter added in this tick has waited 0 ms.
    const nowMs = Tick.current.ms;
    // Called for each connection that is opened: it must not go through all waiters without need.
    if (nowMs < this.#timerMs && this.#spared === 0) return;
    const late: Waiter<T>[] = [];
    let nextMs = Infinity;
    this.#spared = 0;
    const isSorted = this.#isSorted;
    this.#queue.walk((waiter, index) => {
      const { deadlineMs } = waiter;
      const endMs = deadlineMs + (index < extra.count ? extra.ms : 0);
      if (endMs <= nowMs) late.push(waiter);
      // Whether there is extra time is looked at again at the waiter's own deadline.
      else nextMs = Math.min(nextMs, deadlineMs > nowMs ? deadlineMs : endMs);
      if (deadlineMs <= nowMs && endMs > nowMs) this.#spared++;
      return isSorted && deadlineMs > nowMs && index >= extra.count;
    });
    for (const waiter of late) this.reject(waiter, makeError((nowMs - waiter.since.ms) / 1000));
    this.#timer?.clear();
    this.#timer = undefined;
    if (this.#queue.size > 0) this.#setTimer(Math.max(nextMs, nowMs + this.#patienceMs));
  }

  /** Whether no waiter in the queue has an earlier deadline than the one before it. */
  get #isSorted(): boolean {
    return !Number.isNaN(this.#commonTimeoutMs);
  }

  /** Time between two looks at all waiters: with many of different timeouts, a look takes long. */
  get #patienceMs(): number {
    return this.#isSorted ? 0 : Math.floor(this.#queue.size / LOOKED_AT_PER_MS);
  }

  /** Notes the timeout of a waiter that is about to join the queue. Its deadline is not needed: that reads the clock. */
  #noteTimeout({ timeoutMs }: Waiter<T>): void {
    if (this.#queue.size === 0) this.#commonTimeoutMs = timeoutMs;
    else if (timeoutMs !== this.#commonTimeoutMs) this.#commonTimeoutMs = NaN;
  }

  #dequeue(waiter: Waiter<T>): void {
    if (waiter.chunk === undefined) return void this.#aside?.delete(waiter);
    this.#queue.remove(waiter);
    if (this.#queue.size > 0) return;
    this.newest = undefined;
    this.#timer?.clear();
    this.#timer = undefined;
    this.#spared = 0;
    this.#events.onEmpty();
  }

  /** Rejects a waiter by a signal. A function of its own, so that a waiter without a signal costs no closure. */
  #abortOn(waiter: Waiter<T>, signal: AbortSignal): void {
    const onAbort = () => this.reject(waiter, signal.reason);
    signal.addEventListener("abort", onAbort);
    waiter.onSettled(() => signal.removeEventListener("abort", onAbort));
  }

  #settle(waiter: Waiter<T>, outcome: T | Rejection): void {
    this.#endWait(waiter, outcome);
    waiter.settle(outcome);
  }

  #endWait(waiter: Waiter<T>, outcome: T | Rejection): void {
    waiter.waiting = false;
    this.#dequeue(waiter);
    waiter.listener?.(outcome);
  }

  /** Makes sure that the timer fires by then. */
  #setTimer(deadlineMs: number): void {
    if (this.#timer && deadlineMs >= this.#timerMs) return;
    this.#timer?.clear();
    this.#timerMs = deadlineMs;
    this.#timerDelayMs = deadlineMs - now();
    this.#timer = timer(this.#timerDelayMs, () => {
      this.#timer = undefined;
      // It may fire early: whatever the clock says, all waiters are looked at.
      this.#timerMs = -Infinity;
      this.#events.rejectLate();
    });
  }
}

/** Tells an observer of a wait and of its end. */
function observe<T extends { readonly address: string }>(
  waiter: Waiter<T>,
  observer: SafeObserver,
): void {
  const beganMs = now();
  const end = observer.waiting();
  waiter.onSettled((outcome) => {
    const seconds = (now() - beganMs) / 1000;
    if (outcome instanceof Rejection) end({ seconds, error: outcome.error });
    else end({ seconds, address: outcome.address });
  });
}
