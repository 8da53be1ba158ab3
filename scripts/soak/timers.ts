/**
 * Counts the timers that are set, on every runtime. Import it before what sets them.
 *
 * @module
 */

/** From now on timers are counted; what is returned says how many are set at that moment. */
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
