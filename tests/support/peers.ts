/**
 * TCP servers whose messages a test reads and writes one at a time. They work on every runtime.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import { once } from "node:events";
import net from "node:net";

/** The server's side of a connection. It stays open until the test closes it, whatever the client does. */
export class Peer implements AsyncDisposable {
  readonly #socket: net.Socket;
  readonly #chunks: Uint8Array[] = [];
  #ended = false;
  #error: Error | undefined;
  #wake = () => {};

  /** @param socket The accepted socket; {@linkcode listen} makes the peers. */
  constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#chunks.push(new Uint8Array(chunk));
      this.#wake();
    });
    socket.on("end", () => this.#end());
    socket.on("close", () => this.#end());
    socket.on("error", (error) => {
      this.#error = error;
      this.#end();
    });
  }

  #end(): void {
    this.#ended = true;
    this.#wake();
  }

  /**
   * Waits for the client's next bytes.
   *
   * @returns The bytes; `undefined` once the client has closed the connection.
   * @throws {Error} with the code `ECONNRESET` if the client reset the connection.
   */
  async read(): Promise<Uint8Array | undefined> {
    while (this.#chunks.length === 0) {
      if (this.#error) throw this.#error;
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#chunks.shift();
  }

  /** Sends bytes. */
  async write(bytes: Uint8Array): Promise<void> {
    await new Promise<void>((resolve, reject) =>
      this.#socket.write(bytes, (error) => error ? reject(error) : resolve())
    );
  }

  /** Closes the connection. A second call does nothing. */
  async close(): Promise<void> {
    if (this.#socket.closed) return;
    const closed = once(this.#socket, "close");
    this.#socket.destroy();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A listening port on 127.0.0.1; disposing it closes its connections. */
export interface Listener extends AsyncDisposable {
  readonly port: number;
  /** All connections, also those that `accept` has not returned yet. */
  readonly peers: readonly Peer[];
  /** Waits for the next connection. */
  accept(): Promise<Peer>;
}

/** Listens on a free port. */
export async function listen(): Promise<Listener> {
  const peers: Peer[] = [];
  const waiting: ((peer: Peer) => void)[] = [];
  let accepted = 0;
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    const peer = new Peer(socket);
    peers.push(peer);
    if (waiting.length === 0) return;
    accepted++;
    waiting.shift()!(peer);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  return {
    port,
    peers,
    accept: () =>
      accepted < peers.length
        ? Promise.resolve(peers[accepted++]!)
        : new Promise((resolve) => waiting.push(resolve)),
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const peer of peers) await peer.close();
      await closed;
    },
  };
}
