/**
 * Deno's permissions, asked for beforehand: a datagram socket without one is an uncaught exception there, and
 * asking never prompts. A runtime without permissions grants everything.
 *
 * @module
 */

import { hostPort, ipFamily } from "../../internal/ip.ts";
import type { NameServer } from "../lookup.ts";

/** The permissions that lookups need. */
type Permission =
  | { readonly name: "net"; readonly host: string }
  | { readonly name: "sys"; readonly kind: "networkInterfaces" };

interface MaybeDeno {
  Deno?: { permissions?: { querySync(permission: Permission): { readonly state: string } } };
}

/** Whether a permission is granted. */
export function isGranted(permission: Permission): boolean {
  const { Deno } = globalThis as unknown as MaybeDeno;
  return !Deno?.permissions || Deno.permissions.querySync(permission).state === "granted";
}

/** Whether the servers of the system's configuration may be read, and `node:dns` be told which to ask. */
export function maySetServers(): boolean {
  return isGranted({ name: "sys", kind: "networkInterfaces" });
}

/**
 * What `--allow-net` lacks for asking a server over UDP and TCP.
 *
 * @param server The server.
 * @returns The hosts that are missing; empty where the server may be asked.
 */
export function missingNet({ host, port }: NameServer): string[] {
  const anyPort = ipFamily(host) === 6 ? "[::]:0" : "0.0.0.0:0";
  return [anyPort, hostPort(host, port)].filter((host) => !isGranted({ name: "net", host }));
}
