/**
 * Waits that can be aborted or limited in time.
 *
 * @module
 */

import { AsyncResource } from "node:async_hooks";
import { maintenanceTimer, MAX_TIMER_MS, timer } from "./clock.ts";

/**
 * Makes a function that is called in the asynchronous context of now, as what awaits a promise is: with the values of
 * `AsyncLocalStorage` that the caller has, and not with those of the code that calls it.
 *
 * @param call The function.
 */
export function inThisContext<T>(call: (value: T) => void): (value: T) => void {
  const context = new AsyncResource("dnspool");
  return (value) => context.runInAsyncScope(call, undefined, value);
}

/**
 * Waits for a promise until a signal is aborted.
 *
 * @param promise The promise. If the signal is aborted first, its outcome is ignored, a rejection included.
 * @param signal Ends the wait.
 * @returns The promise's value.
 * @throws The promise's rejection, or the signal's reason.
 */
export function abortable<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).then(() => signal.removeEventListener("abort", onAbort));
  });
}

/**
 * Waits for a number of milliseconds.
 *
 * @param delayMs The number of milliseconds.
 * @param signal Ends the wait.
 * @param start The kind of timer: `timer` if a caller waits for it, else `maintenanceTimer`.
 * @throws The signal's reason, as soon as it is aborted.
 */
export function delay(
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
 * Runs an abortable function with a time limit. If the function ignores the abort, its result is discarded.
 *
 * @param limitMs The limit, in milliseconds.
 * @param run The function; it is given the signal that is aborted at the limit.
 * @param options `signal` aborts it from outside; `what` begins the message of the `TimeoutError`, or returns its beginning;
 *   `start`: the kind of timer, `awakeTimer` if the function waits for a server of the pool.
 * @returns What the function returned.
 * @throws {DOMException} named `TimeoutError` at the limit; or the signal's reason.
 */
export async function deadline<T>(
  limitMs: number,
  run: (signal: AbortSignal) => T | Promise<T>,
  options: {
    signal?: AbortSignal | undefined;
    what: string | (() => string);
    start?: typeof maintenanceTimer;
  },
): Promise<T> {
  const { signal, what, start = maintenanceTimer } = options;
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
  const limit = start(limitMs, () => {
    const seconds = Number((limitMs / 1000).toFixed(3));
    const text = typeof what === "string" ? what : what();
    end(new DOMException(`${text} within ${seconds} seconds`, "TimeoutError"));
  });
  try {
    return await Promise.race([run(controller.signal), stopped]);
  } finally {
    limit.clear();
    signal?.removeEventListener("abort", onAbort);
  }
}

/**
 * Keeps the process alive until a promise is settled that a caller awaits: what it waits for may be sockets and timers
 * that let the process exit.
 *
 * @param work The promise.
 * @returns What it is fulfilled with.
 * @throws What it is rejected with.
 */
export async function keptAlive<T>(work: Promise<T>): Promise<T> {
  const hold = timer(MAX_TIMER_MS, () => {});
  try {
    return await work;
  } finally {
    hold.clear();
  }
}
