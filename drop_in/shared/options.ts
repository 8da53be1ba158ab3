/**
 * Options of a driver's own pool, with some of dnspool's among them: telling them apart, and reading those that a
 * drop-in has to understand.
 *
 * @module
 */

import { nearest, show } from "../../internal/argument_error.ts";
import type { DnsOptions, EngineOptions } from "../../engine/options.ts";

/** What a drop-in takes besides the options of the pool whose place it takes. Durations are in seconds. */
export interface DnsPoolOptions extends
  DnsOptions,
  Pick<
    EngineOptions,
    | "dnsRefresh"
    | "dnsAddressLinger"
    | "loadBalance"
    | "targetSessionAttrs"
    | "retireGrace"
    | "probeTimeout"
    | "leaseProbeAfter"
    | "leaseWarnAfter"
    | "connectRetry"
    | "connectConcurrency"
    | "poolPrePing"
    | "prePingAfter"
    | "poolResetOnReturn"
    | "echoPool"
    | "logger"
    | "poolLoggingName"
  > {}

/** Their names: a record, so that the compiler misses the one that is not listed. */
const NAMES: Readonly<Record<keyof DnsPoolOptions, true>> = {
  dnsTimeout: true,
  dnsNameservers: true,
  dnsGraceTtl: true,
  dnsExtendGrace: true,
  dnsMaxStale: true,
  dnsFallback: true,
  dnsMaxRetries: true,
  dnsMinTtl: true,
  dnsMaxTtl: true,
  dnsFamily: true,
  dnsLookup: true,
  allowAddress: true,
  dnsRefresh: true,
  dnsAddressLinger: true,
  loadBalance: true,
  targetSessionAttrs: true,
  retireGrace: true,
  probeTimeout: true,
  leaseProbeAfter: true,
  leaseWarnAfter: true,
  connectRetry: true,
  connectConcurrency: true,
  poolPrePing: true,
  prePingAfter: true,
  poolResetOnReturn: true,
  echoPool: true,
  logger: true,
  poolLoggingName: true,
};

/** What no driver has an option for, so that a slip is noticed. */
const LIKE_OURS = /^dns[A-Z]/;

/** Options as they come from outside. */
export type Given = Readonly<Record<string, unknown>>;

/** Whether an option is dnspool's, or meant to be. */
export function isOurs(name: string): boolean {
  return Object.hasOwn(NAMES, name) || LIKE_OURS.test(name);
}

/**
 * The options that are dnspool's.
 *
 * @param given All options.
 * @returns Those for the engine.
 * @throws {TypeError} for one that begins with `dns` and is none.
 */
export function dnsPoolOptions(given: Given): DnsPoolOptions {
  const names = Object.keys(given).filter(isOurs);
  for (const name of names) if (!Object.hasOwn(NAMES, name)) throw noSuchOption(name);
  return Object.fromEntries(names.map((name) => [name, given[name]]));
}

/**
 * Checks options that can be dnspool's only.
 *
 * @param options All of them.
 * @returns The same.
 * @throws {TypeError} for one that is not dnspool's.
 */
export function checkDnsPoolOptions(options: DnsPoolOptions): DnsPoolOptions {
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(NAMES, name)) throw noSuchOption(name);
  }
  return options;
}

function noSuchOption(name: string): TypeError {
  const offered = Object.keys(NAMES).sort();
  const near = nearest(name, offered);
  const hint = near ? `, did you mean "${near}"?` : `; dnspool's are ${offered.join(", ")}`;
  return new TypeError(`Cannot use the option "${name}": there is no such option${hint}`);
}

/** A copy, with what drivers and libraries hide from view. */
export function copyOptions(given: Given): Record<string, unknown> {
  return { ...given, ...("password" in given && { password: given.password }) };
}

/**
 * The options that are not dnspool's.
 *
 * @param given All options.
 * @returns Those for the driver.
 */
export function driverOptions(given: Given): Record<string, unknown> {
  const ours = dnsPoolOptions(given);
  return Object.fromEntries(Object.entries(given).filter(([name]) => !(name in ours)));
}

/**
 * Refuses options by name, with the reason.
 *
 * @param given All options.
 * @param reasons Why each makes no sense here.
 * @throws {TypeError} for the first that is given.
 */
export function refuseOptions(given: Given, reasons: Readonly<Record<string, string>>): void {
  for (const [name, why] of Object.entries(reasons)) {
    if (given[name] === undefined) continue;
    throw new TypeError(`Cannot use the option "${name}": ${why}`);
  }
}

/** What only an engine can do. */
const NEEDS_ENGINE = [
  "allowAddress",
  "targetSessionAttrs",
  "loadBalance",
  "poolPrePing",
  "poolTimeout",
  "poolRecycle",
];

/**
 * Refuses what only an engine can do, where the pool is the driver's own.
 *
 * @param given All options.
 * @param kind What the host is.
 * @throws {TypeError} for the first that is given.
 */
export function refuseWithoutEngine(given: Given, kind: string): void {
  for (const name of NEEDS_ENGINE) {
    if (given[name] === undefined || given[name] === "any" || given[name] === false) continue;
    throw new TypeError(
      `Cannot use the option "${name}" with a host that is a ${kind}: DNS is not followed there`,
    );
  }
}

/**
 * A number among a driver's options, whose pools take a text of digits as well (it may come from the environment).
 *
 * @param given All options.
 * @param name Which one.
 * @param bounds `min`: the smallest allowed; `unit`: what it counts.
 * @returns The number; `undefined` where the option is missing, `null`, `false` or empty.
 * @throws {TypeError} where it is no number.
 * @throws {RangeError} where it is out of bounds.
 */
export function numberAmong(
  given: Given,
  name: string,
  { min, unit }: { min: number; unit: string },
): number | undefined {
  const value = given[name];
  if (value === undefined || value === null || value === false || value === "") return undefined;
  const number = typeof value === "string" ? Number(value) : value;
  const wanted = `it is a number of ${unit} from ${min}`;
  if (typeof number !== "number" || Number.isNaN(number)) {
    throw new TypeError(`Cannot use ${show(value)} for "${name}": ${wanted}`);
  }
  if (number < min) throw new RangeError(`Cannot use ${number} for "${name}": ${wanted}`);
  return number;
}

/** Seconds that an option of the engine may be, from milliseconds that a driver's option may be. */
export function asWait(ms: number): { wait: number; attempt: number } {
  const seconds = ms / 1000;
  return { wait: seconds > 3600 ? Infinity : seconds, attempt: Math.min(seconds, 3600) };
}
