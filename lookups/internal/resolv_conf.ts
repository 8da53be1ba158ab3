/**
 * Reads the text of `/etc/resolv.conf` as glibc does (`resolv/res_init.c` of glibc 2.41): a line that one of the runtimes
 * cannot read must not lead to other servers than those that the file names.
 *
 * @module
 */

import { canonicalIp } from "../../internal/ip.ts";
import type { NameServer } from "../lookup.ts";

/** What the file says about asking DNS servers. Its search domains are left to the operating system. */
export interface ResolvConf {
  /** The servers in order, at least one, at most three; each says how the file wants it asked. */
  readonly servers: readonly NameServer[];
  /** Number of rounds over all servers, 1 to 5; `undefined` if the file does not say. */
  readonly attempts: number | undefined;
  /** Number of dots from which a name is asked as it is before search domains are added, 0 to 15. */
  readonly ndots: number;
}

/** Maximum number of servers that are asked (`MAXNS`). */
const MAX_SERVERS = 3;
/** Maximum number of dots (`RES_MAXNDOTS`). */
const MAX_NDOTS = 15;
/** Maximum timeout in seconds (`RES_MAXRETRANS`). */
const MAX_TIMEOUT = 30;
/** Maximum number of rounds (`RES_MAXRETRY`). */
const MAX_ATTEMPTS = 5;
/** The server of a file that names none. */
const DEFAULT_SERVER = "127.0.0.1";

/**
 * Reads the text of the file. Nothing in it is an error: a line that is not understood has no effect.
 *
 * @param text The text; an empty one stands for a missing file.
 */
export function parseResolvConf(text: string): ResolvConf {
  const hosts: string[] = [];
  let ndots = 1;
  let timeout: number | undefined;
  let attempts: number | undefined;
  let tcp = false;
  for (const line of text.split(/\r?\n/)) {
    // The keyword begins the line, in lower case; so a comment, after "#" or ";", has none.
    const [, keyword, rest = ""] = /^(nameserver|options)[ \t]+(.*)$/.exec(line) ?? [];
    const words = rest.split(/[ \t]+/);
    if (keyword === "nameserver") {
      // What follows the address is ignored, a second address too.
      const host = readServer(words[0]!);
      if (host !== undefined && hosts.length < MAX_SERVERS) hosts.push(host);
      continue;
    }
    for (const word of words) {
      // The beginning of a word decides, as with strncmp().
      if (word.startsWith("ndots:")) ndots = Math.min(readNumber(word), MAX_NDOTS);
      else if (word.startsWith("timeout:")) timeout = clamp(readNumber(word), MAX_TIMEOUT);
      else if (word.startsWith("attempts:")) attempts = clamp(readNumber(word), MAX_ATTEMPTS);
      else if (word.startsWith("use-vc")) tcp = true;
    }
  }
  if (hosts.length === 0) hosts.push(DEFAULT_SERVER);
  const how = { ...(tcp && { tcp }), ...(timeout !== undefined && { timeout }) };
  const servers = [...new Set(hosts)].map((host) => ({ host, port: 53, ...how }));
  return { servers, attempts, ndots };
}

/** Reads an address, with the zone of an IPv6 address; `undefined` if it is none. */
function readServer(word: string): string | undefined {
  const [, address = "", zone = ""] = /^([^%]*)(%.+)?$/.exec(word) ?? [];
  if (address.includes(":")) {
    const ip = canonicalIp(address);
    return ip && ip + zone;
  }
  if (zone !== "" || !/^\d[\da-fx]*(\.\d[\da-fx]*)*$/i.test(address)) return undefined;
  try {
    // Reads "127.1" and "0x7f.1" as inet_aton() does.
    return canonicalIp(new URL(`http://${address}/`).hostname);
  } catch {
    return undefined;
  }
}

/** Reads the number after the colon as atoi() does: 0 if there is none. */
function readNumber(word: string): number {
  return Math.max(Number(/^\d+/.exec(word.slice(word.indexOf(":") + 1))?.[0] ?? 0), 0);
}

function clamp(value: number, max: number): number {
  return Math.min(Math.max(value, 1), max);
}
