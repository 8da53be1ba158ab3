/**
 * What is known about one name, and the one query for it.
 *
 * @module
 */

import { ageClock } from "../internal/clock.ts";
import { ipFamily } from "../internal/ip.ts";
import { hostsAnswer, type HostsUse } from "../lookups/hosts.ts";
import type { Lookup, NameServer } from "../lookups/lookup.ts";
import type { AddressRule } from "./allow_address.ts";
import { type Belief, BELIEVED, CopyDoubts } from "./copy_doubts.ts";
import {
  InFlightQuery,
  type LateHalf,
  type QueryOwner,
  type QueryResult,
  type RetryBudget,
} from "./in_flight_query.ts";
import { type CachedAnswer, kindOf, readTtl, type Records } from "./question.ts";
import { SHARE_BEFORE_FALLBACK } from "./resolution.ts";
import { signsOf } from "./server_signs.ts";

/**
 * Time that DNS gets, in milliseconds, if the last answer came from the operating system's resolver. That resolver is
 * asked next, before a waiting caller gets the stale answer.
 */
const DNS_BEFORE_OS_MS = 1500;
/** Seconds for which a negative answer is cached if the server does not say. */
const UNKNOWN_NEGATIVE_TTL = 1;
/** Maximum number of seconds for which a negative answer is cached. */
const MAX_NEGATIVE_TTL = 5;

/** What identifies an entry: everything that an answer depends on. */
export interface CacheKey {
  /** The name in lower case, without a trailing dot. */
  readonly name: string;
  /** Whether search domains are left out. */
  readonly absolute?: boolean | undefined;
  readonly family: Records;
  readonly lookup: Lookup;
  /** The servers to ask; if empty, the lookup's own. */
  readonly servers: readonly NameServer[];
  /** When the hosts file is read. */
  readonly hosts?: HostsUse | undefined;
  /** The lookup that is asked if DNS has no answer and there is no stale one. */
  readonly fallback: Lookup | undefined;
  /** The addresses that an answer may hold; if absent, any. */
  readonly allow?: AddressRule | undefined;
}

/** An answer, and how far it is believed. */
export interface KnownAnswer extends CachedAnswer, Belief {}

/** What the views of an entry are told. */
export interface EntryEvents {
  /** A query has changed the entry; called before any caller gets the outcome. */
  onAnswer(query: InFlightQuery | undefined, answer: KnownAnswer): void;
  /** A query failed, and changed the entry. */
  onFailure(query: InFlightQuery, error: unknown): void;
  /**
   * DNS failed, and there is a substitute for an answer. A view with a better one treats it as a failure.
   *
   * @returns Whether a view did that.
   */
  onSubstitute(query: InFlightQuery, answer: KnownAnswer): boolean;
  /** One of two families failed; the answer is used all the same. */
  onHalfFailure(error: unknown): void;
  /** The answer came to be in doubt: where it is kept fresh, it is asked for again. */
  onDoubt(): void;
}

/** What a caller wants of a query. */
export interface Wish {
  /** How hard it tries. */
  readonly budget: RetryBudget;
  /** Whether the caller has no stale answer to use if the query fails: only then the fallback is asked. */
  readonly noStaleAnswer: boolean;
  /** Whether the caller's last answer came from the fallback, which is asked soon then. */
  readonly wasFromOs: boolean;
}

/** Answers and failures as they came: no caller's limits are applied. */
export class CacheEntry implements QueryOwner {
  /** The last answer of DNS. */
  answer: KnownAnswer | undefined;
  /** The last answer of the fallback, if DNS has given none since. */
  substitute: KnownAnswer | undefined;
  /** The last answer, of DNS or in place of it. */
  get newest(): KnownAnswer | undefined {
    return this.substitute ?? this.answer;
  }

  /** Time of the last query. */
  askedAtMs: number = -Infinity;
  /** Number of failed resolutions since the last answer. */
  failures = 0;
  /** The error of the last failed resolution. */
  failure: unknown;
  /** With the family `"auto"`, the one that is asked for first: IPv6 after IPv4 was found to have no route. */
  preferred: 4 | 6 = 4;
  /** Time until which a negative answer is repeated without a query. */
  negativeUntilMs: number = -Infinity;

  readonly #events: EntryEvents;
  readonly #doubts: CopyDoubts;
  #query: InFlightQuery | undefined;
  /** The query that still waits for one of two families. */
  #halfOpen: InFlightQuery | undefined;

  /**
   * @param key What the entry is about.
   * @param events What is told to the views.
   */
  constructor(readonly key: CacheKey, events: EntryEvents) {
    this.#events = events;
    this.#doubts = new CopyDoubts(
      Boolean(key.lookup.repeats),
      signsOf(key.lookup, key.servers),
      () => events.onDoubt(),
    );
  }

  /** The query under way, if any: there is never more than one. */
  get query(): InFlightQuery | undefined {
    return this.#query?.isOver ? undefined : this.#query;
  }

  /** Returns the query under way, which then tries as hard as this caller wants, or starts one. */
  startQuery({ budget, noStaleAnswer, wasFromOs }: Wish): InFlightQuery {
    const { answer, key } = this;
    const needsFallback = key.fallback !== undefined && (noStaleAnswer || wasFromOs);
    const beforeFallbackMs = Math.min(
      budget.timeoutMs * SHARE_BEFORE_FALLBACK,
      wasFromOs ? DNS_BEFORE_OS_MS : Infinity,
    );
    const demand = {
      timeoutMs: budget.timeoutMs,
      maxRetries: wasFromOs ? 1 : budget.maxRetries,
      beforeFallbackMs: needsFallback ? beforeFallbackMs : undefined,
    };
    if (this.query) {
      this.query.demand(demand);
      return this.query;
    }
    this.askedAtMs = ageClock();
    const request = {
      ...key,
      previous: answer,
      trustNegative: this.failures > 0,
      preferred: this.preferred,
      without: this.#halfOpen && answer?.missing,
    };
    return this.#query = new InFlightQuery(request, demand, this);
  }

  /**
   * Takes over addresses that came with the answer for a service.
   *
   * @param given All addresses of the name, of both families.
   * @param source The answer that they came with.
   * @returns Whether they are taken.
   */
  takeOver(given: readonly string[], source: KnownAnswer): boolean {
    const { key, preferred } = this;
    const { name, family, hosts = "last", allow } = key;
    if (family === "srv" || hostsAnswer(name, { family, preferred }, hosts)) return false;
    const wanted = family === "auto" ? preferred : family;
    const addresses = wanted === "both" ? given : given.filter((ip) => ipFamily(ip) === wanted);
    // Of the other family, nothing is known.
    const isWhole = wanted === "both"
      ? new Set(given.map(ipFamily)).size === 2
      : addresses.length > 0;
    if (!isWhole || allow && !addresses.every((address) => isAllowed(address, allow))) return false;
    this.askedAtMs = source.askedAtMs;
    this.#takeAnswer(undefined, { ...source, addresses, server: undefined, details: {} });
    return true;
  }

  /** Forgets everything and cancels the query; its waiters start another one. */
  clear(): void {
    this.query?.cancel();
    this.#halfOpen?.cancel();
    this.answer = this.substitute = this.failure = undefined;
    this.failures = 0;
    this.negativeUntilMs = -Infinity;
    this.#doubts.clear();
  }

  onResult(query: InFlightQuery, result: QueryResult): void {
    if (result.kind === "failed") return this.#takeFailure(query, result.error);
    const { answer } = result;
    if (answer.failure !== undefined) return this.#takeSubstitute(query, answer);
    if (answer.rest) this.#halfOpen = query;
    this.#takeAnswer(query, { ...answer, ...this.#beliefIn(answer) });
    if (answer.halfFailure !== undefined) this.#events.onHalfFailure(answer.halfFailure);
  }

  #beliefIn(answer: CachedAnswer): Belief {
    if (answer.source === "dns") return this.#doubts.onAnswer(answer);
    this.#doubts.clear();
    return BELIEVED;
  }

  #takeAnswer(query: InFlightQuery | undefined, answer: KnownAnswer): void {
    this.answer = answer;
    this.substitute = undefined;
    this.failures = 0;
    this.failure = undefined;
    this.negativeUntilMs = -Infinity;
    this.#events.onAnswer(query, answer);
  }

  #takeFailure(query: InFlightQuery, error: unknown): void {
    this.failures++;
    this.failure = error;
    if (kindOf(error) === "negative" && query.triesFallback) {
      this.negativeUntilMs = ageClock() + negativeTtlOf(error) * 1000;
    }
    this.#events.onFailure(query, error);
  }

  #takeSubstitute(query: InFlightQuery, given: CachedAnswer): void {
    const failures = this.failures + 1;
    // Already set when the watchers are told.
    this.failures = failures;
    this.failure = given.failure;
    const answer = { ...given, ...BELIEVED };
    if (answer.source === "os") this.substitute = answer;
    else {
      // The addresses are newer, perhaps; that they have expired does not change.
      const { ttl, askedAtMs, answeredAtMs } = this.answer ?? { ...answer, ttl: 0 };
      this.answer = { ...answer, ttl, askedAtMs, answeredAtMs };
    }
    const wasRefused = this.#events.onSubstitute(query, answer);
    if (!wasRefused && this.failures === failures) {
      this.failures = 0;
      this.failure = undefined;
    }
  }

  onFinished(query: InFlightQuery): void {
    if (this.#query === query) this.#query = undefined;
    if (this.#halfOpen === query) this.#halfOpen = undefined;
  }

  /** Adds the family that came later to the answer, unless it is there by now. */
  onLateHalf(late: LateHalf): void {
    if (late.kind === "failed") return this.#events.onHalfFailure(late.error);
    const { answer } = this;
    if (!answer?.missing) return;
    const isMissing = (address: string) => address.includes(":") === (answer.missing === 6);
    const added = late.answer.addresses.filter(isMissing);
    const own = answer.addresses.filter((address) => !isMissing(address));
    const ttls = [answer.ttl, late.answer.ttl].filter((ttl) => ttl !== undefined);
    this.#takeAnswer(undefined, {
      ...answer,
      addresses: answer.missing === 6 ? [...own, ...added] : [...added, ...own],
      carriedOver: added.length > 0 ? undefined : late.answer.carriedOver,
      missing: undefined,
      rest: undefined,
      ttl: ttls.length > 0 ? Math.min(...ttls) : undefined,
    });
    if (late.answer.halfFailure !== undefined) this.#events.onHalfFailure(late.answer.halfFailure);
  }
}

/** Returns whether an address is allowed; one that the rule fails for is asked for, so that the failure is reported. */
function isAllowed(address: string, allow: AddressRule): boolean {
  try {
    return allow.allows(address);
  } catch {
    return false;
  }
}

function negativeTtlOf(error: unknown): number {
  const ttl = readTtl((error as { negativeTtl?: unknown }).negativeTtl);
  return Math.min(ttl ?? UNKNOWN_NEGATIVE_TTL, MAX_NEGATIVE_TTL);
}
