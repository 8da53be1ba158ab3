/**
 * Promises that are settled from outside, without a closure for each: it would be the largest part of what a waiter
 * takes of memory (see the bytes per waiter in bench/memory.ts).
 *
 * @module
 */

/** Fulfills a promise with a value, or rejects it with the error of a {@linkcode Rejection}. */
export type Settle<T> = (outcome: T | Rejection) => void;

/** Rejects the promise that it resolves. Saves keeping a reject function beside the resolve function. */
export class Rejection {
  /** @param error The error that the promise is rejected with. */
  constructor(readonly error: unknown) {}

  /** Is called by the promise. */
  then(_resolve: unknown, reject: (error: unknown) => void): void {
    reject(this.error);
  }
}

let lastSettle: Settle<unknown>;

/** The one executor of all promises. */
function keepSettle(settle: Settle<unknown>): void {
  lastSettle = settle;
}

/** Creates a promise. {@linkcode settleOfLast}, called next, returns the function that settles it. */
export function createDeferred<T>(): Promise<T> {
  return new Promise<unknown>(keepSettle) as Promise<T>;
}

/** Returns the function that settles the promise created last. */
export function settleOfLast<T>(): Settle<T> {
  return lastSettle;
}
