/**
 * Tells which hosts a drop-in follows in DNS, and warns about those that it does not.
 *
 * @module
 */

import { canonicalHost, isHost } from "../../internal/host_name.ts";
import { canonicalIp } from "../../internal/ip.ts";
import { process } from "../../internal/process.ts";

/**
 * A kind of host. Only a `name` is looked up in DNS. An `address` and `localhost` need no lookup; a `socket` (a path) is
 * left to the driver.
 */
export type HostKind = "name" | "address" | "local" | "socket";

/**
 * Returns the kind of a host.
 *
 * @param host The host as the driver reads it.
 * @returns The kind; `name` also for a string that cannot be a host name, which is refused later, with a reason.
 */
export function hostKind(host: string): HostKind {
  if (host.startsWith("/")) return "socket";
  if (canonicalIp(host) !== undefined) return "address";
  return isHost(host) && canonicalHost(host) === "localhost" ? "local" : "name";
}

const DESCRIPTIONS: Readonly<Record<HostKind, string>> = {
  name: "is a name",
  local: "is localhost",
  address: "is an IP address",
  socket: "is a socket path",
};

/** Describes a kind of host, after "a host that": `is a socket path`. */
export function describeHost(kind: HostKind): string {
  return DESCRIPTIONS[kind];
}

const warned: Set<string> = new Set();

/**
 * Warns, once per process and host, that DNS is not followed for a host. `localhost` needs no warning.
 *
 * @param host The host as the driver reads it.
 * @param by The drop-in, such as `"DnsPgPool"`.
 */
export function warnHostNotTracked(host: string, by: string): void {
  const kind = hostKind(host);
  if (kind === "name" || kind === "local" || warned.has(host)) return;
  warned.add(host);
  process.emitWarning(
    `${by} does not follow DNS for the host ${JSON.stringify(host)}, which ${describeHost(kind)}`,
    { type: "DnsPoolWarning", code: "DNSPOOL_HOST_NOT_FOLLOWED" },
  );
}
