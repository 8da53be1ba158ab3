/**
 * Faults: checks them, selects the one for a query, and applies it to a response.
 *
 * @module
 */

import { mustBe, mustNotBeGiven } from "../../internal/argument_error.ts";
import { checkNumber, OptionReader } from "../../internal/option_reader.ts";
import { shuffled } from "../../internal/shuffled.ts";
import { checkAddress, checkAddresses, checkName, MAX_SECONDS, TTL } from "../shared/arguments.ts";
import {
  type Query,
  type ResourceRecord,
  SERVER_RCODES,
  writeResponse,
  type ZoneAnswer,
} from "./message.ts";
import { type Random, seededRandom } from "./random.ts";
import { familyOf, ofFamily } from "./zone.ts";

/** A record that a fault adds to an answer: an address or an alias, with any owner. */
export interface DnsExtraRecord {
  /** The record's owner, which need not be the name asked for. */
  readonly name: string;
  /** An IP address, for an A or AAAA record. Either this or `cname`. */
  readonly address?: string | undefined;
  /** A host name, for a CNAME record. Either this or `address`. */
  readonly cname?: string | undefined;
  /** Seconds, 0 to 4294967295. Default: 60. */
  readonly ttl?: number | undefined;
}

/**
 * A fault in the answers for a name. `times`, `protocol` and `family` select the queries; the other fields say what
 * happens to them. A selected query without any of the other fields is answered correctly.
 *
 * At most one of `drop`, `rcode`, `emptySuccess`, `garbage` and `addresses` may be given; all others combine freely.
 */
export interface DnsFault {
  /** Number of queries after which the fault is over, from 1. Default: no limit, until `clearFaults()`. */
  readonly times?: number | undefined;
  /** Selects queries over this transport. Default: both. */
  readonly protocol?: "udp" | "tcp" | undefined;
  /** Selects queries for A (4) or AAAA (6). Default: all queries. */
  readonly family?: 4 | 6 | undefined;
  /** Seconds by which the response is late, 0 to 2147483. It holds the answer of the time of the query. */
  readonly delay?: number | undefined;
  /** Sends no response; over TCP the connection stays open. */
  readonly drop?: boolean | undefined;
  /** Sends this response code, without records. */
  readonly rcode?: "FORMERR" | "SERVFAIL" | "NXDOMAIN" | "NOTIMP" | "REFUSED" | undefined;
  /** Sends a success without any record, without even the SOA record of a proper NODATA. */
  readonly emptySuccess?: boolean | undefined;
  /** Sends random bytes after the right id: different ones each time (`true`), or those of a seed. */
  readonly garbage?: boolean | number | undefined;
  /** Sends these IP addresses, those of the family asked for, instead of the right ones, with the right TTL. */
  readonly addresses?: readonly string[] | undefined;
  /** Adds records at the end of the answer. */
  readonly extraRecords?: readonly DnsExtraRecord[] | undefined;
  /** Changes the order of the answer's records; `"reversed"` puts an alias after its addresses. */
  readonly order?: "reversed" | "shuffled" | undefined;
  /** Sends half of the records over UDP, marked as truncated. No effect over TCP. */
  readonly truncate?: boolean | undefined;
  /** Sends an id that is not the query's. */
  readonly wrongId?: boolean | undefined;
  /** Sends a question that is not the query's. */
  readonly wrongQuestion?: boolean | undefined;
  /** Sends the response over UDP from another port than the one that was asked. No effect over TCP. */
  readonly wrongPeer?: boolean | undefined;
  /** Sends only the first half of the message; over TCP the connection is closed after it. */
  readonly cutShort?: boolean | undefined;
  /** Sends the message over TCP in four pieces, 2 ms apart. No effect over UDP. */
  readonly inPieces?: boolean | undefined;
  /** Sends the right response directly after the wrong one, as when a forged response precedes the real one. */
  readonly thenCorrect?: boolean | undefined;
}

/** A message that leaves the server for a query. */
export interface Reply {
  readonly message: Uint8Array;
  /** Whether it is sent from another port. */
  readonly wrongPort: boolean;
  readonly cutShort: boolean;
  readonly inPieces: boolean;
}

const [, ...ERROR_RCODES] = SERVER_RCODES;
const EXCLUSIVE = ["drop", "rcode", "emptySuccess", "garbage", "addresses"] as const;

/**
 * Checks a fault and copies it.
 *
 * @param value The fault.
 * @param argument Its place in the arguments: `faults`, or `faults[1]`.
 * @throws {TypeError} if a part is unknown, of the wrong type or excluded by another one.
 * @throws {RangeError} if a number is out of range.
 */
export function readFault(value: unknown, argument: string): DnsFault {
  const reader = new OptionReader(value, "DnsServer.fault", argument);
  const flag = (name: string) => reader.oneOf<boolean | undefined>(name, undefined, [true, false]);
  const fault: DnsFault = {
    times: reader.value<number | undefined>("times", undefined, readTimes),
    protocol: reader.oneOf<DnsFault["protocol"]>("protocol", undefined, ["udp", "tcp"]),
    family: reader.oneOf<DnsFault["family"]>("family", undefined, [4, 6]),
    delay: reader.number("delay", 0, { min: 0, max: MAX_SECONDS, unit: "seconds" }),
    drop: flag("drop"),
    rcode: reader.oneOf<DnsFault["rcode"]>("rcode", undefined, ERROR_RCODES),
    emptySuccess: flag("emptySuccess"),
    garbage: reader.value<DnsFault["garbage"]>("garbage", undefined, readGarbage),
    addresses: reader.value<DnsFault["addresses"]>("addresses", undefined, checkAddresses),
    extraRecords: reader.value<DnsFault["extraRecords"]>("extraRecords", undefined, readExtras),
    order: reader.oneOf<DnsFault["order"]>("order", undefined, ["reversed", "shuffled"]),
    truncate: flag("truncate"),
    wrongId: flag("wrongId"),
    wrongQuestion: flag("wrongQuestion"),
    wrongPeer: flag("wrongPeer"),
    cutShort: flag("cutShort"),
    inPieces: flag("inPieces"),
    thenCorrect: flag("thenCorrect"),
  };
  reader.done();
  const [first, second] = EXCLUSIVE.filter((name) =>
    fault[name] !== undefined && fault[name] !== false
  );
  if (second !== undefined) {
    const reason = `a fault has at most one of ${EXCLUSIVE.join(", ")}, and has "${first}" already`;
    throw mustNotBeGiven(`${argument}.${second}`, reason);
  }
  return fault;
}

function readTimes(value: unknown, argument: string): number {
  return checkNumber(argument, value, { min: 1, max: Number.MAX_SAFE_INTEGER, whole: true });
}

function readGarbage(value: unknown, argument: string): boolean | number {
  if (typeof value === "boolean") return value;
  return checkNumber(argument, value, { min: 0, max: 2 ** 32 - 1, whole: true });
}

function readExtras(value: unknown, argument: string): readonly DnsExtraRecord[] {
  if (!Array.isArray(value)) throw mustBe(argument, "an array of records", value);
  return value.map((item: unknown, index): DnsExtraRecord => {
    const reader = new OptionReader(item, "DnsServer.fault", `${argument}[${index}]`);
    const name = reader.required("name", checkName);
    const ttl = reader.number("ttl", 60, TTL);
    const address = reader.value<string | undefined>("address", undefined, checkAddress);
    const cname = reader.value<string | undefined>("cname", undefined, checkName);
    reader.done();
    if ((address === undefined) === (cname === undefined)) {
      throw mustBe(`${argument}[${index}]`, 'a record with either "address" or "cname"', item);
    }
    return { name, ttl, address, cname };
  });
}

/** The faults of all names. A name is in the form of `nameKey`; `"*"` is every name without a fault of its own. */
export class Faults {
  readonly #byName = new Map<string, { fault: DnsFault; left: number }[]>();

  /** Sets the faults of a name, in place of its previous ones. */
  set(key: string, faults: readonly DnsFault[]): void {
    const list = faults.map((fault) => ({ fault, left: fault.times ?? Infinity }));
    this.#byName.set(key, list);
  }

  /** Removes the faults of a name, or all. */
  clear(key?: string): void {
    if (key === undefined) this.#byName.clear();
    else this.#byName.delete(key);
  }

  /** Returns the first fault for a query that is not used up, and counts its use. */
  take(key: string, type: string, protocol: "udp" | "tcp"): DnsFault | undefined {
    const list = this.#byName.get(key) ?? this.#byName.get("*");
    const match = list?.find(({ fault, left }) =>
      left > 0 &&
      (fault.protocol === undefined || fault.protocol === protocol) &&
      (fault.family === undefined || fault.family === familyOf(type))
    );
    if (match) match.left--;
    return match?.fault;
  }
}

/** Returns the messages that leave the server for a query. */
export function repliesTo(
  query: Query,
  answer: ZoneAnswer,
  { protocol, fault = {}, random }: {
    protocol: "udp" | "tcp";
    fault: DnsFault | undefined;
    random: Random;
  },
): Reply[] {
  const faulty: Reply | undefined = fault.drop ? undefined : {
    message: fault.garbage !== undefined && fault.garbage !== false
      ? garbage(
        fault.wrongId ? otherId(query.id) : query.id,
        fault.garbage === true ? random : seededRandom(fault.garbage),
      )
      : faultyMessage(query, answer, protocol, fault, random),
    wrongPort: fault.wrongPeer === true && protocol === "udp",
    cutShort: fault.cutShort === true,
    inPieces: fault.inPieces === true,
  };
  const correct: Reply | undefined = fault.thenCorrect
    ? {
      message: writeResponse(query, answer, protocol),
      wrongPort: false,
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
    [answers, authorities, rcode] = [[], [], fault.rcode ?? "NOERROR"];
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

/** Makes a message of an id, the flag of a response, and 1 to 254 random bytes. */
function garbage(id: number, random: Random): Uint8Array {
  const bytes = new Uint8Array(3 + Math.floor(random() * 254));
  for (let index = 2; index < bytes.length; index++) bytes[index] = random() * 256;
  bytes.set([id >> 8, id & 0xff, bytes[2]! | 0x80]);
  return bytes;
}
