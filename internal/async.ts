/**
 * Waits that somebody else may end.
 *
 * @module
 */

/**
 * Waits for something, but no longer than until the signal is aborted.
 *
 * @param promise What is waited for; what comes of it later is nobody's any more, a rejection included.
 * @param signal Ends the wait.
 * @returns What it gives.
 * @throws What it throws; or the signal's reason.
 */
export function unlessAborted<T>(
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
