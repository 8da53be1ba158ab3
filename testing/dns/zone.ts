/**
 * The DNS server's data: the records of its names, a cache of another server's answers, and the way along a CNAME
 * chain.
 *
 * @module
 */

import { mustBe } from "../../internal/argument_error.ts";
import { now } from "../../internal/clock.ts";
import { ipFamily } from "../../internal/ip.ts";
import { checkNumber, OptionReader } from "../../internal/option_reader.ts";
import { formatService, NO_TARGET } from "../../internal/srv.ts";
import { clampTtl } from "../../internal/ttl.ts";
import { checkAddress, checkAddresses, checkName, MAX_SECONDS } from "../shared/arguments.ts";
import { type ResourceRecord, startOfAuthority, type ZoneAnswer } from "./message.ts";
import type { Random } from "./random.ts";

/** A CNAME record: another name for a host. */
export interface DnsAlias {
  /** The name that it leads to. It need not exist, and may lead back here. */
  readonly cname: string;
}

/** SRV records: where a service runs (RFC 2782). */
export interface DnsServices {
  /**
   * The servers. Priority, weight and port are whole numbers from 0 to 65535; the target is a name, or `"."` for a
   * service that is not available. Default of priority and weight: 0.
   */
  readonly srv: readonly {
    readonly priority?: number | undefined;
    readonly weight?: number | undefined;
    readonly port: number;
    readonly target: string;
  }[];
  /** Whether the addresses of the targets that the server has are sent along. Default `true`. */
  readonly additional?: boolean | undefined;
}

/** Addresses that rotate: each question for a family starts one address later. */
export interface DnsRotation {
  /** IP addresses. The first answer starts with the first, the second with the second, and so on, round and round. */
  readonly rotate: readonly string[];
  /** The number of addresses in an answer, from 1. Default: all. */
  readonly show?: number | undefined;
}

/** One address in each answer, drawn at random by weight. */
export interface DnsWeights {
  /** IP addresses with their weights, 0.001 to 1000000. An answer draws among those of the family asked for. */
  readonly weighted: readonly (readonly [address: string, weight: number])[];
}

/** Records that change by themselves, round and round, from the moment they are set. */
export interface DnsSchedule {
  /** The records of the first period, of the second, and so on; after the last comes the first again. At least one. */
  readonly schedule: readonly (readonly string[] | DnsAlias)[];
  /** The length of a period in seconds, 0.001 to 2147483, on the clock of `performance.now()`. */
  readonly every: number;
}

/**
 * The records of a name: an array of IP addresses (IPv4 become A records, IPv6 AAAA; an empty array is answered with
 * NODATA), an alias, SRV records, or addresses that vary from answer to answer.
 */
export type DnsRecords =
  | readonly string[]
  | DnsAlias
  | DnsServices
  | DnsRotation
  | DnsWeights
  | DnsSchedule;

/** The records of a name at one moment, for one family; SRV records as text. */
type Contents = readonly string[] | DnsAlias | Services;

/** SRV records as text. */
interface Services {
  readonly services: readonly string[];
  /** Whether addresses are sent along. */
  readonly additional: boolean;
}

/** Returns the records of a name at this moment. */
type ReadContents = (family: 4 | 6 | undefined) => Contents;

/** One step from a question towards its answer. */
export type Step =
  | { readonly kind: "alias"; readonly target: string; readonly ttl: number }
  | {
    readonly kind: "addresses";
    readonly addresses: readonly string[];
    readonly ttl: number;
    /** Whether the addresses of the targets in SRV records are sent along. */
    readonly additional?: boolean;
  }
  | { readonly kind: "none"; readonly exists: boolean; readonly ttl: number };

/** Takes one step from a name, in the form of {@linkcode nameKey}, for records of a type. */
export type Stepper = (key: string, type: string) => Step;

/** How a cache rounds the remaining TTL to whole seconds. */
export type TtlRounding = "floor" | "ceil" | "second-arithmetic";

/** Returns a name in the form in which names are compared: lower case, no trailing dot (RFC 4343). */
export function nameKey(name: string): string {
  return name.replace(/\.$/, "").toLowerCase();
}

/** Returns the address family of a record type. */
export function familyOf(type: string): 4 | 6 | undefined {
  return type === "A" ? 4 : type === "AAAA" ? 6 : undefined;
}

/** Returns the addresses of one family. */
export function ofFamily(addresses: readonly string[], family: 4 | 6 | undefined): string[] {
  if (family === undefined) return [];
  return addresses.filter((address) => ipFamily(address) === family);
}

/** The records of a server, by name. */
export class Zone {
  readonly #names = new Map<string, { read: ReadContents; ttl: number }>();
  readonly #negativeTtl: number;
  readonly #random: Random;

  /**
   * @param negativeTtl The TTL of negative answers, in seconds.
   * @param random Draws among weighted addresses.
   */
  constructor(negativeTtl: number, random: Random) {
    this.#negativeTtl = negativeTtl;
    this.#random = random;
  }

  /** Sets the records of a name, after checking them. */
  set(name: string, records: unknown, ttl: number): void {
    this.#names.set(nameKey(name), { read: readRecords(records, this.#random), ttl });
  }

  /** Deletes a name; returns whether it was set. */
  delete(name: string): boolean {
    return this.#names.delete(nameKey(name));
  }

  /** Takes one step; a {@linkcode Stepper}. */
  step(key: string, type: string): Step {
    const entry = this.#names.get(key);
    if (entry === undefined) return { kind: "none", exists: false, ttl: this.#negativeTtl };
    const family = familyOf(type);
    const contents = entry.read(family);
    if ("cname" in contents) return { kind: "alias", target: contents.cname, ttl: entry.ttl };
    const addresses = "services" in contents
      ? type === "SRV" ? contents.services : []
      : ofFamily(contents, family);
    return addresses.length === 0 ? { kind: "none", exists: true, ttl: this.#negativeTtl } : {
      kind: "addresses",
      addresses,
      ttl: entry.ttl,
      ...("services" in contents && { additional: contents.additional }),
    };
  }
}

const RECORDS = "records";

/** Checks the records of a name; returns the function that reads them at a moment. */
function readRecords(records: unknown, random: Random): ReadContents {
  if (Array.isArray(records)) {
    const addresses = checkAddresses(records, RECORDS);
    return () => addresses;
  }
  if (typeof records !== "object" || records === null) {
    const allowed =
      'an array of IP addresses or an object with "cname", "srv", "rotate", "weighted" or "schedule"';
    throw mustBe(RECORDS, allowed, records);
  }
  if ("srv" in records) return readServices(records);
  if ("rotate" in records) return readRotation(records);
  if ("weighted" in records) return readWeights(records, random);
  if ("schedule" in records) return readSchedule(records);
  const alias = readAlias(records, RECORDS);
  return () => alias;
}

function readerOf(records: unknown, argument: string): OptionReader {
  return new OptionReader(records, "DnsServer.set", argument);
}

function readAlias(records: unknown, argument: string): DnsAlias {
  const reader = readerOf(records, argument);
  const cname = reader.value<unknown>("cname", undefined, (value) => value);
  // Before the check, so that a misspelt "cname" is reported as unknown, not as missing.
  reader.done();
  return { cname: checkName(cname, `${argument}.cname`) };
}

function readServices(records: unknown): ReadContents {
  const reader = readerOf(records, RECORDS);
  const services = reader.required("srv", (value, argument) => {
    if (!Array.isArray(value)) throw mustBe(argument, "an array of SRV records", value);
    return value.map((item: unknown, index) => readService(item, `${argument}[${index}]`));
  });
  const additional = reader.boolean("additional", true);
  reader.done();
  return () => ({ services, additional });
}

function readService(item: unknown, argument: string): string {
  const reader = readerOf(item, argument);
  const number = (value: unknown, name: string) =>
    checkNumber(name, value, { min: 0, max: 65535, whole: true });
  const priority = reader.value("priority", 0, number);
  const weight = reader.value("weight", 0, number);
  const port = reader.required("port", number);
  const target = reader.required(
    "target",
    (value, name) => value === NO_TARGET ? NO_TARGET : checkName(value, name),
  );
  reader.done();
  return formatService({ priority, weight, port, target });
}

function readRotation(records: unknown): ReadContents {
  const reader = readerOf(records, RECORDS);
  const addresses = reader.required("rotate", checkAddresses);
  const shown = reader.value(
    "show",
    Infinity,
    (value, name) => checkNumber(name, value, { min: 1, max: 65535, whole: true }),
  );
  reader.done();
  const turns = { 4: 0, 6: 0 };
  return (family) => {
    const candidates = ofFamily(addresses, family);
    if (family === undefined || candidates.length === 0) return [];
    const first = turns[family]++ % candidates.length;
    return [...candidates.slice(first), ...candidates.slice(0, first)].slice(0, shown);
  };
}

function readWeights(records: unknown, random: Random): ReadContents {
  const reader = readerOf(records, RECORDS);
  const weights = reader.required("weighted", checkWeights);
  reader.done();
  return (family) => {
    const candidates = weights.filter(({ address }) => ofFamily([address], family).length > 0);
    if (candidates.length === 0) return [];
    let drawn = random() * candidates.reduce((sum, { weight }) => sum + weight, 0);
    const winner = candidates.find(({ weight }) => (drawn -= weight) < 0) ?? candidates.at(-1);
    return [winner!.address];
  };
}

function checkWeights(
  value: unknown,
  argument: string,
): readonly { readonly address: string; readonly weight: number }[] {
  if (!Array.isArray(value)) throw mustBe(argument, "an array of [address, weight]", value);
  return value.map((pair: unknown, index) => {
    const name = `${argument}[${index}]`;
    if (!Array.isArray(pair) || pair.length !== 2) throw mustBe(name, "[address, weight]", pair);
    const weight = checkNumber(`${name}[1]`, pair[1], { min: 0.001, max: 1e6 });
    return { address: checkAddress(pair[0], `${name}[0]`), weight };
  });
}

function readSchedule(records: unknown): ReadContents {
  const reader = readerOf(records, RECORDS);
  const contents = reader.required("schedule", checkPeriods);
  const everyMs = 1000 *
    reader.required(
      "every",
      (value, name) => checkNumber(name, value, { min: 0.001, max: MAX_SECONDS, unit: "seconds" }),
    );
  reader.done();
  const startMs = now();
  return () => contents[Math.floor((now() - startMs) / everyMs) % contents.length]!;
}

function checkPeriods(value: unknown, argument: string): readonly Contents[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw mustBe(argument, "a non-empty array of arrays of IP addresses or { cname }", value);
  }
  return value.map((item: unknown, index) => {
    const name = `${argument}[${index}]`;
    return Array.isArray(item) ? checkAddresses(item, name) : readAlias(item, name);
  });
}

/** Makes a stepper that caches the steps of another one until their TTL is over, and reports the remaining TTL. */
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
 * Follows the chain of a name to its end. A dangling chain ends in NXDOMAIN (RFC 6604 section 3), a looping one at its
 * first repeated name, without an error, as with BIND.
 */
export function answerFrom(
  step: Stepper,
  name: string,
  type: string,
  authoritative: boolean,
): ZoneAnswer {
  const answers: ResourceRecord[] = [];
  const additionals: ResourceRecord[] = [];
  const seen = new Set<string>();
  let owner = name;
  while (!seen.has(nameKey(owner))) {
    seen.add(nameKey(owner));
    const found = step(nameKey(owner), type);
    if (found.kind === "none") {
      const authorities = [startOfAuthority(found.ttl)];
      const rcode = found.exists ? "NOERROR" : "NXDOMAIN";
      return { rcode, answers, authorities, additionals, authoritative };
    }
    if (found.kind === "addresses") {
      if (found.additional) additionals.push(...targetAddresses(step, found.addresses));
      for (const data of found.addresses) {
        answers.push({ name: owner, type: type as "A" | "AAAA" | "SRV", ttl: found.ttl, data });
      }
      break;
    }
    answers.push({ name: owner, type: "CNAME", ttl: found.ttl, data: found.target });
    if (type === "CNAME") break;
    owner = found.target;
  }
  return { rcode: "NOERROR", answers, authorities: [], additionals, authoritative };
}

/** Returns the addresses of the targets in SRV records, as far as the server has them. */
function targetAddresses(step: Stepper, services: readonly string[]): ResourceRecord[] {
  const targets = new Set(services.map((text) => text.split(" ").at(-1)!));
  return [...targets].flatMap((name) =>
    (["A", "AAAA"] as const).flatMap((type) => {
      const found = step(nameKey(name), type);
      if (found.kind !== "addresses") return [];
      return found.addresses.map((data) => ({ name, type, ttl: found.ttl, data }));
    })
  );
}
