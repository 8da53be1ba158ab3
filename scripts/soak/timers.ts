/**
 * Counts timers on every runtime. Import it before the modules that set them.
 *
 * @module
 */

/** Counts the timers that are set from now on. Returns a function that returns the number of pending ones. */
export function countTimers(): () => number {
  const set = globalThis.setTimeout;
  const clear = globalThis.clearTimeout;
  const live = new Set<unknown>();
  const own = {
    setTimeout(callback: (...args: unknown[]) => void, ms?: number, ...args: unknown[]): unknown {
      const id = set(() => {
        live.delete(id);
        callback(...args);
      }, ms);
      live.add(id);
      return id;
    },
    clearTimeout(id: unknown): void {
      live.delete(id);
      clear(id as Parameters<typeof clear>[0]);
    },
  };
  Object.assign(globalThis, own);
  return () => live.size;
}
