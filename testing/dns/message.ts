/**
 * DNS messages as the server needs them: reads a query, writes a response.
 *
 * @module
 */

import { CLASS_IN, FLAGS, TYPES } from "../../internal/dns/constants.ts";
import { MessageReader } from "../../internal/dns/message_reader.ts";
import { MessageWriter } from "../../internal/dns/message_writer.ts";
import { recordTypeName } from "./record_types.ts";

/** One resource record of a response. */
export type ResourceRecord =
  & {
    readonly name: string;
    /** Seconds, 0 to 2^32-1. */
    readonly ttl: number;
  }
  & (
    | {
      readonly type: "A" | "AAAA" | "CNAME" | "SRV";
      /** The IP address, the name that the alias leads to, or `priority weight port target`. */
      readonly data: string;
    }
    | {
      readonly type: "SOA";
      /** The field `minimum`: seconds for which a negative answer may be cached (RFC 2308 section 4). */
      readonly data: number;
    }
  );

/** The response codes that the server sends by itself or as a fault, by number (RFC 1035 section 4.1.1). */
export const SERVER_RCODES = [
  "NOERROR",
  "FORMERR",
  "SERVFAIL",
  "NXDOMAIN",
  "NOTIMP",
  "REFUSED",
] as const;

/** The name of a response code. */
export type Rcode = typeof SERVER_RCODES[number];

/** UDP payload size, in bytes, that every client accepts (RFC 1035 section 2.3.4). */
const PLAIN_UDP_SIZE = 512;
/** Maximum UDP payload size, in bytes, whatever the client accepts (macOS sends at most 9216). */
const MAX_UDP_SIZE = 4096;
/** Maximum bytes of a message over TCP: its length has two bytes. */
const MAX_TCP_SIZE = 65535;
/** Bytes of the shortest record that an answer can hold. */
const MIN_RECORD_SIZE = 15;

/** A question that can be answered. */
export interface Query {
  readonly id: number;
  /** In the client's letter case, without the trailing dot; `""` for the root. */
  readonly name: string;
  /** `"A"`, `"AAAA"`, …, or `"TYPE65"` for one without a name here (RFC 3597). */
  readonly type: string;
  /** The type's number. */
  readonly typeNumber: number;
  readonly flags: number;
  /** The UDP payload size of the client's OPT record; `undefined` if it sent none. */
  readonly udpSize: number | undefined;
}

/** The zone's answer to a question. */
export interface ZoneAnswer {
  readonly rcode: Rcode;
  readonly answers: readonly ResourceRecord[];
  readonly authorities: readonly ResourceRecord[];
  /** Addresses that are sent along. */
  readonly additionals: readonly ResourceRecord[];
  /** Whether it comes from the zone itself, not from a cache. */
  readonly authoritative: boolean;
}

/** The changes that a fault makes to a response. */
export interface ResponseChanges {
  readonly id?: number | undefined;
  readonly questionName?: string | undefined;
  readonly truncated?: boolean | undefined;
}

/** Reads a query: returns it, or the response that refuses it, or `undefined` if no response is due. */
export function readQuery(message: Uint8Array): Query | { refusal: Uint8Array } | undefined {
  // A response is never answered, or two servers could answer each other for ever.
  if (message.length < 12 || (message[2]! & 0x80) !== 0) return undefined;
  let parsed: ReturnType<typeof parseQuery>;
  try {
    parsed = parseQuery(message);
  } catch {
    return { refusal: refusal(message, "FORMERR") };
  }
  const { id, flags, questions, udpSize } = parsed;
  if (flags & FLAGS.OPCODE) return { refusal: refusal(message, "NOTIMP") };
  const [question] = questions;
  // The reader escapes bytes that the writer cannot write back: those outside ASCII, and dots within a label.
  if (!question || questions.length !== 1 || question.name.includes("\\")) {
    return { refusal: refusal(message, "FORMERR") };
  }
  const { name, type: typeNumber } = question;
  if (question.class !== CLASS_IN) return { refusal: refusal(message, "REFUSED") };
  return { id, name, type: recordTypeName(typeNumber), typeNumber, flags, udpSize };
}

function parseQuery(message: Uint8Array) {
  const reader = new MessageReader(message);
  const id = reader.uint16();
  const flags = reader.uint16();
  const [questionCount, answers, authorities, additionals] = reader.counts();
  const questions = Array.from({ length: questionCount }, () => ({
    name: reader.nameAsWritten(),
    type: reader.uint16(),
    class: reader.uint16(),
  }));
  for (let index = 0; index < answers + authorities; index++) reader.record(() => {});
  let udpSize: number | undefined;
  for (let index = 0; index < additionals; index++) {
    reader.record((record) => {
      if (record.type === TYPES.OPT) udpSize ??= record.class; // RFC 6891 section 6.1.2
    });
  }
  return { id, flags, questions, udpSize };
}

/** Makes a response of only a header, with the query's id. */
function refusal(message: Uint8Array, rcode: Rcode): Uint8Array {
  const reader = new MessageReader(message);
  const id = reader.uint16();
  const kept = reader.uint16() & (FLAGS.OPCODE | FLAGS.RECURSION_DESIRED);
  const writer = new MessageWriter();
  writer.header(id, FLAGS.RESPONSE | kept | SERVER_RCODES.indexOf(rcode), [0, 0, 0, 0]);
  return writer.toBytes();
}

/** Writes a response of any size. */
function write(query: Query, answer: ZoneAnswer, changes: ResponseChanges): Uint8Array {
  const { answers, authorities, additionals, authoritative, rcode } = answer;
  const edns = query.udpSize !== undefined;
  const flags = FLAGS.RESPONSE | FLAGS.RECURSION_AVAILABLE | SERVER_RCODES.indexOf(rcode) |
    query.flags & (FLAGS.RECURSION_DESIRED | FLAGS.CHECKING_DISABLED) |
    (authoritative ? FLAGS.AUTHORITATIVE : 0) | (changes.truncated ? FLAGS.TRUNCATED : 0);
  const writer = new MessageWriter();
  const more = additionals.length + (edns ? 1 : 0);
  const counts = [1, answers.length, authorities.length, more] as const;
  writer.header(changes.id ?? query.id, flags, counts);
  writer.question(changes.questionName ?? query.name, query.typeNumber);
  for (const record of [...answers, ...authorities, ...additionals]) writeRecord(writer, record);
  if (edns) writer.opt();
  return writer.toBytes();
}

function writeRecord(writer: MessageWriter, record: ResourceRecord): void {
  writer.record({ ...record, type: TYPES[record.type] }, () => {
    if (record.type === "SOA") {
      writer.name("ns.invalid"); // primary server
      writer.name("hostmaster.invalid"); // administrator
      for (const field of [1, 3600, 600, 86400, record.data]) writer.uint32(field);
    } else if (record.type === "CNAME") writer.name(record.data);
    else if (record.type === "SRV") writer.service(record.data);
    else writer.address(record.data);
  });
}

/** The answer in place of one that no message can hold. */
const EMPTY = { rcode: "SERVFAIL", answers: [], authorities: [], additionals: [] } as const;

/**
 * Writes the response that fits the transport. Over UDP, one that is too large is cut to the records that fit and
 * marked as truncated (RFC 2181 section 9); over TCP, one that is too large becomes a SERVFAIL.
 */
export function writeResponse(
  query: Query,
  answer: ZoneAnswer,
  protocol: "udp" | "tcp",
  changes: ResponseChanges = {},
): Uint8Array {
  const whole = write(query, answer, changes);
  if (protocol === "tcp") {
    return whole.length <= MAX_TCP_SIZE
      ? whole
      : write(query, { ...EMPTY, authoritative: answer.authoritative }, changes);
  }
  const limit = Math.min(Math.max(query.udpSize ?? 0, PLAIN_UDP_SIZE), MAX_UDP_SIZE);
  if (whole.length <= limit) return whole;
  // What is sent along may be left out, and that is no truncation (RFC 2181 section 9).
  let bytes = write(query, { ...answer, additionals: [] }, changes);
  if (bytes.length <= limit) return bytes;
  // Skips most of the records that cannot fit.
  let kept = Math.min(answer.answers.length, Math.floor(limit / MIN_RECORD_SIZE));
  for (; kept >= 0 && bytes.length > limit; kept--) {
    const answers = answer.answers.slice(0, kept);
    const fitting = { ...answer, answers, authorities: [], additionals: [] };
    bytes = write(query, fitting, { ...changes, truncated: true });
  }
  return bytes;
}

/** Makes the SOA record of a negative answer (RFC 2308 section 5). */
export function startOfAuthority(negativeTtl: number): ResourceRecord {
  return { name: "", type: "SOA", ttl: negativeTtl, data: negativeTtl };
}
