/**
 * A pool's numbers, as drivers count.
 *
 * @module
 */

import type { PoolCounts } from "../../errors.ts";

/** A driver's numbers. */
export interface DriverCounts {
  /** Connections that are open, being opened, or will be as soon as an answer is there. */
  readonly total: number;
  /** Connections that are idle. */
  readonly idle: number;
  /** Callers that wait for a connection of somebody else's. */
  readonly waiting: number;
}

/**
 * The numbers of a pool without overflow.
 *
 * @param counts The engine's numbers.
 */
export function driverCounts(
  { poolSize, inUse, retired, idle, connecting, waiting }: Omit<PoolCounts, "maxOverflow">,
): DriverCounts {
  const room = poolSize - (inUse - retired) - idle - connecting;
  const starting = Math.max(0, Math.min(waiting - connecting - idle, room));
  return {
    total: inUse + idle + connecting + starting,
    idle,
    waiting: Math.max(0, waiting - connecting - starting - idle),
  };
}
