/**
 * A cache entry as one set of options uses it: with its limits on the TTL, its grace and its timeout.
 *
 * The answer of a view is in one of five states:
 *
 * | state   | what a caller gets                                                                   |
 * | ------- | ------------------------------------------------------------------------------------ |
 * | none    | The next answer. A failed resolution is an error.                                    |
 * | fresh   | The answer, at once.                                                                 |
 * | expired | The next answer, or the stale one if resolution fails or takes longer than 1.8 s.     |
 * | grace   | The stale answer, at once. DNS is asked in the background.                           |
 * | dead    | The next answer. A failed resolution is an error.                                    |
 *
 * ```text
 * none    -- answer ------------------------------> fresh
 * fresh   -- TTL over ----------------------------> expired; grace, if a resolution failed ahead of expiry
 * expired -- failure, or 1.8 s without an answer -> grace
 * grace   -- dnsGraceTtl over --------------------> expired
 * expired, grace -- dnsMaxStale over -------------> dead; with a dnsGraceTtl of 0, as soon as the TTL is over
 * expired, grace, dead -- answer -----------------> fresh
 * any     -- clearDnsCache() ---------------------> none
 * ```
 *
 * @module
 */

import { ResolveError } from "../errors.ts";
import { ageClock, maintenanceTimer, now, type Timer } from "../internal/clock.ts";
import { abortable } from "../internal/async.ts";
import { ipFamily } from "../internal/ip.ts";
import { isListed } from "../internal/listed.ts";
import { callUserCode, messageOf } from "../internal/thrown.ts";
import { haveNoRoute } from "../lookups/route.ts";
import type { AddressChange, AnswerSource, AnswerStatus, Watcher } from "./answer_source.ts";
import type { CacheEntry, KnownAnswer, Wish } from "./cache_entry.ts";
import { Freshness, type FreshnessSettings } from "./freshness.ts";
import type { InFlightQuery, RetryBudget } from "./in_flight_query.ts";
import { RefreshSchedule } from "./refresh_schedule.ts";
import { type CachedAnswer, kindOf } from "./question.ts";

/** Time after which a stale answer is used while DNS is silent: the client response timer of RFC 8767 section 5. */
const RESPONSE_TIMER_MS = 1800;
/** Time that a waiting caller gives a resolution after its timeout, so that it can say why it failed. */
const SLACK_MS = 50;
/** Minimum interval of the queries that `refresh()` sends for one name. */
const MIN_REFRESH_GAP_MS = 1000;

/** Minimum interval in which the other family is asked for, because the one in the answer has no route. */
const MIN_SWITCH_GAP_MS = 5000;

/** The watchers of all views without any: a set is larger than the rest of a view. */
const NO_WATCHERS: Set<Watcher> = new Set();

/** The options of a view; durations in milliseconds. */
export interface ViewSettings extends RetryBudget, FreshnessSettings {}

/** How the wait for one query ended, for one caller. */
type WaitResult =
  | { readonly kind: "fresh" }
  | { readonly kind: "failedConclusively"; readonly error: unknown }
  /** The query tried less hard than this caller wants. */
  | { readonly kind: "failedInconclusively"; readonly error: unknown }
  /** The cache was cleared. */
  | { readonly kind: "cancelled" }
  | { readonly kind: "timedOut" };

/** A cache entry as one set of options uses it. All callers with the same options share the view. */
export class View implements AnswerSource {
  /** The addresses of the newest answer, in the server's order; empty before the first answer. */
  addresses: readonly string[] = [];

  /** Whether the answer was used since the cache last looked. */
  wasUsed = false;

  readonly #freshness: Freshness;
  readonly #schedule: RefreshSchedule = new RefreshSchedule();
  #watchers: Set<Watcher> = NO_WATCHERS;
  /** Number of callers of `keepFresh()`. */
  #refCount = 0;
  #waiting = 0;
  #timer: Timer | undefined;
  /** The query that this view retains for itself rather than for a waiting caller. */
  #backgroundQuery: InFlightQuery | undefined;
  /** Time from which the other family may be asked for again. */
  #nextSwitchMs = -Infinity;
  /** The query that this view retains for the second of two families, even if that has answered. */
  #rest: InFlightQuery | undefined;
  /** Where the addresses are from. */
  #source: CachedAnswer["source"] = "dns";
  /** Time of a `refresh()` that came too soon after the last query. */
  #postponedRefreshMs = Infinity;

  /**
   * @param entry What is known about the name.
   * @param settings The limits, grace and timeout.
   */
  constructor(readonly entry: CacheEntry, readonly settings: ViewSettings) {
    this.#freshness = new Freshness(settings);
    if (entry.answer) this.apply(entry.answer);
    if (entry.substitute && this.takesFallback) this.apply(entry.substitute);
  }

  get known(): KnownAnswer | undefined {
    return this.entry.answer;
  }

  takeOver(addresses: readonly string[], source: KnownAnswer): boolean {
    return this.entry.takeOver(addresses, source);
  }

  /** Whether an answer of the fallback is better than what the view has. */
  get takesFallback(): boolean {
    return this.#source === "os" || this.#freshness.isExpiredForGood(ageClock());
  }

  /** End of the fresh answer, in milliseconds of `ageClock()`. */
  get freshUntilMs(): number {
    return this.#freshness.freshUntilMs;
  }

  /** End of grace, in milliseconds of `ageClock()`. */
  get graceUntilMs(): number {
    return this.#freshness.graceUntilMs;
  }

  /** Returns for how many milliseconds the answer may be used without waiting: the rest of its TTL, or of grace. */
  remainingMs(nowMs: number): number {
    return this.#freshness.remainingMs(nowMs);
  }

  /** Whether a caller waits, watches or keeps the answer fresh, or a background query is under way. */
  get isInUse(): boolean {
    return this.#isWatched || this.#waiting > 0 || this.#backgroundQuery !== undefined;
  }

  get #isWatched(): boolean {
    return this.#refCount > 0 || this.#watchers.size > 0;
  }

  /**
   * Returns whether the answer may be used now: it is fresh, or in grace. No I/O, no wait; in grace it starts a
   * background query if one is due.
   *
   * @param nowMs The time by `ageClock()`, if the caller knows it already.
   */
  isFresh(nowMs: number = ageClock()): boolean {
    if (nowMs < this.#freshness.freshUntilMs) return true;
    if (nowMs < this.#freshness.lateUntilMs) return true;
    if (nowMs >= this.#freshness.graceUntilMs) return false;
    if (nowMs >= this.#schedule.dueMs) this.#startBackgroundQuery();
    return true;
  }

  /**
   * Waits until the answer may be used, for the one query under way. If that takes long, grace begins and a stale
   * answer may be used; the query goes on.
   *
   * @param signal Ends the wait; other callers that wait for the same query go on.
   * @throws {ResolveError} if there is no answer.
   */
  async waitUntilFresh(signal?: AbortSignal): Promise<void> {
    const startMs = now();
    const endMs = startMs + this.settings.timeoutMs;
    this.#waiting++;
    try {
      for (;;) {
        signal?.throwIfAborted();
        if (this.isFresh()) return;
        const result = await this.#awaitQuery(startMs, signal);
        switch (result.kind) {
          case "fresh":
            return;
          case "failedConclusively":
            // The failure has begun grace.
            if (this.isFresh()) return;
            throw this.#errorFor(result.error);
          case "failedInconclusively":
          case "cancelled":
            if (now() < endMs) continue;
            break;
          case "timedOut":
            break;
        }
        // The time of this caller, or the response timer, is over: that counts as a failure, and the query goes on.
        this.#freshness.onFailure(ageClock());
        if (this.isFresh()) return;
        // The stale answer died while the response timer ran.
        if (now() < endMs) continue;
        throw this.#errorFor(result.kind === "failedInconclusively" ? result.error : undefined);
      }
    } finally {
      this.#waiting--;
    }
  }

  async #awaitQuery(startMs: number, signal: AbortSignal | undefined): Promise<WaitResult> {
    const { entry, settings } = this;
    const nowMs = ageClock();
    const noStaleAnswer = this.#freshness.isExpiredForGood(nowMs);
    if (noStaleAnswer && nowMs < entry.negativeUntilMs) {
      return { kind: "failedConclusively", error: entry.failure };
    }
    const query = entry.startQuery(this.#wish(nowMs));
    const outcome = noStaleAnswer || settings.timeoutMs < RESPONSE_TIMER_MS
      ? await query.waitFor(startMs + settings.timeoutMs + SLACK_MS, signal)
      : await query.waitFor(
        Math.min(startMs, query.startedAtMs) + RESPONSE_TIMER_MS,
        signal,
        () => this.#startBackgroundQuery(),
      );
    if (outcome === "timedOut") return { kind: "timedOut" };
    if (outcome.kind === "cancelled") return outcome;
    // An answer is good for all callers that waited for it, however short its TTL.
    if (outcome.kind === "answered" && this.#isServedBy(outcome.answer)) return { kind: "fresh" };
    const error = outcome.kind === "answered" ? outcome.answer.failure : outcome.error;
    const isConclusive = this.#isConclusive(query, ageClock(), error);
    return { kind: isConclusive ? "failedConclusively" : "failedInconclusively", error };
  }

  /** Returns whether callers that waited for an answer may use it: it is no substitute, or this view took it. */
  #isServedBy({ failure, source }: CachedAnswer): boolean {
    return failure === undefined || source === "os" && this.#source === "os";
  }

  /**
   * Asks again now, whatever the TTL says, but at most once a second per name. A call that comes too soon is
   * postponed until the second is over; if the answer is not kept fresh, it expires then, so that the next caller asks.
   *
   * @returns Fulfilled when the query is over, whatever its outcome; at once for a call that is postponed.
   */
  async refresh(): Promise<void> {
    const earliestMs = this.entry.askedAtMs + MIN_REFRESH_GAP_MS;
    const underWay = this.entry.query;
    if (underWay || ageClock() >= earliestMs) {
      const query = this.#startBackgroundQuery();
      // It may wait for an answer that was lost.
      if (query === underWay) query.repeat();
      await query.settled;
    } else {
      this.#postponedRefreshMs = earliestMs;
      this.#schedule.dueMs = Math.min(this.#schedule.dueMs, earliestMs);
      this.#setTimer();
    }
  }

  /** Lets an answer that is kept fresh be asked for now, whatever its TTL says. */
  askSoon(): void {
    this.#schedule.dueMs = Math.min(this.#schedule.dueMs, ageClock());
    this.#setTimer();
  }

  async switchFamily(family: 4 | 6, certain: boolean, signal: AbortSignal): Promise<boolean> {
    const { entry } = this;
    const nowMs = now();
    if (entry.key.family !== "auto" || nowMs < this.#nextSwitchMs) return false;
    const isOther = (address: string) => ipFamily(address) !== family;
    if (!certain && !await abortable(haveNoRoute(this.addresses), signal)) return false;
    this.#nextSwitchMs = nowMs + MIN_SWITCH_GAP_MS;
    // It asks for the family without a route.
    if (entry.query) await abortable(entry.query.settled, signal);
    entry.preferred = family === 4 ? 6 : 4;
    await abortable(this.#startBackgroundQuery().settled, signal);
    const hasSwitched = this.addresses.some(isOther);
    if (!hasSwitched) entry.preferred = family;
    return hasSwitched;
  }

  /**
   * Calls a watcher on changes, answers and failures until the returned function is called.
   *
   * @param watcher The callbacks.
   * @returns Ends it; calling it twice is harmless.
   */
  watch(watcher: Watcher): () => void {
    if (this.#watchers === NO_WATCHERS) this.#watchers = new Set();
    this.#watchers.add(watcher);
    return () => {
      if (this.#watchers.delete(watcher)) this.#releaseIfUnwatched();
    };
  }

  /**
   * Keeps the answer fresh ahead of its expiry until the returned function is called.
   *
   * @returns Ends it; calling it twice is harmless.
   */
  keepFresh(): () => void {
    let isKept = true;
    this.#refCount++;
    this.#setTimer();
    return () => {
      if (!isKept) return;
      isKept = false;
      this.#refCount--;
      this.#setTimer();
      this.#releaseIfUnwatched();
    };
  }

  /** Returns the state of the answer. */
  status(): AnswerStatus {
    const { addresses, entry: { newest: answer, failures } } = this;
    const nowMs = ageClock();
    return {
      addresses,
      age: answer && toSeconds(nowMs - answer.askedAtMs),
      freshFor: toSeconds(this.freshUntilMs - nowMs),
      inGrace: this.#freshness.isInGrace(nowMs),
      failures,
    };
  }

  /** Takes over an answer; returns the change, if the addresses changed. */
  apply(answer: KnownAnswer): AddressChange | undefined {
    const { ttl, askedAtMs, answeredAtMs, tookMs, source, usableMs, askAgainAtMs } = answer;
    const change = this.#take(answer);
    const ttlMs = this.#freshness.onAnswer(answer, usableMs);
    const serverTtlMs = ttl === undefined ? undefined : ttl * 1000;
    const times = { askedAtMs, answeredAtMs, tookMs, serverTtlMs, ttlMs, askAgainAtMs };
    this.#schedule.onAnswer({ ...times, changed: change !== undefined });
    this.#source = source;
    this.#postponedRefreshMs = Infinity;
    this.#setTimer();
    return change && { ...change, ttl: ttlMs / 1000, source };
  }

  /** Takes over the addresses of an answer that has expired at its server; returns the change, if they changed. */
  applyExpired(answer: KnownAnswer): AddressChange | undefined {
    const change = this.#take(answer);
    // Without an answer before, this one is as good as one that expires now.
    const { staleUntilMs } = this.#freshness;
    if (staleUntilMs === -Infinity) this.#freshness.onExpired(answer.askedAtMs);
    this.#source = "dns";
    const ttl = this.#freshness.remainingMs(ageClock()) / 1000;
    return change && { ...change, ttl, source: "dns" };
  }

  /** Takes over the addresses. */
  #take(answer: KnownAnswer): Omit<AddressChange, "ttl" | "source"> | undefined {
    const { askedAtMs, carriedOver } = answer;
    const isCarried = carriedOver && askedAtMs < carriedOver.sinceMs + this.settings.maxStaleMs;
    // Frozen: they are handed out in events and in `status()`, and shared by all engines of the name.
    const addresses = Object.freeze(
      isCarried ? [...answer.addresses, ...carriedOver.addresses] : [...answer.addresses],
    );
    const added = Object.freeze(addresses.filter((address) => !isListed(this.addresses, address)));
    const removed = Object.freeze(
      this.addresses.filter((address) => !isListed(addresses, address)),
    );
    this.addresses = addresses;
    return added.length > 0 || removed.length > 0 ? { added, removed, addresses } : undefined;
  }

  /** Calls the watchers after an answer was applied to all views. */
  notifyAnswer(change: AddressChange | undefined): void {
    this.notifyChange(change);
    this.#notify((watcher) => watcher.onAnswer?.(this.entry.askedAtMs));
  }

  /** Calls the watchers after the addresses were taken over. */
  notifyChange(change: AddressChange | undefined): void {
    if (!change) return;
    const { added, removed, addresses } = change;
    const isFirst = removed.length === 0 && added.length === addresses.length;
    this.#notify((watcher) => watcher.onChange?.(change, isFirst));
  }

  /** Lets a query go on for the second of two families, as long as the view is watched. */
  retainRest(query: InFlightQuery): void {
    if (!this.#isWatched || this.#rest === query) return;
    this.#rest?.release();
    this.#rest = query;
    query.retain();
  }

  /** Begins grace after a failed query, unless a query of these options would have tried harder. */
  applyFailure(query: InFlightQuery, error: unknown): void {
    const nowMs = ageClock();
    // A fresh answer that is not kept fresh expires as usual, and the next caller asks.
    const beginsGrace = this.#refCount > 0 || nowMs >= this.#freshness.freshUntilMs;
    if (beginsGrace && this.#isConclusive(query, nowMs, error)) this.#freshness.onFailure(nowMs);
    this.#schedule.onFailure(nowMs, this.entry.failures);
    this.#setTimer();
  }

  /** Calls the watchers after a failure was applied to all views. */
  notifyFailure(error: unknown): void {
    this.#notify((watcher) => watcher.onError?.(error, this.entry.askedAtMs));
  }

  /** Lets the answer be asked for again. The addresses stay, so that the next answer tells what changed. */
  clear(): void {
    this.#freshness.clear();
    this.#schedule.clear(this.#refCount > 0 ? ageClock() : Infinity);
    this.#postponedRefreshMs = Infinity;
    this.#setTimer();
  }

  #isConclusive(query: InFlightQuery, nowMs: number, error: unknown): boolean {
    return query.isConclusiveFor(this.settings, this.#freshness.isExpiredForGood(nowMs), error);
  }

  /** Starts a query that no caller waits for, or retains the one under way. */
  #startBackgroundQuery(): InFlightQuery {
    const nowMs = ageClock();
    const query = this.entry.startQuery(this.#wish(nowMs));
    if (this.#refCount > 0) this.#freshness.onAsked(nowMs);
    if (this.#backgroundQuery === query) return query;
    this.#backgroundQuery = query;
    query.retain();
    query.settled.then(() => {
      if (this.#backgroundQuery !== query) return;
      this.#backgroundQuery = undefined;
      query.release();
    });
    return query;
  }

  #wish(nowMs: number): Wish {
    return {
      budget: this.settings,
      noStaleAnswer: this.#freshness.isExpiredForGood(nowMs),
      wasFromOs: this.#source === "os",
    };
  }

  /** Releases the background query once the view is neither watched nor kept fresh. */
  #releaseIfUnwatched(): void {
    if (this.#isWatched) return;
    const query = this.#backgroundQuery;
    this.#backgroundQuery = undefined;
    query?.release();
    const rest = this.#rest;
    this.#rest = undefined;
    rest?.release();
  }

  /** Sets the timer of the next query, if the answer is kept fresh. */
  #setTimer(): void {
    this.#timer?.clear();
    this.#timer = undefined;
    if (this.#refCount === 0) return this.#freshness.expireAt(this.#postponedRefreshMs);
    if (this.#schedule.dueMs === Infinity) return;
    this.#timer = maintenanceTimer(this.#schedule.dueMs - ageClock(), () => {
      if (ageClock() >= this.#schedule.dueMs) this.#startBackgroundQuery();
      else this.#setTimer();
    });
  }

  #notify(call: (watcher: Watcher) => void): void {
    for (const watcher of [...this.#watchers]) callUserCode(() => call(watcher));
  }

  #errorFor(cause: unknown): ResolveError {
    const { name } = this.entry.key;
    const seconds = this.settings.timeoutMs / 1000;
    const why = cause === undefined ? `no answer within ${seconds} seconds` : messageOf(cause);
    return new ResolveError(`Cannot resolve "${name}": ${why}`, {
      host: name,
      kind: kindOf(cause),
      cause,
    });
  }
}

/** Rounds to milliseconds, for logs. */
function toSeconds(ms: number): number {
  return Math.round(ms) / 1000;
}
