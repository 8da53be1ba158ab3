/**
 * Options of a driver's own pool with some of dnspool's among them: separates the two, and reads the driver's options
 * that a drop-in has to understand.
 *
 * @module
 */

import { type LibpqOptionNames, refuseLibpq } from "../../adapters/shared/libpq.ts";
import { mustBe, mustNotBeGiven, unknownName } from "../../internal/argument_error.ts";
import { checkNumber, MAX_TIMEOUT } from "../../internal/option_reader.ts";
import type { DnsOptions, EngineOptions } from "../../engine/options.ts";
import { describeHost, type HostKind } from "./host_kind.ts";

/** Options of a drop-in beside those of the pool that it replaces. Durations are in seconds. */
export interface DnsPoolOptions extends
  DnsOptions,
  Pick<
    EngineOptions,
    | "dnsRefresh"
    | "dnsSrv"
    | "dnsSrvTlsName"
    | "dnsAddressLinger"
    | "loadBalance"
    | "targetSessionAttrs"
    | "retireGrace"
    | "probeTimeout"
    | "leaseProbeAfter"
    | "leaseWarnAfter"
    | "leaseTimeout"
    | "connectRetry"
    | "connectConcurrency"
    | "connectStagger"
    | "credentials"
    | "poolPrePing"
    | "prePingAfter"
    | "poolResetOnReturn"
    | "echoPool"
    | "logger"
    | "poolLoggingName"
  > {}

/** Names of dnspool's options: a record, so that the compiler reports one that is missing. */
const NAMES: Readonly<Record<keyof DnsPoolOptions, true>> = {
  dnsTimeout: true,
  dnsNameservers: true,
  dnsHosts: true,
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
  dnsSrv: true,
  dnsSrvTlsName: true,
  dnsAddressLinger: true,
  loadBalance: true,
  targetSessionAttrs: true,
  retireGrace: true,
  probeTimeout: true,
  leaseProbeAfter: true,
  leaseWarnAfter: true,
  leaseTimeout: true,
  connectRetry: true,
  connectConcurrency: true,
  connectStagger: true,
  credentials: true,
  poolPrePing: true,
  prePingAfter: true,
  poolResetOnReturn: true,
  echoPool: true,
  logger: true,
  poolLoggingName: true,
};

/**
 * The other options of an engine, with the reason why a drop-in refuses each; a driver's own option of that name is the
 * driver's. A record, so that the compiler reports one that is missing.
 */
const ENGINE_ONLY: Readonly<Record<Exclude<keyof EngineOptions, keyof DnsPoolOptions>, string>> = {
  adapter: "the driver is the module that the drop-in was given",
  connectArgs: "give the driver's options beside dnspool's",
  connectTimeout: "give the driver's own timeout",
  echo: 'statements do not go through the engine, use "echoPool" for connections',
  hideParameters: "statements do not go through the engine",
  hooks: "use the events of the driver's pool",
  idleTimeout: "give the driver's own timeout",
  isolationLevel: "set it in the transaction, or as the default of the database or the user",
  keepAlive: "give the driver's own option",
  loggingName: 'use "poolLoggingName"',
  maxOverflow: "it is part of the driver's own limit",
  maxUses: "the driver has no such option",
  minIdle: "the driver has no such option",
  minSize: "the driver has no such option",
  observer: "use the events of the driver's pool",
  plugins: "they change the options of getDnsEngine()",
  poolClass: "the pool is the driver's",
  poolRecycle: "the driver has no such option",
  poolSize: "give the driver's own limit",
  poolTimeout: "give the driver's own timeout",
  poolUseLifo: "the order is that of the driver's pool",
};

/** No driver has an option with such a name, so an unknown one is a misspelt option of dnspool. */
const LIKE_DNSPOOL = /^dns[A-Z]/;

/** Options as the caller gave them. */
export type RawOptions = Readonly<Record<string, unknown>>;

/** Returns whether an option is one of dnspool's, or a misspelt one. */
export function isDnsPoolOption(name: string): boolean {
  return Object.hasOwn(NAMES, name) || LIKE_DNSPOOL.test(name);
}

/**
 * Picks dnspool's options.
 *
 * @param given The driver's options and dnspool's.
 * @returns Those for the engine.
 * @throws {TypeError} if a name begins with `dns` and is not an option.
 */
export function dnsPoolOptions(given: RawOptions): DnsPoolOptions {
  const names = Object.keys(given).filter(isDnsPoolOption);
  for (const name of names) checkName(name);
  return Object.fromEntries(names.map((name) => [name, given[name]]));
}

/**
 * Checks that all options are dnspool's.
 *
 * @param options The options.
 * @returns The same.
 * @throws {TypeError} if one is not dnspool's.
 */
export function checkDnsPoolOptions(options: DnsPoolOptions): DnsPoolOptions {
  Object.keys(options).forEach(checkName);
  return options;
}

function checkName(name: string): void {
  if (Object.hasOwn(NAMES, name)) return;
  throw unknownName(name, "an option of dnspool", Object.keys(NAMES).sort());
}

/** Copies options, with a password that the driver or a library made non-enumerable. */
export function copyOptions(given: RawOptions): Record<string, unknown> {
  return { ...given, ...("password" in given && { password: given.password }) };
}

/**
 * Picks the options that are not dnspool's.
 *
 * @param given The driver's options and dnspool's.
 * @returns Those for the driver.
 * @throws {TypeError} if a name begins with `dns` and is not an option.
 */
export function driverOptions(given: RawOptions): Record<string, unknown> {
  const ours = dnsPoolOptions(given);
  return Object.fromEntries(Object.entries(given).filter(([name]) => !(name in ours)));
}

/**
 * Refuses options by name.
 *
 * @param given The options.
 * @param reasons The reason for each option that is refused.
 * @throws {TypeError} if one of them is given.
 */
export function refuseOptions(given: RawOptions, reasons: Readonly<Record<string, string>>): void {
  for (const [name, reason] of Object.entries(reasons)) {
    if (given[name] !== undefined) throw mustNotBeGiven(name, reason);
  }
}

/**
 * Refuses what neither the driver nor dnspool would obey: options of an engine, and parameters of libpq among the
 * options or in the connection string.
 *
 * @param given The options.
 * @param how `own`: the driver's options that are named as one of an engine's; `uri`: the connection string, if there
 *   is one; `obeyed`: the parameters of libpq that the driver obeys, among the options and in the connection string;
 *   `options`: the options that the reasons name.
 * @throws {TypeError} for the first one.
 */
export function refuseIgnored(
  given: RawOptions,
  { own, uri, obeyed, options }: {
    readonly own: readonly string[];
    readonly uri: unknown;
    readonly obeyed: { readonly asOption: readonly string[]; readonly inUri: readonly string[] };
    readonly options: LibpqOptionNames;
  },
): void {
  const reasons = Object.entries(ENGINE_ONLY).filter(([name]) => !own.includes(name));
  refuseOptions(given, Object.fromEntries(reasons));
  const names = Object.keys(given).filter((name) => given[name] !== undefined);
  refuseLibpq(names, { obeyed: obeyed.asOption, nameOf: (name) => name, options });
  const nameOf = (name: string) => `${name} in the connection string`;
  refuseLibpq(paramNames(uri), { obeyed: obeyed.inUri, nameOf, options });
}

/** A URI with a password; with several hosts, it is none for `URL`. */
const PASSWORD_IN_URI = /^[a-z][a-z\d+.-]*:\/\/[^/?#:@]*:[^/?#]+@/i;

/**
 * Refuses a password beside the option `credentials`, which gives it.
 *
 * @param given The options.
 * @param uri The connection string, if there is one.
 * @throws {TypeError} if there are both.
 */
export function refusePassword(given: RawOptions, uri: unknown): void {
  if (given.credentials === undefined) return;
  const reason = 'the option "credentials" gives it';
  for (const name of ["password", "pass", "password1", "passwordSha1"]) {
    if (given[name] !== undefined && given[name] !== null) throw mustNotBeGiven(name, reason);
  }
  if (typeof uri === "string" && PASSWORD_IN_URI.test(uri)) {
    throw mustNotBeGiven("password in the connection string", reason);
  }
}

/** Returns the names of the parameters in a connection string; none if the driver gets to refuse it. */
export function paramNames(uri: unknown): string[] {
  if (typeof uri !== "string" || !uri.includes("?")) return [];
  return [...new URLSearchParams(uri.slice(uri.indexOf("?") + 1)).keys()];
}

/** Options that need an engine. */
const NEED_ENGINE = [
  "allowAddress",
  "credentials",
  "targetSessionAttrs",
  "loadBalance",
  "poolPrePing",
  "poolTimeout",
  "poolRecycle",
];

/**
 * Refuses options that need an engine, for a pool that is the driver's own. A value that asks for nothing is allowed.
 *
 * @param given The options.
 * @param kind The kind of the host, which is the reason.
 * @throws {TypeError} if one of them is given.
 */
export function refuseWithoutEngine(given: RawOptions, kind: HostKind): void {
  for (const name of NEED_ENGINE) {
    const value = given[name];
    if (value === undefined || value === "any" || value === false) continue;
    throw mustNotBeGiven(name, `DNS is not followed for a host that ${describeHost(kind)}`);
  }
}

/**
 * Reads a number among a driver's options. As in the driver, it may be a string of digits, which is how it comes from
 * the environment.
 *
 * @param given The options.
 * @param name The option's name.
 * @param unit The unit of the number, such as `milliseconds`.
 * @returns The number; `undefined` if the option is missing, `null`, `false` or empty.
 * @throws {TypeError} if it is not a number.
 * @throws {RangeError} if it is negative.
 */
export function readNumber(given: RawOptions, name: string, unit: string): number | undefined {
  const value = given[name];
  if (value === undefined || value === null || value === false || value === "") return undefined;
  const number = typeof value === "string" ? Number(value) : value;
  return checkNumber(name, Number.isNaN(number) ? value : number, { min: 0, infinite: true, unit });
}

/**
 * Reads a function among a driver's options.
 *
 * @param given The options.
 * @param name The option's name.
 * @returns The function; `undefined` if the option is missing or falsy.
 * @throws {TypeError} if it is not a function.
 */
// deno-lint-ignore no-explicit-any -- the caller of the function knows the arguments
export function readFunction<F extends (...args: any[]) => unknown>(
  given: RawOptions,
  name: string,
): F | undefined {
  const value = given[name];
  if (!value) return undefined;
  if (typeof value === "function") return value as F;
  throw mustBe(name, "a function", value);
}

/** Timeout of the wait for a server with the role that `targetSessionAttrs` asks for, if no other is given. */
export const ROLE_TIMEOUT_MS = 30_000;

/** Returns the default timeout of a checkout, in milliseconds: none, unless the server must have a role. */
export function defaultTimeoutMs({ targetSessionAttrs: role }: RawOptions): number {
  return role === undefined || role === "any" ? Infinity : ROLE_TIMEOUT_MS;
}

/** Converts a driver's timeout in milliseconds to the engine's, in seconds, which are at most an hour. */
export function toSeconds(ms: number): { poolTimeout: number; connectTimeout: number } {
  const seconds = ms / 1000;
  return {
    poolTimeout: seconds > MAX_TIMEOUT ? Infinity : seconds,
    connectTimeout: Math.min(seconds, MAX_TIMEOUT),
  };
}
