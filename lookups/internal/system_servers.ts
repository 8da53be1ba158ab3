/**
 * Finds the DNS servers that the machine is configured with.
 *
 * @module
 */

import { Resolver } from "node:dns/promises";
import type { NameServer } from "../lookup.ts";
import { maySetServers } from "./deno_permissions.ts";
import { resolvConf } from "./system_files.ts";

/** The servers that Deno's `node:dns` names if it cannot read the configuration. No configuration names them all. */
const DENO_DEFAULTS = "8.8.8.8,8.8.4.4,2001:4860:4860::8888,2001:4860:4860::8844";

/**
 * Returns the servers that `/etc/resolv.conf` names, the same on every runtime. If the file may not be read, or the
 * system has none, they are what the runtime knows.
 *
 * @returns The servers in order; none if they are unknown. Never a server that the machine is not configured with.
 */
export function systemServers(): readonly NameServer[] {
  return resolvConf()?.servers ?? runtimeServers();
}

function runtimeServers(): readonly NameServer[] {
  if (!maySetServers()) return [];
  const listed = [...new Set(new Resolver().getServers())];
  if ("Deno" in globalThis && listed.join() === DENO_DEFAULTS) return [];
  return listed.map((text) => {
    const match = /^\[(.*)\](?::(\d+))?$/.exec(text) ?? /^([^:]*)(?::(\d+))?$/.exec(text);
    return match ? { host: match[1]!, port: Number(match[2] ?? 53) } : { host: text, port: 53 };
  });
}
