/**
 * A pool's counters, as drivers count, and its limits, which drivers read at each call.
 *
 * @module
 */

import type { PoolCounts } from "../../errors.ts";
import { DnsEngine } from "../../engine/dns_engine.ts";
import type { Engine } from "../../engine.ts";
import type { PoolLimits } from "../../pool/contract.ts";

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

/**
 * Returns whether the next caller must wait for a connection to be released.
 *
 * @param counts The counters of a pool without overflow.
 */
export function isFull(counts: Omit<PoolCounts, "maxOverflow">): boolean {
  const { idle, waiting, retired, poolSize } = counts;
  return idle <= waiting && driverCounts(counts).total - retired >= poolSize;
}

/**
 * Lets assignments to properties of a driver's options change limits of an engine's pool.
 *
 * @param options The options.
 * @param engine The engine.
 * @param readers Read the limits, by the name of the property.
 */
export function followLimits<C>(
  options: object,
  engine: Engine<C>,
  readers: Readonly<Record<string, (value: unknown) => Partial<PoolLimits>>>,
): void {
  for (const [name, read] of Object.entries(readers)) {
    let value = (options as Record<string, unknown>)[name];
    Object.defineProperty(options, name, {
      configurable: true,
      enumerable: true,
      get: () => value,
      set(next: unknown) {
        value = next;
        DnsEngine.changeLimits(engine, read(next));
      },
    });
  }
}
