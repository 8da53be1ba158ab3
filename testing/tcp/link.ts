/**
 * One connection through the TCP proxy: two sockets, and what happens to the bytes between them.
 *
 * @module
 */

import type { Socket } from "node:net";
import { now, type Timer, timer } from "../../internal/clock.ts";

/** What goes wrong on a connection at the moment. */
export interface LinkFault {
  /** By how many milliseconds each piece is late. */
  readonly delayMs: number;
  /** Which way bytes get lost. */
  readonly lost: { readonly toServer: boolean; readonly toClient: boolean };
  /** After how many bytes to the client the connection is reset. */
  readonly cutAfter: number;
  /** Whether the server is never told of new ones. */
  readonly silent: boolean;
}

/** What a link adds its figures to. */
export interface LinkCounts {
  toServer: number;
  toClient: number;
  dropped: number;
  cut: number;
}

/** A reset in the moment of a write would be a goodbye on Node 20 and 22. */
const CUT_PAUSE_MS = 2;

type Way = "toServer" | "toClient";

/** One connection. */
export class Link {
  /** Fulfilled when both sockets are closed. */
  readonly gone: Promise<void>;
  readonly #client: Socket;
  readonly #server: Socket | undefined;
  readonly #counts: LinkCounts;
  readonly #ways: readonly OneWay[];
  #fault: LinkFault;
  #leftToCut = Infinity;
  /** Bytes, or the end, got lost: the two sides do not agree any more on what was said. */
  #torn = false;
  #gone = false;
  #cutting: Timer | undefined;

  /**
   * @param client The caller's side.
   * @param server The server's; `undefined`: it is never told.
   * @param fault What goes wrong from the beginning.
   * @param options Where the figures go.
   */
  constructor(
    client: Socket,
    server: Socket | undefined,
    { fault, counts }: { fault: LinkFault; counts: LinkCounts },
  ) {
    this.#client = client;
    this.#server = server;
    this.#counts = counts;
    this.#fault = fault;
    this.#leftToCut = fault.cutAfter;
    const closings = (server ? [client, server] : [client]).map((socket) => {
      // What is said late is said in pieces of its own.
      socket.setNoDelay(true);
      socket.on("error", () => this.#onError(socket));
      return new Promise((resolve) => socket.once("close", resolve));
    });
    this.gone = Promise.all(closings).then(() => {});
    this.#ways = server
      ? [this.#join("toServer", client, server), this.#join("toClient", server, client)]
      : [];
    // Nobody is told, and nobody says anything: bytes are taken in, as a kernel would.
    if (!server) {
      client.on("data", (chunk: Uint8Array) => counts.dropped += chunk.length);
      client.on("end", () => client.end());
    }
  }

  /** From now on this goes wrong; the bytes until the cut are counted from here. */
  set(fault: LinkFault): void {
    const { toServer, toClient } = fault.lost;
    this.#fault = fault;
    this.#leftToCut = fault.cutAfter;
    const over = this.#server ? this.#torn && !toServer && !toClient : !fault.silent;
    // A peer that is back, and does not know the connection.
    if (over) this.reset();
  }

  /** Ends both sides with a reset. */
  reset(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#cutting?.clear();
    for (const way of this.#ways) way.stop();
    for (const socket of [this.#client, this.#server]) {
      if (socket && !socket.destroyed) socket.resetAndDestroy();
    }
  }

  /** Ends both sides as the proxy closes. */
  destroy(): void {
    this.#gone = true;
    this.#cutting?.clear();
    for (const way of this.#ways) way.stop();
    this.#client.destroy();
    this.#server?.destroy();
  }

  #join(way: Way, from: Socket, to: Socket): OneWay {
    const pass = new OneWay(from, to);
    from.on("data", (chunk: Uint8Array) => {
      if (this.#gone) return;
      if (this.#fault.lost[way]) {
        this.#torn = true;
        this.#counts.dropped += chunk.length;
        return;
      }
      const passed = way === "toClient" ? chunk.subarray(0, this.#leftToCut) : chunk;
      this.#counts[way] += passed.length;
      if (way === "toClient") this.#leftToCut -= passed.length;
      const cut = way === "toClient" && this.#leftToCut <= 0;
      pass.add(passed, this.#fault.delayMs, cut ? () => this.#cut() : undefined);
    });
    from.on("end", () => {
      // A peer that vanished says no goodbye.
      if (this.#fault.lost[way]) this.#torn = true;
      else pass.add(undefined, this.#fault.delayMs);
    });
    return pass;
  }

  #cut(): void {
    if (this.#gone || this.#cutting) return;
    this.#counts.cut++;
    this.#cutting = timer(CUT_PAUSE_MS, () => this.reset());
  }

  /** A side that broke breaks the other, unless the news gets lost on its way. */
  #onError(socket: Socket): void {
    const { toServer, toClient } = this.#fault.lost;
    const lost = socket === this.#client ? toServer : toClient;
    if (lost && this.#server) this.#torn = true;
    else this.reset();
  }
}

/** A piece on its way; without bytes it is the end. */
interface Piece {
  readonly bytes: Uint8Array | undefined;
  readonly dueMs: number;
  readonly then: (() => void) | undefined;
}

/** Bytes in one direction, in order. */
class OneWay {
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

  /** Passes a piece on in `delayMs`, after those before it. */
  add(bytes: Uint8Array | undefined, delayMs: number, then?: () => void): void {
    this.#pieces.push({ bytes, dueMs: now() + delayMs, then });
    if (!this.#timer) this.#flush();
  }

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
    // What was said before a cut is there before it.
    if (!this.#to.write(bytes, then) && !this.#to.destroyed) this.#from.pause();
  }
}
