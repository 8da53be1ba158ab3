/**
 * What is remembered about one name, and the one resolution of it under way.
 *
 * @module
 */

import type { AddressRule } from "./allow_address.ts";
import { now, timer } from "../internal/clock.ts";
import { type Fact, type Family, kindOf, readTtl, resolveName } from "./resolution.ts";
import type { Lookup, NameServer } from "../lookups/lookup.ts";

/**
 * An answer of the operating system's resolver is asked of DNS again, but not for longer than this: then there is
 * time to ask that resolver before a waiting caller is given what is stale.
 */
const DNS_BEFORE_OS_MS = 1500;
/** Seconds that a negative answer is remembered: where the server does not say, and at most. */
const NEGATIVE_TTL = { unknown: 1, most: 5 };

/** What identifies an entry: everything that an answer depends on. */
export interface Subject {
  /** Lower case, no trailing dot. */
  readonly name: string;
  /** Whether search domains have no say. */
  readonly absolute?: boolean | undefined;
  readonly family: Family;
  readonly lookup: Lookup;
  /** The servers to ask; empty: the lookup's own. */
  readonly servers: readonly NameServer[];
  /** Asked when DNS has nothing to say and nothing stale is left. */
  readonly fallback: Lookup | undefined;
  /** Which addresses an answer may hold; absent: any. */
  readonly allow?: AddressRule | undefined;
}

/** How hard a resolution tries. */
export interface Effort {
  /** For everything together. */
  readonly timeoutMs: number;
  /** Rounds over all servers. */
  readonly maxRetries: number;
}

/** One who reads an entry, and is told what becomes of it. */
export interface Reader {
  /** Whether somebody would miss the reader. */
  readonly busy: boolean;
  /** Takes over a new answer; what is returned is called when all readers have. */
  learn(fact: Fact): () => void;
  /** A resolution failed. */
  miss(flight: Flight, nowMs: number, error: unknown): () => void;
  /** The entry was cleared. */
  forget(): void;
}

/** What is known about one name, by one lookup and one list of servers: raw facts, nobody's clamps. */
export class Entry {
  /** The last answer. */
  fact: Fact | undefined;
  /** The resolution under way: never more than one. */
  flight: Flight | undefined;
  /** When the last resolution began. */
  askedAtMs: number = -Infinity;
  /** Failed resolutions since the last answer. */
  failures = 0;
  /** What the last one failed with. */
  failure: unknown;
  /** Until then a negative answer is repeated without asking. */
  negativeUntilMs: number = -Infinity;
  /** Who reads the entry, by a key of their own. */
  readonly readers: Map<string, Reader> = new Map();

  /** @param subject What the entry is about. */
  constructor(readonly subject: Subject) {}

  /** Whether nobody would miss the entry. */
  get disposable(): boolean {
    return !this.flight && [...this.readers.values()].every((reader) => !reader.busy);
  }

  /**
   * The resolution under way, or a new one.
   *
   * @param effort How hard a new one tries.
   * @param helpless Whether there is nothing stale to use, should it fail.
   */
  fly(effort: Effort, helpless: boolean): Flight {
    return this.flight ??= new Flight(this, effort, helpless);
  }

  /** Takes the outcome of a resolution; of one that was given up, nothing. */
  settle(flight: Flight, outcome: { fact: Fact } | { error: unknown }): boolean {
    if (this.flight !== flight) return false;
    this.flight = undefined;
    const readers = [...this.readers.values()];
    const tell = "fact" in outcome
      ? this.#learn(outcome.fact, readers)
      : this.#miss(flight, outcome.error, readers);
    for (const one of tell) one();
    return true;
  }

  /** Forgets everything; a resolution under way is given up, and whoever waits for it asks again. */
  forget(): void {
    this.flight?.giveUp();
    this.fact = this.failure = undefined;
    this.failures = 0;
    this.negativeUntilMs = -Infinity;
    for (const reader of this.readers.values()) reader.forget();
  }

  #learn(fact: Fact, readers: readonly Reader[]): (() => void)[] {
    this.fact = fact;
    this.failures = 0;
    this.failure = undefined;
    this.negativeUntilMs = -Infinity;
    return readers.map((reader) => reader.learn(fact));
  }

  #miss(flight: Flight, error: unknown, readers: readonly Reader[]): (() => void)[] {
    const nowMs = now();
    this.failures++;
    this.failure = error;
    if (kindOf(error) === "negative" && flight.exhaustive) {
      const given = readTtl((error as { negativeTtl?: unknown }).negativeTtl);
      const seconds = Math.min(given ?? NEGATIVE_TTL.unknown, NEGATIVE_TTL.most);
      this.negativeUntilMs = nowMs + seconds * 1000;
    }
    return readers.map((reader) => reader.miss(flight, nowMs, error));
  }
}

/** How a resolution ended for those who waited. */
export interface Landing {
  /** Whether the entry took the outcome; not, when the resolution was given up. */
  readonly kept: boolean;
  /** Whether there is an answer. */
  readonly found: boolean;
  readonly error: unknown;
}

/** One resolution under way, and how many hold on to it. */
export class Flight {
  /** Fulfilled when it is over; never rejected. */
  readonly landed: Promise<Landing>;
  readonly #controller = new AbortController();
  readonly #entry: Entry;
  readonly #effort: Effort;
  readonly #fallback: Lookup | undefined;
  #holders = 0;

  /**
   * @param entry Who is given the outcome.
   * @param effort How hard to try.
   * @param helpless Whether there is nothing stale to use, should it fail.
   */
  constructor(entry: Entry, effort: Effort, helpless: boolean) {
    this.#entry = entry;
    this.#effort = effort;
    const { fact, subject } = entry;
    const fromOs = fact?.source === "os";
    this.#fallback = helpless || fromOs ? subject.fallback : undefined;
    entry.askedAtMs = now();
    this.landed = resolveName({
      ...subject,
      rounds: fromOs ? 1 : effort.maxRetries,
      timeoutMs: effort.timeoutMs,
      dnsTimeoutMs: fromOs ? DNS_BEFORE_OS_MS : Infinity,
      previous: fact,
      believeNo: entry.failures > 0,
      fallback: this.#fallback,
      signal: this.#controller.signal,
    }).then(
      (fact) => ({ kept: entry.settle(this, { fact }), found: true, error: undefined }),
      (error) => ({ kept: entry.settle(this, { error }), found: false, error }),
    );
  }

  /** Whether everybody is asked who could be. */
  get exhaustive(): boolean {
    return this.#fallback === this.#entry.subject.fallback;
  }

  /**
   * Whether its failure is the last word for somebody: he would not have tried harder himself.
   *
   * @param effort How hard he would have tried.
   * @param helpless Whether he has nothing stale to use.
   * @param error What it failed with.
   */
  speaksFor({ timeoutMs, maxRetries }: Effort, helpless: boolean, error: unknown): boolean {
    if (helpless && !this.exhaustive) return false;
    const kind = kindOf(error);
    if (kind === "negative" || kind === "config") return true;
    return this.#effort.timeoutMs >= timeoutMs && this.#effort.maxRetries >= maxRetries;
  }

  /**
   * Waits for the outcome.
   *
   * @param endMs When to wait no longer.
   * @param signal Ends the wait: the promise is rejected with the signal's reason.
   * @param onLate Called when the time is up, before the query may end for lack of others who wait.
   * @returns The outcome; `undefined` once the time is up.
   */
  join(
    endMs: number,
    signal: AbortSignal | undefined,
    onLate?: () => void,
  ): Promise<Landing | undefined> {
    this.hold();
    return new Promise<Landing | undefined>((resolve, reject) => {
      // One who left before is here once more when the flight lands; then there is nothing to give up.
      const leave = () => {
        limit.clear();
        signal?.removeEventListener("abort", onAbort);
        this.drop();
      };
      const onAbort = () => {
        reject(signal!.reason);
        leave();
      };
      const limit = timer(endMs - now(), () => {
        onLate?.();
        resolve(undefined);
        leave();
      });
      signal?.addEventListener("abort", onAbort, { once: true });
      this.landed.then((landing) => {
        resolve(landing);
        leave();
      });
    });
  }

  /** Somebody wants the outcome. */
  hold(): void {
    this.#holders++;
  }

  /** Somebody does not want it any more; the last one ends the query. */
  drop(): void {
    if (--this.#holders === 0) this.giveUp();
  }

  /** Ends the query; its outcome, should it still come, is not kept. */
  giveUp(): void {
    if (this.#entry.flight !== this) return;
    this.#entry.flight = undefined;
    this.#controller.abort(new DOMException("The resolution was given up", "AbortError"));
  }
}
