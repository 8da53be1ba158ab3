/**
 * DNS messages and a DNS server for tests that set every byte; other tests use the server of testing/.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { createServer, type Server } from "node:net";
import dnsPacket from "npm:dns-packet@^5.6.1";
import type { NameServer } from "../../lookups/lookup.ts";

/** A record in the form of npm:dns-packet. */
export interface RawRecord {
  readonly name: string;
  readonly type: string;
  readonly class?: string;
  readonly ttl?: number;
  readonly data?: unknown;
  readonly udpPayloadSize?: number;
  readonly extendedRcode?: number;
  readonly options?: readonly { readonly code: number; readonly data: Uint8Array }[];
}

/** A message in the form of npm:dns-packet. */
export interface RawMessage {
  readonly id: number;
  readonly type: "query" | "response";
  readonly flags: number;
  readonly questions: readonly { readonly name: string; readonly type: string }[];
  readonly answers?: readonly RawRecord[];
  readonly authorities?: readonly RawRecord[];
  readonly additionals?: readonly RawRecord[];
}

interface DnsPacket {
  encode(message: RawMessage): Uint8Array;
  decode(message: Uint8Array): Required<RawMessage>;
}
const packet = dnsPacket as unknown as DnsPacket;

/** The flags of a usual response: recursion desired and available. */
export const FLAGS = 0x180;
export const TRUNCATED = 0x200;

/** Reads a message with npm:dns-packet. */
export function decode(message: Uint8Array): Required<RawMessage> {
  return packet.decode(Buffer.from(message));
}

/** Writes a message with npm:dns-packet. */
export function encode(message: RawMessage): Uint8Array {
  return new Uint8Array(packet.encode(message));
}

/** Makes a response to a query, with changes. */
export function reply(query: Uint8Array, changes: Partial<RawMessage> = {}): Uint8Array {
  const { id, questions } = decode(query);
  return encode({ id, questions, type: "response", flags: FLAGS, ...changes });
}

/** Makes an A record. */
export function a(name: string, data: string, ttl = 60): RawRecord {
  return { name, type: "A", ttl, data };
}

/** An OPT record. */
export const OPT: RawRecord = { name: ".", type: "OPT", udpPayloadSize: 1232 };

/** A query that arrived. */
export interface Incoming {
  readonly message: Uint8Array;
  readonly protocol: "udp" | "tcp";
  /** The client's port. */
  readonly port: number;
  send(message: Uint8Array): void;
  /** Closes the connection, if there is one. */
  end(): void;
}

/** A server on the loopback interface. */
export interface RawDns {
  readonly server: NameServer;
  close(): Promise<void>;
}

/** Starts a server whose responses `answer` sends. */
export async function rawDns(answer: (query: Incoming) => void): Promise<RawDns> {
  const { udp, tcp, server } = await open();
  serve(udp, tcp, answer);
  return { server, close: () => Promise.all([closed(udp), closed(tcp)]).then(() => {}) };
}

/** Starts a server whose port is closed for TCP. */
export async function udpDns(answer: (query: Incoming) => void): Promise<RawDns> {
  const { udp, tcp, server } = await open();
  await closed(tcp);
  serve(udp, tcp, answer);
  return { server, close: () => closed(udp) };
}

/** Starts a server whose port is closed for UDP. */
export async function tcpDns(answer: (query: Incoming) => void): Promise<RawDns> {
  const { udp, tcp, server } = await open();
  await closed(udp);
  serve(udp, tcp, answer);
  return { server, close: () => closed(tcp) };
}

/** Opens a port for both. */
async function open(): Promise<{ udp: UdpSocket; tcp: Server; server: NameServer }> {
  for (;;) {
    const udp = createSocket("udp4");
    const tcp = createServer();
    await new Promise<void>((resolve) => udp.bind(0, "127.0.0.1", resolve));
    const { port } = udp.address();
    if (await listens(tcp, port)) return { udp, tcp, server: { host: "127.0.0.1", port } };
    udp.close();
  }
}

function closed(socket: UdpSocket | Server): Promise<void> {
  return new Promise((resolve) => socket.close(() => resolve()));
}

function listens(tcp: Server, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    tcp.once("error", () => resolve(false));
    tcp.listen(port, "127.0.0.1", () => resolve(true));
  });
}

function serve(udp: UdpSocket, tcp: Server, answer: (query: Incoming) => void): void {
  udp.on("message", (message, { port, address }) => {
    const send = (bytes: Uint8Array) => udp.send(bytes, port, address, () => {});
    answer({ message, protocol: "udp", port, send, end: () => {} });
  });
  tcp.on("connection", (socket) => {
    socket.on("error", () => {});
    socket.on("data", (chunk: Uint8Array) => {
      const send = (bytes: Uint8Array) => {
        socket.write(Uint8Array.of(bytes.length >> 8, bytes.length & 0xff));
        socket.write(bytes);
      };
      const end = () => void socket.end();
      const message = chunk.subarray(2);
      answer({ message, protocol: "tcp", port: socket.remotePort!, send, end });
    });
  });
}
