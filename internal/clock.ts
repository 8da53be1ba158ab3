/**
 * Two clocks and three kinds of timer. Waits are measured by the monotonic clock, ages by one that goes on while the
 * machine sleeps. Timers that a caller awaits keep the process alive; maintenance timers do not. Timers for the silence of
 * a server count only time in which the event loop ran.
 *
 * @module
 */

/** Maximum delay of `setTimeout`, in milliseconds: a longer one fires at once. */
export const MAX_TIMER_MS: number = 2 ** 31 - 1;

/**
 * Returns milliseconds of the monotonic clock, for waits: on Linux and macOS it stands still while the machine sleeps.
 * Looked up at each call, so that tests can replace it.
 */
export function now(): number {
  return performance.now();
}

/** Time by which the wall clock must run ahead of the monotonic one, in milliseconds, to count as a sleep. */
const MIN_SLEEP_MS = 1000;
/** Number of times that a reading is used again. A program that holds the wall clock still gets others all the same. */
const MAX_REUSES = 1000;

let lastWallMs = NaN;
let lastAgeMs = -Infinity;
let reuses = 0;
/** Wall clock less monotonic clock, at the last reading. */
let aheadMs = NaN;
let sleptMs = 0;

/**
 * Returns milliseconds of the clock by which answers and connections grow old: the monotonic clock, and the time for
 * which the machine slept. Between two readings in which the wall clock ran ahead by more than a second, it counts as
 * a sleep, even if it was only set forward: then answers and connections are renewed early. A wall clock that is set
 * back changes nothing.
 *
 * Within a millisecond of the wall clock the same reading is returned, because that clock costs half as much on Deno
 * as the monotonic one: the result is up to a millisecond late, and never early.
 */
export function ageClock(): number {
  const wallMs = Date.now();
  if (wallMs === lastWallMs && ++reuses < MAX_REUSES) return lastAgeMs;
  return readBoth(wallMs);
}

function readBoth(wallMs: number): number {
  const monotonicMs = now();
  const newAheadMs = wallMs - monotonicMs;
  if (newAheadMs - aheadMs > MIN_SLEEP_MS) sleptMs += newAheadMs - aheadMs;
  aheadMs = newAheadMs;
  lastWallMs = wallMs;
  reuses = 0;
  return lastAgeMs = monotonicMs + sleptMs;
}

/** Returns milliseconds for which the machine has slept, as far as it was noticed. */
export function timeAsleep(): number {
  ageClock();
  return sleptMs;
}

/** Begins anew with clocks that a test has replaced. */
export function forgetSleep(): void {
  lastWallMs = aheadMs = NaN;
  sleptMs = 0;
  stepsOf.clear();
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

/**
 * Delay, in milliseconds, from which a timer is late: the event loop was blocked, and what a socket received meanwhile
 * has not been read.
 */
const LATE_MS = 50;
/** Time that a late timer leaves the event loop to read sockets. Deno needs several milliseconds (measured on 2.9). */
const LATE_TURN_MS = 10;

/**
 * Runs `callback` after `delayMs`. Keeps the process alive until then, because a caller waits for it. A late timer is
 * not believed at once: what was received in time counts first.
 */
export function timer(delayMs: number, callback: () => void): Timer {
  return start(delayMs, callback, false);
}

/** Runs `callback` after `delayMs` as `timer()` does, without keeping the process alive. */
export function maintenanceTimer(delayMs: number, callback: () => void): Timer {
  return start(delayMs, callback, true);
}

/** Maximum time that one step of {@linkcode awakeTimer} counts for, however long the event loop was blocked in it. */
const STEP_MS = 50;

/** A step that ends later than this was blocked. */
const BLOCKED_MS = 25;

/**
 * Runs `callback` when `delayMs` have passed in which the event loop ran: for the silence of a server. While the loop is
 * blocked, an answer may have arrived that was not read yet, so that time does not count, and the last word is that of a
 * turn of the loop that was not blocked.
 *
 * @param delayMs The delay, in milliseconds.
 * @param callback The function to run.
 * @param step The kind of timer. Default: {@linkcode maintenanceTimer}, which does not keep the process alive.
 */
export function awakeTimer(
  delayMs: number,
  callback: () => void,
  step: typeof timer = maintenanceTimer,
): Timer {
  let steps = stepsOf.get(step);
  if (!steps) stepsOf.set(step, steps = new Steps(step));
  return new AwakeTimer(delayMs, callback, steps);
}

/** A timer that goes on in steps. */
class AwakeTimer implements Timer {
  readonly #delayMs: number;
  readonly #callback: () => void;
  readonly #steps: Steps;
  #countedMs = 0;
  #isExtended = false;
  #beganMs = 0;
  #stepMs = 0;

  constructor(delayMs: number, callback: () => void, steps: Steps) {
    this.#delayMs = delayMs;
    this.#callback = callback;
    this.#steps = steps;
    this.#begin(now());
    steps.add(this);
  }

  /** End of the step. */
  get endMs(): number {
    return this.#beganMs + this.#stepMs;
  }

  clear(): void {
    this.#steps.remove(this);
  }

  /** Counts what has passed of the step, and begins the next one. */
  count(nowMs: number): void {
    // The turn in which what arrived is read is a whole step.
    if (this.#isExtended && nowMs < this.endMs) return;
    const tookMs = nowMs - this.#beganMs;
    const isLate = tookMs - this.#stepMs > BLOCKED_MS;
    this.#countedMs += isLate ? this.#stepMs : tookMs;
    if (this.#countedMs >= this.#delayMs) {
      if (!isLate || this.#isExtended) {
        this.clear();
        return this.#callback();
      }
      this.#isExtended = true;
    }
    this.#begin(nowMs);
  }

  #begin(nowMs: number): void {
    const leftMs = this.#delayMs - this.#countedMs;
    this.#beganMs = nowMs;
    this.#stepMs = leftMs > 0 ? Math.min(STEP_MS, leftMs) : this.#isExtended ? STEP_MS : 0;
  }
}

/** The timers that go on in steps, with one timer of the runtime for all: thousands of callers may wait. */
class Steps {
  readonly #start: typeof timer;
  readonly #timers = new Set<AwakeTimer>();
  #next: Timer | undefined;
  #nextMs = Infinity;

  constructor(start: typeof timer) {
    this.#start = start;
  }

  add(timer: AwakeTimer): void {
    this.#timers.add(timer);
    this.#endBy(timer.endMs);
  }

  remove(timer: AwakeTimer): void {
    if (this.#timers.delete(timer) && this.#timers.size === 0) this.#endBy(Infinity);
  }

  /** Sets the end of the step, if it is not earlier already; `Infinity`: there is none. */
  #endBy(endMs: number): void {
    if (endMs >= this.#nextMs && endMs < Infinity) return;
    this.#next?.clear();
    this.#nextMs = endMs;
    this.#next = endMs < Infinity ? this.#start(endMs - now(), () => this.#count()) : undefined;
  }

  #count(): void {
    this.#nextMs = Infinity;
    const nowMs = now();
    for (const timer of [...this.#timers]) {
      if (this.#timers.has(timer)) timer.count(nowMs);
    }
    let endMs = Infinity;
    for (const timer of this.#timers) endMs = Math.min(endMs, timer.endMs);
    if (endMs < Infinity) this.#endBy(endMs);
  }
}

const stepsOf: Map<typeof timer, Steps> = new Map();

function start(delayMs: number, callback: () => void, unref: boolean): Timer {
  return new PendingTimer(toDelay(delayMs), callback, unref);
}

/** A timer as an object: thousands of callers have one each, and closures would be larger. */
class PendingTimer implements Timer {
  readonly #callback: () => void;
  readonly #unref: boolean;
  readonly #dueMs: number;
  #id: ReturnType<typeof setTimeout>;

  constructor(waitMs: number, callback: () => void, unref: boolean) {
    this.#callback = callback;
    this.#unref = unref;
    this.#dueMs = now() + waitMs;
    this.#id = this.#set(PendingTimer.#onTime, waitMs);
  }

  static #onTime(timer: PendingTimer): void {
    if (now() - timer.#dueMs < LATE_MS) timer.#callback();
    else timer.#id = timer.#set(PendingTimer.#onLastTime, LATE_TURN_MS);
  }

  static #onLastTime(timer: PendingTimer): void {
    timer.#callback();
  }

  clear(): void {
    clearTimeout(this.#id);
  }

  #set(run: (timer: PendingTimer) => void, waitMs: number): ReturnType<typeof setTimeout> {
    const id = setTimeout(run, waitMs, this);
    if (this.#unref) (id as unknown as { unref?(): void }).unref?.();
    return id;
  }
}

/** Rounds up to whole milliseconds: a timer that fires early would have to be set again. */
function toDelay(delayMs: number): number {
  return Math.ceil(Math.min(Math.max(delayMs, 0), MAX_TIMER_MS));
}
