/**
 * Lookups that a test programs, without a network.
 *
 * @module
 */

import { delay } from "../../internal/async.ts";
import { now } from "../../internal/clock.ts";
import { LookupError, type LookupErrorKind } from "../../errors.ts";
import type { Answer, Lookup, Question } from "../../lookups/lookup.ts";
import { type DnsOptions, readDnsOptions } from "../../engine/options.ts";
import { type View, viewOf } from "../../resolver.ts";

export { seededRandom as seeded } from "../../testing/dns/random.ts";

/** A lookup whose answers the test changes as it goes on. */
export interface FakeLookup extends Lookup {
  /** The addresses of both families. */
  addresses: string[];
  /** The TTL in seconds. */
  ttl: number | undefined;
  /** The delay of an answer, in milliseconds. */
  delayMs: number;
  /** The kind of error that it throws instead of answering. */
  failure: LookupErrorKind | undefined;
  /** The TTL of negative answers, in seconds. */
  negativeTtl: number | undefined;
  /** Answers a question in another way, or throws; if it returns `undefined`, the answer is the usual one. */
  respond: ((question: Question) => Answer | Promise<Answer> | undefined) | undefined;
  /** All questions, in order. */
  readonly questions: Question[];
  /** The time of each question. */
  readonly askedAtMs: number[];
  /** The number of questions that are neither answered nor aborted. */
  running: number;
  /** The maximum of `running`. */
  mostAtOnce: number;
}

/** Makes a lookup that answers at once, until the test changes it. */
export function fakeLookup(addresses: string[], ttl: number | undefined): FakeLookup {
  const lookup: FakeLookup = {
    name: "fake",
    addresses,
    ttl,
    delayMs: 0,
    failure: undefined,
    negativeTtl: undefined,
    respond: undefined,
    questions: [],
    askedAtMs: [],
    running: 0,
    mostAtOnce: 0,
    async lookup(question: Question): Promise<Answer> {
      lookup.questions.push(question);
      lookup.askedAtMs.push(now());
      lookup.mostAtOnce = Math.max(lookup.mostAtOnce, ++lookup.running);
      const over = new AbortController();
      over.signal.addEventListener("abort", () => lookup.running--);
      question.signal.addEventListener("abort", () => over.abort(), { once: true });
      const { failure, negativeTtl, ttl, respond } = lookup;
      const addresses = lookup.addresses.filter((ip) =>
        ip.includes(":") === (question.family === 6)
      );
      try {
        if (lookup.delayMs > 0) await delay(lookup.delayMs, question.signal);
        const special = respond?.(question);
        if (special) return await special;
        if (failure) throw fail(failure, negativeTtl);
        if (addresses.length === 0) throw new LookupError("Scripted: NODATA", { kind: "negative" });
        return { addresses, ttl };
      } finally {
        over.abort();
      }
    },
  };
  return lookup;
}

/** Makes the error that a lookup throws. */
export function fail(kind: LookupErrorKind, negativeTtl?: number): LookupError {
  return new LookupError(`Scripted: ${kind}`, { kind, negativeTtl });
}

/** How a caching resolver rounds the remaining TTL to whole seconds; with `"none"` it does not cache. */
export type Rounding = "none" | "floor" | "ceil" | "second-arithmetic";

/** A caching resolver between the lookup and the authority. */
export interface FakeCache {
  /** Answers a question that arrives at `atMs`; `readyMs` is the time of the answer. Calls must be in order of time. */
  ask(atMs: number): { address: string; ttl: number; readyMs: number };
}

/**
 * Makes a caching resolver.
 *
 * @param authority Returns the address of the name at a time; its TTL is in seconds.
 * @param rounding How the remaining TTL is rounded; `"second-arithmetic"` uses a clock of whole seconds, as unbound and
 *   BIND do.
 * @param fetchMs The duration of a query to the authority, in milliseconds.
 * @param staleTtl The TTL, in seconds, with which a copy past its end is given while a new one is fetched (RFC 8767);
 *   if absent, the question waits for the new one.
 */
export function fakeCache(
  authority: { address(atMs: number): string; readonly ttl: number },
  rounding: Rounding,
  fetchMs: number,
  staleTtl?: number,
): FakeCache {
  const { ttl } = authority;
  let next: { address: string; madeMs: number } | undefined;
  const clock = (ms: number) =>
    rounding === "second-arithmetic" ? Math.floor(ms / 1000) : ms / 1000;
  let copy: { address: string; madeMs: number } | undefined;
  return {
    ask(atMs: number) {
      if (next && atMs >= next.madeMs) {
        copy = next;
        next = undefined;
      }
      // A query to the authority under way answers this question too.
      if (copy && atMs < copy.madeMs) return { address: copy.address, ttl, readyMs: copy.madeMs };
      const left = copy ? ttl - (clock(atMs) - clock(copy.madeMs)) : 0;
      if (copy && left > 0 && rounding !== "none") {
        const whole = rounding === "ceil" ? Math.ceil(left) : Math.floor(left);
        return { address: copy.address, ttl: whole, readyMs: atMs };
      }
      if (copy && staleTtl !== undefined) {
        next ??= { address: authority.address(atMs + fetchMs / 2), madeMs: atMs + fetchMs };
        return { address: copy.address, ttl: staleTtl, readyMs: atMs };
      }
      copy = { address: authority.address(atMs + fetchMs / 2), madeMs: atMs + fetchMs };
      return { address: copy.address, ttl, readyMs: copy.madeMs };
    },
  };
}

/** Returns the resolver's view of `db.internal` by a lookup; by default without a fallback. */
export function viewBy(dnsLookup: Lookup, options: DnsOptions = {}): View {
  const given = { dnsLookup, dnsFallback: false, ...options };
  return viewOf("db.internal", readDnsOptions(given, "the test").settings);
}
