/**
 * Servers that stop answering, or never answer.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { once } from "node:events";
import net from "node:net";
import { Worker } from "node:worker_threads";
import { listen, type Peer } from "./peers.ts";
import { pause, soon } from "./waiting.ts";

/** The server of {@linkcode withMute}. */
export interface Mute {
  readonly port: number;
  /** The connection of the first client. */
  readonly conn: Promise<Peer>;
  /** Fulfilled when it has sent its last reply. */
  readonly silent: Promise<void>;
}

/** Runs a server on 127.0.0.1 that answers each message with the next of `replies`, and is silent afterwards. */
export async function withMute(
  replies: readonly Uint8Array[],
  body: (mute: Mute) => Promise<void>,
  { first = false } = {},
): Promise<void> {
  await using listener = await listen();
  const conn = listener.accept();
  const silent = conn.then(async (conn) => {
    for (const [index, reply] of replies.entries()) {
      if (index > 0 || !first) await conn.read();
      await conn.write(reply);
    }
    await pause(20); // for the client to read it
  });
  await body({ port: listener.port, conn, silent });
  await silent;
}

/** Waits until the peer closes the connection, for at most 5 seconds; returns what it sent before, as text. */
export async function hungUp(conn: Peer): Promise<string> {
  let heard = "";
  const listening = (async () => {
    for (let bytes; (bytes = await conn.read()) !== undefined;) {
      heard += new TextDecoder().decode(bytes);
    }
  })();
  try {
    await soon(listening);
  } catch (error) {
    assertEquals((error as { code?: string }).code, "ECONNRESET", String(error));
  } finally {
    await conn.close();
  }
  return heard;
}

/** Listens, reports its port, and accepts no connection: its thread sleeps until it is woken. */
const SLEEPER = `
const { parentPort, workerData } = require("node:worker_threads");
const server = require("node:net").createServer();
server.listen({ host: "127.0.0.1", port: 0, backlog: 1 }, () => {
  parentPort.postMessage(server.address().port);
  setTimeout(() => {
    Atomics.wait(workerData, 0, 0);
    server.close();
  });
});
`;

/**
 * Provides a port on 127.0.0.1 on which the machine answers no SYN, because its queue of connections that were not
 * accepted is full. On Linux it looks like an unreachable host.
 */
export async function withBlackhole(body: (port: number) => Promise<void>): Promise<void> {
  const wakeUp = new Int32Array(new SharedArrayBuffer(4));
  const sleeper = new Worker(SLEEPER, { eval: true, workerData: wakeUp });
  const exited = once(sleeper, "exit");
  const sockets: net.Socket[] = [];
  try {
    const [port] = await once(sleeper, "message") as [number];
    while (await connects(port, sockets)) { /* fills the queue */ }
    await body(port);
  } finally {
    for (const socket of sockets) socket.destroy();
    Atomics.store(wakeUp, 0, 1);
    Atomics.notify(wakeUp, 0);
    await exited;
  }
}

/** Returns whether another connection is accepted into the queue. */
async function connects(port: number, sockets: net.Socket[]): Promise<boolean> {
  const socket = net.connect(port, "127.0.0.1");
  socket.on("error", () => {});
  sockets.push(socket);
  const connected = new Promise<boolean>((resolve) => socket.once("connect", () => resolve(true)));
  return await Promise.race([connected, pause(300).then(() => false)]);
}
