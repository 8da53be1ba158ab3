/**
 * Loopback addresses and ports for the lab: two different addresses, and one port that is free on both.
 *
 * @module
 */

import net from "node:net";
import { reserve } from "./shared.ts";

/** Listens on `port` of `host` (0: any free one), or rejects with the error of `bind`. */
function listen(host: string, port: number): Promise<net.Server> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once("error", reject);
    server.listen({ host, port, exclusive: true }, () => resolve(server));
  });
}

function close(server: net.Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

/** Waits until connections to `port` are refused: on Deno 2.9, a listener may outlive the callback of its close. */
async function untilRefused(host: string, port: number): Promise<void> {
  for (;;) {
    const refused = await new Promise<boolean>((resolve) => {
      const socket = net.connect({ host, port });
      socket.once(
        "error",
        (error) => resolve((error as { code?: string }).code === "ECONNREFUSED"),
      );
      socket.once("connect", () => {
        socket.destroy();
        resolve(false);
      });
    });
    if (refused) return;
  }
}

/** Ports that were returned before: the caller may not listen on them yet. */
const given = new Set<number>();

/**
 * The range of the ports: below those that operating systems give to outgoing connections (from 32768 on Linux, 49152
 * elsewhere), so that a server that was stopped finds its port free when it starts again.
 */
const PORTS = { from: 12_000, to: 32_000 };

/**
 * Finds a TCP port that is free on all of `hosts` at once, that is not used for outgoing connections, and that was not
 * returned before, to any process of the run that shares a directory. Nothing listens on it at the return, so use it soon.
 *
 * @param hosts Addresses of this machine, at least one.
 * @throws {Error} if an address cannot be bound at all, or twenty ports in a row are taken on one of them.
 */
export async function freePort(hosts: readonly string[]): Promise<number> {
  if (hosts.length === 0) throw new TypeError("Cannot find a free port: no hosts given");
  for (let tries = 0; tries < 20; tries++) {
    const port = PORTS.from + Math.floor(Math.random() * (PORTS.to - PORTS.from));
    if (given.has(port)) continue;
    const held: net.Server[] = [];
    let isFree = false;
    try {
      for (const host of hosts) held.push(await listen(host, port));
      given.add(port);
      isFree = await reserve("ports", port) !== false;
    } catch (error) {
      if ((error as { code?: string }).code !== "EADDRINUSE") throw error;
    } finally {
      await Promise.all(held.map(close));
    }
    if (isFree) {
      for (const host of hosts) await untilRefused(host, port);
      return port;
    }
  }
  throw new Error(`Cannot find a port that is free on ${hosts.join(" and ")}: tried 20`);
}

/** Ports that {@linkcode onFreePort} tries. */
const MAX_TRIES = 5;

/**
 * Starts a server on a port that is free, as far as TCP knows: if it is taken, as by a UDP socket, another one is tried, five
 * at most.
 *
 * @param host The address of the server.
 * @param start Starts it on a port; it rejects with an error that says `in use` if the port is taken.
 * @returns The result of `start`.
 */
export async function onFreePort<T>(
  host: string,
  start: (place: { host: string; port: number }) => Promise<T>,
): Promise<T> {
  for (let tries = 1;; tries++) {
    try {
      return await start({ host, port: await freePort([host]) });
    } catch (error) {
      if (tries === MAX_TRIES || !/\bin use\b/i.test(String(error))) throw error;
    }
  }
}

/** Returns whether a TCP server can listen on `host`. */
async function canBind(host: string): Promise<boolean> {
  try {
    await close(await listen(host, 0));
    return true;
  } catch {
    return false;
  }
}

/** Networks of 127.0.0.0/8 whose pair of addresses was returned before. */
const networks = new Set<string>();

/**
 * Finds two different loopback addresses that were not returned before, to any process of the run that shares a directory:
 * 127.0.0.2 and 127.0.0.3 at first, or the same in another network of 127.0.0.0/8. If those cannot be bound, it is always
 * 127.0.0.1 and ::1 (macOS gives the loopback device 127.0.0.1 only).
 */
export async function loopbackPair(): Promise<readonly [string, string]> {
  let network = "127.0.0";
  for (let count = 1; !await isNew(network); count++) network = `127.${count >> 8}.${count & 255}`;
  if (await canBind(`${network}.2`) && await canBind(`${network}.3`)) {
    return [`${network}.2`, `${network}.3`];
  }
  if (await canBind("127.0.0.1") && await canBind("::1")) return ["127.0.0.1", "::1"];
  throw new Error(
    "Cannot find two loopback addresses: neither 127.0.0.2 and 127.0.0.3 nor 127.0.0.1 and ::1 can be bound",
  );
}

async function isNew(network: string): Promise<boolean> {
  if (networks.has(network)) return false;
  networks.add(network);
  return await reserve("networks", network) !== false;
}
