/**
 * A second socket for postgres.js, for `query.cancel()`: the driver sends a cancel request on a socket of its own.
 *
 * @module
 */

import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { connectionClosed } from "../shared/driver_error.ts";
import { sendAndAwaitClose } from "../shared/postgres_cancel.ts";

/** The beginning of a CancelRequest: its length and its code (PostgreSQL, chapter "Message Formats"). */
const CANCEL_REQUEST = [0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e];
/** Maximum time for a cancel, from the dial until the server has closed the socket. */
const MAX_CANCEL_MS = 10_000;

/** The address that a socket is connected to, for the driver's messages. */
export interface RemoteAddress {
  /** IP address. */
  readonly host: string;
  /** TCP port. */
  readonly port: number;
}

/** How to send a cancel. */
export interface CancelOptions {
  /** Opens a socket to the address of the connection. */
  readonly dial: (signal: AbortSignal) => Promise<Socket>;
  /** Aborted when the connection has ended, and its query with it. */
  readonly ended: AbortSignal;
  /** Called when the cancel is over: the server has closed its socket, or it could not be sent. */
  onDone(): void;
}

/** A socket that sends a cancel request to the address of its connection, and nothing else. */
export class CancelSocket extends EventEmitter {
  /** IP address. */
  readonly host: string;
  /** TCP port. */
  readonly port: number;
  /** State, as in `node:net`. */
  readonly readyState = "open";
  readonly #options: CancelOptions;

  /**
   * @param address The address of the connection.
   * @param options How to send the cancel.
   */
  constructor(address: RemoteAddress, options: CancelOptions) {
    super();
    this.host = address.host;
    this.port = address.port;
    this.#options = options;
  }

  /** Sends a cancel request; called by the driver. Any other message is answered by a closed connection. */
  write(bytes: Uint8Array): boolean {
    if (CANCEL_REQUEST.every((byte, index) => bytes[index] === byte)) {
      this.#cancel(bytes).finally(this.#options.onDone);
    } else {
      queueMicrotask(() => this.#refuse());
    }
    return true;
  }

  /** Sends the request. A failure is not reported: no code could handle it, and the query tells how it ended. */
  async #cancel(bytes: Uint8Array): Promise<void> {
    const { dial, ended } = this.#options;
    const controller = new AbortController();
    const abort = () => controller.abort();
    const limit = setTimeout(abort, MAX_CANCEL_MS);
    ended.addEventListener("abort", abort, { once: true });
    let socket: Socket | undefined;
    try {
      if (ended.aborted) return;
      socket = await dial(controller.signal);
      await sendAndAwaitClose(socket, bytes, controller.signal);
    } catch {
      // See above.
    } finally {
      clearTimeout(limit);
      ended.removeEventListener("abort", abort);
      socket?.destroy();
      this.emit("close", false);
    }
  }

  #refuse(): void {
    this.#options.onDone();
    this.emit("error", connectionClosed("CONNECTION_CLOSED"));
    this.emit("close", true);
  }
}
