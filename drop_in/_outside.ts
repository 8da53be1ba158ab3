/**
 * Callbacks of whoever uses a drop-in.
 *
 * @module
 */

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
