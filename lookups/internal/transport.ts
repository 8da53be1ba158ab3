/**
 * Sends a message to a DNS server and returns the response, over UDP or TCP. Each exchange has a socket of its own,
 * which is closed when the promise settles.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { canonicalIp, ipFamily } from "../../internal/ip.ts";
import type { NameServer } from "../lookup.ts";

/** The server of an exchange, and its end. */
export interface ExchangeOptions {
  readonly server: NameServer;
  /** Ends the exchange: it rejects with the signal's reason. */
  readonly signal: AbortSignal;
  /** Whether the process may exit while the server is silent. */
  readonly unref: boolean;
}

/** Returns a server's address without the zone of a link-local one. */
export function withoutZone(host: string): string {
  return host.replace(/%.*$/, "");
}

/**
 * Sends a message over UDP and waits for the response. Messages from other senders, and those at which `read` throws,
 * are ignored: a stray or forged packet must not keep the response out.
 *
 * @param message The message.
 * @param options The server and the signal; nothing else ends the wait for a silent server.
 * @param read Reads a message that came back; throws if it is not the response.
 * @returns What `read` returned.
 */
export function overUdp<T>(
  message: Uint8Array,
  { server, signal, unref }: ExchangeOptions,
  read: (message: Uint8Array) => T,
): Promise<T> {
  const { host, port } = server;
  const address = canonicalIp(withoutZone(host));
  return new Promise((resolve, reject) => {
    // Not bound to a port: the system picks one at random, which a forger has to guess.
    const socket = createSocket(ipFamily(withoutZone(host)) === 6 ? "udp6" : "udp4");
    if (unref) socket.unref();
    const finish = (settle: () => void) => {
      signal.removeEventListener("abort", onAbort);
      socket.off("message", onMessage);
      try {
        socket.close();
      } catch {
        // An error has closed it already.
      }
      settle();
    };
    const onAbort = () => finish(() => reject(signal.reason));
    const onError = (error: Error) => finish(() => reject(error));
    const onMessage = (bytes: Uint8Array, from: { address: string; port: number }) => {
      if (from.port !== port || canonicalIp(withoutZone(from.address)) !== address) return;
      let result: T;
      try {
        result = read(bytes);
      } catch {
        return;
      }
      finish(() => resolve(result));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    socket.on("error", onError);
    socket.on("message", onMessage);
    // A connected socket reports a closed port (if the runtime passes that on; Deno does not).
    socket.connect(port, host, (error?: Error) => {
      if (error) return onError(error);
      try {
        socket.send(message, (error) => error && onError(error));
      } catch (error) {
        onError(error as Error); // it was closed in the meantime
      }
    });
  });
}

/**
 * Sends a message over TCP, after two bytes of length (RFC 7766 section 8), and reads the response.
 *
 * @param message The message.
 * @param options The server and the signal.
 * @returns The first message that comes back, at most 65,535 bytes.
 * @throws {Error} if the connection fails or is closed before the message is complete.
 */
export function overTcp(
  message: Uint8Array,
  { server, signal, unref }: ExchangeOptions,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: server.host, port: server.port, noDelay: true });
    if (unref) socket.unref();
    const chunks: Uint8Array[] = [];
    let received = 0;
    let end: number | undefined;
    const finish = (settle: () => void) => {
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      settle();
    };
    const onAbort = () => finish(() => reject(signal.reason));
    signal.addEventListener("abort", onAbort, { once: true });
    // The listener stays: a late error must not crash the process.
    socket.on("error", (error) => finish(() => reject(error)));
    socket.on("close", () => {
      const early = new Error("the connection was closed before the response was complete");
      finish(() => reject(Object.assign(early, { code: "ECONNRESET" })));
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
      if (end === undefined) {
        const [high, low] = Buffer.concat(chunks);
        end = 2 + (high! << 8 | low!);
      }
      if (received < end) return;
      finish(() => resolve(Buffer.concat(chunks).subarray(2, end)));
    });
  });
}
