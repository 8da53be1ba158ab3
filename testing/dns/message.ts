/**
 * DNS messages: reads a query, writes a response. The bytes are npm:dns-packet's work.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import dnsPacket from "npm:dns-packet@^5.6.1";

/** One resource record of a response. */
export interface ResourceRecord {
  readonly name: string;
  readonly type: "A" | "AAAA" | "CNAME" | "SOA";
  /** Seconds, 0 to 2^32-1. */
  readonly ttl: number;
  readonly data: string | StartOfAuthority;
}

/** The data of an SOA record; only `minimum` means something here (RFC 2308 section 4). */
interface StartOfAuthority {
  readonly mname: string;
  readonly rname: string;
  readonly serial: number;
  readonly refresh: number;
  readonly retry: number;
  readonly expire: number;
  readonly minimum: number;
}

/** The part of npm:dns-packet that is used here; the package has no types of its own. */
interface DnsPacket {
  decode(message: Buffer): {
    readonly id: number;
    readonly type: "query" | "response";
    readonly flags: number;
    readonly opcode: string;
    readonly questions: readonly { readonly name: string; readonly type: string; class: string }[];
    readonly additionals: readonly { readonly type: string; readonly udpPayloadSize?: number }[];
  };
  encode(message: {
    id: number;
    type: "response";
    flags: number;
    questions: readonly { name: string; type: string }[];
    answers: readonly ResourceRecord[];
    authorities: readonly ResourceRecord[];
    additionals: readonly { type: "OPT"; name: "."; udpPayloadSize: number; options: [] }[];
  }): Buffer;
}
const packet = dnsPacket as unknown as DnsPacket;

/** The response codes that the server gives by itself or as a fault (RFC 1035 section 4.1.1). */
export const RCODES = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
} as const;

/** A response code in words. */
export type Rcode = keyof typeof RCODES;

const RESPONSE = 1 << 15;
const OPCODE = 0xf << 11;
const AUTHORITATIVE = 1 << 10;
const TRUNCATED = 1 << 9;
const RECURSION_DESIRED = 1 << 8;
const RECURSION_AVAILABLE = 1 << 7;
const CHECKING_DISABLED = 1 << 4;

/** What is promised over UDP without EDNS (RFC 1035 section 2.3.4). */
const PLAIN_UDP_SIZE = 512;
/** The most that leaves over UDP, whatever the client says it can take (macOS stops at 9216). */
const LARGEST_UDP_SIZE = 4096;
/** The size announced in the server's own OPT record (DNS flag day 2020). */
const ANNOUNCED_UDP_SIZE = 1232;
/** The most that fits behind TCP's two bytes of length. */
const LARGEST_TCP_SIZE = 65535;

/** A question that can be answered. */
export interface Query {
  readonly id: number;
  /** As asked, in the client's letter case. */
  readonly name: string;
  /** `"A"`, `"AAAA"`, …, or `"TYPE65"` for one without a name here (RFC 3597). */
  readonly type: string;
  readonly flags: number;
  /** The UDP size of the client's OPT record; `undefined` where it sent none. */
  readonly udpSize: number | undefined;
}

/** What the zone says to a question. */
export interface ZoneAnswer {
  readonly rcode: Rcode;
  readonly answers: readonly ResourceRecord[];
  readonly authorities: readonly ResourceRecord[];
  /** Whether it comes from the zone itself, not from a cache. */
  readonly authoritative: boolean;
}

/** What a fault changes in a response. */
export interface ResponseChanges {
  readonly id?: number | undefined;
  readonly questionName?: string | undefined;
  readonly truncated?: boolean | undefined;
}

/** Reads a query: the query, or the response that refuses it, or nothing where no response is due. */
export function readQuery(message: Uint8Array): Query | { refusal: Uint8Array } | undefined {
  // A response is never answered, or two servers could keep each other busy for ever.
  if (message.length < 12 || (message[2]! & 0x80) !== 0) return undefined;
  let decoded: ReturnType<DnsPacket["decode"]>;
  try {
    decoded = packet.decode(
      Buffer.from(message.buffer, message.byteOffset, message.byteLength),
    );
  } catch {
    return { refusal: refusal(message, "FORMERR") };
  }
  if (decoded.opcode !== "QUERY") return { refusal: refusal(message, "NOTIMP") };
  const question = decoded.questions[0];
  // Names that dns-packet could not write back as they came: bytes outside ASCII, dots inside a label.
  const writable = question && /^(\.|[!-~]+)$/.test(question.name) &&
    !/^\..|\.\.|.\.$/.test(question.name);
  if (decoded.questions.length !== 1 || !writable) {
    return { refusal: refusal(message, "FORMERR") };
  }
  if (question.class !== "IN") return { refusal: refusal(message, "REFUSED") };
  return {
    id: decoded.id,
    name: question.name,
    type: question.type.replace(/^UNKNOWN_/, "TYPE"),
    flags: decoded.flags,
    udpSize: decoded.additionals.find((record) => record.type === "OPT")?.udpPayloadSize,
  };
}

/** Twelve bytes: the query's id, the code, and nothing else. */
function refusal(message: Uint8Array, rcode: Rcode): Uint8Array {
  const response = new Uint8Array(12);
  const flags = (message[2]! << 8) | message[3]!;
  const kept = flags & (OPCODE | RECURSION_DESIRED);
  new DataView(response.buffer).setUint16(2, RESPONSE | kept | RCODES[rcode]);
  response.set(message.subarray(0, 2));
  return response;
}

/** Writes a response as large as it is. */
function write(query: Query, answer: ZoneAnswer, changes: ResponseChanges): Uint8Array {
  return packet.encode({
    id: changes.id ?? query.id,
    type: "response",
    flags: (query.flags & (RECURSION_DESIRED | CHECKING_DISABLED)) | RECURSION_AVAILABLE |
      (answer.authoritative ? AUTHORITATIVE : 0) | (changes.truncated ? TRUNCATED : 0) |
      RCODES[answer.rcode],
    questions: [{
      name: changes.questionName ?? query.name,
      type: query.type.replace(/^TYPE/, "UNKNOWN_"),
    }],
    answers: answer.answers,
    authorities: answer.authorities,
    additionals: query.udpSize === undefined
      ? []
      : [{ type: "OPT", name: ".", udpPayloadSize: ANNOUNCED_UDP_SIZE, options: [] }],
  });
}

/**
 * Writes the response that fits the transport. Over UDP, what is too large is cut to the records that fit and
 * marked as truncated (RFC 2181 section 9); over TCP, what is too large is a SERVFAIL.
 */
export function writeResponse(
  query: Query,
  answer: ZoneAnswer,
  protocol: "udp" | "tcp",
  changes: ResponseChanges = {},
): Uint8Array {
  const whole = write(query, answer, changes);
  if (protocol === "tcp") {
    return whole.length <= LARGEST_TCP_SIZE
      ? whole
      : write(query, { ...answer, rcode: "SERVFAIL", answers: [], authorities: [] }, changes);
  }
  const limit = Math.min(Math.max(query.udpSize ?? 0, PLAIN_UDP_SIZE), LARGEST_UDP_SIZE);
  if (whole.length <= limit) return whole;
  let bytes = whole;
  // No record takes fewer than 15 bytes: this skips most of the records that cannot fit.
  let kept = Math.min(answer.answers.length, Math.floor(limit / 15));
  for (; kept >= 0 && bytes.length > limit; kept--) {
    const fitting = { ...answer, answers: answer.answers.slice(0, kept), authorities: [] };
    bytes = write(query, fitting, { ...changes, truncated: true });
  }
  return bytes;
}

/** The SOA record of a negative answer, which says for how long it may be remembered (RFC 2308 section 5). */
export function startOfAuthority(negativeTtl: number): ResourceRecord {
  return {
    name: ".",
    type: "SOA",
    ttl: negativeTtl,
    data: {
      mname: "ns.invalid",
      rname: "hostmaster.invalid",
      serial: 1,
      refresh: 3600,
      retry: 600,
      expire: 86400,
      minimum: negativeTtl,
    },
  };
}
