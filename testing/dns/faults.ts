/**
 * Faults: what they are, which queries they meet, and what they make of a response.
 *
 * @module
 */

import {
  checkAddress,
  checkAddresses,
  checkKeys,
  checkName,
  checkNumber,
  checkTtl,
  LONGEST_SECONDS,
  part,
  type Subject,
  wrongType,
} from "./validate.ts";
import {
  type Query,
  type Rcode,
  RCODES,
  type ResourceRecord,
  writeResponse,
  type ZoneAnswer,
} from "./message.ts";
import { type Random, seededRandom } from "./random.ts";
import { shuffled } from "../../internal/shuffled.ts";
import { familyOf, ofFamily } from "./zone.ts";

/** A record that a fault puts into an answer: an address or an alias, under any name. */
export interface DnsExtraRecord {
  /** Whose record it is; need not have anything to do with the question. */
  readonly name: string;
  /** An IP address, for an A or AAAA record. Either this or `cname`. */
  readonly address?: string | undefined;
  /** A host name, for a CNAME record. Either this or `address`. */
  readonly cname?: string | undefined;
  /** Seconds, 0 to 4294967295. Default: 60. */
  readonly ttl?: number | undefined;
}

/**
 * What goes wrong with the answers for a name. `times`, `protocol` and `family` say which queries it meets, the
 * others what happens to them; without one of those, a query that it meets is answered as it should be.
 *
 * At most one of `drop`, `rcode`, `emptySuccess`, `garbage` and `addresses`; all others go together with any.
 */
export interface DnsFault {
  /** Meets only so many queries, 1 or more, and is over then. Default: until it is healed. */
  readonly times?: number | undefined;
  /** Meets only queries over this transport. Default: both. */
  readonly protocol?: "udp" | "tcp" | undefined;
  /** Meets only queries for A (4) or AAAA (6). Default: any query. */
  readonly family?: 4 | 6 | undefined;
  /** Seconds that the response comes late, 0 to 2147483. It still says what was right when the query came. */
  readonly delay?: number | undefined;
  /** No response at all; over TCP the connection stays open. */
  readonly drop?: boolean | undefined;
  /** This response code, and no records. */
  readonly rcode?: "FORMERR" | "SERVFAIL" | "NXDOMAIN" | "NOTIMP" | "REFUSED" | undefined;
  /** A success without any record, not even the SOA that makes a proper NODATA. */
  readonly emptySuccess?: boolean | undefined;
  /** Random bytes behind the right id, `true` for others each time, a number for the ones of this seed. */
  readonly garbage?: boolean | number | undefined;
  /** These IP addresses, those of the family asked for, in place of the right answer: a lie. The TTL is the answer's. */
  readonly addresses?: readonly string[] | undefined;
  /** Further records at the end of the answer. */
  readonly extraRecords?: readonly DnsExtraRecord[] | undefined;
  /** The records of the answer in another order: `"reversed"` puts an alias behind its addresses. */
  readonly order?: "reversed" | "shuffled" | undefined;
  /** Over UDP, half of the records and the mark that the rest is to be had over TCP; nothing over TCP. */
  readonly truncate?: boolean | undefined;
  /** An id that is not the query's. */
  readonly wrongId?: boolean | undefined;
  /** A question that is not the query's. */
  readonly wrongQuestion?: boolean | undefined;
  /** Over UDP, sent from another port than the one that was asked; nothing over TCP. */
  readonly wrongPeer?: boolean | undefined;
  /** Only the first half of the message; over TCP the connection is closed after it. */
  readonly cutShort?: boolean | undefined;
  /** Over TCP, the message arrives in four pieces, 2 ms apart; nothing over UDP. */
  readonly inPieces?: boolean | undefined;
  /** The right response follows at once, as the true server's does behind a forged one. */
  readonly thenCorrect?: boolean | undefined;
}

/** What leaves the server for one query. */
export interface Reply {
  readonly message: Uint8Array;
  /** From another port. */
  readonly stranger: boolean;
  readonly cutShort: boolean;
  readonly inPieces: boolean;
}

const SWITCHES = [
  "drop",
  "emptySuccess",
  "truncate",
  "wrongId",
  "wrongQuestion",
  "wrongPeer",
  "cutShort",
  "inPieces",
  "thenCorrect",
] as const;
const KEYS = [
  ...["times", "protocol", "family", "delay", "rcode", "garbage", "addresses"],
  ...["extraRecords", "order", ...SWITCHES],
];
const EXCLUSIVE = ["drop", "rcode", "emptySuccess", "garbage", "addresses"] as const;

/** Checks a fault and copies it. */
export function checkFault(subject: Subject, value: unknown): DnsFault {
  const fault: DnsFault = { ...checkKeys(subject, value, KEYS) };
  const at = (key: keyof DnsFault) => part(subject, `.${key}`);
  for (const key of SWITCHES) {
    checkOneOf(at(key), fault[key], [undefined, true, false]);
  }
  checkOneOf(at("protocol"), fault.protocol, [undefined, "udp", "tcp"]);
  checkOneOf(at("family"), fault.family, [undefined, 4, 6]);
  checkOneOf(at("order"), fault.order, [undefined, "reversed", "shuffled"]);
  const rcodes = Object.keys(RCODES).filter((rcode) => rcode !== "NOERROR");
  checkOneOf(at("rcode"), fault.rcode, [undefined, ...rcodes]);
  if (fault.times !== undefined) {
    checkNumber(at("times"), fault.times, { least: 1, most: Number.MAX_SAFE_INTEGER, whole: true });
  }
  if (fault.delay !== undefined) {
    checkNumber(at("delay"), fault.delay, { least: 0, most: LONGEST_SECONDS, unit: "seconds" });
  }
  if (fault.garbage !== undefined && typeof fault.garbage !== "boolean") {
    checkNumber(at("garbage"), fault.garbage, { least: 0, most: 2 ** 32 - 1, whole: true });
  }
  const together = EXCLUSIVE.filter((key) => fault[key] !== undefined && fault[key] !== false);
  if (together.length > 1) {
    throw new TypeError(
      `${subject.action}: ${subject.argument} must have at most one of ${EXCLUSIVE.join(", ")}, ` +
        `got ${together.join(" and ")}`,
    );
  }
  return {
    ...fault,
    addresses: fault.addresses && checkAddresses(at("addresses"), fault.addresses),
    extraRecords: fault.extraRecords && checkExtras(at("extraRecords"), fault.extraRecords),
  };
}

function checkOneOf(subject: Subject, value: unknown, allowed: readonly unknown[]): void {
  if (allowed.includes(value)) return;
  const words = allowed.filter((item) => item !== undefined)
    .map((item) => typeof item === "string" ? `"${item}"` : String(item));
  throw wrongType(subject, `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`, value);
}

function checkExtras(subject: Subject, value: unknown): readonly DnsExtraRecord[] {
  if (!Array.isArray(value)) throw wrongType(subject, "a list of records", value);
  return value.map((item: unknown, index) => {
    const at = part(subject, `[${index}]`);
    const record = checkKeys(at, item, ["name", "address", "cname", "ttl"]);
    const name = checkName(part(at, ".name"), record.name);
    const ttl = record.ttl === undefined ? 60 : checkTtl(part(at, ".ttl"), record.ttl);
    if ((record.address === undefined) === (record.cname === undefined)) {
      throw wrongType(at, "a record with either address or cname", item);
    }
    return record.address === undefined
      ? { name, ttl, cname: checkName(part(at, ".cname"), record.cname) }
      : { name, ttl, address: checkAddress(part(at, ".address"), record.address) };
  });
}

/** The faults that are set, by name as `keyOf` makes it; `"*"` is every name that has none of its own. */
export class Faults {
  readonly #byName = new Map<string, { fault: DnsFault; left: number }[]>();

  set(key: string, faults: readonly DnsFault[]): void {
    const list = faults.map((fault) => ({ fault, left: fault.times ?? Infinity }));
    this.#byName.set(key, list);
  }

  heal(key?: string): void {
    if (key === undefined) this.#byName.clear();
    else this.#byName.delete(key);
  }

  /** The fault that meets this query: the first of the name's that fits and is not used up. */
  take(key: string, type: string, protocol: "udp" | "tcp"): DnsFault | undefined {
    const list = this.#byName.get(key) ?? this.#byName.get("*");
    const hit = list?.find(({ fault, left }) =>
      left > 0 &&
      (fault.protocol === undefined || fault.protocol === protocol) &&
      (fault.family === undefined || fault.family === familyOf(type))
    );
    if (hit) hit.left--;
    return hit?.fault;
  }
}

/** What leaves the server for `query`, whose right answer is `answer`. */
export function repliesTo(
  query: Query,
  answer: ZoneAnswer,
  { protocol, fault = {}, random }: {
    protocol: "udp" | "tcp";
    fault: DnsFault | undefined;
    random: Random;
  },
): Reply[] {
  const faulty = fault.drop ? undefined : {
    message: fault.garbage !== undefined && fault.garbage !== false
      ? garbage(
        fault.wrongId ? otherId(query.id) : query.id,
        fault.garbage === true ? random : seededRandom(fault.garbage),
      )
      : faultyMessage(query, answer, protocol, fault, random),
    stranger: fault.wrongPeer === true && protocol === "udp",
    cutShort: fault.cutShort === true,
    inPieces: fault.inPieces === true,
  };
  const correct = fault.thenCorrect
    ? {
      message: writeResponse(query, answer, protocol),
      stranger: false,
      cutShort: false,
      inPieces: false,
    }
    : undefined;
  return [faulty, correct].filter((reply) => reply !== undefined);
}

function faultyMessage(
  query: Query,
  answer: ZoneAnswer,
  protocol: "udp" | "tcp",
  fault: DnsFault,
  random: Random,
): Uint8Array {
  let { answers, authorities, rcode } = answer;
  if (fault.rcode !== undefined || fault.emptySuccess) {
    [answers, authorities, rcode] = [[], [], fault.rcode ?? "NOERROR" as Rcode];
  } else if (fault.addresses !== undefined) {
    const ttl = Math.min(...answers.map((record) => record.ttl));
    answers = ofFamily(fault.addresses, familyOf(query.type)).map((data): ResourceRecord => ({
      name: query.name,
      type: query.type as "A" | "AAAA",
      ttl: Number.isFinite(ttl) ? ttl : 0,
      data,
    }));
    [authorities, rcode] = [[], "NOERROR"];
  }
  answers = [...answers, ...(fault.extraRecords ?? []).map(extraRecord)];
  if (fault.order === "reversed") answers = [...answers].reverse();
  if (fault.order === "shuffled") answers = shuffled(answers, random);
  const truncated = fault.truncate === true && protocol === "udp";
  if (truncated) answers = answers.slice(0, Math.floor(answers.length / 2));
  return writeResponse(query, { ...answer, answers, authorities, rcode }, protocol, {
    id: fault.wrongId ? otherId(query.id) : query.id,
    questionName: fault.wrongQuestion ? "wrong-question.invalid" : query.name,
    truncated,
  });
}

function extraRecord({ name, address, cname, ttl = 60 }: DnsExtraRecord): ResourceRecord {
  return address === undefined
    ? { name, type: "CNAME", ttl, data: cname! }
    : { name, type: ofFamily([address], 6).length > 0 ? "AAAA" : "A", ttl, data: address };
}

function otherId(id: number): number {
  return (id + 1) & 0xffff;
}

/** A response's id and mark, and then 1 to 254 random bytes. */
function garbage(id: number, random: Random): Uint8Array {
  const bytes = new Uint8Array(3 + Math.floor(random() * 254));
  for (let index = 2; index < bytes.length; index++) bytes[index] = random() * 256;
  bytes.set([id >> 8, id & 0xff, bytes[2]! | 0x80]);
  return bytes;
}
