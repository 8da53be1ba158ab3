/**
 * A pool's counters, as drivers count.
 *
 * @module
 */

import type { PoolCounts } from "../../errors.ts";

/** Counters of a driver's pool. */
export interface DriverCounts {
  /** Number of connections that are open, being opened, or will be opened as soon as there is a DNS answer. */
  readonly total: number;
  /** Number of idle connections. */
  readonly idle: number;
  /** Number of callers waiting for a connection to be released. */
  readonly waiting: number;
}

/**
 * Converts the engine's counters. A waiter for which a connection is idle, or is or will be opened, does not count as
 * waiting: a driver's pool would have begun to open that connection at once.
 *
 * @param counts The counters of a pool without overflow.
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
