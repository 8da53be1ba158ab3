/**
 * A DNS client for tests that examine single messages.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { connect, isIPv6, type Socket as TcpSocket } from "node:net";
import dnsPacket from "npm:dns-packet@^5.6.1";

export interface Message {
  id: number;
  rcode: string;
  flags: number;
  flag_aa: boolean;
  flag_tc: boolean;
  flag_rd: boolean;
  flag_ra: boolean;
  questions: { name: string; type: string; class: string }[];
  answers: { name: string; type: string; ttl: number; data: string }[];
  authorities: { name: string; type: string; ttl: number; data: { minimum: number } }[];
  additionals: { type: string; udpPayloadSize?: number }[];
}

interface DnsPacket {
  encode(message: unknown): Buffer;
  decode(message: Uint8Array): Message;
}
const packet = dnsPacket as unknown as DnsPacket;

export interface QueryOptions {
  id?: number;
  /** The UDP size of the OPT record. Default: no OPT record. */
  edns?: number;
  class?: string;
}

let lastId = 0;

export function encodeQuery(name: string, type: string, options: QueryOptions = {}): Uint8Array {
  return packet.encode({
    type: "query",
    id: options.id ?? (lastId = (lastId + 1) & 0xffff),
    flags: 0x100, // recursion desired
    questions: [{ name, type, class: options.class ?? "IN" }],
    additionals: options.edns === undefined
      ? []
      : [{ type: "OPT", name: ".", udpPayloadSize: options.edns, options: [] }],
  });
}

export function decode(message: Uint8Array): Message {
  return packet.decode(Buffer.from(message));
}

interface Arrival {
  message: Uint8Array;
  /** The sender's port. */
  port: number;
}

interface Target {
  readonly host: string;
  readonly port: number;
}

/** A queue of items that have arrived. */
class Inbox<T> {
  #items: T[] = [];
  #readers: ((item: T) => void)[] = [];

  put(item: T): void {
    const reader = this.#readers.shift();
    if (reader) reader(item);
    else this.#items.push(item);
  }

  /** Waits for the next item, for at most 5 seconds, so that a broken server does not hang a test. */
  take(): Promise<T> {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift()!);
    return new Promise((resolve, reject) => {
      const timeout = setTimeout(() => reject(new Error("Nothing arrived within 5 seconds")), 5000);
      this.#readers.push((item) => {
        clearTimeout(timeout);
        resolve(item);
      });
    });
  }
}

/** Sends datagrams to one server from one port, and receives from any sender. */
export class UdpClient {
  readonly #socket: UdpSocket;
  readonly #server: Target;
  readonly #inbox = new Inbox<Arrival>();

  constructor(server: Target) {
    this.#server = server;
    this.#socket = createSocket(isIPv6(server.host) ? "udp6" : "udp4");
    this.#socket.on("message", (message, { port }) => this.#inbox.put({ message, port }));
  }

  async send(message: Uint8Array): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#socket.send(message, this.#server.port, this.#server.host, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  }

  receive(): Promise<Arrival> {
    return this.#inbox.take();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }
}

/** One TCP connection to a server. */
export class TcpClient {
  readonly #socket: TcpSocket;
  readonly #inbox = new Inbox<Uint8Array | "closed">();
  /** The chunks in which data arrived. */
  readonly chunks: Uint8Array[] = [];
  #received: Uint8Array = new Uint8Array(0);
  readonly #closed: Promise<void>;

  constructor(server: Target) {
    this.#socket = connect(server.port, server.host);
    this.#socket.on("error", () => {});
    this.#closed = new Promise((resolve) =>
      this.#socket.on("close", () => {
        this.#inbox.put("closed");
        resolve();
      })
    );
    this.#socket.on("data", (chunk: Uint8Array) => {
      this.chunks.push(chunk);
      this.#received = Buffer.concat([this.#received, chunk]);
      for (;;) {
        const size = 2 + ((this.#received[0] ?? 0) << 8 | (this.#received[1] ?? 0));
        if (this.#received.length < 2 || this.#received.length < size) return;
        this.#inbox.put(this.#received.slice(2, size));
        this.#received = this.#received.slice(size);
      }
    });
  }

  /** Writes bytes without a length before them. */
  async write(bytes: Uint8Array): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.write(bytes, () => resolve()));
  }

  async send(message: Uint8Array): Promise<void> {
    await this.write(withLength(message));
  }

  /** Waits for the next message, or `"closed"`. */
  receive(): Promise<Uint8Array | "closed"> {
    return this.#inbox.take();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    await this.#closed;
  }
}

export function withLength(message: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(message.length >> 8, message.length & 0xff), message]);
}

export async function askUdp(
  server: Target,
  name: string,
  type = "A",
  options: QueryOptions = {},
): Promise<Message & { size: number; port: number }> {
  await using client = new UdpClient(server);
  await client.send(encodeQuery(name, type, options));
  const { message, port } = await client.receive();
  return { ...decode(message), size: message.length, port };
}

export async function askTcp(
  server: Target,
  name: string,
  type = "A",
  options: QueryOptions = {},
): Promise<Message> {
  await using client = new TcpClient(server);
  await client.send(encodeQuery(name, type, options));
  const message = await client.receive();
  if (message === "closed") throw new Error("The connection was closed without an answer");
  return decode(message);
}

/** Returns the data of an answer's records, in order. */
export function data(message: Message): string[] {
  return message.answers.map((record) => record.data);
}

/** Replaces the clock of `performance.now()` by one that only `advance` moves. */
export function fakeClock(startMs = 1_000_000): { advance(seconds: number): void } & Disposable {
  const real = performance.now;
  let nowMs = startMs;
  performance.now = () => nowMs;
  return {
    advance: (seconds) => void (nowMs += seconds * 1000),
    [Symbol.dispose]: () => void (performance.now = real),
  };
}
