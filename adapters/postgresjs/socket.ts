/**
 * The socket that postgres.js is given instead of its own. With a plain socket, the driver would reconnect when its
 * connection is lost, would not pass on what the server said, and would end the process if a query is sent at the
 * moment of the loss.
 *
 * @module
 */

import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import type { Activity, TransactionStatus } from "../adapter.ts";
import { maintenanceTimer } from "../../internal/clock.ts";
import { connectionClosed } from "../shared/driver_error.ts";
import type { BackendKey } from "../shared/postgres_cancel.ts";
import { isFatal, isInFailedTransaction } from "../shared/postgres.ts";
import { type ErrorFields, ProtocolState } from "../shared/postgres_protocol.ts";
import type { ReportedRole } from "../shared/postgres_role.ts";
import { CancelSocket, type RemoteAddress } from "./cancel_socket.ts";

/** Time after which the driver will not send Sync for a statement. */
const MAX_SYNC_MS = 50;

/** The events of a connection. */
export interface SocketEvents {
  /** Makes an error from the fields that the server sent. */
  toError(fields: ErrorFields): Error;
  /** Called when the server reports an error. */
  onError(error: Error): void;
  /** Called when the connection has ended. If the driver did not close it, `emitClose` must tell the driver. */
  onEnd(error: Error): void;
  /** Called before the driver is told that the socket is closed. */
  onClose(): void;
}

/** The socket of one connection: an emitter with the part of `node:net` that the driver uses. */
export class DriverSocket extends EventEmitter {
  /** IP address. */
  readonly host: string;
  /** TCP port. */
  readonly port: number;
  /** State, as in `node:net`. */
  readyState: "open" | "closed" = "open";

  readonly #socket: Socket;
  readonly #events: SocketEvents;
  readonly #protocol: ProtocolState = new ProtocolState();
  /** Called after each part of an answer, and when a cancel or the connection has ended. */
  onProgress: (() => void) | undefined;
  /** Whether `noteMade` and `noteBuilt` are called. */
  followsStatements = false;
  /** Whether the driver has a statement that it has not sent. */
  #unsent: "no" | "perhaps" | "yes" = "no";
  /** Aborted when the connection ends. */
  readonly #ended: AbortController = new AbortController();
  /** Whether the driver is reading what the server sent. */
  #reading = false;
  #givenToDriver = false;
  /** Rejects `waitUntilReady`. From its start on, unless it succeeds, the driver is not told of failures. */
  #rejectReady: ((error: unknown) => void) | undefined;
  #ready = false;
  #closedByDriver = false;
  /** Number of statements that the driver has begun. */
  #statements = 0;
  /** Whether the driver is about to send Sync for a statement that it could not send. */
  #expectsSync = false;
  /** Whether the statement that the driver begins now is counted when it has. */
  #isCounting = false;
  /** Number of answers that belong to no statement of these: those of the handshake. */
  #earlierAnswers = 0;
  /** Whether the driver has stopped reading, because what it read was not taken from it. */
  #paused = false;
  /** The cancels under way. */
  readonly #cancels: Set<Promise<void>> = new Set();
  /** The reason why the connection is about to end. */
  #cause: Error | undefined;

  /**
   * @param socket The real socket, connected. This object closes it.
   * @param address The address that it is connected to.
   * @param events Called when something happens on the connection.
   */
  constructor(socket: Socket, address: RemoteAddress, events: SocketEvents) {
    super();
    this.host = address.host;
    this.port = address.port;
    this.#socket = socket;
    this.#events = events;
    socket.on("data", (chunk: Uint8Array) => this.#receive(chunk));
    socket.on("drain", () => this.emit("drain"));
    socket.on("error", (error: Error) => this.#cause = error);
    socket.on("close", () => this.#end(this.#cause ?? closedConnection()));
  }

  /**
   * Implements the driver's option `socket`. The first call returns this socket; any later one is for a cancel and
   * returns a socket that can do nothing else.
   *
   * @param dial Opens another socket to the same address.
   * @returns The socket for the driver.
   */
  nextForDriver(dial: (signal: AbortSignal) => Promise<Socket>): DriverSocket | CancelSocket {
    if (this.#givenToDriver) return this.#cancelSocket(dial);
    this.#givenToDriver = true;
    return this;
  }

  #cancelSocket(dial: (signal: AbortSignal) => Promise<Socket>): CancelSocket {
    let onDone!: () => void;
    const done = new Promise<void>((resolve) => onDone = resolve);
    this.#cancels.add(done);
    done.then(() => {
      this.#cancels.delete(done);
      this.onProgress?.();
    });
    return new CancelSocket(this, { dial, ended: this.#ended.signal, onDone });
  }

  /**
   * Waits until the driver has completed the handshake.
   *
   * The driver is not told of failures meanwhile: it would answer some by reconnecting, others by a rejection that no
   * code can handle.
   *
   * @param ready Fulfilled when the driver is ready.
   * @param signal Ends the wait.
   * @throws The error of the server, of the socket or of the driver; or the signal's reason.
   */
  async waitUntilReady(ready: PromiseLike<unknown>, signal: AbortSignal): Promise<void> {
    let onAbort!: () => void;
    try {
      await new Promise<unknown>((resolve, reject) => {
        this.#rejectReady = reject;
        onAbort = () => reject(signal.reason);
        signal.addEventListener("abort", onAbort, { once: true });
        if (signal.aborted) onAbort();
        if (this.readyState === "closed") reject(this.#cause ?? closedConnection());
        ready.then(resolve, reject);
      });
      this.#rejectReady = undefined;
      this.#ready = true;
      this.#earlierAnswers = this.#protocol.answers - this.#statements;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** The status of the transaction; `undefined` while the driver has a statement that is not answered. */
  get transactionStatus(): TransactionStatus | undefined {
    const known = this.readyState === "open" && this.followsStatements &&
      this.#unsent === "no";
    return known ? this.#protocol.transactionStatus : undefined;
  }

  /** Records that the driver made a statement: if it is executed, it is sent later. */
  noteMade(): void {
    // While it reads, the driver also makes the stacks of its errors this way.
    if (this.#unsent === "no" && !this.#reading) this.#unsent = "perhaps";
  }

  /** Records that the driver has bytes to send. */
  noteBuilt(): void {
    this.#statements++;
    this.#unsent = "yes";
  }

  /** The key to cancel statements with, if the server gave one. */
  get backendKey(): BackendKey | undefined {
    return this.#protocol.backendKey;
  }

  /** What the server reported about its role. */
  get reportedRole(): ReportedRole {
    return this.#protocol.role;
  }

  /** Records that the driver began a statement that it cannot send; or, once it is described, cannot go on with. */
  noteBegun(): void {
    if (this.#isCounting || this.#reading && this.#protocol.isDescribed) return;
    if (this.#hasBegun) this.#statements++;
    else this.#expectSync();
  }

  /** Whether the driver has a statement that it has not sent, or that is not answered. */
  get #hasBegun(): boolean {
    return this.#unsent === "yes" || this.#expectsSync || this.#protocol.activity !== "none";
  }

  /** Records that the driver sends Sync for a statement that it cannot send, before the turn of the event loop ends. */
  #expectSync(): void {
    this.#expectsSync = true;
    maintenanceTimer(MAX_SYNC_MS, () => {
      this.#expectsSync = false;
      this.onProgress?.();
    });
  }

  /**
   * Begins one statement.
   *
   * @param begin Makes the driver begin it; returns whether it has: if it cannot send one that follows others, it waits
   *   for an answer that will not come.
   * @returns Whether the driver can send it.
   */
  beginOne(begin: () => boolean): boolean {
    const [statements, unsent, isFirst] = [this.#statements, this.#unsent, !this.#hasBegun];
    this.#isCounting = true;
    const hasBegun = begin();
    this.#isCounting = false;
    if (!hasBegun) this.#unsent = unsent;
    if (isFirst && !this.#hasBegun) { // a long statement is sent at once
      this.#expectSync();
      return false;
    }
    this.#statements = statements + (hasBegun ? 1 : 0);
    return hasBegun;
  }

  /** Waits until the statements that the driver made are turned into bytes, if they are executed. */
  settle(): Promise<void> | undefined {
    return this.#unsent === "perhaps" ? settle() : undefined;
  }

  /** What the connection has still to do. A cancel under way may reach any statement that follows. */
  get activity(): Activity {
    if (this.readyState === "closed" || this.#closedByDriver) return "ended";
    if (this.#paused) return "stuck";
    const { activity, failedAfterRows } = this.#protocol;
    if (activity !== "none") return activity;
    if (this.#unsent === "yes" || this.#cancels.size > 0) return "running";
    if (this.#isBehind) return "stuck";
    // After a failure, the driver (3.4) puts the rows of the next result behind those that had arrived.
    return failedAfterRows ? "running" : "none";
  }

  /** Whether nothing is under way: the server has answered all, and the driver has nothing to send or to pass on. */
  get isQuiet(): boolean {
    return this.readyState === "closed" ||
      !this.#paused && !this.#hasBegun && this.#cancels.size === 0;
  }

  /**
   * Whether the driver (3.4) waits for more answers than the server owes: for that to a statement that it could not write
   * while another one was running.
   */
  get #isBehind(): boolean {
    const { answers, unanswered } = this.#protocol;
    return this.followsStatements && this.#ready && this.#unsent === "no" &&
      this.#statements - (answers - this.#earlierAnswers) > unanswered;
  }

  /** Waits until the cancels under way are over. */
  async untilCancelled(): Promise<void> {
    while (this.#cancels.size > 0) await Promise.all(this.#cancels);
  }

  /** Lets the socket keep the process alive. */
  ref(): void {
    this.#socket.ref();
  }

  /** Lets the process exit although the socket is open. */
  unref(): void {
    this.#socket.unref();
  }

  /** Closes the socket at once; pending queries reject with the reason. */
  terminate(reason: Error = closedConnection()): void {
    this.#end(reason);
    this.#socket.destroy();
  }

  /** Tells the driver that the socket is closed. Called only after `end()` of the client, or it would reconnect. */
  emitClose(): void {
    this.#events.onClose();
    this.emit("close", true);
  }

  /** Sends bytes; called by the driver. */
  write(bytes: Uint8Array, callback?: (error?: Error | null) => void): boolean {
    if (this.readyState === "open") {
      if (this.#expectsSync) {
        this.#expectsSync = false;
        this.#statements++;
      }
      this.#protocol.sent(bytes);
      this.#unsent = "no"; // the driver sends all that it has
      if (!this.#isBehind) return this.#socket.write(bytes, callback);
      // It would take the answers for those to other statements. Of a COPY, the stream would reach no holder, and its end
      // would end the process.
      this.terminate(outOfStep());
    }
    callback?.(this.#cause);
    return true;
  }

  /** Sends the last bytes and closes; called by the driver. */
  end(bytes: Uint8Array): void {
    this.#closedByDriver = true;
    this.#socket.end(bytes);
  }

  /** Closes at once; called by the driver. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Stops reading; called by the driver. */
  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  /** Reads again; called by the driver. */
  resume(): void {
    this.#paused = false;
    this.#socket.resume();
    if (this.onProgress !== undefined) queueMicrotask(() => this.onProgress?.());
  }

  #receive(chunk: Uint8Array): void {
    const errors = this.#protocol.received(chunk).map((fields) => this.#events.toError(fields));
    const fatal = errors.find((error) => isFatal(error));
    if (fatal) this.#cause = fatal;
    if (this.#unsent === "perhaps" && this.#protocol.transactionStatus !== undefined) {
      this.#unsent = "no"; // what was to be executed has been, in the meantime
    }
    if (!this.#ready && errors.length > 0) return this.#rejectReady?.(errors[0]);
    this.#reading = true;
    try {
      this.emit("data", chunk);
    } finally {
      this.#reading = false;
    }
    for (const error of errors) {
      if (!isInFailedTransaction((error as { code?: unknown }).code)) this.#events.onError(error);
    }
    if (this.#isBehind) this.terminate(outOfStep());
    this.onProgress?.();
  }

  #end(error: Error): void {
    if (this.readyState === "closed") return;
    this.readyState = "closed";
    this.#cause = error;
    this.#ended.abort();
    if (!this.#ready) return this.#rejectReady?.(error);
    // Otherwise the driver adds statement and values to the error, which may be the caller's.
    if (!("query" in error)) Object.defineProperty(error, "query", { value: undefined });
    if (this.#closedByDriver) this.emitClose();
    else if (this.#givenToDriver) this.emit("error", error);
    this.#events.onEnd(error);
    this.onProgress?.();
  }
}

/** The driver begins a statement one microtask after the call, and a COPY after a few. */
async function settle(): Promise<void> {
  for (let microtasks = 0; microtasks < 4; microtasks++) await undefined;
}

/** Code of the error for a connection on which the driver has lost track. */
export const OUT_OF_STEP = "CONNECTION_OUT_OF_STEP";

function outOfStep(): Error {
  const message =
    "the driver has lost track of its statements: one could not be sent while another one was running";
  return Object.assign(new Error(message), { code: OUT_OF_STEP });
}

function closedConnection(): Error {
  return connectionClosed("CONNECTION_CLOSED");
}
