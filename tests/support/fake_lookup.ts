/**
 * Lookups that a test programs: no network, only the (fake) clock.
 *
 * @module
 */

import { delay } from "../../internal/async.ts";
import { now } from "../../internal/clock.ts";
import { LookupError, type LookupErrorKind } from "../../errors.ts";
import type { Answer, Lookup, Question } from "../../lookups/lookup.ts";
import { type DnsOptions, readDnsOptions } from "../../engine/options.ts";
import { type View, viewOf } from "../../resolver.ts";

/** What the lookup says at the moment; change it as the test goes on. */
export interface FakeLookup extends Lookup {
  /** The addresses of both families. */
  addresses: string[];
  /** Seconds. */
  ttl: number | undefined;
  /** How long it takes to answer, in milliseconds. */
  delayMs: number;
  /** What it fails with instead of answering. */
  failure: LookupErrorKind | undefined;
  /** Seconds that a negative answer may be remembered. */
  negativeTtl: number | undefined;
  /** What it says to one question, where that is another thing; throws to fail. `undefined`: as ever. */
  respond: ((question: Question) => Answer | Promise<Answer> | undefined) | undefined;
  /** Every question, in order. */
  readonly questions: Question[];
  /** When each was asked. */
  readonly askedAtMs: number[];
  /** Questions under way now that were not given up, and the most there ever were at once. */
  running: number;
  mostAtOnce: number;
}

/** A lookup that answers at once, until told otherwise. */
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

/** What a lookup throws. */
export function fail(kind: LookupErrorKind, negativeTtl?: number): LookupError {
  return new LookupError(`Scripted: ${kind}`, { kind, negativeTtl });
}

/** How a caching resolver makes whole seconds of what is left of a TTL; `"none"`: it keeps nothing. */
export type Rounding = "none" | "floor" | "ceil" | "second-arithmetic";

/** The cache of a resolver between us and the authority: what it answers at a moment, and when. */
export interface FakeCache {
  /** What is answered to a question that arrives at `atMs`, and when the answer leaves. Call it in order of time. */
  ask(atMs: number): { address: string; ttl: number; readyMs: number };
}

/**
 * A caching resolver in between.
 *
 * @param authority Says which address the name has at a moment, and with which TTL in seconds.
 * @param rounding How the rest of a TTL is rounded; `"second-arithmetic"` counts ticks of a clock of whole seconds,
 *   as unbound and BIND do.
 * @param fetchMs How long it takes to ask the authority.
 */
export function fakeCache(
  authority: { address(atMs: number): string; readonly ttl: number },
  rounding: Rounding,
  fetchMs: number,
): FakeCache {
  const { ttl } = authority;
  const clock = (ms: number) =>
    rounding === "second-arithmetic" ? Math.floor(ms / 1000) : ms / 1000;
  let copy: { address: string; madeMs: number } | undefined;
  return {
    ask(atMs: number) {
      // A fetch under way answers whoever asks meanwhile.
      if (copy && atMs < copy.madeMs) return { address: copy.address, ttl, readyMs: copy.madeMs };
      const left = copy ? ttl - (clock(atMs) - clock(copy.madeMs)) : 0;
      if (copy && left > 0 && rounding !== "none") {
        const whole = rounding === "ceil" ? Math.ceil(left) : Math.floor(left);
        return { address: copy.address, ttl: whole, readyMs: atMs };
      }
      copy = { address: authority.address(atMs + fetchMs / 2), madeMs: atMs + fetchMs };
      return { address: copy.address, ttl, readyMs: copy.madeMs };
    },
  };
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = state + 0x6D2B79F5 | 0;
    let bits = Math.imul(state ^ state >>> 15, 1 | state);
    bits = bits + Math.imul(bits ^ bits >>> 7, 61 | bits) ^ bits;
    return ((bits ^ bits >>> 14) >>> 0) / 2 ** 32;
  };
}

/** The resolver's view of `db.internal` by a lookup, without a fallback unless the options say so. */
export function viewBy(dnsLookup: Lookup, options: DnsOptions = {}): View {
  const given = { dnsLookup, dnsFallback: false, ...options };
  return viewOf("db.internal", readDnsOptions(given, "the test").settings);
}
