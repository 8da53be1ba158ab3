/**
 * What the DNS server knows: records by name, a cache of another server's, and the way along a CNAME chain.
 *
 * @module
 */

import { isIPv6 } from "node:net";
import { now } from "../../internal/clock.ts";
import { clampTtl } from "../../internal/ttl.ts";
import {
  checkAddress,
  checkAddresses,
  checkKeys,
  checkName,
  checkNumber,
  keyOf,
  LONGEST_SECONDS,
  part,
  type Subject,
  wrongType,
} from "./validate.ts";
import { type ResourceRecord, startOfAuthority, type ZoneAnswer } from "./message.ts";
import type { Random } from "./random.ts";

/** Another name for a host: a CNAME record. */
export interface DnsAlias {
  /** The name that it stands for; it need not exist, and it may lead back here. */
  readonly cname: string;
}

/** Addresses that take turns: each question for a family moves on by one. */
export interface DnsRotation {
  /** IP addresses. The first answer starts at the first, the second at the second, and so on, round and round. */
  readonly rotate: readonly string[];
  /** How many of them an answer holds, 1 or more; 1 is one at a time. Default: all of them. */
  readonly show?: number | undefined;
}

/** One address an answer, drawn at random by weight. */
export interface DnsWeights {
  /** IP addresses, each with its weight, 0.001 to 1000000. An answer draws among those of the family asked for. */
  readonly weighted: readonly (readonly [address: string, weight: number])[];
}

/** Records that change by themselves, round and round, from the moment they are set. */
export interface DnsSchedule {
  /** What the name holds first, second, and so on; after the last comes the first again. At least one. */
  readonly schedule: readonly (readonly string[] | DnsAlias)[];
  /** Seconds that each lasts, 0.001 to 2147483, on the clock of `performance.now()`. */
  readonly every: number;
}

/**
 * What a name holds: a list of IP addresses (IPv4 become A records, IPv6 AAAA; none at all is an empty answer,
 * NODATA), an alias, or addresses that vary from answer to answer.
 */
export type DnsRecords = readonly string[] | DnsAlias | DnsRotation | DnsWeights | DnsSchedule;

/** What a name holds at one moment, for one family. */
type Contents = readonly string[] | DnsAlias;
type Reader = (family: 4 | 6 | undefined) => Contents;

/** One step from a question towards its answer. */
export type Step =
  | { readonly kind: "alias"; readonly target: string; readonly ttl: number }
  | { readonly kind: "addresses"; readonly addresses: readonly string[]; readonly ttl: number }
  | { readonly kind: "none"; readonly exists: boolean; readonly ttl: number };

/** Takes one step from `key` (lower case, no trailing dot) for records of `type`. */
export type Stepper = (key: string, type: string) => Step;

/** How a cache makes whole seconds of what is left of a TTL. */
export type TtlRounding = "floor" | "ceil" | "second-arithmetic";

/** The family that a record type is about. */
export function familyOf(type: string): 4 | 6 | undefined {
  return type === "A" ? 4 : type === "AAAA" ? 6 : undefined;
}

/** The addresses of one family. */
export function ofFamily(addresses: readonly string[], family: 4 | 6 | undefined): string[] {
  if (family === undefined) return [];
  return addresses.filter((address) => isIPv6(address) === (family === 6));
}

/** The records of a server, by name. */
export class Zone {
  readonly #names = new Map<string, { read: Reader; ttl: number }>();
  readonly #negativeTtl: number;
  readonly #random: Random;

  constructor(negativeTtl: number, random: Random) {
    this.#negativeTtl = negativeTtl;
    this.#random = random;
  }

  set(name: string, records: unknown, ttl: number, subject: Subject): void {
    this.#names.set(keyOf(name), { read: readerOf(subject, records, this.#random), ttl });
  }

  delete(name: string): boolean {
    return this.#names.delete(keyOf(name));
  }

  step(key: string, type: string): Step {
    const entry = this.#names.get(key);
    if (entry === undefined) return { kind: "none", exists: false, ttl: this.#negativeTtl };
    const family = familyOf(type);
    const contents = entry.read(family);
    if ("cname" in contents) return { kind: "alias", target: contents.cname, ttl: entry.ttl };
    const addresses = ofFamily(contents, family);
    return addresses.length === 0
      ? { kind: "none", exists: true, ttl: this.#negativeTtl }
      : { kind: "addresses", addresses, ttl: entry.ttl };
  }
}

/** Checks what a name is to hold, and makes of it a function that says what it holds now. */
function readerOf(subject: Subject, records: unknown, random: Random): Reader {
  if (Array.isArray(records)) {
    const addresses = checkAddresses(subject, records);
    return () => addresses;
  }
  if (typeof records !== "object" || records === null) {
    throw wrongType(
      subject,
      "a list of IP addresses or an object with cname, rotate, weighted or schedule",
      records,
    );
  }
  if ("rotate" in records) return rotationOf(subject, records);
  if ("weighted" in records) return weightsOf(subject, records, random);
  if ("schedule" in records) return scheduleOf(subject, records);
  const alias = aliasOf(subject, records);
  return () => alias;
}

function aliasOf(subject: Subject, records: unknown): DnsAlias {
  const { cname } = checkKeys(subject, records, ["cname"]);
  return { cname: checkName(part(subject, ".cname"), cname) };
}

function rotationOf(subject: Subject, records: unknown): Reader {
  const { rotate, show } = checkKeys(subject, records, ["rotate", "show"]);
  const addresses = checkAddresses(part(subject, ".rotate"), rotate);
  const shown = show === undefined
    ? Infinity
    : checkNumber(part(subject, ".show"), show, { least: 1, most: 65535, whole: true });
  const turns = { 4: 0, 6: 0 };
  return (family) => {
    const candidates = ofFamily(addresses, family);
    if (family === undefined || candidates.length === 0) return [];
    const first = turns[family]++ % candidates.length;
    return [...candidates.slice(first), ...candidates.slice(0, first)].slice(0, shown);
  };
}

function weightsOf(subject: Subject, records: unknown, random: Random): Reader {
  const { weighted } = checkKeys(subject, records, ["weighted"]);
  const list = part(subject, ".weighted");
  if (!Array.isArray(weighted)) throw wrongType(list, "a list of [address, weight]", weighted);
  const weights = weighted.map((pair: unknown, index) => {
    const at = part(list, `[${index}]`);
    if (!Array.isArray(pair) || pair.length !== 2) throw wrongType(at, "[address, weight]", pair);
    const weight = checkNumber(part(at, "[1]"), pair[1], { least: 0.001, most: 1e6 });
    return { address: checkAddress(part(at, "[0]"), pair[0]), weight };
  });
  return (family) => {
    const candidates = weights.filter(({ address }) => ofFamily([address], family).length > 0);
    if (candidates.length === 0) return [];
    let drawn = random() * candidates.reduce((sum, { weight }) => sum + weight, 0);
    const winner = candidates.find(({ weight }) => (drawn -= weight) < 0) ?? candidates.at(-1);
    return [winner!.address];
  };
}

function scheduleOf(subject: Subject, records: unknown): Reader {
  const { schedule, every } = checkKeys(subject, records, ["schedule", "every"]);
  const list = part(subject, ".schedule");
  if (!Array.isArray(schedule) || schedule.length === 0) {
    throw wrongType(list, "a list of at least one list of addresses or { cname }", schedule);
  }
  const contents = schedule.map((item: unknown, index): Contents => {
    const at = part(list, `[${index}]`);
    return Array.isArray(item) ? checkAddresses(at, item) : aliasOf(at, item);
  });
  const everyMs = 1000 *
    checkNumber(part(subject, ".every"), every, {
      least: 0.001,
      most: LONGEST_SECONDS,
      unit: "seconds",
    });
  const startMs = now();
  return () => contents[Math.floor((now() - startMs) / everyMs) % contents.length]!;
}

/** Steps through a cache: what `ask` said is said again until its TTL is over, with the rest of the TTL. */
export function cached(ask: Stepper, rounding: TtlRounding): Stepper {
  const entries = new Map<string, { step: Step; askedAt: number; ttl: number }>();
  return (key, type) => {
    const seconds = now() / 1000;
    const clock = rounding === "second-arithmetic" ? Math.floor(seconds) : seconds;
    const entryKey = `${key} ${type}`;
    let entry = entries.get(entryKey);
    if (entry === undefined || clock - entry.askedAt >= entry.ttl) {
      const step = ask(key, type);
      entry = { step, askedAt: clock, ttl: clampTtl(step.ttl) };
      entries.set(entryKey, entry);
    }
    const left = entry.ttl - (clock - entry.askedAt);
    return { ...entry.step, ttl: rounding === "ceil" ? Math.ceil(left) : Math.floor(left) };
  };
}

/**
 * Follows the chain from `name` to its end. A dangling chain ends in NXDOMAIN (RFC 6604 section 3), a looping one
 * where it closes, without an error, as BIND has it.
 */
export function answerFrom(
  step: Stepper,
  name: string,
  type: string,
  authoritative: boolean,
): ZoneAnswer {
  const answers: ResourceRecord[] = [];
  const seen = new Set<string>();
  let owner = name;
  while (!seen.has(keyOf(owner))) {
    seen.add(keyOf(owner));
    const found = step(keyOf(owner), type);
    if (found.kind === "none") {
      const authorities = [startOfAuthority(found.ttl)];
      return { rcode: found.exists ? "NOERROR" : "NXDOMAIN", answers, authorities, authoritative };
    }
    if (found.kind === "addresses") {
      for (const data of found.addresses) {
        answers.push({ name: owner, type: type as "A" | "AAAA", ttl: found.ttl, data });
      }
      break;
    }
    answers.push({ name: owner, type: "CNAME", ttl: found.ttl, data: found.target });
    if (type === "CNAME") break;
    owner = found.target;
  }
  return { rcode: "NOERROR", answers, authorities: [], authoritative };
}
