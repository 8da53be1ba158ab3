/**
 * Finds out whether there is a route to an address, where the runtime does not say it.
 *
 * @module
 */

import { ipFamily } from "../internal/ip.ts";

/** Any port: nothing is sent to it. */
const PORT = 9;

/**
 * Returns whether there is no route to any of some addresses, as far as the runtime says it of datagrams: Node and Bun do.
 *
 * @param addresses The IP addresses.
 */
export async function haveNoRoute(addresses: readonly string[]): Promise<boolean> {
  const { createSocket } = await import("node:dgram");
  const lacks = (address: string) =>
    new Promise<boolean>((resolve) => {
      const socket = createSocket(ipFamily(address) === 6 ? "udp6" : "udp4");
      const end = (error: unknown) => {
        resolve(error !== undefined && error !== null);
        socket.close();
      };
      socket.once("error", end);
      // It sends nothing, but fails without a route.
      socket.connect(PORT, address, end as () => void);
    });
  return (await Promise.all(addresses.map(lacks))).every(Boolean);
}
