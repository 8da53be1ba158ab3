/**
 * One resolution: servers, tries, backoff and address families, until there is an answer or no time is left.
 * It keeps nothing: what is remembered between resolutions is the resolver's. Its timers hold no process up:
 * whoever waits for a resolution has a deadline of his own that does.
 *
 * @module
 */

import type { AddressRule } from "./allow_address.ts";
import { deadline, delay } from "../internal/async.ts";
import { maintenanceTimer, now } from "../internal/clock.ts";
import { canonicalIp } from "../internal/ip.ts";
import { LookupError, type LookupErrorKind } from "../errors.ts";
import type { Answer, Lookup, NameServer } from "../lookups/lookup.ts";

/** Which records are asked for. */
export type Family = "auto" | 4 | 6 | "both";

/** What a resolution found out, as it came: nobody's clamps are in it. */
export interface Fact {
  /** At least one address, in the server's order. */
  readonly addresses: readonly string[];
  /** Addresses of a family that failed this time (`"both"`), from an earlier answer. */
  readonly kept: Kept | undefined;
  /** Seconds, as the server said, 0 for what DNS does not allow; `undefined` where the lookup could not tell. */
  readonly ttl: number | undefined;
  /** When the question was sent, in milliseconds of the monotonic clock. The TTL counts from here. */
  readonly askedAtMs: number;
  /** When the answer came. */
  readonly answeredAtMs: number;
  /** How long the resolution took, vain tries included. */
  readonly tookMs: number;
  /** The server that was asked, where it was one of a list. */
  readonly server: NameServer | undefined;
  /** `"dns"`, or `"os"` where the operating system's resolver had to help out. */
  readonly source: "dns" | "os";
  /** What the lookup told besides, for people to read. */
  readonly told: Pick<Answer, "server" | "chain">;
}

/** Addresses that a family had when it was last answered. */
export interface Kept {
  readonly addresses: readonly string[];
  /** Since when that family fails. */
  readonly sinceMs: number;
}

/** What to resolve, and how hard to try. */
export interface Inquiry {
  readonly name: string;
  /** Whether search domains have no say. */
  readonly absolute?: boolean | undefined;
  readonly family: Family;
  readonly lookup: Lookup;
  /** The servers to ask, in order; empty: the lookup's own. */
  readonly servers: readonly NameServer[];
  /** Rounds over all servers, at least 1. */
  readonly rounds: number;
  /** For everything together. */
  readonly timeoutMs: number;
  /** For DNS, where a fallback comes after it. */
  readonly dnsTimeoutMs: number;
  /** The last answer: its server is asked first, and a family that fails in passing is not taken for gone. */
  readonly previous: Fact | undefined;
  /** Whether an ambiguous no is taken for a no, whatever the last answer was. */
  readonly believeNo: boolean;
  /** Asked when DNS has nothing to say. */
  readonly fallback: Lookup | undefined;
  /** Which addresses an answer may hold, whoever gave it; absent: any. */
  readonly allow?: AddressRule | undefined;
  /** Ends the resolution: it rejects with the signal's reason. */
  readonly signal: AbortSignal;
}

/** First pause between rounds; it doubles, and each is drawn from its upper half. */
const BACKOFF_MS = 100;
/** Each round is given twice the time of the one before, but no more than four times the first's. */
const MOST_DOUBLINGS = 2;
/** No try is given less, as long as that much is left. */
const LEAST_TRY_MS = 100;
/** With a fallback to come, DNS gets this share of the time. */
const SHARE_BEFORE_FALLBACK = 0.75;
/** Seconds, at most, that an answer counts for while one of two families fails. */
const HALF_ANSWER_TTL = 5;
/** RFC 2181 section 8: a TTL with the top bit set counts as 0. */
const TOP_BIT = 2 ** 31;
/** The reason of an answer that was refused. */
const NOT_ALLOWED = "ADDRESS_NOT_ALLOWED";

/**
 * Resolves a name.
 *
 * @param inquiry What to resolve, and how hard to try.
 * @returns What was found.
 * @throws The last lookup's error, or the signal's reason.
 */
export async function resolveName(inquiry: Inquiry): Promise<Fact> {
  const { fallback, timeoutMs, dnsTimeoutMs, signal } = inquiry;
  const startMs = now();
  const endMs = startMs + timeoutMs;
  const dnsMs = fallback ? Math.min(timeoutMs * SHARE_BEFORE_FALLBACK, dnsTimeoutMs) : timeoutMs;
  const timed = (fact: Fact): Fact => ({ ...fact, tookMs: fact.answeredAtMs - startMs });
  try {
    return timed(await askInRounds(inquiry, startMs + dnsMs));
  } catch (error) {
    signal.throwIfAborted();
    if (!fallback) throw error;
    const own = { ...inquiry, lookup: fallback, previous: undefined };
    try {
      return { ...timed(await askServer(own, undefined, endMs)), source: "os" };
    } catch (second) {
      signal.throwIfAborted();
      throw reasonOf(second) === NOT_ALLOWED ? second : error;
    }
  }
}

/** All servers in turn, and again after a pause, until one has an answer or says that there is none. */
async function askInRounds(inquiry: Inquiry, endMs: number): Promise<Fact> {
  const { rounds, previous, signal } = inquiry;
  const own = inquiry.servers.length ? inquiry.servers : inquiry.lookup.servers?.() ?? [];
  const servers = own.length ? lastGoodFirst(own, previous?.server) : [undefined];
  let failure: unknown;
  for (let round = 0; round < rounds; round++) {
    if (round > 0) {
      const pauseMs = BACKOFF_MS * 2 ** (round - 1) * (0.5 + Math.random() / 2);
      if (now() + pauseMs >= endMs) break;
      await delay(pauseMs, signal, maintenanceTimer);
    }
    for (const [index, server] of servers.entries()) {
      const startMs = now();
      const leftMs = endMs - startMs;
      if (failure !== undefined && leftMs <= 0) throw failure;
      const tryMs = Math.max(leftMs * shareOf(round, rounds, index, servers.length), LEAST_TRY_MS);
      try {
        return await askServer(inquiry, server, startMs + Math.min(tryMs, leftMs));
      } catch (error) {
        signal.throwIfAborted();
        failure = error;
        const kind = kindOf(error);
        if (kind === "negative" || kind === "config") throw error;
      }
    }
  }
  throw failure;
}

/**
 * The share of the time left that a try is given. Later rounds are given more: a lost packet is noticed soon, a
 * slow server still gets its chance.
 */
function shareOf(round: number, rounds: number, index: number, servers: number): number {
  const weight = (at: number) => 2 ** Math.min(at, MOST_DOUBLINGS);
  let later = 0;
  for (let at = round + 1; at < rounds; at++) later += weight(at) * servers;
  return weight(round) / (weight(round) * (servers - index) + later);
}

function lastGoodFirst(
  servers: readonly NameServer[],
  good: NameServer | undefined,
): readonly NameServer[] {
  const isGood = ({ host, port }: NameServer) => host === good?.host && port === good.port;
  return [...servers.filter(isGood), ...servers.filter((server) => !isGood(server))];
}

/** One server, the families that are wanted. */
async function askServer(
  inquiry: Inquiry,
  server: NameServer | undefined,
  endMs: number,
): Promise<Fact> {
  const { family, previous, believeNo } = inquiry;
  const ask = (one: 4 | 6) => askOnce(inquiry, one, server, endMs);
  if (family === 4 || family === 6) return await ask(family);
  if (family === "both") return await askBoth(ask, previous);
  try {
    return await ask(4);
  } catch (error) {
    const kind = kindOf(error);
    if (kind !== "ambiguous" && (kind !== "negative" || reasonOf(error) === "NXDOMAIN")) {
      throw error;
    }
    // An ambiguous no may be an outage: a name that had an A record is not moved to IPv6 by the first of them.
    const hadV4 = previous?.addresses.some((address) => !address.includes(":"));
    if (kind === "ambiguous" && hadV4 && !believeNo) throw error;
    try {
      return await ask(6);
    } catch (second) {
      throw kindOf(second) === "negative" ? error : second;
    }
  }
}

/** A and AAAA together; one family failing is not failure, and one that fails in passing keeps its addresses. */
async function askBoth(
  ask: (family: 4 | 6) => Promise<Fact>,
  previous: Fact | undefined,
): Promise<Fact> {
  const results = await Promise.allSettled([ask(4), ask(6)]);
  const found = results.flatMap((result) => result.status === "fulfilled" ? [result.value] : []);
  const failed = results.map((result) => result.status === "rejected" ? result.reason : undefined);
  const first = found[0];
  const refused = failed.find((error) => reasonOf(error) === NOT_ALLOWED);
  if (refused !== undefined) throw refused;
  if (!first) throw failed.find((error) => kindOf(error) !== "negative") ?? failed[0];
  const askedAtMs = Math.min(...found.map(({ askedAtMs }) => askedAtMs));
  const keeps = (address: string) => {
    const error = failed[address.includes(":") ? 1 : 0];
    const kind = error === undefined ? "negative" : kindOf(error);
    // An ambiguous no is believed when it comes for the second time.
    return kind === "transient" || (kind === "ambiguous" && !previous?.kept);
  };
  const known = previous?.source === "dns" ? previous : undefined;
  const kept = [...known?.addresses ?? [], ...known?.kept?.addresses ?? []].filter(keeps);
  const ttls = found.map(({ ttl }) => ttl);
  const ttl = ttls.includes(undefined) ? undefined : Math.min(...ttls as number[]);
  return {
    ...first,
    addresses: found.flatMap(({ addresses }) => addresses),
    kept: kept.length ? { addresses: kept, sinceMs: known?.kept?.sinceMs ?? askedAtMs } : undefined,
    ttl: kept.length ? Math.min(ttl ?? HALF_ANSWER_TTL, HALF_ANSWER_TTL) : ttl,
    askedAtMs,
    answeredAtMs: Math.max(...found.map(({ answeredAtMs }) => answeredAtMs)),
  };
}

/** One question, with its own end: no runtime's time-out is trusted. */
async function askOnce(
  { name, absolute, lookup, allow, signal }: Inquiry,
  family: 4 | 6,
  server: NameServer | undefined,
  endMs: number,
): Promise<Fact> {
  const askedAtMs = now();
  const answer: Answer = await deadline(
    endMs - askedAtMs,
    (signal) => lookup.lookup({ name, ...(absolute && { absolute }), family, server, signal }),
    { signal, what: `Cannot look up "${name}": the server did not answer` },
  );
  const answeredAtMs = now();
  const addresses = addressesOf(answer, name, family, lookup);
  if (allow) checkAllowed(addresses, name, lookup, allow);
  return {
    addresses,
    kept: undefined,
    ttl: readTtl(answer.ttl),
    askedAtMs,
    answeredAtMs,
    tookMs: answeredAtMs - askedAtMs,
    server,
    source: "dns",
    told: { server: answer.server, chain: answer.chain },
  };
}

/** The addresses that are one, of the family that was asked for, each once. A lookup may be anybody's. */
function addressesOf(answer: Answer, name: string, family: 4 | 6, lookup: Lookup): string[] {
  const given = answer.addresses ?? [];
  const valid = given.flatMap((address) => canonicalIp(String(address)) ?? []);
  const wanted = valid.filter((address) => address.includes(":") === (family === 6));
  if (wanted.length > 0) return [...new Set(wanted)];
  // Success without a record of the type is what NODATA looks like.
  const nothing = valid.length === given.length;
  throw new LookupError(
    `The lookup "${lookup.name}" answered "${name}" without an IPv${family} address`,
    { kind: nothing ? "negative" : "transient" },
  );
}

/**
 * One address that is not allowed makes the whole answer a lie: whoever put it there may have put in the others, or
 * may take them out next (DNS rebinding mixes answers).
 */
function checkAllowed(
  addresses: readonly string[],
  name: string,
  lookup: Lookup,
  allow: AddressRule,
): void {
  for (const address of addresses) {
    const refused = (why: string, options?: ErrorOptions) =>
      new LookupError(
        `The lookup "${lookup.name}" answered "${name}" with ${address}: ${why}`,
        { ...options, kind: "transient", reason: NOT_ALLOWED },
      );
    let allowed: boolean;
    try {
      allowed = allow.allows(address);
    } catch (error) {
      throw refused(`the function "allowAddress" threw`, { cause: error });
    }
    if (!allowed) throw refused(`"allowAddress" does not allow that address`);
  }
}

/** Seconds as DNS allows them, `undefined` for what is no number. */
export function readTtl(ttl: unknown): number | undefined {
  if (typeof ttl !== "number" || !Number.isFinite(ttl)) return undefined;
  return ttl >= TOP_BIT || ttl < 0 ? 0 : ttl;
}

/** What a lookup's error means, read by its field: a lookup need not use our class. */
export function kindOf(error: unknown): LookupErrorKind {
  const kind = (error as { kind?: unknown } | null)?.kind;
  return kind === "negative" || kind === "ambiguous" || kind === "config" ? kind : "transient";
}

function reasonOf(error: unknown): unknown {
  return (error as { reason?: unknown } | null)?.reason;
}
