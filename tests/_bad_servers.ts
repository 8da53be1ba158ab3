/**
 * Servers that do not do what one wants of them: fall silent, or never answer at all.
 *
 * @module
 */

import { assert } from "@std/assert";
import { pause } from "./_waiting.ts";

/** What a silent server of {@linkcode withMute} is to a test. */
export interface Mute {
  readonly port: number;
  /** The first client's connection. */
  readonly conn: Promise<Deno.Conn>;
  /** Fulfilled once it has said all that it ever will. */
  readonly silent: Promise<void>;
}

/** A server on 127.0.0.1 that answers each message with the next of `replies`, and says nothing more. */
export async function withMute(
  replies: readonly Uint8Array[],
  body: (mute: Mute) => Promise<void>,
  { first = false } = {},
): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conn = listener.accept();
  const silent = conn.then(async (conn) => {
    for (const [index, reply] of replies.entries()) {
      if (index > 0 || !first) await conn.read(new Uint8Array(1000));
      await conn.write(reply);
    }
    await pause(20); // for the client to take it in
  });
  await body({ port: (listener.addr as Deno.NetAddr).port, conn, silent });
  await silent;
}

/** Waits for the other side to hang up, 5 seconds at most; returns what it had said before, as text. */
export async function hungUp(conn: Deno.Conn): Promise<string> {
  const limit = setTimeout(() => conn.close(), 5000);
  const buffer = new Uint8Array(1000);
  let heard = "";
  try {
    for (let size; (size = await conn.read(buffer)) !== null;) {
      heard += new TextDecoder().decode(buffer.subarray(0, size));
    }
  } catch (error) {
    assert(error instanceof Deno.errors.ConnectionReset, String(error));
  } finally {
    clearTimeout(limit);
  }
  conn.close();
  return heard;
}

/**
 * A port on 127.0.0.1 on which the machine answers no SYN any more: its queue of connections that nobody accepted is
 * full. So it looks like a host that is out of reach, on Linux.
 */
export async function withBlackhole(body: (port: number) => Promise<void>): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const conns: Deno.Conn[] = [];
  const controller = new AbortController();
  try {
    for (let full = false; !full && conns.length < 5000;) {
      const dialling = Deno.connect({ hostname: "127.0.0.1", port, signal: controller.signal });
      const limit = setTimeout(() => controller.abort(), 300);
      await dialling.then((conn) => conns.push(conn), () => full = true);
      clearTimeout(limit);
    }
    await body(port);
  } finally {
    for (const conn of conns) conn.close();
  }
}
