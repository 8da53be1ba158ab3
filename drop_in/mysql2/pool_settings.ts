/**
 * Converts the options of mysql2's pool to the engine's.
 *
 * @module
 */

import type { EngineOptions } from "../../engine/options.ts";
import type { PoolLimits } from "../../pool/contract.ts";
import { LIMIT_NAMES, type Mysql2PoolLimits, type Pinned, type PoolConfig } from "./module.ts";
import {
  defaultTimeoutMs,
  dnsPoolOptions,
  type RawOptions,
  readNumber,
  toSeconds,
} from "../shared/options.ts";

/** Range of the engine's idle timeout, in seconds. It is finite, so that the pool looks for connections above `maxIdle`. */
const MIN_IDLE_TIMEOUT = 0.001;
const MAX_IDLE_TIMEOUT = 1e9;

/** Picks the limits that mysql2 does not have. */
function limitsOf(given: RawOptions): Mysql2PoolLimits {
  const names = LIMIT_NAMES.filter((name) => given[name] !== undefined);
  return Object.fromEntries(names.map((name) => [name, given[name]]));
}

/**
 * Checks the numbers among the options. mysql2 itself would replace one that is not a number by the default.
 *
 * @param given The options.
 * @throws {TypeError} if one of them is not a number.
 * @throws {RangeError} if a number is outside its range.
 */
export function checkNumbers(given: RawOptions): void {
  const units = {
    connectionLimit: "connections",
    maxIdle: "connections",
    idleTimeout: "milliseconds",
    queueLimit: "callers",
    connectTimeout: "milliseconds",
  };
  for (const [name, unit] of Object.entries(units)) readNumber(given, name, unit);
}

/** Returns whether idle connections are ever closed: in mysql2, only if `maxIdle` is below `connectionLimit`. */
function closesIdle({ maxIdle, connectionLimit }: PoolConfig): boolean {
  return maxIdle < connectionLimit;
}

function clampIdle(seconds: number): number {
  return Math.min(Math.max(seconds, MIN_IDLE_TIMEOUT), MAX_IDLE_TIMEOUT);
}

/**
 * Returns how mysql2 reads the limits that may be changed at any time.
 *
 * @param config The options as mysql2 reads them at first.
 */
export function readLimits(
  config: PoolConfig,
): Record<"connectionLimit" | "maxIdle", (value: unknown) => Partial<PoolLimits>> {
  const closes = closesIdle(config);
  return {
    connectionLimit: (value) => ({ poolSize: Number(value) || Infinity }),
    maxIdle: (value) => ({ maxIdle: closes ? Number(value) : Infinity }),
  };
}

/**
 * Converts the options.
 *
 * @param given The options as they were given.
 * @param config The options as mysql2 reads them.
 * @returns The engine's options.
 */
export function engineOptions(given: RawOptions, config: PoolConfig): EngineOptions<Pinned> {
  const { connectionLimit, idleTimeout, connectionConfig } = config;
  const { connectTimeout, enableKeepAlive } = connectionConfig;
  const poolTimeout = given.poolTimeout ?? defaultTimeoutMs(given) / 1000;
  return {
    poolUseLifo: true,
    poolResetOnReturn: null,
    connectConcurrency: Infinity,
    // Without a timeout, a caller would never learn of the failure.
    connectRetry: poolTimeout !== Infinity,
    ...dnsPoolOptions(given),
    ...limitsOf(given),
    poolTimeout: poolTimeout as number,
    poolSize: connectionLimit,
    maxOverflow: 0,
    idleTimeout: closesIdle(config) ? clampIdle(idleTimeout / 1000) : Infinity,
    ...(connectTimeout > 0 && { connectTimeout: toSeconds(connectTimeout).connectTimeout }),
    ...(!enableKeepAlive && { connectArgs: { enableKeepAlive: false } }),
  } as EngineOptions<Pinned>;
}
