/**
 * Reads the bytes of a DNS message, which may be hostile: never beyond their end, and in a time that their length
 * bounds.
 *
 * @module
 */

import { canonicalIp } from "../../internal/ip.ts";

/** The record types that matter to a question for addresses. */
export const TYPES = { A: 1, NS: 2, CNAME: 5, SOA: 6, AAAA: 28, OPT: 41 } as const;

/** Bytes of a name on the wire, RFC 1035 section 2.3.4. */
const LONGEST_NAME = 255;
/** A name has fewer labels than this, and needs no more pointers than it has labels. */
const MOST_POINTERS = 127;

/** Whose a record is, and for how long. */
export interface Owned {
  /** Lower case, no trailing dot. */
  readonly owner: string;
  /** Seconds, 0 to 2^32-1, as it came. */
  readonly ttl: number;
}

/** The head of a record; the reader stands at its data. */
export interface RecordHead extends Owned {
  readonly type: number;
  readonly class: number;
  /** Bytes of its data. */
  readonly size: number;
  /** Where its data ends. */
  readonly end: number;
}

/** Goes through a message from front to back. Everything throws where the message cannot be read. */
export class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  /** @param bytes The message. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Two bytes. */
  uint16(): number {
    return this.#byte(this.#at++) << 8 | this.#byte(this.#at++);
  }

  /** Four bytes. */
  uint32(): number {
    return this.uint16() * 2 ** 16 + this.uint16();
  }

  /** How many questions, answers, authorities and additionals there are said to be. */
  counts(): [number, number, number, number] {
    return [this.uint16(), this.uint16(), this.uint16(), this.uint16()];
  }

  /** Reads a record's head, has its data read where somebody wants it, and goes on behind it. */
  record(read: (record: RecordHead) => void): void {
    const owner = this.name();
    const type = this.uint16();
    const recordClass = this.uint16();
    const ttl = this.uint32();
    const size = this.uint16();
    const end = this.#at + size;
    if (end > this.#bytes.length) throw unreadable("a record reaches beyond its end");
    read({ owner, type, class: recordClass, ttl, size, end });
    this.#at = end;
  }

  /** The data just read must have been all of it. */
  expectEnd({ end }: RecordHead): void {
    if (this.#at !== end) throw unreadable("a record is not as long as it says");
  }

  /** The address that a record holds. */
  address({ type, size, end }: RecordHead): string {
    if (size !== (type === TYPES.A ? 4 : 16)) throw unreadable("an address has a wrong length");
    const data = this.#bytes.subarray(this.#at, end);
    const groups = type === TYPES.A ? [...data] : Array.from(
      { length: 8 },
      (_, index) => (data[2 * index]! << 8 | data[2 * index + 1]!).toString(16),
    );
    const address = canonicalIp(groups.join(type === TYPES.A ? "." : ":"));
    if (address === undefined) throw unreadable("an address is none");
    return address;
  }

  /** A name, in lower case (RFC 4343) and without the trailing dot; the reader goes on behind it. */
  name(): string {
    const labels: string[] = [];
    let at = this.#at;
    let start = at;
    let behind: number | undefined;
    let length = 1;
    let pointers = 0;
    for (;;) {
      const size = this.#byte(at);
      if (size === 0) break;
      if (size >= 0xc0) {
        const target = (size & 0x3f) << 8 | this.#byte(at + 1);
        behind ??= at + 2;
        // Each points to a prior occurrence (RFC 1035 section 4.1.4), so that they cannot go round in circles.
        if (target >= start || ++pointers > MOST_POINTERS) throw unreadable("a name has no end");
        at = start = target;
      } else {
        length += size + 1;
        if (size > 63 || length > LONGEST_NAME) throw unreadable("a name is too long");
        labels.push(this.#label(at + 1, size));
        at += size + 1;
      }
    }
    this.#at = behind ?? at + 1;
    return labels.join(".");
  }

  #label(start: number, size: number): string {
    let label = "";
    for (let at = start; at < start + size; at++) {
      const byte = this.#byte(at);
      const plain = byte > 0x20 && byte < 0x7f && byte !== 0x2e && byte !== 0x5c;
      // A dot inside a label must not look like one between two (RFC 1035 section 5.1).
      label += plain ? String.fromCharCode(byte) : `\\${String(byte).padStart(3, "0")}`;
    }
    return label.toLowerCase();
  }

  #byte(at: number): number {
    const byte = this.#bytes[at];
    if (byte === undefined) throw unreadable("it ends too early");
    return byte;
  }
}

function unreadable(why: string): Error {
  return new Error(`the response cannot be read: ${why}`);
}
