/**
 * Writes the bytes of a DNS message (RFC 1035 section 4). Names are not compressed.
 *
 * @module
 */

import { ipv6Groups } from "../ip.ts";
import { CLASS_IN, EDNS_UDP_SIZE, TYPES } from "./constants.ts";

/** The number of questions, answers, authorities and additionals in a message. */
export type SectionCounts = readonly [number, number, number, number];

/** Bytes that most queries fit in. */
const QUERY_SIZE = 128;

/** Appends to a message, section by section. */
export class MessageWriter {
  #bytes = new Uint8Array(QUERY_SIZE);
  #length = 0;

  /** Returns a copy of what was written. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  /** Writes the lowest eight bits. */
  uint8(value: number): void {
    if (this.#length === this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#length);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes[this.#length++] = value;
  }

  /** Writes two bytes. */
  uint16(value: number): void {
    this.uint8(value >>> 8);
    this.uint8(value);
  }

  /** Writes four bytes. */
  uint32(value: number): void {
    this.uint16(value >>> 16);
    this.uint16(value & 0xffff);
  }

  /** Writes a name of ASCII labels without a trailing dot; `""` is the root. */
  name(name: string): void {
    for (const label of name === "" ? [] : name.split(".")) {
      this.uint8(label.length);
      for (let at = 0; at < label.length; at++) this.uint8(label.charCodeAt(at));
    }
    this.uint8(0);
  }

  /** Writes an IP address: four bytes, or sixteen. */
  address(address: string): void {
    if (address.includes(":")) { for (const group of ipv6Groups(address)) this.uint16(group); }
    else for (const byte of address.split(".")) this.uint8(Number(byte));
  }

  /** Writes an SRV record's data, which is given as text: `10 60 5432 db1.internal`. */
  service(text: string): void {
    const [priority, weight, port, target] = text.split(" ");
    for (const field of [priority, weight, port]) this.uint16(Number(field));
    this.name(target!.replace(/\.$/, ""));
  }

  /** Writes the header. */
  header(id: number, flags: number, counts: SectionCounts): void {
    for (const word of [id, flags, ...counts]) this.uint16(word);
  }

  /** Writes a question of class IN. */
  question(name: string, type: number): void {
    this.name(name);
    this.uint16(type);
    this.uint16(CLASS_IN);
  }

  /**
   * Writes a record of class IN.
   *
   * @param head The record without its data; `ttl` in seconds, 0 to 2^32-1.
   * @param writeData Writes the data.
   */
  record(
    { name, type, ttl }: { readonly name: string; readonly type: number; readonly ttl: number },
    writeData: () => void,
  ): void {
    this.question(name, type);
    this.uint32(ttl);
    const sizeAt = this.#length;
    this.uint16(0);
    writeData();
    const size = this.#length - sizeAt - 2;
    this.#bytes[sizeAt] = size >> 8;
    this.#bytes[sizeAt + 1] = size & 0xff;
  }

  /** Writes the OPT record of EDNS (RFC 6891 section 6.1.2): version 0, no option, `EDNS_UDP_SIZE`. */
  opt(): void {
    this.name("");
    this.uint16(TYPES.OPT);
    this.uint16(EDNS_UDP_SIZE);
    this.uint32(0);
    this.uint16(0);
  }
}
