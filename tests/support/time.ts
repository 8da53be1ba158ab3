/**
 * A fake clock for code that reads `performance.now()`, and whose time a test can stall and step.
 *
 * `@sinonjs/fake-timers` keeps the timers in their order. It is not installed over the globals, for it runs a timer of 0 ms
 * that another timer sets a millisecond too late, and it knows no stalls.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import { createClock } from "npm:@sinonjs/fake-timers@^15.5";
import { forgetSleep } from "../../internal/clock.ts";

/** Maximum number of timers that are set for the very moment that the clock shows. */
const MAX_AT_ONCE = 10_000;

/** Controls the clocks and the timers of a test. */
export interface TestTime extends Disposable, AsyncDisposable {
  /** The result of `performance.now()`, in milliseconds. */
  readonly nowMs: number;
  /** The result of `Date.now()`, in milliseconds. */
  readonly wallMs: number;
  /**
   * Moves both clocks by `seconds` and runs the timers that are due, each at its own time, with the microtasks between two
   * times and after the last; also the timers that these set, down to a delay of 0. Rejects with what a timer throws.
   */
  advance(seconds: number): Promise<void>;
  /** Moves both clocks by milliseconds, as `advance()` does. */
  tick(ms: number): Promise<void>;
  /** Runs microtasks only. */
  settle(): Promise<void>;
  /**
   * Blocks the event loop for `seconds`: both clocks jump, and no timer runs. Those that were due meanwhile are late and
   * run in the next `advance()` (`advance(0)` will do), and the timers that they set count from there.
   */
  stall(seconds: number): void;
  /** Sets the wall clock forward or, with a negative number, back; the monotonic clock and the timers do not change. */
  step(seconds: number): void;
  /** Restores the real clocks. A second call does nothing. */
  restore(): void;
}

/**
 * Replaces the clocks and timers until the result is disposed of: `using time = fakeTime()`. The monotonic clock starts at a
 * whole millisecond that is not in the past, so that sums of milliseconds are exact.
 *
 * @param start The time of the wall clock at first; by default the current time.
 */
export function fakeTime(start?: number | string | Date): TestTime {
  if (faked) throw new Error("Cannot fake the time: it is already faked");
  return faked = new FakeTime(start);
}

let faked: FakeTime | undefined;

/** Removes the rounding errors of binary fractions: 1.005 s are 1005 ms. */
function toMs(seconds: number): number {
  return Math.round(seconds * 1e6) / 1e3;
}

type Callback = (...args: unknown[]) => void;
type TimerId = ReturnType<typeof setTimeout>;

class FakeTime implements TestTime {
  /** Holds the timers. It shows milliseconds since the start. */
  readonly #queue = createClock(0);
  /** The callbacks of the timers that the queue has reached, in their order. */
  readonly #due = new Map<TimerId, () => void>();
  /** The pending timer of each interval, which is known by its first. */
  readonly #intervals = new Map<TimerId, TimerId>();
  /** The monotonic clock at the start. */
  readonly #originMs = Math.ceil(performance.now());
  /** The wall clock at the start. */
  readonly #wallOriginMs: number;
  readonly #undo: (() => void)[] = [];
  /** The time that the monotonic clock was set to, by a stall or to a fraction of a millisecond: the queue is behind. */
  #setToMs = 0;
  #steppedMs = 0;
  /** Whether a timer was set for the very moment that the clock shows. */
  #dueNow = false;
  #dueNowAtMs = 0;
  #dueNowCount = 0;

  constructor(start?: number | string | Date) {
    this.#wallOriginMs = start === undefined ? Date.now() : new Date(start).getTime();
    this.#install();
    forgetSleep();
  }

  get nowMs(): number {
    return Math.max(this.#reachedMs, this.#setToMs);
  }

  get wallMs(): number {
    return Math.floor(this.#wallOriginMs + this.nowMs - this.#originMs + this.#steppedMs);
  }

  advance(seconds: number): Promise<void> {
    return this.tick(toMs(seconds));
  }

  async tick(ms: number): Promise<void> {
    if (!(ms >= 0 && Number.isFinite(ms))) {
      throw new RangeError(`Cannot advance the time by ${ms} ms: it must be 0 or more`);
    }
    const targetMs = this.nowMs + ms;
    await this.#runUntil(targetMs);
    // Then the timers for the very moment of the end that were set after that of the end itself.
    do {
      this.#dueNow = false;
      await this.#runUntil(targetMs);
    } while (this.#dueNow);
    this.#setToMs = targetMs;
  }

  settle(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  stall(seconds: number): void {
    if (!(seconds >= 0)) throw new RangeError(`Cannot stall for ${seconds} seconds`);
    this.#setToMs = this.nowMs + toMs(seconds);
  }

  step(seconds: number): void {
    this.#steppedMs += toMs(seconds);
  }

  restore(): void {
    if (this.#undo.length === 0) return;
    for (const undo of this.#undo.splice(0).reverse()) undo();
    faked = undefined;
    forgetSleep();
  }

  [Symbol.dispose](): void {
    this.restore();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.settle();
    this.restore();
  }

  /** The time of the queue, on the monotonic clock. */
  get #reachedMs(): number {
    return this.#queue.now + this.#originMs;
  }

  /** Runs the timers that are set so far and due until `targetMs`, with the microtasks between them. */
  async #runUntil(targetMs: number): Promise<void> {
    let reached = false;
    // The end has a timer as well, for the queue does not tell when its next one is due.
    const end = this.#set(() => reached = true, Math.floor(targetMs - this.#reachedMs));
    try {
      while (!reached) {
        await this.settle();
        if (this.#undo.length === 0) throw new Error("Cannot advance the time: it was restored");
        this.#queue.next();
        this.#runDue();
      }
    } finally {
      this.#clear(end);
    }
    await this.settle();
  }

  /**
   * Runs all timers that are due now, those that they set included. They do not run within the queue's own functions: the
   * timers that they set for the same moment would be a millisecond late.
   */
  #runDue(): void {
    do {
      for (const [id, callback] of this.#due) {
        this.#due.delete(id);
        callback();
      }
      this.#queue.tick(0);
    } while (this.#due.size > 0);
  }

  /** Adds a timer to the queue, which makes it due after whole milliseconds of its own clock. */
  #set(callback: () => void, waitMs: number): TimerId {
    const id = this.#queue.setTimeout(
      () => this.#due.set(id, callback),
      waitMs,
    ) as unknown as TimerId;
    return id;
  }

  #clear(id: TimerId): void {
    this.#queue.clearTimeout(id as never);
    this.#due.delete(id);
  }

  /**
   * Returns the delay of a timer on the queue's clock, which is behind after a stall. It is rounded up: a timer that is early
   * sets another for the rest, which would be early again, at the same moment.
   */
  #wait(delay: number): number {
    const reachedMs = this.#reachedMs;
    const waitMs = Math.ceil(Math.round((this.nowMs - reachedMs + delay) * 1e6) / 1e6);
    if (waitMs > 0) return waitMs;
    if (this.#dueNowAtMs !== reachedMs) this.#dueNowCount = 0;
    this.#dueNowAtMs = reachedMs;
    if (++this.#dueNowCount > MAX_AT_ONCE) {
      throw new Error(`Cannot set a timer without delay: ${MAX_AT_ONCE} were set at this moment`);
    }
    this.#dueNow = true;
    return 0;
  }

  #install(): void {
    const set = (callback: Callback, delay = 0, ...args: unknown[]): TimerId =>
      this.#set(() => callback(...args), this.#wait(delay));
    // As on a real event loop, an interval that is late runs once and counts from there.
    const repeat = (callback: Callback, delay = 0, ...args: unknown[]): TimerId => {
      const run = () => {
        this.#intervals.set(first, set(run, Math.max(delay, 1)));
        callback(...args);
      };
      const first = set(run, Math.max(delay, 1));
      this.#intervals.set(first, first);
      return first;
    };
    const clear = (id?: TimerId): void => {
      if (id === undefined) return;
      this.#clear(this.#intervals.get(id) ?? id);
      this.#intervals.delete(id);
    };
    const abortAfter = (ms: number): AbortSignal => {
      const controller = new AbortController();
      set(() => controller.abort(new DOMException("Signal timed out.", "TimeoutError")), ms);
      return controller.signal;
    };
    this.#replace(globalThis, "setTimeout", set);
    this.#replace(globalThis, "setInterval", repeat);
    this.#replace(globalThis, "clearTimeout", clear);
    this.#replace(globalThis, "clearInterval", clear);
    this.#replace(globalThis, "Date", this.#date(globalThis.Date));
    this.#replace(AbortSignal, "timeout", abortAfter);
    this.#replace(performance, "now", () => this.nowMs);
  }

  #date(under: DateConstructor): DateConstructor {
    return new Proxy(under, {
      construct: (target, args) => Reflect.construct(target, args.length ? args : [this.wallMs]),
      apply: () => new under(this.wallMs).toString(),
      get: (target, key, receiver) =>
        key === "now" ? () => this.wallMs : Reflect.get(target, key, receiver),
    });
  }

  #replace(target: object, key: string, value: unknown): void {
    const own = Object.getOwnPropertyDescriptor(target, key);
    this.#undo.push(() => {
      if (own) Object.defineProperty(target, key, own);
      else Reflect.deleteProperty(target, key);
    });
    Object.defineProperty(target, key, { value, writable: true, configurable: true });
  }
}
