/**
 * The options of mysql2's pool, in the engine's terms.
 *
 * @module
 */

import type { EngineOptions } from "../../engine/options.ts";
import { LIMITS, type Mysql2PoolLimits, type Pinned, type PoolConfig } from "./module.ts";
import { asWait, dnsPoolOptions, type Given, numberAmong } from "../shared/options.ts";

/** Where a role is wanted, somebody has to wait for it: so many seconds at most, unless it is said how long. */
const ROLE_TIMEOUT = 30;
/** The shortest time, in seconds, that the engine lets a connection be idle. */
const SHORTEST_IDLE = 0.001;

/** The options that only pools of mysql2 have. */
function limitsOf(given: Given): Mysql2PoolLimits {
  const names = LIMITS.filter((name) => given[name] !== undefined);
  return Object.fromEntries(names.map((name) => [name, given[name]]));
}

/**
 * Checks the numbers among the options, which mysql2 would replace by its defaults where they are none.
 *
 * @param given The options.
 * @throws {TypeError} for what is no number.
 * @throws {RangeError} for a number out of bounds.
 */
export function checkNumbers(given: Given): void {
  const units = {
    connectionLimit: "connections",
    maxIdle: "connections",
    idleTimeout: "milliseconds",
    queueLimit: "callers",
    connectTimeout: "milliseconds",
  };
  for (const [name, unit] of Object.entries(units)) numberAmong(given, name, { min: 0, unit });
}

/** Whether idle connections are ever closed: mysql2 closes none unless `maxIdle` is below `connectionLimit`. */
export function trims({ maxIdle, connectionLimit }: PoolConfig): boolean {
  return maxIdle < connectionLimit;
}

/**
 * What the engine is to do.
 *
 * @param given The options.
 * @param config What mysql2 made of them.
 * @returns The engine's options.
 */
export function engineOptions(given: Given, config: PoolConfig): EngineOptions<Pinned> {
  const { connectionLimit, idleTimeout, connectionConfig } = config;
  const { connectTimeout, enableKeepAlive } = connectionConfig;
  const wantsRole = given.targetSessionAttrs !== undefined && given.targetSessionAttrs !== "any";
  const poolTimeout = given.poolTimeout ?? (wantsRole ? ROLE_TIMEOUT : Infinity);
  return {
    poolUseLifo: true,
    poolResetOnReturn: null,
    // A wait without an end would never tell of the failure.
    connectRetry: poolTimeout !== Infinity,
    ...dnsPoolOptions(given),
    ...limitsOf(given),
    poolTimeout: poolTimeout as number,
    poolSize: connectionLimit,
    maxOverflow: 0,
    idleTimeout: trims(config) ? Math.max(idleTimeout / 1000, SHORTEST_IDLE) : Infinity,
    ...(connectTimeout > 0 && { connectTimeout: asWait(connectTimeout).attempt }),
    ...(!enableKeepAlive && { connectArgs: { enableKeepAlive: false } }),
  } as EngineOptions<Pinned>;
}
