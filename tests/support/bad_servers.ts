/**
 * Servers that do not do what one wants of them: fall silent, or never answer at all.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { once } from "node:events";
import net from "node:net";
import { Worker } from "node:worker_threads";
import { listen, type Peer } from "./peers.ts";
import { pause, soon } from "./waiting.ts";

/** What a silent server of {@linkcode withMute} is to a test. */
export interface Mute {
  readonly port: number;
  /** The first client's connection. */
  readonly conn: Promise<Peer>;
  /** Fulfilled once it has said all that it ever will. */
  readonly silent: Promise<void>;
}

/** A server on 127.0.0.1 that answers each message with the next of `replies`, and says nothing more. */
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
    await pause(20); // for the client to take it in
  });
  await body({ port: listener.port, conn, silent });
  await silent;
}

/** Waits for the other side to hang up, 5 seconds at most; returns what it had said before, as text. */
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

/** Listens, tells the port, and accepts nobody: its thread sleeps until it is woken. */
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
 * A port on 127.0.0.1 on which the machine answers no SYN any more: its queue of connections that nobody accepted is
 * full. So it looks like a host that is out of reach, on Linux.
 */
export async function withBlackhole(body: (port: number) => Promise<void>): Promise<void> {
  const bell = new Int32Array(new SharedArrayBuffer(4));
  const sleeper = new Worker(SLEEPER, { eval: true, workerData: bell });
  const gone = once(sleeper, "exit");
  const sockets: net.Socket[] = [];
  try {
    const [port] = await once(sleeper, "message") as [number];
    while (await connects(port, sockets)) { /* until it is full */ }
    await body(port);
  } finally {
    for (const socket of sockets) socket.destroy();
    Atomics.store(bell, 0, 1);
    Atomics.notify(bell, 0);
    await gone;
  }
}

/** Whether somebody still gets in. */
async function connects(port: number, sockets: net.Socket[]): Promise<boolean> {
  const socket = net.connect(port, "127.0.0.1");
  socket.on("error", () => {});
  sockets.push(socket);
  const connected = new Promise<boolean>((resolve) => socket.once("connect", () => resolve(true)));
  return await Promise.race([connected, pause(300).then(() => false)]);
}
