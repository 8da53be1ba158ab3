/**
 * Names to addresses, remembered for as long as the record allows: a cache by TTL, one query however many ask,
 * a question ahead of expiry, and a stale answer rather than none.
 *
 * @module
 */

import { Entry } from "./resolver/cache_entry.ts";
import { now } from "./internal/clock.ts";
import { type DnsOptions, type DnsSettings, readDnsOptions } from "./resolver/options.ts";
import { View } from "./resolver/view.ts";
import type { Lookup } from "./lookups/lookup.ts";
import { staticAddresses } from "./lookups/static.ts";
import { lookupByName, osLookup } from "./lookups/system.ts";
import { canonicalHost, checkHost } from "./engine/url.ts";

export type { AddressChange, View, Watcher } from "./resolver/view.ts";

/** Names that nobody is interested in are forgotten beyond this number, the oldest first. */
const MOST_ENTRIES = 1000;
/** So many are forgotten at once, so that it is not done for every new one. */
const FORGOTTEN_AT_ONCE = 100;

/** The cache that all engines and `getIpWithTtl` share. */
const entries: Map<string, Entry> = new Map();
/** Views of callers without options, by the host as it was given. */
const plainViews: Map<string, View> = new Map();
/** What an options object last led to; forgotten with the plain views. */
let recalled: WeakMap<object, Recalled> = new WeakMap();
const lookupIds: WeakMap<Lookup, number> = new WeakMap();
let lookupCount = 0;

/**
 * The view of a name with these settings. Two with the same name, family, nameservers, lookup, fallback and
 * allowed addresses share their answers and their queries, whatever their other settings.
 *
 * @param host A host name.
 * @param settings How to resolve it.
 * @returns The view; nothing is asked yet.
 */
export function viewOf(host: string, settings: DnsSettings): View {
  const name = canonicalHost(host);
  // Given with a trailing dot, it is complete: search domains have no say (RFC 1034, section 3.1).
  const absolute = host.endsWith(".");
  const lookup = lookupByName(settings.lookup);
  const fallback = settings.fallback ? osLookup : undefined;
  const { family, nameservers, allow } = settings;
  const others = [idOf(lookup), fallback !== undefined, allow?.key];
  const key = JSON.stringify([name, absolute, family, nameservers, ...others]);
  let entry = entries.get(key);
  if (!entry) {
    if (entries.size >= MOST_ENTRIES) forgetOldest(FORGOTTEN_AT_ONCE);
    entry = new Entry({ name, absolute, family, lookup, servers: nameservers, fallback, allow });
    entries.set(key, entry);
  }
  const { timeoutMs, graceMs, extendGrace, maxStaleMs, maxRetries, minTtlMs, maxTtlMs } = settings;
  return View.of(entry, {
    timeoutMs,
    graceMs,
    extendGrace,
    maxStaleMs,
    maxRetries,
    minTtlMs,
    maxTtlMs,
  });
}

/** Options of {@linkcode getIpWithTtl}. */
export interface GetIpOptions extends DnsOptions {
  /** Ends the wait: the promise is rejected with the signal's reason. */
  signal?: AbortSignal;
}

/**
 * The first address of a host name, and for how many seconds it may be used.
 *
 * A fresh answer in the cache is given without asking anybody; an expired one waits for the one resolution
 * under way, however many callers there are. When resolution fails, or has taken 1.8 seconds, a stale answer serves
 * for the grace period and the seconds are what is left of that. The cache is shared with engines of the same settings. An IP
 * address or `localhost` is its own answer, good for `dnsMaxTtl`.
 *
 * @param host A host name or an IP address. The case makes no difference; a trailing dot keeps search domains out.
 * @param options How to resolve; the same names and defaults as in `getDnsEngine`.
 * @returns The address, and the whole seconds left, rounded up.
 * @throws {TypeError} for a host or an option that cannot be meant.
 * @throws {ResolveError} when there is no answer and no stale one to use.
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
  options?: GetIpOptions,
): Promise<[ip: string, ttlSeconds: number]> {
  const view = options === undefined ? plainViews.get(host) : recall(host, options);
  const nowMs = now();
  if (view && nowMs < view.freshUntilMs) return Promise.resolve(firstOf(view, nowMs));
  return ask(host, options);
}

/**
 * Forgets every answer and every failure. A resolution that began before does not fill the cache again; who
 * waits for one waits for a new one. Engines keep their connections and ask again: at once where they keep their
 * answer fresh, else at their next checkout.
 *
 * @example
 * ```ts
 * import { clearDnsCache } from "@dnspool/dnspool";
 *
 * clearDnsCache();
 * ```
 */
export function clearDnsCache(): void {
  for (const entry of entries.values()) entry.forget();
  forgetOldest(Infinity);
}

async function ask(host: string, options: GetIpOptions | undefined): Promise<[string, number]> {
  const { settings, signal } = readDnsOptions(options, "getIpWithTtl");
  if (typeof host !== "string") {
    throw new TypeError(`Cannot resolve a value of type ${typeof host}: a host name is a string`);
  }
  const name = canonicalHost(checkHost(host));
  const fixed = staticAddresses(name, settings.family);
  if (fixed) return [fixed[0]!, Math.ceil(settings.maxTtlMs / 1000)];
  const view = viewOf(host, settings);
  if (options === undefined) {
    if (plainViews.size >= MOST_ENTRIES) plainViews.clear();
    plainViews.set(host, view);
  } else {
    const values = { ...options };
    const count = Object.keys(values).length;
    recalled.set(options, { host, view, values, count, lists: listsOf(options) });
  }
  if (!view.isFresh(now())) await view.waitUntilFresh(signal);
  return firstOf(view, now());
}

/** A view, and the host and the options that led to it, as they were then. */
interface Recalled {
  readonly host: string;
  readonly view: View;
  readonly values: GetIpOptions;
  readonly count: number;
  /** What was in the lists: a list may be changed and stay the same list. */
  readonly lists: string | undefined;
}

/** The view that these very options led to before, if nothing in them was changed since. */
function recall(host: string, options: GetIpOptions): View | undefined {
  const known = recalled.get(options);
  if (known?.host !== host || known.lists !== listsOf(options)) return undefined;
  let count = 0;
  for (const name in options) {
    const key = name as keyof GetIpOptions;
    if (options[key] !== known.values[key]) return undefined;
    count++;
  }
  return count === known.count ? known.view : undefined;
}

function listsOf({ dnsNameservers, allowAddress }: GetIpOptions): string | undefined {
  if (typeof allowAddress !== "object") return dnsNameservers?.join();
  return `${dnsNameservers?.join()} ${allowAddress.join()}`;
}

function firstOf(view: View, nowMs: number): [string, number] {
  return [view.addresses[0]!, Math.ceil(view.leftMs(nowMs) / 1000)];
}

function idOf(lookup: Lookup): number {
  let id = lookupIds.get(lookup);
  if (id === undefined) lookupIds.set(lookup, id = ++lookupCount);
  return id;
}

/** Forgets up to `most` entries that nobody would miss, the oldest first. */
function forgetOldest(most: number): void {
  plainViews.clear();
  recalled = new WeakMap();
  for (const [key, entry] of entries) {
    if (most === 0) return;
    if (!entry.disposable) continue;
    entries.delete(key);
    most--;
  }
}
