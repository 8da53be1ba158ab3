/**
 * A promise and the function that settles it.
 *
 * @module
 */

/** Rejects the promise that it resolves. Saves one function per waiter, beside the one that resolves. */
export class Rejection {
  /** @param error The error that the promise is rejected with. */
  constructor(readonly error: unknown) {}

  /** Is called by the promise. */
  then(_resolve: unknown, reject: (error: unknown) => void): void {
    reject(this.error);
  }
}

type Settle<T> = (outcome: T | Rejection) => void;

let lastSettle: Settle<unknown>;

/** One executor for all promises, in place of a closure for each: see the bytes per waiter in bench/pool.ts. */
function keepSettle(settle: Settle<unknown>): void {
  lastSettle = settle;
}

/** A promise that is settled from outside. */
export class Deferred<T> {
  readonly promise: Promise<T> = new Promise<unknown>(keepSettle) as Promise<T>;
  /** Fulfills the promise with a value, or rejects it with the error of a {@linkcode Rejection}. */
  readonly settle: Settle<T> = lastSettle;
}
