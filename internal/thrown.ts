/**
 * Handles what other code throws: adapters, drivers, hooks and callbacks may throw any value.
 *
 * @module
 */

import { show } from "./argument_error.ts";
import type { Log } from "./log.ts";

/** Returns a thrown value if it is an error. */
export function asError(value: unknown): Error | undefined {
  return isOf(value, Error) ? value : undefined;
}

/** Returns whether a thrown value is of a class. A revoked proxy throws at `instanceof`, and is of none. */
export function isOf<T>(value: unknown, type: abstract new (...args: never[]) => T): value is T {
  try {
    return value instanceof type;
  } catch {
    return false;
  }
}

/** Returns the message of a thrown value, for a log line or another message. */
export function messageOf(thrown: unknown): string {
  try {
    return asError(thrown)?.message ?? show(thrown);
  } catch {
    return "a value that cannot be shown";
  }
}

/** Returns the `code` of a thrown value, such as `ECONNREFUSED`, or `""`. */
export function codeOf(thrown: unknown): string {
  try {
    const { code } = (thrown ?? {}) as { code?: unknown };
    return typeof code === "string" || typeof code === "number" ? String(code) : "";
  } catch {
    return "";
  }
}

/** Returns whether a thrown value is the `TimeoutError` of a signal or of `deadline()`. */
export function isTimeout(thrown: unknown): boolean {
  return isOf(thrown, DOMException) && thrown.name === "TimeoutError";
}

/** Calls a synchronous method of an adapter. Logs and swallows what it throws, so that no slot is lost for it. */
export function callAdapter<T>(log: Log, call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    log.warn(`A method of the adapter failed: ${messageOf(error)}`);
    return undefined;
  }
}

/**
 * Calls a callback of the user's code. What it throws becomes an uncaught error, as with the driver's own pool, and
 * does not reject a promise of the package.
 */
export function callUserCode(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** Gives an error that was made in a socket's event the stack of the code that awaits it, if the runtime can. */
export function captureStackHere(error: unknown): void {
  const { captureStackTrace } = Error as { captureStackTrace?(error: Error, above: unknown): void };
  if (isOf(error, Error)) captureStackTrace?.(error, captureStackHere);
}
