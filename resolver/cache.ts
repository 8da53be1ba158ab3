/**
 * The cache of names that all engines, drop-in pools and `getIpWithTtl` share.
 *
 * @module
 */

import { maintenanceTimer, type Timer } from "../internal/clock.ts";
import { canonicalHost } from "../internal/host_name.ts";
import { idOf } from "../internal/object_id.ts";
import { lookupByName, osLookup } from "../lookups/system.ts";
import { CachedName } from "./cached_name.ts";
import type { DnsSettings } from "./options.ts";
import type { Records } from "./question.ts";
import type { View } from "./view.ts";

/** Maximum number of names that are not in use; beyond it, those that were not used for longest are removed. */
const MAX_UNUSED_NAMES = 1000;
/** Number of names in use that are looked at for each new name, whether they still are. */
const LOOKED_AT = 2;
/** Interval in which names in use are looked at while no new ones come: all of them within a minute. */
const LOOK_MS = 1000;
const LOOKS = 60;
/** Minimum number of names for each look. */
const MIN_LOOKED_AT = 100;

/** The names that are perhaps not in use, in the order of their last use. */
const unused: Map<string, CachedName> = new Map();
/** The names that were in use when they were looked at: they do not count. */
const inUse: Map<string, CachedName> = new Map();
let turn: MapIterator<[string, CachedName]> = inUse.entries();
/** The next look at names in use; there is none unless they were very many. */
let nextLook: Timer | undefined;
/** Number of looks before the last one of a burst. */
let looksLeft = 0;

/**
 * Returns the view of a name with these settings. Callers with the same name, family, nameservers, lookup, use of
 * the hosts file, fallback and allowed addresses share answers and queries, whatever their other settings.
 *
 * @param host A host name.
 * @param settings How to resolve it.
 * @returns The view; no query is sent yet.
 */
export function viewOf(host: string, settings: DnsSettings): View {
  return viewOfRecords(host, settings.family, settings);
}

/**
 * Returns the view of a service's SRV records, which are in place of the addresses, as text.
 *
 * @param service The name of the service, such as `_postgresql._tcp.db.example`.
 * @param settings How to resolve it.
 * @returns The view; no query is sent yet.
 */
export function servicesViewOf(service: string, settings: DnsSettings): View {
  return viewOfRecords(service, "srv", { ...settings, fallback: false });
}

function viewOfRecords(host: string, family: Records, settings: DnsSettings): View {
  const { nameservers: servers, hosts, allow } = settings;
  const name = canonicalHost(host);
  // A name with a trailing dot is complete: search domains are left out (RFC 1034 section 3.1).
  const absolute = host.endsWith(".");
  const lookup = lookupByName(settings.lookup);
  const fallback = settings.fallback ? osLookup : undefined;
  const rest = [idOf(lookup), hosts, fallback !== undefined, allow?.key];
  const key = JSON.stringify([name, absolute, family, servers, ...rest]);
  let cached = unused.get(key);
  if (cached) {
    unused.delete(key);
    unused.set(key, cached);
  } else cached = inUse.get(key);
  if (!cached) {
    cached = new CachedName({ name, absolute, family, lookup, servers, hosts, fallback, allow });
    unused.set(key, cached);
    returnUnused(LOOKED_AT);
    removeOldest(MAX_UNUSED_NAMES, key);
  }
  const { timeoutMs, graceMs, extendGrace, maxStaleMs, maxRetries, minTtlMs, maxTtlMs } = settings;
  return cached.viewWith({
    timeoutMs,
    graceMs,
    extendGrace,
    maxStaleMs,
    maxRetries,
    minTtlMs,
    maxTtlMs,
  });
}

/** Forgets all answers and failures, and removes the names that are not in use. */
export function clearCache(): void {
  for (const names of [unused, inUse]) {
    for (const cached of names.values()) cached.clear();
  }
  nextLook?.clear();
  nextLook = undefined;
  looksLeft = 0;
  returnUnused(inUse.size);
  removeOldest(0);
}

/** Removes names that were in use in a burst, and are not any more, though no new ones come. */
function lookLater(): void {
  if (inUse.size > MAX_UNUSED_NAMES) looksLeft = LOOKS;
  if (looksLeft === 0) return;
  nextLook ??= maintenanceTimer(LOOK_MS, () => {
    nextLook = undefined;
    looksLeft--;
    returnUnused(Math.max(MIN_LOOKED_AT, Math.ceil(inUse.size / LOOKS)));
    removeOldest(MAX_UNUSED_NAMES);
    lookLater();
  });
}

/**
 * Looks at names in use, in turn, and counts those again that are not any more. The iterator is kept: a new one passes
 * all the places of names that were deleted before it finds the first.
 */
function returnUnused(maxCount: number): void {
  for (let left = Math.min(maxCount, inUse.size); left > 0; left--) {
    let next = turn.next();
    if (next.done) next = (turn = inUse.entries()).next();
    if (next.done) return;
    const [key, cached] = next.value;
    if (!cached.isDisposable) continue;
    inUse.delete(key);
    unused.set(key, cached);
  }
}

/**
 * Removes the oldest names beyond a number. They are cleared, because a caller may still have a view of one. Each step
 * removes a name, or moves one that is in use or was used since, so that no name is looked at for every new one.
 */
function removeOldest(maxUnused: number, newest?: string): void {
  for (const [key, cached] of unused) {
    if (unused.size <= maxUnused || key === newest) return;
    unused.delete(key);
    if (!cached.isDisposable) {
      inUse.set(key, cached);
      lookLater();
    } else if (maxUnused > 0 && cached.takeUse()) unused.set(key, cached);
    else cached.clear();
  }
}
