/**
 * The DNS server's sockets: UDP and TCP on one port, opened and closed together.
 *
 * @module
 */

import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { createServer, type Server, type Socket as TcpSocket } from "node:net";
import { type Timer, timer } from "../../internal/clock.ts";
import { hostPort, ipFamily } from "../../internal/ip.ts";
import { codeOf } from "../../internal/thrown.ts";

/** Maximum number of ports tried: the TCP port of a free UDP port is rarely taken. */
const MAX_PORT_TRIES = 20;
/** Pause between the pieces of a message, in milliseconds: long enough for each to be read separately. */
const PIECE_PAUSE_MS = 2;

/** Faults in the sending of a message. */
export interface SendOptions {
  /** Sends it from another port (UDP). */
  readonly wrongPort?: boolean;
  /** Sends only the first half, and closes the connection (TCP). */
  readonly cutShort?: boolean;
  /** Sends it in four pieces (TCP). */
  readonly inPieces?: boolean;
}

/** The sender of a message. */
export interface Client {
  readonly protocol: "udp" | "tcp";
  /** `"127.0.0.1:53535"`, `"[::1]:53535"`. */
  readonly from: string;
  /** Sends a message to it. */
  send(message: Uint8Array, options?: SendOptions): void;
}

/** Receives each message as it arrives. */
export type Listener = (message: Uint8Array, client: Client) => void;

/** A UDP and a TCP socket on the same port. */
export class Sockets {
  /** Opens both; with port 0 on one that both can use. */
  static async open(host: string, port: number): Promise<Sockets> {
    for (let tries = 1;; tries++) {
      const udp = await openUdp(host, port);
      const tcp = createServer();
      try {
        await listen(tcp, host, udp.address().port);
        return new Sockets(host, udp, tcp);
      } catch (error) {
        await closeUdp(udp);
        const isTaken = codeOf(error) === "EADDRINUSE";
        if (port !== 0 || !isTaken || tries >= MAX_PORT_TRIES) throw error;
      }
    }
  }

  readonly port: number;
  /** Receives the messages. */
  listener: Listener = () => {};
  readonly #host: string;
  readonly #udp: UdpSocket;
  readonly #tcp: Server;
  readonly #connections = new Set<Connection>();
  #otherSocket: Promise<UdpSocket> | undefined;
  #closed: Promise<void> | undefined;

  private constructor(host: string, udp: UdpSocket, tcp: Server) {
    this.port = udp.address().port;
    this.#host = host;
    this.#udp = udp;
    this.#tcp = tcp;
    // An error of one send or accept does not stop the server.
    udp.on("error", () => {});
    tcp.on("error", () => {});
    udp.on("message", (message, from) => {
      const client: Client = {
        protocol: "udp",
        from: hostPort(from.address, from.port),
        send: (reply, options = {}) => this.#sendUdp(reply, from, options),
      };
      this.listener(message, client);
    });
    tcp.on("connection", (socket) => {
      if (this.#closed) return void socket.destroy();
      const connection = new Connection(
        socket,
        (message, client) => this.listener(message, client),
      );
      this.#connections.add(connection);
      socket.on("close", () => this.#connections.delete(connection));
    });
  }

  #sendUdp(
    message: Uint8Array,
    to: { address: string; port: number },
    { wrongPort = false, cutShort = false }: SendOptions,
  ): void {
    const bytes = cutShort ? message.subarray(0, message.length >> 1) : message;
    const send = (socket: UdpSocket) => {
      if (!this.#closed) socket.send(bytes, to.port, to.address, () => {});
    };
    if (!wrongPort) return send(this.#udp);
    this.#otherSocket ??= openUdp(this.#host, 0);
    this.#otherSocket.then(send, () => {});
  }

  /** Closes both at once; messages that are not sent yet are lost. */
  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  async #close(): Promise<void> {
    const tcpClosed = new Promise<void>((resolve) => this.#tcp.close(() => resolve()));
    for (const connection of this.#connections) connection.destroy();
    const other = await this.#otherSocket?.catch(() => undefined);
    await Promise.all([tcpClosed, closeUdp(this.#udp), other && closeUdp(other)]);
  }
}

/** One TCP connection: each message follows two bytes of length (RFC 7766 section 8). */
class Connection {
  readonly #socket: TcpSocket;
  readonly #listener: Listener;
  readonly #client: Client;
  #received: Uint8Array = new Uint8Array(0);
  /** The bytes to be written, in order; `undefined` closes the connection. */
  readonly #queue: (Uint8Array | undefined)[] = [];
  #pause: Timer | undefined;

  constructor(socket: TcpSocket, listener: Listener) {
    this.#socket = socket;
    this.#listener = listener;
    this.#client = {
      protocol: "tcp",
      from: hostPort(socket.remoteAddress ?? "", socket.remotePort ?? 0),
      send: (message, options = {}) => this.#send(message, options),
    };
    socket.setNoDelay(true);
    socket.on("error", () => {});
    socket.on("close", () => this.#pause?.clear());
    socket.on("data", (chunk: Uint8Array) => this.#read(chunk));
  }

  destroy(): void {
    this.#pause?.clear();
    this.#socket.destroy();
  }

  #read(chunk: Uint8Array): void {
    const bytes = new Uint8Array(this.#received.length + chunk.length);
    bytes.set(this.#received);
    bytes.set(chunk, this.#received.length);
    let start = 0;
    while (bytes.length - start >= 2) {
      const end = start + 2 + ((bytes[start]! << 8) | bytes[start + 1]!);
      if (end > bytes.length) break;
      this.#listener(bytes.slice(start + 2, end), this.#client);
      start = end;
    }
    this.#received = bytes.slice(start);
  }

  #send(message: Uint8Array, { cutShort = false, inPieces = false }: SendOptions): void {
    const sent = cutShort ? message.length >> 1 : message.length;
    const bytes = new Uint8Array(2 + sent);
    bytes.set([message.length >> 8, message.length & 0xff]);
    bytes.set(message.subarray(0, sent), 2);
    // Cuts within the length, after it, and within the header.
    if (inPieces) {
      this.#queue.push(bytes.slice(0, 1), bytes.slice(1, 2), bytes.slice(2, 7), bytes.slice(7));
    } else this.#queue.push(bytes);
    if (cutShort) this.#queue.push(undefined);
    if (this.#pause === undefined) this.#flush();
  }

  #flush(): void {
    this.#pause = undefined;
    if (this.#queue.length === 0 || !this.#socket.writable) return;
    this.#socket.write(this.#queue.shift()!);
    if (this.#queue.length > 0 && this.#queue[0] === undefined) return void this.#socket.end();
    if (this.#queue.length > 0) this.#pause = timer(PIECE_PAUSE_MS, () => this.#flush());
  }
}

function openUdp(host: string, port: number): Promise<UdpSocket> {
  const socket = ipFamily(host) === 6
    ? createSocket({ type: "udp6", ipv6Only: true })
    : createSocket({ type: "udp4" });
  return new Promise((resolve, reject) => {
    const onError = (error: Error) => socket.close(() => reject(error));
    socket.once("error", onError);
    socket.bind(port, host, () => {
      socket.off("error", onError);
      resolve(socket);
    });
  });
}

function closeUdp(socket: UdpSocket): Promise<void> {
  return new Promise((resolve) => socket.close(() => resolve()));
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, ipv6Only: true }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
