/**
 * Time: one monotonic clock, and two kinds of timer. What a caller awaits holds the process up; the pool's own
 * upkeep does not (DESIGN.md, the promise, point 11).
 *
 * @module
 */

/** Longest delay that `setTimeout` keeps; a longer one fires at once. */
export const LONGEST_TIMER_MS: number = 2 ** 31 - 1;

/** Milliseconds on a clock that never goes back. Read at each call, so that tests can put a fake in its place. */
export function now(): number {
  return performance.now();
}

/**
 * A moment that many share, for one reading of the clock: its time is read when somebody asks, or else in a microtask.
 * It may be too late by what the program does until then, during which no timer fires either, and never too early.
 */
export class Moment {
  #ms: number | undefined = undefined;

  /** The present one. */
  static get present(): Moment {
    if (present === undefined) {
      present = new Moment();
      DONE.then(settle);
    }
    return present;
  }

  /** Its time, in milliseconds of the monotonic clock. */
  get ms(): number {
    if (this.#ms === undefined) {
      this.#ms = now();
      // Whoever comes from now on comes later.
      if (present === this) present = undefined;
    }
    return this.#ms;
  }
}

let present: Moment | undefined;

const DONE: Promise<void> = Promise.resolve();

function settle(): void {
  void present?.ms;
}

/** A timer that can be cleared; clearing twice, or after it fired, is harmless. */
export interface Timer {
  /** Stops the timer. */
  clear(): void;
}

/** Runs `callback` after `delayMs`; keeps the process alive until then, for a caller waits for it. */
export function timer(delayMs: number, callback: () => void): Timer {
  const id = setTimeout(callback, toDelay(delayMs));
  return { clear: () => clearTimeout(id) };
}

/** Runs `callback` after `delayMs`, if the process is still there by then: it is not kept alive for this. */
export function upkeepTimer(delayMs: number, callback: () => void): Timer {
  const id = setTimeout(callback, toDelay(delayMs));
  (id as unknown as { unref?(): void }).unref?.();
  return { clear: () => clearTimeout(id) };
}

/**
 * A deadline that is cheap to look at: by the wall clock, which costs half as much on Deno as the monotonic one. It
 * may seem over too early, and never too late: a step forward of the wall clock only brings the end nearer, a step
 * back is caught by a timer, and while a blocked event loop keeps that from firing, the clock itself tells.
 */
export class WallDeadline {
  #untilMs = -Infinity;
  #timer: Timer | undefined;

  /** Whether it lies certainly ahead. */
  get ahead(): boolean {
    return Date.now() < this.#untilMs;
  }

  /** Sets it, in milliseconds of the monotonic clock; one that is past, or `-Infinity`, needs no timer. */
  set(untilMs: number): void {
    this.#timer?.clear();
    this.#timer = undefined;
    const leftMs = untilMs - now();
    // Both readings of a clock of whole milliseconds may be too low by one.
    this.#untilMs = leftMs > 0 ? Date.now() + Math.floor(leftMs) - 1 : -Infinity;
    if (leftMs > 0) this.#timer = upkeepTimer(leftMs, () => this.#untilMs = -Infinity);
  }
}

/** Whole milliseconds, rounded up: a timer that fires before its moment would only have to be set again. */
function toDelay(delayMs: number): number {
  return Math.ceil(Math.min(Math.max(delayMs, 0), LONGEST_TIMER_MS));
}

/**
 * Waits `delayMs`, or rejects with the signal's reason as soon as it is aborted.
 *
 * @param delayMs How long.
 * @param signal Ends the wait.
 * @param start Which kind of timer: `timer` where a caller waits, `upkeepTimer` where none does.
 */
export function sleep(
  delayMs: number,
  signal?: AbortSignal,
  start: typeof timer = timer,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      pause.clear();
      reject(signal!.reason);
    };
    const pause = start(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/**
 * Runs something that can be aborted, for a limited time. Whoever ignores the abort is left behind: the result
 * is rejected all the same.
 *
 * @param limitMs How long.
 * @param run What to run, with the signal that ends it.
 * @param options `signal` ends it from outside; `what` stands in the `TimeoutError`'s message.
 * @returns What it returned.
 */
export async function runWithin<T>(
  limitMs: number,
  run: (signal: AbortSignal) => T | Promise<T>,
  options: { signal?: AbortSignal | undefined; what: string },
): Promise<T> {
  const { signal, what } = options;
  signal?.throwIfAborted();
  const controller = new AbortController();
  let stop!: (reason: unknown) => void;
  const stopped = new Promise<never>((_, reject) => stop = reject);
  stopped.catch(() => {});
  const end = (reason: unknown) => {
    controller.abort(reason);
    stop(reason);
  };
  const onAbort = () => end(signal!.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  const limit = upkeepTimer(limitMs, () => {
    const seconds = Number((limitMs / 1000).toFixed(3));
    end(new DOMException(`${what} within ${seconds} seconds`, "TimeoutError"));
  });
  try {
    return await Promise.race([run(controller.signal), stopped]);
  } finally {
    limit.clear();
    signal?.removeEventListener("abort", onAbort);
  }
}
