/**
 * One message to a DNS server and what comes back, over UDP and over TCP, each on a socket of its own that is gone
 * when the promise settles.
 *
 * @module
 */

import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { canonicalIp, ipFamily } from "../../internal/ip.ts";
import type { NameServer } from "../lookup.ts";

/** Who is asked, and until when. */
export interface Peer {
  readonly server: NameServer;
  /** Ends the exchange: it rejects with the signal's reason. */
  readonly signal: AbortSignal;
  /** Whether the process may end while the server is silent. */
  readonly unref: boolean;
}

/** A server's address without the zone of a link-local one. */
export function withoutZone(host: string): string {
  return host.replace(/%.*$/, "");
}

/**
 * Sends a message over UDP and waits for the one that answers it. Messages from anybody else, and those that
 * `read` cannot make anything of, are passed over: a stray or forged packet must not keep the answer out.
 *
 * @param message The message.
 * @param peer Who is asked, and until when; nothing else ends the wait for a silent server.
 * @param read Makes the result out of what came; throws for what does not answer the message.
 * @returns What `read` made of it.
 */
export function overUdp<T>(
  message: Uint8Array,
  { server, signal, unref }: Peer,
  read: (message: Uint8Array) => T,
): Promise<T> {
  const { host, port } = server;
  const address = canonicalIp(withoutZone(host));
  return new Promise((resolve, reject) => {
    // Not bound to any port: the system picks one at random, which a forger has to guess.
    const socket = createSocket(ipFamily(withoutZone(host)) === 6 ? "udp6" : "udp4");
    if (unref) socket.unref();
    const end = (settle: () => void) => {
      signal.removeEventListener("abort", onAbort);
      socket.off("message", onMessage);
      try {
        socket.close();
      } catch {
        // it was closed by its own error
      }
      settle();
    };
    const onAbort = () => end(() => reject(signal.reason));
    const onError = (error: Error) => end(() => reject(error));
    const onMessage = (bytes: Uint8Array, from: { address: string; port: number }) => {
      if (from.port !== port || canonicalIp(withoutZone(from.address)) !== address) return;
      let result: T;
      try {
        result = read(bytes);
      } catch {
        return;
      }
      end(() => resolve(result));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    socket.on("error", onError);
    socket.on("message", onMessage);
    // Connected, it hears that nobody listens there (where the runtime passes it on; Deno does not).
    socket.connect(port, host, (error?: Error) => {
      if (error) return onError(error);
      try {
        socket.send(message, (error) => error && onError(error));
      } catch (error) {
        onError(error as Error); // it was closed meanwhile
      }
    });
  });
}

/**
 * Sends a message over TCP, behind two bytes of length (RFC 7766 section 8), and reads the one that comes back.
 *
 * @param message The message.
 * @param peer Who is asked, and until when.
 * @returns The first message that comes back, at most 65,535 bytes.
 * @throws {Error} when the connection fails or is closed before the message is whole.
 */
export function overTcp(message: Uint8Array, { server, signal, unref }: Peer): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: server.host, port: server.port, noDelay: true });
    if (unref) socket.unref();
    const chunks: Uint8Array[] = [];
    let received = 0;
    const end = (settle: () => void) => {
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      settle();
    };
    const onAbort = () => end(() => reject(signal.reason));
    signal.addEventListener("abort", onAbort, { once: true });
    // Stays, for an error after the end is nobody's.
    socket.on("error", (error) => end(() => reject(error)));
    socket.on("close", () => {
      const early = new Error("the connection was closed before the response was whole");
      end(() => reject(Object.assign(early, { code: "ECONNRESET" })));
    });
    socket.on("connect", () => {
      const framed = new Uint8Array(2 + message.length);
      framed.set([message.length >> 8, message.length & 0xff]);
      framed.set(message, 2);
      socket.write(framed);
    });
    socket.on("data", (chunk: Uint8Array) => {
      chunks.push(chunk);
      received += chunk.length;
      if (received < 2) return;
      const [high, low] = chunks[0]!.length > 1 ? chunks[0]! : [chunks[0]![0]!, chunks[1]![0]!];
      const length = high! << 8 | low!;
      if (received >= 2 + length) end(() => resolve(joined(chunks).subarray(2, 2 + length)));
    });
  });
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
