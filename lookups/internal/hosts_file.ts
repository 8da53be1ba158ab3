/**
 * Reads the texts of `/etc/hosts`, and of `/etc/nsswitch.conf`, which says when it is asked.
 *
 * @module
 */

import { canonicalHost } from "../../internal/host_name.ts";
import { canonicalIp } from "../../internal/ip.ts";

/** The addresses of each name in lower case, in the order of the file, each once. */
export type Hosts = ReadonlyMap<string, readonly string[]>;

/**
 * Reads the text of a hosts file (hosts(5)): an address and its names in each line, a comment after `#`. A line without
 * an address that can be connected to has no effect, so one with a zone has none either.
 *
 * @param text The text.
 */
export function parseHosts(text: string): Hosts {
  const hosts = new Map<string, readonly string[]>();
  // A file that blocks advertisements has a hundred thousand lines with the same address.
  const byAddress = new Map<string, readonly string[]>();
  for (const [, address = "", names = ""] of text.matchAll(LINE)) {
    let ips = byAddress.get(address);
    if (!ips) {
      const ip = canonicalIp(address);
      byAddress.set(address, ips = ip === undefined ? [] : [ip]);
    }
    const [ip] = ips;
    if (ip === undefined) continue;
    for (const name of names.match(/\S+/g) ?? []) {
      const key = keyOf(name);
      const known = hosts.get(key);
      if (!known) hosts.set(key, ips);
      else if (!known.includes(ip)) hosts.set(key, [...known, ip]);
    }
  }
  return hosts;
}

/** An address and names, without what follows `#`. */
const LINE = /^[ \t]*([^\s#]+)[ \t]+([^#\n]+)/gm;

/** Returns a name as `canonicalHost` does, at less cost for the usual ones. */
function keyOf(name: string): string {
  return /^[a-z\d.-]*[a-z\d]$/.test(name) ? name : canonicalHost(name);
}

/** Sources of `nsswitch.conf` that read the hosts file: glibc itself, and systemd-resolved (`ReadEtcHosts`). */
const READS_HOSTS = ["files", "resolve"];

/**
 * Returns whether the hosts file is asked before DNS (nsswitch.conf(5)).
 *
 * @param text The text of `nsswitch.conf`; an empty one stands for a missing file.
 */
export function asksHostsFirst(text: string): boolean {
  const line = /^[ \t]*hosts:([^#\n]*)/m.exec(text)?.[1];
  // glibc's default is "files dns"; musl, which reads no nsswitch.conf, has the same order.
  if (line === undefined) return true;
  const first = line.split(/\s+/).find((word) => word === "dns" || READS_HOSTS.includes(word));
  return first !== undefined && first !== "dns";
}
