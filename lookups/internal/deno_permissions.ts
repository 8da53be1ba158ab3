/**
 * Deno's permissions, checked before a socket is opened: a datagram socket without permission is an uncaught exception
 * there. A check never prompts. A runtime without permissions grants everything.
 *
 * @module
 */

import { hostPort, ipFamily, withoutZone } from "../../internal/ip.ts";
import type { NameServer } from "../lookup.ts";

/** The permissions that lookups need. */
type Permission =
  | { readonly name: "net"; readonly host: string }
  | { readonly name: "read"; readonly path: string }
  | { readonly name: "sys"; readonly kind: "networkInterfaces" };

interface MaybeDeno {
  Deno?: { permissions?: { querySync(permission: Permission): { readonly state: string } } };
}

/** Returns whether a permission is granted. */
export function isGranted(permission: Permission): boolean {
  const { Deno } = globalThis as unknown as MaybeDeno;
  return !Deno?.permissions || Deno.permissions.querySync(permission).state === "granted";
}

/** Returns whether the system's DNS servers may be read, and `node:dns` be given servers to ask. */
export function maySetServers(): boolean {
  return isGranted({ name: "sys", kind: "networkInterfaces" });
}

/**
 * Returns the hosts that `--allow-net` lacks for asking a server over UDP and TCP, or over TCP only if it is asked so;
 * none if it may be asked.
 *
 * @param server The server.
 */
export function missingNet({ host, port, tcp = false }: NameServer): string[] {
  const ip = withoutZone(host);
  const anyPort = ipFamily(ip) === 6 ? "[::]:0" : "0.0.0.0:0";
  return [...tcp ? [] : [anyPort], hostPort(ip, port)]
    .filter((host) => !isGranted({ name: "net", host }));
}

/**
 * Says which permission is missing.
 *
 * @param hosts The hosts that `--allow-net` lacks; `undefined` if they are unknown.
 */
export function permissionMessage(hosts: string | undefined): string {
  const flag = hosts === undefined ? "--allow-net" : `--allow-net=${hosts}`;
  return `the permission is missing, run with ${flag}`;
}
