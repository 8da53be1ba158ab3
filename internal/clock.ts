/**
 * The monotonic clock and two kinds of timer. Timers that a caller awaits keep the process alive; maintenance timers
 * do not.
 *
 * @module
 */

/** Maximum delay of `setTimeout`, in milliseconds: a longer one fires at once. */
export const MAX_TIMER_MS: number = 2 ** 31 - 1;

/** Returns milliseconds of the monotonic clock. Looked up at each call, so that tests can replace it. */
export function now(): number {
  return performance.now();
}

/**
 * A timestamp shared by everything that happens in one tick: one clock read instead of thousands. The clock is read
 * when the timestamp is first needed, at the latest in a microtask. So the timestamp may be late by what the program
 * does until then, during which no timer fires either; it is never early.
 */
export class Tick {
  #ms: number | undefined = undefined;

  /** The current tick's timestamp. */
  static get current(): Tick {
    if (current === undefined) {
      current = new Tick();
      DONE.then(readCurrent);
    }
    return current;
  }

  /** Milliseconds of the monotonic clock. */
  get ms(): number {
    if (this.#ms === undefined) {
      this.#ms = now();
      // What happens from now on happens later.
      if (current === this) current = undefined;
    }
    return this.#ms;
  }
}

let current: Tick | undefined;

const DONE: Promise<void> = Promise.resolve();

function readCurrent(): void {
  void current?.ms;
}

/** A timer. Clearing it twice, or after it fired, is harmless. */
export interface Timer {
  /** Stops the timer. */
  clear(): void;
}

/** Runs `callback` after `delayMs`. Keeps the process alive until then, because a caller waits for it. */
export function timer(delayMs: number, callback: () => void): Timer {
  const id = setTimeout(callback, toDelay(delayMs));
  return { clear: () => clearTimeout(id) };
}

/** Runs `callback` after `delayMs`, without keeping the process alive. */
export function maintenanceTimer(delayMs: number, callback: () => void): Timer {
  const id = setTimeout(callback, toDelay(delayMs));
  (id as unknown as { unref?(): void }).unref?.();
  return { clear: () => clearTimeout(id) };
}

/**
 * A deadline that is cheap to check: it compares with the wall clock, which costs half as much on Deno as the
 * monotonic one. It may expire early, never late: if the wall clock is set forward, the deadline only comes nearer; if
 * it is set back, a timer of the monotonic clock expires the deadline.
 */
export class WallDeadline {
  #untilMs = -Infinity;
  #timer: Timer | undefined;

  /** Whether the deadline is known to be in the future. */
  get isAhead(): boolean {
    return Date.now() < this.#untilMs;
  }

  /** Sets the deadline, in milliseconds of the monotonic clock. A past one, or `-Infinity`, needs no timer. */
  set(untilMs: number): void {
    this.#timer?.clear();
    this.#timer = undefined;
    const leftMs = untilMs - now();
    // Both readings of a clock of whole milliseconds may be too low by one.
    this.#untilMs = leftMs > 0 ? Date.now() + Math.floor(leftMs) - 1 : -Infinity;
    if (leftMs > 0) this.#timer = maintenanceTimer(leftMs, () => this.#untilMs = -Infinity);
  }
}

/** Rounds up to whole milliseconds: a timer that fires early would have to be set again. */
function toDelay(delayMs: number): number {
  return Math.ceil(Math.min(Math.max(delayMs, 0), MAX_TIMER_MS));
}
