/**
 * Resolves host names, with a cache by TTL: one query at a time for a name, a query ahead of expiry, and a stale
 * answer if resolution fails.
 *
 * @module
 */

import { ageClock } from "./internal/clock.ts";
import { canonicalHost, checkHost } from "./internal/host_name.ts";
import type { Alias } from "./lookups/lookup.ts";
import { staticAddresses } from "./lookups/static.ts";
import { closeIdleConnections } from "./lookups/internal/kept_connection.ts";
import { lookupByName } from "./lookups/system.ts";
import { clearCache, viewOf } from "./resolver/cache.ts";
import { type DnsOptions, type DnsSettings, readDnsOptions } from "./resolver/options.ts";
import { resolveName } from "./resolver/resolution.ts";
import type { View } from "./resolver/view.ts";

export type { AddressChange, AnswerStatus, Watcher } from "./resolver/answer_source.ts";
export { servicesViewOf, viewOf } from "./resolver/cache.ts";
export type { View } from "./resolver/view.ts";

/** Options of {@linkcode getIpWithTtl}. */
export interface GetIpOptions extends DnsOptions {
  /** Ends the wait: the promise is rejected with the signal's reason. */
  signal?: AbortSignal;
}

/**
 * Returns the first address of a host name, and for how many seconds it may be used.
 *
 * A fresh answer in the cache is returned without a query. An expired one waits for a query, one for all callers. If
 * resolution fails, or takes longer than 1.8 seconds, the stale answer may be used for the grace period, and the
 * seconds are what is left of that. The cache is shared with engines of the same settings. An IP address or `localhost`
 * is its own answer, good for `dnsMaxTtl`.
 *
 * @param host A host name or an IP address. Upper and lower case are the same; a trailing dot leaves search domains out.
 * @param options How to resolve; the same names and defaults as in `getDnsEngine`.
 * @returns The address, and the number of whole seconds, rounded up.
 * @throws {TypeError} if the host or an option is not valid.
 * @throws {RangeError} if a number is outside its range.
 * @throws {ResolveError} if there is no answer, and no stale one that may be used.
 *
 * @example
 * ```ts
 * import { getIpWithTtl } from "@dnspool/dnspool";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await getIpWithTtl("127.0.0.1"), ["127.0.0.1", 300]);
 * ```
 */
export function getIpWithTtl(
  host: string,
  options: GetIpOptions = NO_OPTIONS,
): Promise<[ip: string, ttlSeconds: number]> {
  const view = viewsOf(options)?.get(host);
  const nowMs = ageClock();
  if (view && nowMs < view.freshUntilMs) {
    view.wasUsed = true;
    return Promise.resolve(firstOf(view, nowMs));
  }
  return resolve(host, options);
}

/**
 * Forgets every answer and every failure. A query that began before does not fill the cache again; callers that wait
 * for it wait for another one. Engines keep their connections and ask again: at once if they keep their answer fresh,
 * else at their next checkout. Connections of DNS over HTTPS without a question are closed.
 *
 * @example
 * ```ts
 * import { clearDnsCache } from "@dnspool/dnspool";
 *
 * clearDnsCache();
 * ```
 */
export function clearDnsCache(): void {
  clearCache();
  closeIdleConnections();
}

/** Timeout of {@linkcode resolveByWire}, whose answer is good to know, but not needed. */
const MAX_WIRE_MS = 3000;

/**
 * Asks once with the lookup `"wire"`, which knows the TTL of the whole CNAME chain. Nothing is cached.
 *
 * @param host A host name.
 * @param settings How to resolve it; the lookup and the fallback have no effect.
 * @param signal Ends the query.
 * @returns The TTL and the chain; `undefined` without an answer, or without the permission to ask.
 */
export async function resolveByWire(
  host: string,
  settings: DnsSettings,
  signal: AbortSignal,
): Promise<{ readonly ttl: number; readonly chain: readonly Alias[] } | undefined> {
  try {
    const { ttl, details: { chain } } = await resolveName({
      name: canonicalHost(host),
      family: settings.family,
      lookup: lookupByName("wire"),
      servers: settings.nameservers,
      rounds: 1,
      timeoutMs: Math.min(settings.timeoutMs, MAX_WIRE_MS),
      dnsTimeoutMs: Infinity,
      previous: undefined,
      trustNegative: false,
      fallback: undefined,
      signal,
    });
    return ttl === undefined || !chain ? undefined : { ttl, chain };
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

const NO_OPTIONS: GetIpOptions = Object.freeze({});

/** Maximum number of hosts that are remembered for an options object, without those in use. */
const MAX_HOSTS = 1000;

/** The views that an options object led to, by host; and what was in the options then. */
interface KnownOptions {
  readonly names: readonly string[];
  readonly values: readonly unknown[];
  readonly views: Map<string, View>;
  /** Number of views from which those that are not in use are forgotten. */
  limit: number;
}

/**
 * Reading the options and computing the cache key takes about twenty times as long as the rest of a cache hit. So the
 * views that an options object led to are remembered for as long as nothing in it is changed.
 */
const knownOptions: WeakMap<object, KnownOptions> = new WeakMap();

/** Not an async function, whose state would be kept for as long as thousands of callers wait. */
function resolve(host: string, options: GetIpOptions): Promise<[string, number]> {
  try {
    const { settings, signal } = readDnsOptions(options, "getIpWithTtl");
    const name = canonicalHost(checkHost(host));
    const fixed = staticAddresses(name, settings.family);
    if (fixed) return Promise.resolve([fixed[0]!, Math.ceil(settings.maxTtlMs / 1000)]);
    const view = viewOf(host, settings);
    remember(view, host, options);
    if (view.isFresh()) return Promise.resolve(firstOf(view, ageClock()));
    return view.waitUntilFresh(signal).then(() => firstOf(view, ageClock()));
  } catch (error) {
    return Promise.reject(error);
  }
}

function remember(view: View, host: string, options: GetIpOptions): void {
  let known = viewsOf(options) && knownOptions.get(options);
  if (!known) {
    const names = Object.keys(options) as (keyof GetIpOptions)[];
    const values = names.map((name) => {
      const value = options[name];
      // An array may be changed and stay the same object.
      return Array.isArray(value) ? [...value] : value;
    });
    known = { names, values, views: new Map(), limit: MAX_HOSTS };
    knownOptions.set(options, known);
  }
  const { views } = known;
  if (views.size >= known.limit) {
    for (const [host, view] of views) if (!view.isInUse) views.delete(host);
    known.limit = Math.max(MAX_HOSTS, 2 * views.size);
  }
  views.set(host, view);
}

/** Returns the views that an options object led to, unless it was changed since. */
function viewsOf(options: GetIpOptions): Map<string, View> | undefined {
  const known = knownOptions.get(options);
  if (!known) return undefined;
  const { names, values, views } = known;
  let count = 0;
  for (const name in options) {
    const value = options[name as keyof GetIpOptions];
    if (name !== names[count] || value !== values[count] && !isSameArray(value, values[count])) {
      return undefined;
    }
    count++;
  }
  return count === names.length ? views : undefined;
}

function isSameArray(value: unknown, known: unknown): boolean {
  return Array.isArray(value) && Array.isArray(known) && value.length === known.length &&
    value.every((element, index) => element === known[index]);
}

/** Seconds by which differences of clock readings may be too large. */
const ROUNDING_ERROR = 1e-6;

function firstOf(view: View, nowMs: number): [string, number] {
  return [
    view.addresses[0]!,
    Math.max(Math.ceil(view.remainingMs(nowMs) / 1000 - ROUNDING_ERROR), 0),
  ];
}
