/**
 * The client sockets of this process. A socket that is closed in order lives until the other side has closed it as well;
 * a test whose leaks are looked for waits for that. Only Deno looks for leaks, and it announces every socket.
 *
 * @module
 */

import { channel } from "node:diagnostics_channel";
import type net from "node:net";
import { until } from "./waiting.ts";

/** Sockets of one test. */
export interface WatchedSockets {
  /** Waits until all sockets that were opened since the call of {@linkcode watchSockets} are closed. */
  closed(): Promise<void>;
}

/** All that are open, with their number in the order of their opening. */
const open = new Map<net.Socket, number>();
let count = 0;

channel("net.client.socket").subscribe((message) => {
  const { socket } = message as { socket: net.Socket };
  open.set(socket, ++count);
  socket.once("close", () => open.delete(socket));
});

/** Watches the sockets that are opened from now on. */
export function watchSockets(): WatchedSockets {
  const before = count;
  const isClosed = () => [...open.values()].every((number) => number <= before);
  return { closed: () => until(isClosed, "the end of all sockets") };
}
