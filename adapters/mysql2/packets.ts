/**
 * Reads the packets that a server sends on a mysql2 connection: the flags for the session's state, which the driver
 * parses but does not keep, and errors, whether or not a caller handles them.
 *
 * @module
 */

import type { Activity } from "../adapter.ts";
import { AUTOCOMMIT, IN_TRANSACTION } from "../shared/mysql_session.ts";

/** A packet, as mysql2 parses it. */
interface Packet {
  readonly buffer: Uint8Array;
  offset: number;
  readonly end: number;
  asError(encoding: string | undefined): Error;
}

/** The internals of a mysql2 connection that are read: the connection below that of `mysql2/promise`. */
export interface PacketSource {
  /** The running command; `next` is the function that takes its next packet. */
  readonly _command?: { readonly next?: { readonly name: string } | null } | null;
  /** The commands that wait for the running one. */
  readonly _commands?: { readonly length: number };
  /** Whether packets are held back; `handlePacket` gets them again later. */
  readonly _paused?: boolean;
  /** Encoding of error messages. */
  readonly clientEncoding?: string;
  /** The server's greeting. */
  readonly _handshakePacket?: { readonly statusFlags?: number } | null;
  /** Handles a packet. */
  handlePacket?(packet?: Packet): void;
}

/** The functions that take an OK packet with the server's status. */
const STATUS_HANDLERS: ReadonlySet<string | undefined> = new Set([
  "resultsetHeader",
  "infileOk",
  "resetConnectionResponse",
]);

const OK = 0x00;
const EOF = 0xfe;
const ERROR = 0xff;
/** An EOF packet is shorter than this; a longer packet with the same first byte is a row. */
const MAX_EOF_LENGTH = 9;

type Command = NonNullable<PacketSource["_command"]>;

/** Returns whether a command waits for packets. At its end, when mysql2's own pool takes the connection back, it does not. */
function isRunning(command: Command | null | undefined): command is Command {
  return command !== null && command !== undefined && command.next !== null;
}

/** Follows the packets of one connection, beginning right after its login. */
export class PacketObserver {
  readonly #source: PacketSource;
  #listener: ((error: unknown) => void) | undefined;
  #flags: number | undefined = undefined;
  #onFlags: ((flags: number) => void) | undefined;

  /** @param source The connection, which has just logged in. */
  constructor(source: PacketSource) {
    this.#source = source;
    const handle = source.handlePacket;
    if (typeof handle !== "function") return;
    // The driver does not keep the answer to the login; the greeting says how sessions begin.
    this.#flags = source._handshakePacket?.statusFlags ?? AUTOCOMMIT;
    source.handlePacket = (packet) => {
      if (packet && !source._paused) this.#observe(packet);
      handle.call(source, packet);
    };
  }

  /** The flags in the last answer; `undefined` if they are not known, as after an error, which has none. */
  get flags(): number | undefined {
    return this.#flags;
  }

  /** What the connection has still to do; `undefined` if that cannot be seen. */
  get activity(): Activity | undefined {
    const { _command, _commands, _paused } = this.#source;
    if (_commands === undefined) return undefined;
    if (!isRunning(_command)) return _commands.length > 0 ? "running" : "none";
    return _paused || _command.next?.name === "infileOk" ? "stuck" : "running";
  }

  /** Whether a statement is running or waits for another one; `undefined` if that is not known. */
  get busy(): boolean | undefined {
    const { _command, _commands } = this.#source;
    return isRunning(_command) || _commands && _commands.length > 0;
  }

  /** Whether neither a statement is running nor a transaction open, as far as is known. */
  get idle(): boolean {
    return this.busy === false && this.#flags !== undefined && (this.#flags & IN_TRANSACTION) === 0;
  }

  /** Calls `listener` for each error of the server. */
  onError(listener: (error: unknown) => void): void {
    this.#listener = listener;
  }

  /** Returns the flags of the next answer that has any. */
  nextFlags(): Promise<number> {
    return new Promise((resolve) => this.#onFlags = resolve);
  }

  #observe(packet: Packet): void {
    const { buffer, offset, end } = packet;
    const first = buffer[offset];
    if (first === ERROR) {
      // An error packet has no status, and a statement that failed may have begun a transaction.
      this.#flags = undefined;
      if (!this.#listener) return;
      const error = packet.asError(this.#source.clientEncoding);
      packet.offset = offset;
      this.#listener(error);
    } else if (first === OK) {
      // A row whose first column is empty starts with the same byte.
      const handler = this.#source._command?.next?.name;
      if (!STATUS_HANDLERS.has(handler)) return;
      this.#readStatus(buffer, skipInteger(buffer, skipInteger(buffer, offset + 1)));
    } else if (first === EOF && end - offset < MAX_EOF_LENGTH) {
      this.#readStatus(buffer, offset + 3);
    }
  }

  #readStatus(buffer: Uint8Array, at: number): void {
    this.#flags = buffer[at]! | buffer[at + 1]! << 8;
    this.#onFlags?.(this.#flags);
    this.#onFlags = undefined;
  }
}

/** Returns the index behind a length-encoded integer, whose first byte tells its length. */
function skipInteger(buffer: Uint8Array, at: number): number {
  const first = buffer[at]!;
  return at + (first < 0xfb ? 1 : first === 0xfc ? 3 : first === 0xfd ? 4 : 9);
}
