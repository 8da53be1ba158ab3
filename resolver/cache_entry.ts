/**
 * What is known about one name, and the one query for it.
 *
 * @module
 */

import { ageClock } from "../internal/clock.ts";
import type { HostsUse } from "../lookups/hosts.ts";
import type { Lookup, NameServer } from "../lookups/lookup.ts";
import type { AddressRule } from "./allow_address.ts";
import { InFlightQuery, type QueryResult, type RetryBudget } from "./in_flight_query.ts";
import { type CachedAnswer, kindOf, readTtl, type Records } from "./resolution.ts";

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

/** Answers and failures as they came: no caller's limits are applied. */
export class CacheEntry {
  /** The last answer. */
  answer: CachedAnswer | undefined;
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

  readonly #onResult: (query: InFlightQuery, result: QueryResult) => void;
  #query: InFlightQuery | undefined;

  /**
   * @param key What the entry is about.
   * @param onResult Called when a query has changed the entry, before any caller gets the outcome.
   */
  constructor(
    readonly key: CacheKey,
    onResult: (query: InFlightQuery, result: QueryResult) => void,
  ) {
    this.#onResult = onResult;
  }

  /** The query under way, if any: there is never more than one. */
  get query(): InFlightQuery | undefined {
    return this.#query?.isOver ? undefined : this.#query;
  }

  /**
   * Returns the query under way, or starts one.
   *
   * @param budget How hard a new query tries.
   * @param noStaleAnswer Whether there is no stale answer to use if the query fails: only then the fallback is asked.
   */
  startQuery(budget: RetryBudget, noStaleAnswer: boolean): InFlightQuery {
    if (this.query) return this.query;
    const { answer, key } = this;
    const wasFromOs = answer?.source === "os";
    const fallback = noStaleAnswer || wasFromOs ? key.fallback : undefined;
    this.askedAtMs = ageClock();
    const request = {
      ...key,
      rounds: wasFromOs ? 1 : budget.maxRetries,
      timeoutMs: budget.timeoutMs,
      dnsTimeoutMs: wasFromOs ? DNS_BEFORE_OS_MS : Infinity,
      previous: answer,
      trustNegative: this.failures > 0,
      preferred: this.preferred,
      fallback,
    };
    return this.#query = new InFlightQuery(request, {
      budget,
      triesFallback: fallback === key.fallback,
      onResult: (query, result) => this.#take(query, result),
    });
  }

  /** Forgets everything and cancels the query; its waiters start another one. */
  clear(): void {
    this.query?.cancel();
    this.answer = this.failure = undefined;
    this.failures = 0;
    this.negativeUntilMs = -Infinity;
  }

  #take(query: InFlightQuery, result: QueryResult): void {
    if (result.kind === "answered") {
      this.answer = result.answer;
      this.failures = 0;
      this.failure = undefined;
      this.negativeUntilMs = -Infinity;
    } else {
      this.failures++;
      this.failure = result.error;
      if (kindOf(result.error) === "negative" && query.triesFallback) {
        this.negativeUntilMs = ageClock() + negativeTtlOf(result.error) * 1000;
      }
    }
    this.#onResult(query, result);
  }
}

function negativeTtlOf(error: unknown): number {
  const ttl = readTtl((error as { negativeTtl?: unknown }).negativeTtl);
  return Math.min(ttl ?? UNKNOWN_NEGATIVE_TTL, MAX_NEGATIVE_TTL);
}
