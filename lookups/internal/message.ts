/**
 * DNS messages as `wire` and `doh` need them: writes a query, reads a response, which may be hostile.
 *
 * @module
 */

import {
  CLASS_IN,
  EXTENDED_ERROR,
  FLAGS,
  RCODES,
  STALE_ERRORS,
  TYPES,
} from "../../internal/dns/constants.ts";
import { MessageReader, type Owned } from "../../internal/dns/message_reader.ts";
import { MessageWriter } from "../../internal/dns/message_writer.ts";
import { canonicalHost } from "../../internal/host_name.ts";
import { clampTtl } from "../../internal/ttl.ts";
import type { Question } from "../lookup.ts";

/** A query as it is sent. */
export interface Query {
  /** 0 to 65535; the response must have the same. */
  readonly id: number;
  /** The name in the form of {@linkcode toQueryName}. */
  readonly name: string;
  /** 4 asks for A records, 6 for AAAA, `"srv"` for SRV. */
  readonly family: Question["family"];
  /** Whether the query allows, with EDNS, a response of more than 512 bytes over UDP. */
  readonly edns: boolean;
}

/** The parts of a response that matter to a question for addresses. */
export interface Response {
  /** The name of the response code, such as `"NOERROR"` or `"SERVFAIL"`. */
  readonly rcode: string;
  /** Whether the whole response must be asked for over TCP. If so, nothing below is filled in. */
  readonly truncated: boolean;
  /** Whether the server knows EDNS. */
  readonly edns: boolean;
  /** Whether the server says that its data have expired and that it could not get newer ones (RFC 8914). */
  readonly stale: boolean;
  /** The records of the type asked for, in order, with any owner. */
  readonly addresses: readonly (Owned & { readonly address: string })[];
  /** The addresses that came along with SRV records, with any owner. */
  readonly targets: readonly (Owned & { readonly address: string })[];
  /** The CNAME records, in order, with any owner. */
  readonly aliases: readonly (Owned & { readonly target: string })[];
  /** Seconds for which a negative answer may be cached (RFC 2308 section 5), if the message says. */
  readonly negativeTtl: number | undefined;
  /** Whether the message only names other servers (RFC 2308 section 2.2). */
  readonly referral: boolean;
}

/** RFC 6891 section 9. */
const BADVERS = 16;

/** Bytes of an address, by the type of its record. */
const ADDRESS_SIZES: ReadonlyMap<number, number> = new Map([[TYPES.A, 4], [TYPES.AAAA, 16]]);

/** Maximum characters of a name (RFC 1035 section 2.3.4). */
const MAX_NAME = 253;

/**
 * Returns a host name as it is written into a query: in lower case and ASCII (`"dätenbank.internal"` in its `xn--`
 * form).
 *
 * @param name A host name.
 * @returns The name; `undefined` if DNS cannot be asked for it.
 */
export function toQueryName(name: string): string | undefined {
  const plain = canonicalHost(name);
  const isValid = plain.length <= MAX_NAME && /^[\x21-\x7e]+$/.test(plain) &&
    !plain.includes("\\") && plain.split(".").every((label) => label !== "" && label.length <= 63);
  return isValid ? plain : undefined;
}

/** Writes a query, which asks for recursion. */
export function writeQuery({ id, name, family, edns }: Query): Uint8Array {
  const writer = new MessageWriter();
  writer.header(id, FLAGS.RECURSION_DESIRED, [1, 0, 0, edns ? 1 : 0]);
  writer.question(name, typeOf(family));
  if (edns) writer.opt();
  return writer.toBytes();
}

function typeOf(family: Question["family"]): number {
  if (family === "srv") return TYPES.SRV;
  return family === 4 ? TYPES.A : TYPES.AAAA;
}

/**
 * Reads the response to a query. The time it takes is bounded by the message's length.
 *
 * @param message The message that came back.
 * @param query The query.
 * @returns The response.
 * @throws {Error} if the message is not a response to the query, or cannot be read.
 */
export function readResponse(message: Uint8Array, query: Query): Response {
  const reader = new MessageReader(message);
  const id = reader.uint16();
  const flags = reader.uint16();
  const [questions, answers, authorities, additionals] = reader.counts();
  if (id !== query.id) throw new Error("the response has another id");
  if (!(flags & FLAGS.RESPONSE) || flags & FLAGS.OPCODE) {
    throw new Error("the message is not a response");
  }
  const rcode = flags & FLAGS.RCODE;
  checkQuestion(reader, query, questions, rcode);
  // A response that reports an error is complete, even if it is marked as truncated.
  if (flags & FLAGS.TRUNCATED && isDefinitive(rcode)) {
    const none = { addresses: [], targets: [], aliases: [] };
    const found = { ...none, negativeTtl: undefined, referral: false };
    return { ...found, rcode: RCODES[rcode]!, truncated: true, edns: false, stale: false };
  }
  return {
    ...readAnswers(reader, answers, query.family),
    ...readAuthorities(reader, authorities),
    ...readAdditionals(reader, additionals, { rcode, family: query.family }),
    truncated: false,
  };
}

/** Returns whether a response code says that the name exists, or that it does not. */
function isDefinitive(rcode: number): boolean {
  return RCODES[rcode] === "NOERROR" || RCODES[rcode] === "NXDOMAIN";
}

/** Returns whether a server refused a query for its EDNS: one that knows it adds an OPT record (RFC 6891 section 7). */
export function knowsNoEdns({ rcode, edns }: Response): boolean {
  return rcode === "FORMERR" && !edns;
}

/** Checks that the question is the query's. An error may come without one: the server may not have read it. */
function checkQuestion(reader: MessageReader, query: Query, count: number, rcode: number): void {
  if (count === 0 && !isDefinitive(rcode)) return;
  const isSame = count === 1 && reader.name() === query.name &&
    reader.uint16() === typeOf(query.family) && reader.uint16() === CLASS_IN;
  if (!isSame) throw new Error("the response is to another question");
}

function readAnswers(
  reader: MessageReader,
  count: number,
  family: Question["family"],
): Pick<Response, "addresses" | "aliases"> {
  const type = typeOf(family);
  const addresses: (Owned & { address: string })[] = [];
  const aliases: (Owned & { target: string })[] = [];
  for (let index = 0; index < count; index++) {
    reader.record((record) => {
      const { owner, ttl } = record;
      if (record.class !== CLASS_IN) return;
      if (record.type === type) {
        const address = family === "srv" ? reader.service(record) : reader.address(record);
        addresses.push({ owner, ttl, address });
      }
      if (record.type === TYPES.CNAME) {
        aliases.push({ owner, ttl, target: reader.name() });
        reader.expectEnd(record);
      }
    });
  }
  return { addresses, aliases };
}

function readAuthorities(
  reader: MessageReader,
  count: number,
): Pick<Response, "negativeTtl" | "referral"> {
  let negativeTtl: number | undefined;
  let namesServers = false;
  for (let index = 0; index < count; index++) {
    reader.record((record) => {
      if (record.class !== CLASS_IN) return;
      if (record.type === TYPES.NS) namesServers = true;
      if (record.type !== TYPES.SOA) return;
      reader.name(); // primary server
      reader.name(); // administrator
      for (let field = 0; field < 4; field++) reader.uint32(); // serial, refresh, retry, expire
      const minimum = Math.min(clampTtl(record.ttl), clampTtl(reader.uint32()));
      reader.expectEnd(record);
      negativeTtl = Math.min(negativeTtl ?? Infinity, minimum);
    });
  }
  return { negativeTtl, referral: namesServers && negativeTtl === undefined };
}

function readAdditionals(
  reader: MessageReader,
  count: number,
  { rcode, family }: { readonly rcode: number; readonly family: Question["family"] },
): Pick<Response, "edns" | "rcode" | "stale" | "targets"> {
  const targets: (Owned & { address: string })[] = [];
  let edns = false;
  let stale = false;
  let extended = rcode;
  for (let index = 0; index < count; index++) {
    reader.record((record) => {
      const size = ADDRESS_SIZES.get(record.type);
      if (family === "srv" && record.size === size && record.class === CLASS_IN) {
        targets.push({ owner: record.owner, ttl: record.ttl, address: reader.address(record) });
      }
      if (record.type !== TYPES.OPT) return;
      edns = true;
      extended = rcode | (record.ttl >>> 24) << 4; // RFC 6891 section 6.1.3
      for (const { code, data } of reader.options(record)) {
        if (code !== EXTENDED_ERROR || data.length < 2) continue;
        if (STALE_ERRORS.includes(data[0]! << 8 | data[1]!)) stale = true;
      }
    });
  }
  const name = RCODES[extended] ?? (extended === BADVERS ? "BADVERS" : `RCODE${extended}`);
  return { edns, rcode: name, stale, targets };
}
