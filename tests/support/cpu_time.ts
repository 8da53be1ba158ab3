/**
 * The CPU time of a function: unlike its duration, it is about the same on a busy machine.
 *
 * @module
 */

import process from "node:process";

/** Returns the CPU time of a function, in milliseconds. */
export function cpuTimeOf(run: () => unknown): number {
  const start = used();
  run();
  return (used() - start) / 1000;
}

/** The CPU time so far, of this thread if the runtime tells; in microseconds. */
function used(): number {
  const { threadCpuUsage = process.cpuUsage } = process as unknown as {
    threadCpuUsage?: () => { user: number; system: number };
  };
  const { user, system } = threadCpuUsage.call(process);
  return user + system;
}
