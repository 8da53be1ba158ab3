/**
 * Sends a message to a DNS server and returns the response, over UDP or TCP. No socket stays open without a question.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createSocket, type Socket } from "node:dgram";
import { connect } from "node:net";
import { canonicalIp, ipFamily, withoutZone } from "../../internal/ip.ts";
import type { NameServer } from "../lookup.ts";
import { withZoneNumber } from "./zone.ts";

/** Bytes of the buffer that Deno allocates for each message, in place of 64 KB; it doubles them, as Linux does. */
const DENO_BUFFER = 4096;

/** Maximum number of questions that share a UDP socket. */
const MAX_QUESTIONS = 8;

/** The server of an exchange, and its end. */
export interface ExchangeOptions {
  readonly server: NameServer;
  /** Ends the exchange: it rejects with the signal's reason. */
  readonly signal: AbortSignal;
  /** Whether the process may exit while the server is silent. */
  readonly unref: boolean;
}

/**
 * Sends a query over UDP. Messages from other senders, with another id, and those at which `onMessage` throws, are
 * ignored: a stray or forged packet must not keep the response out.
 *
 * Questions that are asked at the same time share a socket, up to {@linkcode MAX_QUESTIONS}; a question that is asked
 * alone has its own. No socket is used again after its last response.
 *
 * @param message The query.
 * @param options The server.
 * @param listener What becomes of it.
 * @returns Ends the wait for the response; nothing else does while the server is silent.
 */
export function overUdp(
  message: Uint8Array,
  { server, unref }: Omit<ExchangeOptions, "signal">,
  listener: UdpListener,
): () => void {
  const id = idOf(message);
  const socket = UdpSocket.to(server, unref, id);
  socket.ask(message, listener);
  return () => socket.end(id);
}

/** What becomes of a question. */
export interface UdpListener {
  /** Called with each message that has its id, until one is the response; throws if it is not. */
  onMessage(message: Uint8Array): void;
  /** Called when the socket fails. */
  onError(error: Error): void;
}

/** The questions that share a socket, and so a port that a forger has to guess. */
class UdpSocket {
  /** The sockets that take more questions, by server. */
  static readonly #open = new Map<string, UdpSocket>();

  /** Returns a socket for a question to a server. */
  static to({ host, port }: NameServer, unref: boolean, id: number): UdpSocket {
    const key = `${unref} ${port} ${host}`;
    const shared = UdpSocket.#open.get(key);
    if (shared && !shared.#questions.has(id)) return shared;
    const socket = new UdpSocket(key, host, port, unref);
    UdpSocket.#open.set(key, socket);
    return socket;
  }

  readonly #key: string;
  readonly #socket: Socket;
  /** The open questions, by id. */
  readonly #questions = new Map<number, UdpListener>();
  /** The queries that are sent when the socket is connected. */
  #unsent: Uint8Array[] | undefined = [];
  /** Number of questions so far. */
  #asked = 0;

  private constructor(key: string, host: string, port: number, unref: boolean) {
    this.#key = key;
    const address = canonicalIp(withoutZone(host));
    // Not bound to a port: the system picks one at random.
    const socket = createSocket({
      type: ipFamily(withoutZone(host)) === 6 ? "udp6" : "udp4",
      // Elsewhere, it is the buffer of the kernel, for all messages that have not been read yet.
      ...("Deno" in globalThis && { recvBufferSize: DENO_BUFFER }),
    });
    this.#socket = socket;
    if (unref) socket.unref();
    socket.on("error", (error) => this.#fail(error));
    socket.on("message", (bytes, from) => {
      if (from.port !== port || canonicalIp(withoutZone(from.address)) !== address) return;
      this.#receive(bytes);
    });
    // A connected socket reports a closed port (if the runtime passes that on; Deno does not).
    socket.connect(port, withZoneNumber(host), (error?: Error) => {
      if (error) return this.#fail(error);
      const unsent = this.#unsent;
      this.#unsent = undefined;
      for (const message of unsent!) this.#send(message);
    });
  }

  /** Sends a query. */
  ask(message: Uint8Array, listener: UdpListener): void {
    this.#questions.set(idOf(message), listener);
    if (++this.#asked === MAX_QUESTIONS) this.#takeNoMore();
    if (this.#unsent) this.#unsent.push(message);
    else this.#send(message);
  }

  /** Ends the wait for the response to the query with this id; the last one closes the socket. */
  end(id: number): void {
    if (this.#questions.delete(id) && this.#questions.size === 0) this.#close();
  }

  #send(message: Uint8Array): void {
    try {
      this.#socket.send(message, (error) => error && this.#fail(error));
    } catch (error) {
      this.#fail(error as Error); // it was closed in the meantime
    }
  }

  #receive(message: Uint8Array): void {
    if (message.length < 2) return;
    const id = idOf(message);
    try {
      this.#questions.get(id)?.onMessage(message);
    } catch {
      return;
    }
    this.end(id);
  }

  #fail(error: Error): void {
    const listeners = [...this.#questions.values()];
    this.#questions.clear();
    this.#close();
    for (const listener of listeners) listener.onError(error);
  }

  #close(): void {
    this.#takeNoMore();
    try {
      this.#socket.close();
    } catch {
      // An error has closed it already.
    }
  }

  #takeNoMore(): void {
    if (UdpSocket.#open.get(this.#key) === this) UdpSocket.#open.delete(this.#key);
  }
}

function idOf(message: Uint8Array): number {
  return message[0]! << 8 | message[1]!;
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
    const socket = connect({
      host: withZoneNumber(server.host),
      port: server.port,
      noDelay: true,
    });
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
