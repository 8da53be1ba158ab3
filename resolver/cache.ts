/**
 * The cache of names that all engines, drop-in pools and `getIpWithTtl` share.
 *
 * @module
 */

import { canonicalHost } from "../internal/host_name.ts";
import { idOf } from "../internal/object_id.ts";
import { lookupByName, osLookup } from "../lookups/system.ts";
import { CachedName } from "./cached_name.ts";
import type { DnsSettings } from "./options.ts";
import type { Records } from "./resolution.ts";
import type { View } from "./view.ts";

/** Maximum number of names; beyond it, names that are not in use are removed, the oldest first. */
const MAX_NAMES = 1000;
/** Number of names removed at once, so that the search is not repeated for each new name. */
const REMOVED_AT_ONCE = 100;

const names: Map<string, CachedName> = new Map();

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
  let cached = names.get(key);
  if (!cached) {
    if (names.size >= MAX_NAMES) removeOldest(REMOVED_AT_ONCE);
    cached = new CachedName({ name, absolute, family, lookup, servers, hosts, fallback, allow });
    names.set(key, cached);
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
  for (const cached of names.values()) cached.clear();
  removeOldest(Infinity);
}

/** Removes names that are not in use. They are cleared, because a caller may still have a view of one. */
function removeOldest(maxCount: number): void {
  let left = maxCount;
  for (const [key, cached] of names) {
    if (left === 0) return;
    if (!cached.isDisposable) continue;
    names.delete(key);
    cached.clear();
    left--;
  }
}
