/**
 * The servers of the resolver's model: a zone, a cache in front of it that may serve expired data, and a network that may
 * lose each question and each answer.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { DnsOptions } from "../../engine/options.ts";
import type { Answer, Lookup, Question } from "../../lookups/lookup.ts";
import { fail } from "../support/fake_lookup.ts";
import type { TestTime } from "../support/time.ts";

/** What a server says. */
export type Said = "answer" | "negative" | "ambiguous" | "transient" | "config" | "silence";

/** What a run is about. */
export interface Kind {
  /** Whether open questions are repeated, because messages may be lost. */
  readonly repeats: boolean;
  /** Number of servers; of questions that are not repeated, there is one. */
  readonly servers: number;
}

/** The cache in front of the zone. */
export interface CacheState {
  /** Whether there is a cache. */
  readonly keeps: boolean;
  /** The TTL of a copy past its end, which is served while the zone is asked; if absent, the question waits. */
  readonly staleTtl: number | undefined;
  /** Whether the answer says that it has expired. */
  readonly marks: boolean;
  /** Time that the zone needs. */
  readonly fetchMs: number;
  /** Whether the zone is not reached, so that an expired copy stays. */
  readonly fails: boolean;
}

/** An answer that the resolver accepted. */
export interface Taken {
  readonly askedMs: number;
  readonly atMs: number;
  /** Duration, without the time for which the machine slept. */
  readonly tookMs: number;
  /** Replaced by those of an answer that says that it has expired. */
  addresses: readonly string[];
  readonly ttl: number | undefined;
  /** Whether it said that it has expired. */
  readonly hadExpired: boolean;
}

/** What a server says to one question. */
interface Reply {
  readonly addresses: readonly string[];
  readonly ttl: number | undefined;
  readonly stale: boolean;
}

/** A copy in the cache. */
interface Copy {
  readonly addresses: readonly string[];
  readonly ttl: number;
  readonly madeMs: number;
}

/** The addresses of the servers. */
export const SERVERS: readonly string[] = ["192.0.2.1", "192.0.2.2"];
/** The TTL of a negative answer. */
export const NEGATIVE_MS = 5000;
/** Minimum and maximum time after which an open question is repeated; the second also holds for the next server. */
const MIN_REPEAT_MS = 200;
const MAX_REPEAT_MS = 1000;
/** Time by which a timer may be late. */
const LATE_MS = 60;

/** The time by which answers grow old: with that for which the machine slept. */
export class Clock {
  sleptMs = 0;
  readonly #time: TestTime;

  /** @param time The time of the test. */
  constructor(time: TestTime) {
    this.#time = time;
  }

  get nowMs(): number {
    return this.#time.nowMs + this.sleptMs;
  }

  /** The time without that for which the machine slept. */
  get awakeMs(): number {
    return this.#time.nowMs;
  }

  /** Sets the wall clock. If it runs ahead by more than a second, that is a sleep. */
  step(seconds: number): void {
    this.#time.step(seconds);
    if (seconds > 1) this.sleptMs += seconds * 1000;
  }
}

/** One resolution, as the servers see it. Times are those of `awakeMs`. */
interface Exchange {
  readonly sinceMs: number;
  /** The first and the last question at each server. */
  readonly firstMs: number[];
  readonly lastMs: number[];
  /** The servers that failed. */
  readonly failed: Set<number>;
  /** What is better than a failure: the first answer that says that it has expired. */
  expired: { readonly askedMs: number; readonly addresses: readonly string[] } | undefined;
}

/** Servers that answer as the test says, and note which answers the resolver accepted. */
export class Server implements Lookup {
  readonly name = "model";
  readonly repeats: boolean;
  /** The options that lead to the servers. */
  readonly options: DnsOptions;
  says: Said = "answer";
  delayMs = 0;
  deaf = false;
  addresses: readonly string[] = ["10.0.0.0"];
  ttl: number | undefined = 5;
  cache: CacheState = { keeps: false, staleTtl: undefined, marks: false, fetchMs: 0, fails: false };
  /** Whether nothing told an expired answer from a new one: it did not say so, and its TTL is one that the record had before, or lasted. */
  hidExpired = false;
  /** When the event loop was blocked last. */
  stalledMs = -Infinity;

  asked = 0;
  /** Time of the query under way, without the time for which the machine slept. */
  openSinceMs = -Infinity;
  /** Called for each question. */
  onAsked: ((askedMs: number) => void) | undefined;
  /** Questions that were neither answered nor canceled. */
  live = 0;
  /** The last answer since the last clear. */
  taken: Taken | undefined;
  /** The answer before it. */
  before: Taken | undefined;
  /** Failures since the last answer. */
  failedMs: number[] = [];
  failures = 0;
  noAtMs = -Infinity;
  /** Whether a query was sent anew before the resolver could know that the one before had ended. */
  isTied = false;
  #justEnded = false;
  /** Whether refresh() was called. */
  mayRepeat = false;
  /** When queries were answered, or timed out. */
  readonly endedMs: Set<number> = new Set();
  readonly #clock: Clock;
  readonly #count: number;
  #exchange: Exchange | undefined;
  #copy:
    | { readonly addresses: readonly string[]; readonly ttl: number; madeMs: number }
    | undefined;
  #isFetching = false;
  /** Time since which each answer was from a copy past its end. */
  #expiredSinceMs: number | undefined;
  /** The largest TTL of a copy. */
  #longestTtl = 0;
  /** How many of the next messages of each server are lost. */
  #lost = { question: [0, 0], answer: [0, 0] };

  /**
   * @param clock The time.
   * @param kind What the run is about.
   */
  constructor(clock: Clock, { repeats, servers }: Kind) {
    this.#clock = clock;
    this.repeats = repeats;
    this.#count = repeats ? servers : 1;
    this.options = this.#count > 1 ? { dnsNameservers: SERVERS } : {};
  }

  /** Whether the cache serves copies past their end. */
  get servesExpired(): boolean {
    return this.cache.keeps && this.cache.staleTtl !== undefined;
  }

  /** Forgets the earlier answers. */
  clear(): void {
    this.taken = this.before = undefined;
    this.failedMs = [];
    this.noAtMs = -Infinity;
  }

  /** Lets some of the next messages of a server be lost. */
  lose(what: "question" | "answer", at: number, count: number): void {
    this.#lost[what][at] = count;
  }

  /** Ends all that is wrong. A cache that serves expired data goes on with that. */
  heal(): void {
    // An answer takes time.
    Object.assign(this, { says: "answer", delayMs: 1, deaf: false });
    this.#lost = { question: [0, 0], answer: [0, 0] };
    this.cache = { ...this.cache, fetchMs: Math.min(this.cache.fetchMs, 200), fails: false };
  }

  lookup({ signal, family, server }: Question): Promise<Answer> {
    assertEquals(family, 4);
    const at = server?.host === SERVERS[1] ? 1 : 0;
    const { says, delayMs, deaf } = this;
    const askedMs = this.#clock.nowMs;
    const sleptMs = this.#clock.sleptMs;
    if (this.#justEnded) this.isTied = true;
    this.asked++;
    const exchange = this.#note(at);
    this.onAsked?.(askedMs);
    this.live++;
    const isLost = this.#isLost("question", at);
    const reply = isLost ? undefined : this.#reply();
    const isSilent = isLost || this.#isLost("answer", at);
    return new Promise((resolve, reject) => {
      const settle = () => {
        const given = !signal.aborted;
        // Of two calls that end together, the resolver takes the first.
        if (this.#justEnded && given) this.isTied = true;
        this.#justEnded = true;
        queueMicrotask(() => this.#justEnded = false);
        signal.removeEventListener("abort", onAbort);
        if (given) this.live--;
        if (says === "answer") {
          const { addresses, ttl, stale } = reply!;
          const atMs = this.#clock.nowMs;
          const tookMs = atMs - askedMs - (this.#clock.sleptMs - sleptMs);
          if (given && stale) {
            exchange.expired ??= { askedMs, addresses };
            this.#failAt(at, exchange, false);
          } else if (given) {
            this.#take({ askedMs, atMs, tookMs, addresses, ttl, hadExpired: false });
          }
          resolve({ addresses, ttl, stale });
        } else {
          const isFinal = says === "negative" || says === "config";
          if (given && isFinal) this.#fail(says === "negative");
          else if (given) this.#failAt(at, exchange, false);
          reject(fail(says === "silence" ? "transient" : says, NEGATIVE_MS / 1000));
        }
      };
      const onAbort = () => {
        // A question and its repetitions end together.
        const isLast = --this.live === 0;
        const isTimeout = (signal.reason as DOMException).name === "TimeoutError";
        const hadFailed = exchange.failed.has(at); // by the answer to another question
        if (isTimeout) exchange.failed.add(at);
        if (isLast && isTimeout) this.#failAt(at, exchange, true);
        else if (isLast && !hadFailed) this.#exchange = undefined;
        if (deaf) return;
        clearTimeout(wait);
        reject(signal.reason);
      };
      const wait = isSilent || says === "silence" && !deaf
        ? undefined
        : setTimeout(settle, says === "silence" ? 60_000 : delayMs);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Checks that each question that is open is repeated, and that the next server is asked. */
  checkRepeats(): void {
    const exchange = this.#exchange;
    if (!this.repeats || !exchange || this.live === 0) return;
    const { sinceMs, firstMs, lastMs, failed } = exchange;
    const nowMs = this.#clock.awakeMs;
    for (let at = 0; at < this.#count; at++) {
      if (failed.has(at)) continue;
      const first = firstMs[at];
      if (first === undefined) {
        const waitedMs = nowMs - Math.max(sinceMs, this.stalledMs);
        assert(waitedMs <= MIN_REPEAT_MS + LATE_MS, `no next server for ${waitedMs} ms`);
        continue;
      }
      const quietSinceMs = Math.max(lastMs[at]!, this.stalledMs);
      const mostMs = Math.min(Math.max(quietSinceMs - first, MIN_REPEAT_MS), MAX_REPEAT_MS);
      const quietMs = nowMs - quietSinceMs;
      assert(quietMs <= mostMs + LATE_MS, `not repeated for ${quietMs} ms`);
    }
  }

  /** Notes a question, and checks that it may be asked now. */
  #note(at: number): Exchange {
    const nowMs = this.#clock.awakeMs;
    const known = this.#exchange;
    const goesOn = known && (this.live > 0 || known.failed.size > 0 && !known.failed.has(at));
    if (!goesOn) this.openSinceMs = nowMs;
    const exchange = goesOn
      ? known
      : { sinceMs: nowMs, firstMs: [], lastMs: [], failed: new Set<number>(), expired: undefined };
    this.#exchange = exchange;
    const lastMs = exchange.lastMs[at];
    if (this.repeats) {
      const pauseMs = nowMs - (lastMs ?? -Infinity);
      assert(pauseMs >= MIN_REPEAT_MS, `repeated after ${pauseMs} ms`);
    } else {
      // A call of refresh() repeats a question that was not answered for a second.
      assert(this.live < (this.mayRepeat ? 2 : 1), "more than one query in flight");
    }
    exchange.firstMs[at] ??= nowMs;
    exchange.lastMs[at] = nowMs;
    return exchange;
  }

  #isLost(what: "question" | "answer", at: number): boolean {
    const lost = this.#lost[what];
    if (lost[at]! === 0) return false;
    lost[at]!--;
    return true;
  }

  #reply(): Reply {
    const { addresses, ttl, cache } = this;
    if (this.says !== "answer" || !cache.keeps || ttl === undefined) {
      return { addresses: [...addresses], ttl, stale: false };
    }
    const copy = this.#copy;
    const leftMs = copy ? copy.madeMs + copy.ttl * 1000 - this.#clock.nowMs : 0;
    if (copy && leftMs > 0) {
      this.#expiredSinceMs = undefined;
      return { addresses: copy.addresses, ttl: Math.ceil(leftMs / 1000), stale: false };
    }
    if (copy && cache.staleTtl !== undefined) {
      this.#expiredSinceMs ??= this.#clock.nowMs;
      this.hidExpired ||= !cache.marks && this.#isHidden(copy, cache.staleTtl);
      this.#fetch();
      return { addresses: copy.addresses, ttl: cache.staleTtl, stale: cache.marks };
    }
    this.#expiredSinceMs = undefined;
    const made = this.#makeCopy();
    return { ...made, stale: false };
  }

  #isHidden({ ttl }: Copy, staleTtl: number): boolean {
    // The other TTL lasts, as that of a zone's own server does. A copy with a TTL of 0 is always served past its end.
    const lastedMs = this.#clock.nowMs - this.#expiredSinceMs!;
    if (lastedMs >= staleTtl * 1000) return true;
    return staleTtl > ttl && staleTtl <= this.#longestTtl;
  }

  /** Lets the cache ask the zone, beside the answers that it gives meanwhile. */
  #fetch(): void {
    if (this.#isFetching || this.cache.fails) return;
    this.#isFetching = true;
    setTimeout(() => {
      this.#isFetching = false;
      this.#makeCopy();
    }, this.cache.fetchMs);
  }

  #makeCopy(): Copy {
    const ttl = this.ttl === undefined || this.ttl >= 2 ** 31 ? 0 : this.ttl;
    this.#longestTtl = Math.max(this.#longestTtl, ttl);
    return this.#copy = { addresses: [...this.addresses], ttl, madeMs: this.#clock.nowMs };
  }

  #take(taken: Taken): void {
    this.#exchange = undefined;
    this.endedMs.add(taken.atMs);
    this.before = this.taken;
    this.taken = taken;
    this.failedMs = [];
    this.noAtMs = -Infinity;
  }

  /** Notes that a server failed; the resolution fails with the last one, and at the end of its time. */
  #failAt(at: number, exchange: Exchange, isOver: boolean): void {
    exchange.failed.add(at);
    if (!isOver && exchange.failed.size < this.#count) {
      // If the event loop was blocked meanwhile, there may be no time left for the next server.
      this.isTied ||= this.stalledMs >= exchange.sinceMs;
      return;
    }
    const { expired } = exchange;
    this.#fail(false);
    if (!expired) return;
    const { askedMs, addresses } = expired;
    // Its addresses are newer, perhaps; that they have expired does not change.
    if (this.taken) this.taken.addresses = addresses;
    else {
      const atMs = this.#clock.nowMs;
      this.taken = { askedMs, atMs, tookMs: 0, addresses, ttl: 0, hadExpired: true };
    }
  }

  #fail(negative: boolean): void {
    this.#exchange = undefined;
    const nowMs = this.#clock.nowMs;
    this.endedMs.add(nowMs);
    this.failures++;
    this.failedMs.push(nowMs);
    if (negative) this.noAtMs = nowMs;
  }
}
