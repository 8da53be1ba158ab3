/**
 * What is left behind: timers that were neither cleared nor run, listeners that nobody took off a signal. The test
 * runner's sanitizers do not see the timers of a fake clock.
 *
 * @module
 */

/** Timers set from now on that are still to come. */
export interface TimerWatch {
  /** Where each of them was set. */
  pending(): string[];
  /** Likewise, of those that the engine set; but for those that limit what somebody else does and does not end. */
  ofEngine(): string[];
}

/** What the engine cannot stop: a hook of a connection that leaves, which takes its time. */
const OTHERS = /callCloseHook\b/;

type TimerId = ReturnType<typeof setTimeout>;

/** Watches the (fake) timers until the clock is given back. Call it once per fake clock. */
export function watchTimers(): TimerWatch {
  const { setTimeout: set, clearTimeout: clear } = globalThis;
  const pending = new Map<TimerId | undefined, Error>();
  const setWatched = (callback: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => {
    const id: TimerId = set(() => {
      pending.delete(id);
      callback(...args);
    }, ms);
    pending.set(id, new Error(`${ms} ms`));
    return id;
  };
  const clearWatched = (id?: TimerId) => {
    pending.delete(id);
    clear(id);
  };
  Object.assign(globalThis, { setTimeout: setWatched, clearTimeout: clearWatched });
  const all = () => [...pending.values()].map(({ stack }) => String(stack));
  return { pending: all, ofEngine: () => all().filter(isOfEngine) };
}

function isOfEngine(stack: string): boolean {
  if (OTHERS.test(stack)) return false;
  const frames = stack.split("\n").slice(1);
  const caller = frames.find((frame) =>
    !/internal\/(clock|async)\.ts|pool_timers\.ts|<anonymous>/.test(frame)
  );
  return caller !== undefined && !caller.includes("/tests/");
}

/** How many listeners a signal has that were added from now on. */
export function countListeners(signal: AbortSignal): () => number {
  const listeners = new Set<unknown>();
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners.add(args[1]);
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listeners.delete(args[1]);
    removeEventListener.apply(signal, args);
  };
  return () => signal.aborted ? 0 : listeners.size;
}
