/**
 * What a server says on a connection of mysql2, looked at on its way in: whether a transaction is open, which the driver
 * reads and does not keep, and errors, whoever they are for.
 *
 * @module
 */

/** A packet, as mysql2 parses it. */
interface Packet {
  readonly buffer: Uint8Array;
  offset: number;
  readonly end: number;
  asError(encoding: string | undefined): Error;
}

/** What is looked at of the connection beneath that of `mysql2/promise`. */
export interface PacketSource {
  /** The command under way; `next` is what takes its next packet. */
  readonly _command?: { readonly next?: { readonly name: string } | null } | null;
  readonly _commands?: { readonly length: number };
  /** Packets that come meanwhile are kept, and handed in again. */
  readonly _paused?: boolean;
  readonly clientEncoding?: string;
  handlePacket?(packet?: Packet): void;
}

const OK = 0x00;
const EOF = 0xfe;
const ERROR = 0xff;
/** A longer packet that begins like an EOF is a row. */
const EOF_MAX = 9;
/** SERVER_STATUS_IN_TRANS. */
const IN_TRANSACTION = 1;

/** Looks at the packets of one connection, from right after its login. */
export class PacketWatch {
  readonly #source: PacketSource;
  #listener: ((error: unknown) => void) | undefined;
  #open: boolean | undefined = undefined;

  /** @param source The connection, which just logged in. */
  constructor(source: PacketSource) {
    this.#source = source;
    const handle = source.handlePacket;
    if (typeof handle !== "function") return;
    this.#open = false;
    source.handlePacket = (packet) => {
      if (packet && !source._paused) this.#look(packet);
      handle.call(source, packet);
    };
  }

  /** Whether a transaction is open; `undefined` where that is not known, as while a statement runs. */
  get inTransaction(): boolean | undefined {
    const { _command, _commands } = this.#source;
    return _command || _commands?.length !== 0 ? undefined : this.#open;
  }

  /** Calls `listener` for each error of the server. */
  onError(listener: (error: unknown) => void): void {
    this.#listener = listener;
  }

  #look(packet: Packet): void {
    const { buffer, offset, end } = packet;
    const first = buffer[offset];
    if (first === ERROR) {
      // It does not say; a statement that failed may have begun one.
      this.#open = undefined;
      if (!this.#listener) return;
      const error = packet.asError(this.#source.clientEncoding);
      packet.offset = offset;
      this.#listener(error);
    } else if (first === OK) {
      // So does a row begin whose first column is empty.
      const taker = this.#source._command?.next?.name;
      if (taker !== "resultsetHeader" && taker !== "infileOk") return;
      this.#read(buffer, skipInteger(buffer, skipInteger(buffer, offset + 1)));
    } else if (first === EOF && end - offset < EOF_MAX) {
      this.#read(buffer, offset + 3);
    }
  }

  #read(buffer: Uint8Array, at: number): void {
    this.#open = (buffer[at]! & IN_TRANSACTION) !== 0;
  }
}

/** Where an integer of the protocol ends, whose first byte says how long it is. */
function skipInteger(buffer: Uint8Array, at: number): number {
  const first = buffer[at]!;
  return at + (first < 0xfb ? 1 : first === 0xfc ? 3 : first === 0xfd ? 4 : 9);
}
