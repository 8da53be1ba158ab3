/**
 * Servers that a test plays itself, a message at a time; on every runtime.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import { once } from "node:events";
import net from "node:net";

/** A client's connection, from the server's side. It stays open until it is closed here, whatever the client does. */
export class Peer implements AsyncDisposable {
  readonly #socket: net.Socket;
  readonly #chunks: Uint8Array[] = [];
  #ended = false;
  #error: Error | undefined;
  #wake = () => {};

  /** Peers come from {@linkcode listen}. */
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
   * Waits for what the client says next.
   *
   * @returns What it said; `undefined` once it has hung up.
   * @throws {Error} with the code `ECONNRESET` where it did so with a reset.
   */
  async read(): Promise<Uint8Array | undefined> {
    while (this.#chunks.length === 0) {
      if (this.#error) throw this.#error;
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#chunks.shift();
  }

  /** Says something. */
  async write(bytes: Uint8Array): Promise<void> {
    await new Promise<void>((resolve, reject) =>
      this.#socket.write(bytes, (error) => error ? reject(error) : resolve())
    );
  }

  /** Hangs up; again, it is harmless. */
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

/** A port on 127.0.0.1; its end closes what came in. */
export interface Listener extends AsyncDisposable {
  readonly port: number;
  /** All who came, those that nobody accepted included. */
  readonly came: readonly Peer[];
  /** Waits for the next client. */
  accept(): Promise<Peer>;
}

/** Listens on a port that is free. */
export async function listen(): Promise<Listener> {
  const came: Peer[] = [];
  const waiting: ((peer: Peer) => void)[] = [];
  let accepted = 0;
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    const peer = new Peer(socket);
    came.push(peer);
    if (waiting.length === 0) return;
    accepted++;
    waiting.shift()!(peer);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  return {
    port,
    came,
    accept: () =>
      accepted < came.length
        ? Promise.resolve(came[accepted++]!)
        : new Promise((resolve) => waiting.push(resolve)),
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const peer of came) await peer.close();
      await closed;
    },
  };
}
