/**
 * How late timers are on a busy machine, for tests whose subject is a time limit.
 *
 * @module
 */

/** The interval in milliseconds at which it is measured. */
const EVERY_MS = 20;

/** Timers, and answers of other processes, that may be late one after the other within one time limit. */
const STEPS = 20;

/** Measures how late the timers of this process are, until it is disposed of. */
export class Lag implements Disposable {
  #maxMs = 0;
  #dueMs = performance.now() + EVERY_MS;
  readonly #interval = setInterval(() => {
    this.#measure();
    this.#dueMs = performance.now() + EVERY_MS;
  }, EVERY_MS);

  /** The longest delay of a timer so far, in milliseconds. */
  get maxMs(): number {
    this.#measure();
    return this.#maxMs;
  }

  /** Returns a time limit, in milliseconds, that is extended on a machine that is busy. */
  limit(ms: number): number {
    return ms + STEPS * this.maxMs;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#interval);
  }

  #measure(): void {
    this.#maxMs = Math.max(this.#maxMs, performance.now() - this.#dueMs);
  }
}
