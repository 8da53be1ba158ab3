/**
 * Hosts that need no DNS: IP addresses and `localhost`.
 *
 * @module
 */

import { canonicalIp } from "../internal/ip.ts";

/**
 * Returns the addresses of a host that needs no DNS.
 *
 * @param host A canonical host (lower case, no trailing dot).
 * @param family The addresses of `localhost` to return.
 * @returns An IP address itself; for `localhost`, `127.0.0.1` and then `::1` (RFC 6761 section 6.3), or the one of the
 *   family; `undefined` for a name that DNS has to be asked for.
 */
export function staticAddresses(
  host: string,
  family: "auto" | 4 | 6 | "both",
): readonly string[] | undefined {
  if (host === "localhost") {
    return family === 4 ? ["127.0.0.1"] : family === 6 ? ["::1"] : ["127.0.0.1", "::1"];
  }
  const ip = canonicalIp(host);
  return ip === undefined ? undefined : [ip];
}
