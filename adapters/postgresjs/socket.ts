/**
 * What postgres.js is given for a socket. Left alone it would dial again when its connection dies, would not tell what
 * the server said, and would end the process over a query that is sent in the moment of that death.
 *
 * @module
 */

import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { Conversation, type ErrorFields } from "../shared/postgres_protocol.ts";

/** How a CancelRequest begins: its length, its code (PostgreSQL, chapter "Message Formats"). */
const CANCEL_REQUEST = [0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e];
/** For a cancel, from its dial until the server has hung up. */
const CANCEL_MS = 10_000;

/** Where a socket leads, for the driver's messages. */
export interface Where {
  /** The address. */
  readonly host: string;
  /** TCP port. */
  readonly port: number;
}

/** Who is told what. */
export interface SocketEvents {
  /** Makes an error of what the server says. */
  toError(fields: ErrorFields): Error;
  /** The server reported an error. */
  onError(error: Error): void;
  /** The connection has ended; where the driver did not end it, it is told so when `release` is called. */
  onEnd(error: Error): void;
}

/** The one socket of one connection. */
export class DriverSocket extends EventEmitter {
  /** The address. */
  readonly host: string;
  /** TCP port. */
  readonly port: number;
  /** As in `node:net`. */
  readyState: "open" | "closed" = "open";

  readonly #socket: Socket;
  readonly #events: SocketEvents;
  readonly #conversation: Conversation = new Conversation();
  readonly #ended: AbortController = new AbortController();
  #taken = false;
  /** Rejects the opening. While there is one, and after one that failed, the driver hears nothing of failures. */
  #fail: ((error: unknown) => void) | undefined;
  #opened = false;
  /** The driver said goodbye. */
  #finished = false;
  /** Why the connection is about to end. */
  #cause: Error | undefined;

  /**
   * @param socket The real one, open, which is this one's to close.
   * @param where Where it leads.
   * @param events Who is told what.
   */
  constructor(socket: Socket, where: Where, events: SocketEvents) {
    super();
    this.host = where.host;
    this.port = where.port;
    this.#socket = socket;
    this.#events = events;
    socket.on("data", (chunk: Uint8Array) => this.#receive(chunk));
    socket.on("drain", () => this.emit("drain"));
    socket.on("error", (error: Error) => this.#cause = error);
    socket.on("close", () => this.#end(this.#cause ?? closedByServer()));
  }

  /**
   * For the driver's option `socket`: this one the first time, and then those that can do no more than cancel.
   *
   * @param dial Opens another socket to the same address.
   * @returns The socket for the driver.
   */
  take(dial: (signal: AbortSignal) => Promise<Socket>): DriverSocket | CancelSocket {
    if (this.#taken) return new CancelSocket(this, { dial, ended: this.#ended.signal });
    this.#taken = true;
    return this;
  }

  /**
   * Waits for the driver to finish the handshake.
   *
   * The driver is not told of failures meanwhile: it would answer some by dialling on, others by a rejection that
   * nobody can handle.
   *
   * @param ready The driver's word for it.
   * @param signal Ends the wait.
   * @throws What the server or the socket says, or the driver; or the signal's reason.
   */
  async opening(ready: PromiseLike<unknown>, signal: AbortSignal): Promise<void> {
    let onAbort!: () => void;
    try {
      await new Promise<unknown>((resolve, reject) => {
        this.#fail = reject;
        onAbort = () => reject(signal.reason);
        signal.addEventListener("abort", onAbort, { once: true });
        if (signal.aborted) onAbort();
        if (this.readyState === "closed") reject(this.#cause ?? closedByServer());
        ready.then(resolve, reject);
      });
      this.#fail = undefined;
      this.#opened = true;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Whether a transaction is open; `undefined` while the server has something left to answer. */
  get inTransaction(): boolean | undefined {
    return this.readyState === "open" ? this.#conversation.inTransaction : undefined;
  }

  /** It holds the process up. */
  ref(): void {
    this.#socket.ref();
  }

  /** It does not. */
  unref(): void {
    this.#socket.unref();
  }

  /** Drops the socket now; pending work rejects with the reason. */
  terminate(reason: Error = closedByServer()): void {
    this.#end(reason);
    this.#socket.destroy();
  }

  /** Tells the driver that the socket is closed: when it has been told to dial no more, and not before. */
  release(): void {
    this.emit("close", true);
  }

  /** The driver speaks. */
  write(bytes: Uint8Array, done?: (error?: Error | null) => void): boolean {
    if (this.readyState === "open") {
      this.#conversation.sent(bytes);
      return this.#socket.write(bytes, done);
    }
    done?.(this.#cause);
    return true;
  }

  /** The driver says goodbye. */
  end(bytes: Uint8Array): void {
    this.#finished = true;
    this.#socket.end(bytes);
  }

  /** The driver drops the socket. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** The driver takes in no more for the moment. */
  pause(): void {
    this.#socket.pause();
  }

  /** The driver goes on. */
  resume(): void {
    this.#socket.resume();
  }

  #receive(chunk: Uint8Array): void {
    const errors = this.#conversation.received(chunk).map((fields) => this.#events.toError(fields));
    const fatal = errors.find((error) => isFatal(error));
    if (fatal) this.#cause = fatal;
    if (!this.#opened && errors.length > 0) return this.#fail?.(errors[0]);
    this.emit("data", chunk);
    for (const error of errors) this.#events.onError(error);
  }

  #end(error: Error): void {
    if (this.readyState === "closed") return;
    this.readyState = "closed";
    this.#cause = error;
    this.#ended.abort();
    if (!this.#opened) return this.#fail?.(error);
    // Else the driver puts statement and values into whatever it rejects with, which may not be its own.
    if (!("query" in error)) Object.defineProperty(error, "query", { value: undefined });
    if (this.#finished) this.release();
    else if (this.#taken) this.emit("error", error);
    this.#events.onEnd(error);
  }
}

/** A second socket of the same driver: it can send a cancel, to the same address, and nothing else. */
export class CancelSocket extends EventEmitter {
  /** The address. */
  readonly host: string;
  /** TCP port. */
  readonly port: number;
  /** As in `node:net`. */
  readonly readyState = "open";
  readonly #dial: (signal: AbortSignal) => Promise<Socket>;
  readonly #ended: AbortSignal;

  /**
   * @param where Where it leads.
   * @param how `dial` opens the real one; `ended` tells that the connection is gone, and its query with it.
   */
  constructor(
    where: Where,
    how: { readonly dial: (signal: AbortSignal) => Promise<Socket>; readonly ended: AbortSignal },
  ) {
    super();
    this.host = where.host;
    this.port = where.port;
    this.#dial = how.dial;
    this.#ended = how.ended;
  }

  /** The driver speaks. */
  write(bytes: Uint8Array): boolean {
    if (CANCEL_REQUEST.every((byte, index) => bytes[index] === byte)) this.#cancel(bytes);
    else queueMicrotask(() => this.#refuse());
    return true;
  }

  /** A cancel that fails is not told: nobody could handle it, and the query says for itself how it ended. */
  async #cancel(bytes: Uint8Array): Promise<void> {
    const controller = new AbortController();
    const onEnd = () => controller.abort();
    const limit = setTimeout(onEnd, CANCEL_MS);
    this.#ended.addEventListener("abort", onEnd, { once: true });
    let socket: Socket | undefined;
    try {
      if (this.#ended.aborted) return;
      socket = await this.#dial(controller.signal);
      await answered(socket, bytes, controller.signal);
    } catch {
      // See above.
    } finally {
      clearTimeout(limit);
      this.#ended.removeEventListener("abort", onEnd);
      socket?.destroy();
      this.emit("close", false);
    }
  }

  #refuse(): void {
    this.emit("error", closedByServer());
    this.emit("close", true);
  }
}

/** Sends a cancel; the server's answer is that it hangs up. */
function answered(socket: Socket, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
    socket.once("close", () => resolve());
    socket.once("error", () => resolve());
    socket.resume(); // or its end is not noticed
    socket.write(bytes);
  });
}

/** The session is over (PostgreSQL, chapter "Error and Notice Message Fields"). */
function isFatal(error: Error): boolean {
  return /^(FATAL|PANIC)$/.test(String((error as { severity?: unknown }).severity));
}

function closedByServer(): Error {
  return Object.assign(new Error("The connection was closed"), { code: "CONNECTION_CLOSED" });
}
