/**
 * Which hosts a drop-in follows in DNS, and the one remark about those that it does not.
 *
 * @module
 */

import process from "node:process";
import { canonicalHost, isHost } from "../../internal/host_name.ts";
import { canonicalIp } from "../../internal/ip.ts";

/**
 * What a host is, seen from DNS: a `name` is followed; an `address` (or `localhost`) has nothing to be followed; a
 * `socket` is a path and a `list` holds several hosts, both of which only the driver itself can make sense of.
 */
export type HostKind = "name" | "address" | "local" | "socket" | "list";

/**
 * What a host is.
 *
 * @param host As the driver reads it.
 * @returns The kind; `name` also for what no name can be, which the engine refuses with a reason.
 */
export function hostKind(host: string): HostKind {
  if (host.startsWith("/")) return "socket";
  if (host.includes(",")) return "list";
  if (canonicalIp(host) !== undefined) return "address";
  return isHost(host) && canonicalHost(host) === "localhost" ? "local" : "name";
}

const REMARKS: Readonly<Record<HostKind, string | undefined>> = {
  name: undefined,
  local: undefined,
  address: "is an IP address",
  socket: "is a socket path",
  list: "is a list of hosts",
};

const remarked: Set<string> = new Set();

/**
 * Says once per process, as a process warning, that a host is not followed in DNS. `localhost` goes without saying.
 *
 * @param host As the driver reads it.
 * @param what What is made for it, such as `"DnsPgPool"`.
 */
export function remarkOnHost(host: string, what: string): void {
  const remark = REMARKS[hostKind(host)];
  if (remark === undefined || remarked.has(host)) return;
  remarked.add(host);
  process.emitWarning(
    `${what} does not follow DNS for the host ${JSON.stringify(host)}, which ${remark}`,
    { type: "DnsPoolWarning", code: "DNSPOOL_HOST_NOT_FOLLOWED" },
  );
}
