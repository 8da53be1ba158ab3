/**
 * Reads the bytes of a DNS message, which may be hostile: never beyond their end, and in a time that their length
 * bounds.
 *
 * @module
 */

import { canonicalIp } from "../ip.ts";
import { formatService, NO_TARGET } from "../srv.ts";
import { TYPES } from "./constants.ts";

/** Maximum bytes of a name in a message (RFC 1035 section 2.3.4). */
const MAX_NAME = 255;
/** A name has fewer labels than this, and needs no more pointers than it has labels. */
const MAX_POINTERS = 127;

/** The owner of a record, and its TTL. */
export interface Owned {
  /** Lower case, no trailing dot. */
  readonly owner: string;
  /** Seconds, 0 to 2^32-1, as it came. */
  readonly ttl: number;
}

/** The part of a record before its data. */
export interface RecordHead extends Owned {
  readonly type: number;
  readonly class: number;
  /** Bytes of its data. */
  readonly size: number;
  /** Offset of the first byte after its data. */
  readonly end: number;
}

/** Reads a message from front to back. Every method throws if the message cannot be read. */
export class MessageReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  /** @param bytes The message. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Reads two bytes. */
  uint16(): number {
    return this.#byte(this.#at++) << 8 | this.#byte(this.#at++);
  }

  /** Reads four bytes. */
  uint32(): number {
    return this.uint16() * 2 ** 16 + this.uint16();
  }

  /** Reads the claimed numbers of questions, answers, authorities and additionals. */
  counts(): [number, number, number, number] {
    return [this.uint16(), this.uint16(), this.uint16(), this.uint16()];
  }

  /**
   * Reads a record's head, and continues after its data.
   *
   * @param read Is given the head, and may read the data: the reader is at its first byte.
   */
  record(read: (record: RecordHead) => void): void {
    const owner = this.name();
    const type = this.uint16();
    const recordClass = this.uint16();
    const ttl = this.uint32();
    const size = this.uint16();
    const end = this.#at + size;
    if (end > this.#bytes.length) throw unreadable("a record ends after the message");
    read({ owner, type, class: recordClass, ttl, size, end });
    this.#at = end;
  }

  /** Returns the options of an OPT record (RFC 6891 section 6.1.2); none after one that cannot be read. */
  options({ end }: RecordHead): { readonly code: number; readonly data: Uint8Array }[] {
    const options: { code: number; data: Uint8Array }[] = [];
    while (this.#at + 4 <= end) {
      const code = this.uint16();
      const size = this.uint16();
      if (this.#at + size > end) break;
      options.push({ code, data: this.#bytes.subarray(this.#at, this.#at + size) });
      this.#at += size;
    }
    return options;
  }

  /** Throws unless all the record's data has been read, and no more. */
  expectEnd({ end }: RecordHead): void {
    if (this.#at !== end) throw unreadable("a record has a wrong length");
  }

  /** Reads the address that an A or AAAA record holds. */
  address({ type, size, end }: RecordHead): string {
    if (size !== (type === TYPES.A ? 4 : 16)) throw unreadable("an address has a wrong length");
    const data = this.#bytes.subarray(this.#at, end);
    const groups = type === TYPES.A ? [...data] : Array.from(
      { length: 8 },
      (_, index) => (data[2 * index]! << 8 | data[2 * index + 1]!).toString(16),
    );
    const address = canonicalIp(groups.join(type === TYPES.A ? "." : ":"));
    if (address === undefined) throw unreadable("an address is invalid");
    return address;
  }

  /** Reads an SRV record's data as text: `10 60 5432 db1.internal` (RFC 2782). */
  service(record: RecordHead): string {
    const [priority, weight, port] = [this.uint16(), this.uint16(), this.uint16()];
    const target = this.name() || NO_TARGET;
    this.expectEnd(record);
    return formatService({ priority, weight, port, target });
  }

  /** Reads a name, and returns it in lower case (RFC 4343) without the trailing dot. */
  name(): string {
    return this.nameAsWritten().toLowerCase();
  }

  /**
   * Reads a name, and returns it in its own letter case without the trailing dot. Bytes that are no printable ASCII,
   * dots within a label and backslashes are escaped: `\046` (RFC 1035 section 5.1).
   */
  nameAsWritten(): string {
    const labels: string[] = [];
    let at = this.#at;
    let start = at;
    let afterPointer: number | undefined;
    let length = 1;
    let pointers = 0;
    for (;;) {
      const size = this.#byte(at);
      if (size === 0) break;
      if (size >= 0xc0) {
        const target = (size & 0x3f) << 8 | this.#byte(at + 1);
        afterPointer ??= at + 2;
        // Each pointer must lead to a prior occurrence (RFC 1035 section 4.1.4), which excludes loops.
        if (target >= start || ++pointers > MAX_POINTERS) throw unreadable("a name has no end");
        at = start = target;
      } else {
        length += size + 1;
        if (size > 63 || length > MAX_NAME) throw unreadable("a name is too long");
        labels.push(this.#label(at + 1, size));
        at += size + 1;
      }
    }
    this.#at = afterPointer ?? at + 1;
    return labels.join(".");
  }

  #label(start: number, size: number): string {
    let label = "";
    for (let at = start; at < start + size; at++) {
      const byte = this.#byte(at);
      const plain = byte > 0x20 && byte < 0x7f && byte !== 0x2e && byte !== 0x5c;
      label += plain ? String.fromCharCode(byte) : `\\${String(byte).padStart(3, "0")}`;
    }
    return label;
  }

  #byte(at: number): number {
    const byte = this.#bytes[at];
    if (byte === undefined) throw unreadable("it ends too early");
    return byte;
  }
}

function unreadable(reason: string): Error {
  return new Error(`the message cannot be read: ${reason}`);
}
