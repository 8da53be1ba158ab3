/**
 * What somebody else's code may throw, which is anything.
 *
 * @module
 */

import type { Log } from "./log.ts";
import { show } from "./option_reader.ts";

/** Of anything: an object of the caller's own may not even say whether it is an error. */
export function asError(value: unknown): Error | undefined {
  try {
    return value instanceof Error ? value : undefined;
  } catch {
    return undefined;
  }
}

/** What is said of it in a log. */
export function textOf(thrown: unknown): string {
  try {
    return asError(thrown)?.message ?? show(thrown);
  } catch {
    return "something that cannot be shown";
  }
}

/** What an adapter's plain methods throw is nobody's business but theirs: it is logged, and no slot is lost for it. */
export function safely<T>(log: Log, call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    log.warn(`A method of the adapter failed: ${textOf(error)}`);
    return undefined;
  }
}

/** Gives an error that was made in a socket's event the stack of whoever awaits it, where the runtime can. */
export function traceHere(error: unknown): void {
  const { captureStackTrace } = Error as { captureStackTrace?(error: Error, above: unknown): void };
  if (error instanceof Error) captureStackTrace?.(error, traceHere);
}

/**
 * Runs what belongs to the caller outside of our promises: what it throws is an uncaught error, as with the driver's own
 * pool.
 *
 * @param run Calls the callback.
 */
export function outside(run: () => void): void {
  try {
    run();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
