/**
 * The zones of link-local addresses (RFC 4007 section 11).
 *
 * @module
 */

import { builtinModule } from "./builtin_modules.ts";

/**
 * Replaces the name in the zone of an address by the number of that interface, because sockets of Deno and Bun take
 * numbers only: `fe80::53%eth0` becomes `fe80::53%2`.
 *
 * @param address An IP address, perhaps with a zone.
 * @returns The address; as it was if it has no zone, or if no interface of that name has a link-local address.
 */
export function withZoneNumber(address: string): string {
  const [ip, zone] = address.split("%");
  if (zone === undefined || /^\d+$/.test(zone)) return address;
  try {
    const addresses = builtinModule("node:os").networkInterfaces()[zone] ?? [];
    const scope = addresses.map((one) => one.family === "IPv6" ? one.scopeid : 0).find((id) => id);
    return scope ? `${ip}%${scope}` : address;
  } catch {
    return address; // on Deno, without the permission
  }
}
