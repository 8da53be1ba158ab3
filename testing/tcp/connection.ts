/**
 * One connection through the TCP proxy: two sockets, and the faults in the bytes between them.
 *
 * @module
 */

import type { Socket } from "node:net";
import { now, type Timer, timer } from "../../internal/clock.ts";

/** The faults of a connection at the moment. */
export interface ConnectionFault {
  /** Milliseconds by which each piece is late. */
  readonly delayMs: number;
  /** The directions in which bytes are dropped. */
  readonly drops: { readonly toServer: boolean; readonly toClient: boolean };
  /** Number of bytes to the client after which the connection is reset. */
  readonly cutAfter: number;
  /** Whether no connection to the server is opened for a new client. */
  readonly silent: boolean;
}

/** The counters that a connection adds to. */
export interface ConnectionCounts {
  toServer: number;
  toClient: number;
  dropped: number;
  cut: number;
}

/** Milliseconds between a write and a reset: directly after it, a reset is a graceful end on Node 20 and 22. */
const RESET_DELAY_MS = 2;

type Direction = "toServer" | "toClient";

/** One connection through the proxy. */
export class ProxiedConnection {
  /** Fulfilled when both sockets are closed. */
  readonly closed: Promise<void>;
  readonly #client: Socket;
  readonly #server: Socket | undefined;
  readonly #counts: ConnectionCounts;
  readonly #pipes: readonly Pipe[];
  #fault: ConnectionFault;
  #leftToCut = Infinity;
  /** Whether bytes or an end were dropped, so that the connection must be reset when the fault is over. */
  #inconsistent = false;
  #ended = false;
  #resetTimer: Timer | undefined;

  /**
   * @param client The client's socket.
   * @param server The server's socket; `undefined` if none is opened.
   * @param options The faults from the beginning, and the counters.
   */
  constructor(
    client: Socket,
    server: Socket | undefined,
    { fault, counts }: { fault: ConnectionFault; counts: ConnectionCounts },
  ) {
    this.#client = client;
    this.#server = server;
    this.#counts = counts;
    this.#fault = fault;
    this.#leftToCut = fault.cutAfter;
    const closings = (server ? [client, server] : [client]).map((socket) => {
      // Delayed pieces must not be joined.
      socket.setNoDelay(true);
      socket.on("error", () => this.#onError(socket));
      return new Promise((resolve) => socket.once("close", resolve));
    });
    this.closed = Promise.all(closings).then(() => {});
    this.#pipes = server
      ? [this.#pipe("toServer", client, server), this.#pipe("toClient", server, client)]
      : [];
    // Without a server, bytes and the end are accepted and not answered, as by the kernel of a process that hangs.
    if (!server) client.on("data", (chunk: Uint8Array) => counts.dropped += chunk.length);
  }

  /** Replaces the faults. The bytes until a cut are counted from here. */
  set(fault: ConnectionFault): void {
    const { toServer, toClient } = fault.drops;
    this.#fault = fault;
    this.#leftToCut = fault.cutAfter;
    const isOver = this.#server ? this.#inconsistent && !toServer && !toClient : !fault.silent;
    // As by a peer that is back and does not know the connection.
    if (isOver) this.reset();
  }

  /** Resets both sockets. */
  reset(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#resetTimer?.clear();
    for (const pipe of this.#pipes) pipe.stop();
    for (const socket of [this.#client, this.#server]) {
      if (socket && !socket.destroyed) socket.resetAndDestroy();
    }
  }

  /** Closes both sockets, when the proxy is closed. */
  terminate(): void {
    this.#ended = true;
    this.#resetTimer?.clear();
    for (const pipe of this.#pipes) pipe.stop();
    this.#client.destroy();
    this.#server?.destroy();
  }

  #pipe(direction: Direction, from: Socket, to: Socket): Pipe {
    const pipe = new Pipe(from, to);
    from.on("data", (chunk: Uint8Array) => {
      if (this.#ended) return;
      if (this.#fault.drops[direction]) {
        this.#inconsistent = true;
        this.#counts.dropped += chunk.length;
        return;
      }
      const passed = direction === "toClient" ? chunk.subarray(0, this.#leftToCut) : chunk;
      this.#counts[direction] += passed.length;
      if (direction === "toClient") this.#leftToCut -= passed.length;
      const isCut = direction === "toClient" && this.#leftToCut <= 0;
      pipe.add(passed, this.#fault.delayMs, isCut ? () => this.#cut() : undefined);
    });
    from.on("end", () => {
      // A peer that vanished sends no end.
      if (this.#fault.drops[direction]) this.#inconsistent = true;
      else pipe.add(undefined, this.#fault.delayMs);
    });
    return pipe;
  }

  #cut(): void {
    if (this.#ended || this.#resetTimer) return;
    this.#counts.cut++;
    this.#resetTimer = timer(RESET_DELAY_MS, () => this.reset());
  }

  /** Resets the connection after an error of one socket, unless the fault keeps the other side from noticing. */
  #onError(socket: Socket): void {
    const { toServer, toClient } = this.#fault.drops;
    const isDropped = socket === this.#client ? toServer : toClient;
    if (isDropped && this.#server) this.#inconsistent = true;
    else this.reset();
  }
}

/** Bytes to be passed on; `undefined` is the end. */
interface Piece {
  readonly bytes: Uint8Array | undefined;
  readonly dueMs: number;
  readonly then: (() => void) | undefined;
}

/** Passes bytes on in one direction, in order. */
class Pipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #pieces: Piece[] = [];
  #timer: Timer | undefined;

  constructor(from: Socket, to: Socket) {
    this.#from = from;
    this.#to = to;
    to.on("drain", () => from.resume());
    to.on("close", () => from.resume());
  }

  /** Passes a piece on after `delayMs`, and after all previous pieces. */
  add(bytes: Uint8Array | undefined, delayMs: number, then?: () => void): void {
    this.#pieces.push({ bytes, dueMs: now() + delayMs, then });
    if (!this.#timer) this.#flush();
  }

  /** Discards the pieces that are not passed on yet. */
  stop(): void {
    this.#timer?.clear();
    this.#timer = undefined;
    this.#pieces.length = 0;
  }

  #flush(): void {
    this.#timer = undefined;
    for (let piece; (piece = this.#pieces[0]);) {
      const waitMs = piece.dueMs - now();
      if (waitMs > 0) {
        this.#timer = timer(waitMs, () => this.#flush());
        return;
      }
      this.#pieces.shift();
      this.#write(piece);
    }
  }

  #write({ bytes, then }: Piece): void {
    if (!this.#to.writable) return;
    if (bytes === undefined) return void this.#to.end();
    // `then` runs when the bytes are written: those before a cut arrive.
    if (!this.#to.write(bytes, then) && !this.#to.destroyed) this.#from.pause();
  }
}
