/**
 * Finds timers that were neither cleared nor run, and listeners that were not removed from a signal. The test runner's
 * sanitizers do not see the timers of a fake clock.
 *
 * @module
 */

/** The pending timers that were set since. */
export interface TimerWatch {
  /** Returns the stack of each. */
  pending(): string[];
  /** Returns the stack of each that the engine set, without those that limit a hook of the user. */
  ofEngine(): string[];
}

/** The engine cannot end the hook of a connection that is closed, only its own wait for it. */
const OTHERS = /callCloseHook\b/;

type TimerId = ReturnType<typeof setTimeout>;

/** Watches the timers of a fake clock until that is disposed. Call it once per fake clock. */
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

/** Returns a function that counts the listeners of a signal that were added since. */
export function countListeners(signal: AbortSignal): () => number {
  const listeners = new Set<unknown>();
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners.add(args[1]);
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    if (args[0] === "abort") listeners.delete(args[1]);
    removeEventListener.apply(signal, args);
  };
  return () => signal.aborted ? 0 : listeners.size;
}
