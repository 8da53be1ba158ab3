/**
 * Converts the options of mariadb's pool to the engine's.
 *
 * @module
 */

import type { EngineOptions } from "../../engine/options.ts";
import { outOfRange } from "../../internal/argument_error.ts";
import { type DnsPoolOptions, type RawOptions, readNumber, toSeconds } from "../shared/options.ts";
import type { Pinned, PoolOptions } from "./module.ts";
import { ownOptions } from "./options.ts";

/**
 * Checks the numbers among the options. mariadb itself accepts those with which no caller would ever be served.
 *
 * @param given The options.
 * @throws {TypeError} if one of them is not a number.
 * @throws {RangeError} if a number is outside its range.
 */
export function checkNumbers(given: RawOptions): void {
  const units = {
    connectionLimit: "connections",
    minimumIdle: "connections",
    idleTimeout: "seconds",
    acquireTimeout: "milliseconds",
    initializationTimeout: "milliseconds",
    minDelayValidation: "milliseconds",
    pingTimeout: "milliseconds",
    leakDetectionTimeout: "milliseconds",
    connectTimeout: "milliseconds",
  };
  for (const [name, unit] of Object.entries(units)) readNumber(given, name, unit);
  const { connectionLimit } = given;
  if (connectionLimit === undefined || Number(connectionLimit) >= 1) return;
  throw outOfRange("connectionLimit", "at least 1", connectionLimit);
}

/**
 * Converts the options.
 *
 * @param module dnspool's options for all pools of the module.
 * @param given The options as they were given.
 * @param options The options as mariadb reads them.
 * @returns The engine's options.
 */
export function engineOptions(
  module: DnsPoolOptions,
  given: RawOptions,
  options: PoolOptions,
): EngineOptions<Pinned> {
  const { acquireTimeout, connectionLimit, idleTimeout, minimumIdle, minDelayValidation } = options;
  const { connectTimeout } = options.connOptions;
  const { poolRecycle } = given;
  return {
    poolResetOnReturn: null,
    poolPrePing: true,
    prePingAfter: minDelayValidation / 1000,
    // As in mariadb, one connection is opened after the other.
    connectConcurrency: 1,
    ...ownOptions(module, given),
    ...(poolRecycle !== undefined && { poolRecycle }),
    poolTimeout: toSeconds(acquireTimeout).poolTimeout,
    poolSize: connectionLimit,
    maxOverflow: 0,
    minSize: minimumIdle,
    idleTimeout: idleTimeout > 0 ? idleTimeout : Infinity,
    ...(connectTimeout > 0 && { connectTimeout: toSeconds(connectTimeout).connectTimeout }),
  } as EngineOptions<Pinned>;
}
