/**
 * Simulated time for the whole process: both clocks and the timers advance in steps of a millisecond, as soon as the
 * work of each step is done. Efficient with many thousands of timers.
 *
 * @module
 */

import { setImmediate } from "node:timers";

/** The clock of a simulation. */
export interface SimulatedTime {
  /** Milliseconds since the start of the simulation. */
  readonly nowMs: number;
  /** Waits in simulated time. */
  pause(ms: number): Promise<void>;
  /** Advances the time and runs the timers that become due. */
  advance(ms: number): Promise<void>;
  /** Restores the real clocks. */
  restore(): void;
}

interface Entry {
  callback: (() => void) | undefined;
}

/** Replaces the clocks and the timers of this process. */
export function simulateTime(): SimulatedTime {
  const real = { setTimeout, clearTimeout, now: performance.now, date: Date.now };
  const wallStartMs = real.date();
  /** Timers by the millisecond at which they are due. */
  const due = new Map<number, Entry[]>();
  let nowMs = 0;
  const set = (callback: (...args: unknown[]) => void, delayMs = 0, ...args: unknown[]) => {
    const entry: Entry = { callback: () => callback(...args) };
    const atMs = Math.max(Math.ceil(nowMs + delayMs), nowMs);
    const others = due.get(atMs);
    if (others) others.push(entry);
    else due.set(atMs, [entry]);
    return Object.assign(entry, { ref() {}, unref() {} });
  };
  const clear = (entry: Entry | undefined) => {
    if (entry) entry.callback = undefined;
  };
  Object.assign(globalThis, { setTimeout: set, clearTimeout: clear });
  performance.now = () => nowMs;
  Date.now = () => wallStartMs + nowMs;
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

  return {
    get nowMs() {
      return nowMs;
    },
    pause: (ms) => new Promise((resolve) => void set(() => resolve(), ms)),
    async advance(ms) {
      for (const untilMs = nowMs + ms; nowMs <= untilMs; nowMs++) {
        for (let entries = due.get(nowMs); entries; entries = due.get(nowMs)) {
          due.delete(nowMs);
          for (const { callback } of entries) callback?.();
          await settle();
        }
      }
      nowMs--;
    },
    restore() {
      Object.assign(globalThis, { setTimeout: real.setTimeout, clearTimeout: real.clearTimeout });
      performance.now = real.now;
      Date.now = real.date;
    },
  };
}
