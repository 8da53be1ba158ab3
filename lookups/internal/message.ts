/**
 * DNS messages as `wire` and `doh` need them: writes a question, reads a response.
 *
 * npm:dns-packet writes. The reading is done here, for what comes in may be hostile: dns-packet does not look at a
 * record's length, takes class 0x8001 for class 1, decodes records that nobody asked for, and follows compression
 * pointers without limit, which one message of 64 KiB can stretch to a fifth of a second.
 *
 * @module
 */

import dnsPacket from "npm:dns-packet@^5.6.1";
import { clampTtl } from "../../internal/ttl.ts";
import { type Owned, Reader, TYPES } from "./message_reader.ts";

/** The part of npm:dns-packet that is used here; the package has no types of its own. */
interface DnsPacket {
  encode(message: {
    id: number;
    type: "query";
    flags: number;
    questions: readonly { name: string; type: string }[];
    additionals: readonly { type: "OPT"; name: "."; udpPayloadSize: number; options: [] }[];
  }): Uint8Array;
}
const packet = dnsPacket as unknown as DnsPacket;

/** A question as it is sent. */
export interface Query {
  /** 0 to 65535; the response must have the same. */
  readonly id: number;
  /** As {@linkcode nameToAsk} makes it. */
  readonly name: string;
  /** 4 asks for A records, 6 for AAAA. */
  readonly family: 4 | 6;
  /** Whether it says, with EDNS, that more than 512 bytes may come back over UDP. */
  readonly edns: boolean;
}

/** What a response says that matters to a question for addresses. */
export interface Response {
  /** The response code in words, such as `"NOERROR"` or `"SERVFAIL"`. */
  readonly rcode: string;
  /** Whether the rest is to be had over TCP; then nothing below is filled in. */
  readonly truncated: boolean;
  /** Whether the server knows EDNS. */
  readonly edns: boolean;
  /** The records of the type asked for, in order, whoever owns them. */
  readonly addresses: readonly (Owned & { readonly address: string })[];
  /** The CNAME records, in order, whoever owns them. */
  readonly aliases: readonly (Owned & { readonly target: string })[];
  /** Seconds that a negative answer may be remembered (RFC 2308 section 5), where the message says. */
  readonly negativeTtl: number | undefined;
  /** Whether the message does nothing but name other servers (RFC 2308 section 2.2). */
  readonly referral: boolean;
}

const CLASS_IN = 1;
/** RFC 1035 section 4.1.1, RFC 6895 section 2.3. */
const RCODES = [
  ...["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"],
  ...["YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE"],
];
const BADVERS = 16;

const RESPONSE = 1 << 15;
const OPCODE = 0xf << 11;
const TRUNCATED = 1 << 9;
const RECURSION_DESIRED = 1 << 8;
const RCODE = 0xf;

/** The UDP size that gets through everywhere (DNS flag day 2020). */
const EDNS_SIZE = 1232;
/** Characters of a name, RFC 1035 section 2.3.4. */
const LONGEST_NAME = 253;

/**
 * A name as it is written into a question: in lower case and ASCII (`"dätenbank.internal"` in its `xn--` form).
 *
 * @param name A host name.
 * @returns The name; `undefined` where it cannot be asked for.
 */
export function nameToAsk(name: string): string | undefined {
  const ascii = /^[\x21-\x7e]+$/.test(name) ? name : toAscii(name);
  const plain = ascii?.toLowerCase().replace(/\.$/, "") ?? "";
  const fits = plain.length <= LONGEST_NAME && !plain.includes("\\") &&
    plain.split(".").every((label) => label !== "" && label.length <= 63);
  return fits ? plain : undefined;
}

function toAscii(name: string): string | undefined {
  try {
    return /[\s/?#@:%\\]/.test(name) ? undefined : new URL(`http://${name}/`).hostname;
  } catch {
    return undefined;
  }
}

/** Writes the message that asks a question. */
export function writeQuery({ id, name, family, edns }: Query): Uint8Array {
  return packet.encode({
    id,
    type: "query",
    flags: RECURSION_DESIRED,
    questions: [{ name, type: family === 4 ? "A" : "AAAA" }],
    additionals: edns ? [{ type: "OPT", name: ".", udpPayloadSize: EDNS_SIZE, options: [] }] : [],
  });
}

/**
 * Reads the response to a question. The time it takes is bounded by the message's length, whatever is in it.
 *
 * @param message What came back.
 * @param query What was asked.
 * @returns What the response says.
 * @throws {Error} saying why the message is no response to this question, or none that can be read.
 */
export function readResponse(message: Uint8Array, query: Query): Response {
  const reader = new Reader(message);
  const id = reader.uint16();
  const flags = reader.uint16();
  const [questions, answers, authorities, additionals] = reader.counts();
  if (id !== query.id) throw new Error("the response has another id");
  if (!(flags & RESPONSE) || flags & OPCODE) throw new Error("the message is no response");
  const rcode = flags & RCODE;
  checkQuestion(reader, query, questions, rcode);
  const found = { addresses: [], aliases: [], negativeTtl: undefined, referral: false };
  // An error is what it is, however much of the message is missing.
  if (flags & TRUNCATED && saysYesOrNo(rcode)) {
    return { ...found, rcode: RCODES[rcode]!, truncated: true, edns: false };
  }
  return {
    ...readAnswers(reader, answers, query.family),
    ...readAuthorities(reader, authorities),
    ...readAdditionals(reader, additionals, rcode),
    truncated: false,
  };
}

function saysYesOrNo(rcode: number): boolean {
  return rcode === 0 || RCODES[rcode] === "NXDOMAIN";
}

/** The question must be the one that was asked; an error may come without one, for the server may not have read it. */
function checkQuestion(reader: Reader, query: Query, count: number, rcode: number): void {
  if (count === 0 && !saysYesOrNo(rcode)) return;
  const type = query.family === 4 ? TYPES.A : TYPES.AAAA;
  const same = count === 1 && reader.name() === query.name && reader.uint16() === type &&
    reader.uint16() === CLASS_IN;
  if (!same) throw new Error("the response is to another question");
}

function readAnswers(
  reader: Reader,
  count: number,
  family: 4 | 6,
): Pick<Response, "addresses" | "aliases"> {
  const type = family === 4 ? TYPES.A : TYPES.AAAA;
  const addresses: (Owned & { address: string })[] = [];
  const aliases: (Owned & { target: string })[] = [];
  for (let index = 0; index < count; index++) {
    reader.record((record) => {
      const { owner, ttl } = record;
      if (record.class !== CLASS_IN) return;
      if (record.type === type) addresses.push({ owner, ttl, address: reader.address(record) });
      if (record.type === TYPES.CNAME) {
        aliases.push({ owner, ttl, target: reader.name() });
        reader.expectEnd(record);
      }
    });
  }
  return { addresses, aliases };
}

function readAuthorities(
  reader: Reader,
  count: number,
): Pick<Response, "negativeTtl" | "referral"> {
  let negativeTtl: number | undefined;
  let servers = false;
  for (let index = 0; index < count; index++) {
    reader.record((record) => {
      if (record.class !== CLASS_IN) return;
      if (record.type === TYPES.NS) servers = true;
      if (record.type !== TYPES.SOA) return;
      reader.name(); // the zone's first server
      reader.name(); // its administrator
      for (let field = 0; field < 4; field++) reader.uint32(); // serial, refresh, retry, expire
      const minimum = Math.min(clampTtl(record.ttl), clampTtl(reader.uint32()));
      reader.expectEnd(record);
      negativeTtl = Math.min(negativeTtl ?? Infinity, minimum);
    });
  }
  return { negativeTtl, referral: servers && negativeTtl === undefined };
}

function readAdditionals(
  reader: Reader,
  count: number,
  rcode: number,
): Pick<Response, "edns" | "rcode"> {
  let edns = false;
  let whole = rcode;
  for (let index = 0; index < count; index++) {
    reader.record((record) => {
      if (record.type !== TYPES.OPT) return;
      edns = true;
      whole = rcode | (record.ttl >>> 24) << 4; // RFC 6891 section 6.1.3
    });
  }
  return { edns, rcode: RCODES[whole] ?? (whole === BADVERS ? "BADVERS" : `RCODE${whole}`) };
}
