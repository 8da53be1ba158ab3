/**
 * A fake clock for code that reads `performance.now()`, on top of `FakeTime`, which fakes `Date` and the timers only.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import { FakeTime } from "@std/testing/time";

/** How many timers set for the very moment that the clock shows are one too many. */
const ENDLESS = 10_000;

/** Controls the clocks and the timers of a test. */
export interface TestTime extends Disposable, AsyncDisposable {
  /** What `performance.now()` says, in milliseconds. */
  readonly nowMs: number;
  /** What `Date.now()` says, in milliseconds. */
  readonly wallMs: number;
  /**
   * Moves both clocks by `seconds` and runs what falls due, each timer at its own moment, with the microtasks between
   * two moments and after the last; also what the timers set anew, down to a delay of 0. Rejects with what a timer
   * throws.
   */
  advance(seconds: number): Promise<void>;
  /** `advance()` by milliseconds. */
  tick(ms: number): Promise<void>;
  /** Runs microtasks only. */
  settle(): Promise<void>;
  /**
   * Blocks the event loop for `seconds`: both clocks jump, and no timer runs. Those due meanwhile are late and run in
   * the next `advance()` (`advance(0)` will do), and their new timers count from there.
   */
  stall(seconds: number): void;
  /** Sets the wall clock forward or, with a negative number, back; the monotonic clock and the timers do not notice. */
  step(seconds: number): void;
  /** Gives the real clocks back. A second call does nothing. */
  restore(): void;
}

/**
 * Takes over the clocks and timers until the result is disposed: `using time = fakeTime()`. The monotonic clock starts
 * at a whole millisecond that is not in the past, so that sums of milliseconds stay exact.
 *
 * @param start What the wall clock shows at first, by default the current time.
 */
export function fakeTime(start?: number | string | Date): TestTime {
  return new StackedTime(start);
}

/** Without the dust of binary fractions: 1.005 s are 1005 ms. */
function toMs(seconds: number): number {
  return Math.round(seconds * 1e6) / 1e3;
}

type Callback = (...args: unknown[]) => void;
type TimerId = ReturnType<typeof setTimeout>;

class StackedTime implements TestTime {
  readonly #fake: FakeTime;
  /** FakeTime's own timers. */
  readonly #under: { setTimeout: typeof setTimeout; clearTimeout: typeof clearTimeout };
  /** The pending timer of each interval, which is known by its first. */
  readonly #intervals = new Map<TimerId, TimerId>();
  /** Where the monotonic clock stands when FakeTime's is at 1970. */
  readonly #originMs: number;
  readonly #undo: (() => void)[] = [];
  /** The moment that the monotonic clock reached by stalls; `FakeTime` catches up with it in `tick()`. */
  #stalledToMs = 0;
  #steppedMs = 0;
  /** A timer is due that was set for the moment that the clock shows. */
  #dueNow = false;
  #dueNowAtMs = 0;
  #dueNowCount = 0;

  constructor(start?: number | string | Date) {
    const originMs = Math.ceil(performance.now());
    this.#fake = new FakeTime(start);
    this.#originMs = originMs - this.#fake.now;
    this.#under = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout };
    this.#install();
  }

  get nowMs(): number {
    return Math.max(this.#reachedMs, this.#stalledToMs);
  }

  get wallMs(): number {
    return Math.floor(this.nowMs - this.#originMs + this.#steppedMs);
  }

  advance(seconds: number): Promise<void> {
    return this.tick(toMs(seconds));
  }

  async tick(ms: number): Promise<void> {
    if (!(ms >= 0 && Number.isFinite(ms))) {
      throw new RangeError(`Cannot advance the time by ${ms} ms: it must be 0 or more`);
    }
    const targetMs = this.nowMs + ms;
    let reached = false;
    // A timer of our own marks the end, for FakeTime does not tell when the next one is due.
    const end = this.#under.setTimeout(() => reached = true, targetMs - this.#reachedMs);
    try {
      while (!reached) {
        await this.settle();
        if (!this.#fake.next()) throw new Error("Cannot advance the time: it was given back");
      }
    } finally {
      this.#under.clearTimeout(end);
    }
    this.#fake.tick(Math.max(0, targetMs - this.#reachedMs));
    await this.settle();
    while (this.#dueNow) {
      this.#dueNow = false;
      this.#fake.tick(0);
      await this.settle();
    }
  }

  settle(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  stall(seconds: number): void {
    if (!(seconds >= 0)) throw new RangeError(`Cannot stall for ${seconds} seconds`);
    this.#stalledToMs = this.nowMs + toMs(seconds);
  }

  step(seconds: number): void {
    this.#steppedMs += toMs(seconds);
  }

  restore(): void {
    if (this.#undo.length === 0) return;
    for (const undo of this.#undo.splice(0).reverse()) undo();
    this.#fake.restore();
  }

  [Symbol.dispose](): void {
    this.restore();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.settle();
    this.restore();
  }

  /** How far `FakeTime` is, on the monotonic clock. */
  get #reachedMs(): number {
    return this.#fake.now + this.#originMs;
  }

  /**
   * What a timer has to wait on `FakeTime`'s clock, which lags behind after a stall. Rounded up, where `FakeTime` would
   * round down: a timer that is early sets another for the rest, which would be early again, at the same moment.
   */
  #wait(delay: number): number {
    const reachedMs = this.#reachedMs;
    const waitMs = Math.ceil(Math.round((this.nowMs - reachedMs + delay) * 1e6) / 1e6);
    if (waitMs > 0) return waitMs;
    if (this.#dueNowAtMs !== reachedMs) this.#dueNowCount = 0;
    this.#dueNowAtMs = reachedMs;
    if (++this.#dueNowCount > ENDLESS) {
      throw new Error(`Cannot set a timer without delay: ${ENDLESS} were set at this moment`);
    }
    this.#dueNow = true;
    return 0;
  }

  #install(): void {
    const set = (callback: Callback, delay = 0, ...args: unknown[]): TimerId =>
      this.#under.setTimeout(callback, this.#wait(delay), ...args);
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
      this.#under.clearTimeout(this.#intervals.get(id) ?? id);
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
