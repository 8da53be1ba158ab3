/**
 * One resolution under way, shared by all callers that need its outcome.
 *
 * @module
 */

import { awakeTimer, now, timer } from "../internal/clock.ts";
import type { Lookup } from "../lookups/lookup.ts";
import {
  type CachedAnswer,
  type Effort,
  kindOf,
  resolveName,
  type ResolveRequest,
  SHARE_BEFORE_FALLBACK,
} from "./resolution.ts";

/** How hard a resolution tries. */
export interface RetryBudget {
  /** Time limit for the whole resolution, in milliseconds. */
  readonly timeoutMs: number;
  /** Number of rounds over all servers. */
  readonly maxRetries: number;
}

/** How hard one caller wants a query to try. */
export interface Demand extends RetryBudget {
  /** The limit of the time that DNS gets before the fallback, in milliseconds; `undefined` without a fallback. */
  readonly beforeFallbackMs: number | undefined;
}

/** How hard a query tries: as hard as the most demanding of its callers wants. */
interface Combined extends Demand {
  /** The shortest time that a caller divides between several rounds. */
  readonly paceMs: number;
}

/** What a query brought. */
export type QueryResult =
  | { readonly kind: "answered"; readonly answer: CachedAnswer }
  | { readonly kind: "failed"; readonly error: unknown };

/** What a family brought that answered after the query was over for its callers. */
export type LateHalf = QueryResult;

/** How a query ended for its callers. What a cancelled one still brings is ignored. */
export type Outcome = QueryResult | { readonly kind: "cancelled" };

/** What a query is for. */
export interface QuerySettings {
  /** How hard it tries at first. */
  readonly demand: Demand;
  /** The lookup that is asked after DNS, if a caller demands it. */
  readonly fallback: Lookup | undefined;
  /** Called with the result before any caller gets it, unless the query was cancelled. */
  onResult(query: InFlightQuery, result: QueryResult): void;
  /** Called with what the second of two families brought, if that came later. */
  onLateHalf(result: LateHalf): void;
}

/** A query, and the number of callers that need it. The last one to leave cancels it. */
export class InFlightQuery {
  /** Fulfilled when the query is over; never rejected. */
  readonly settled: Promise<Outcome>;
  /** Fulfilled when nothing of the query goes on: it is over, and both families have answered or failed. */
  readonly finished: Promise<unknown>;

  /** Time since which it waits for an answer, by `now()`. */
  startedAtMs = 0;

  readonly #request: Omit<ResolveRequest, "signal" | "open" | keyof Effort>;
  readonly #settings: QuerySettings;
  #combined: Combined;
  #controller = new AbortController();
  /** Functions that repeat the questions that are open. */
  readonly #open = new Set<() => void>();
  #settle!: (outcome: Outcome) => void;
  #finish!: () => void;
  #refCount = 0;
  #isOver = false;

  /**
   * Starts the query.
   *
   * @param request What to resolve.
   * @param settings What the query is for.
   */
  constructor(
    request: Omit<ResolveRequest, "signal" | "open" | keyof Effort>,
    settings: QuerySettings,
  ) {
    this.#request = request;
    this.#settings = settings;
    const { demand } = settings;
    this.#combined = { ...demand, paceMs: paceOf(demand) };
    this.settled = new Promise((resolve) => this.#settle = resolve);
    this.finished = new Promise<void>((resolve) => this.#finish = resolve);
    this.#start();
  }

  /** Whether the query was answered, failed or was cancelled. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether every source is asked: there is no fallback, or it is asked as well. */
  get triesFallback(): boolean {
    return this.#settings.fallback === undefined || this.#combined.beforeFallbackMs !== undefined;
  }

  /** Makes the query try as hard as another caller wants. If it has tried less hard so far, it begins anew. */
  demand(wanted: Demand): void {
    const combined = combine(this.#combined, wanted);
    if (combined === this.#combined || this.#isOver) return;
    this.#combined = combined;
    const weaker = this.#controller;
    this.#controller = new AbortController();
    weaker.abort(new DOMException("Another caller wants more attempts", "AbortError"));
    this.#start();
  }

  /** Repeats the questions that are open. */
  repeat(): void {
    for (const repeat of this.#open) repeat();
  }

  #start(): void {
    const controller = this.#controller;
    this.startedAtMs = now();
    const { timeoutMs, maxRetries, beforeFallbackMs, paceMs } = this.#combined;
    resolveName({
      ...this.#request,
      rounds: maxRetries,
      timeoutMs,
      paceMs,
      dnsTimeoutMs: beforeFallbackMs ?? Infinity,
      fallback: beforeFallbackMs === undefined ? undefined : this.#settings.fallback,
      open: this.#open,
      signal: controller.signal,
    }).then(
      (answer) => this.#end(controller, { kind: "answered", answer }),
      (error) => this.#end(controller, { kind: "failed", error }),
    );
  }

  /**
   * Returns whether a failure of this query is final for a caller: a query of its own would not try harder.
   *
   * @param budget How hard the caller's own query would try.
   * @param noStaleAnswer Whether the caller has no stale answer to use, so that its query would ask the fallback.
   * @param error The error that the query failed with.
   */
  isConclusiveFor(budget: RetryBudget, noStaleAnswer: boolean, error: unknown): boolean {
    if (noStaleAnswer && !this.triesFallback) return false;
    const kind = kindOf(error);
    if (kind === "negative" || kind === "config") return true;
    const { timeoutMs, maxRetries, beforeFallbackMs = Infinity } = this.#combined;
    const dnsMs = Math.min(timeoutMs, beforeFallbackMs);
    const wantedMs = budget.timeoutMs * (beforeFallbackMs === Infinity ? 1 : SHARE_BEFORE_FALLBACK);
    return dnsMs >= wantedMs && maxRetries >= budget.maxRetries;
  }

  /**
   * Waits for the outcome.
   *
   * @param endMs Time at which the wait ends, or later by the time for which the event loop is blocked meanwhile.
   * @param signal Ends the wait: the promise is rejected with the signal's reason.
   * @param onTimeout Called at `endMs`, before the query may be cancelled because no other caller needs it.
   * @returns The outcome, or `"timedOut"` at `endMs`.
   */
  waitFor(
    endMs: number,
    signal: AbortSignal | undefined,
    onTimeout?: () => void,
  ): Promise<Outcome | "timedOut"> {
    this.retain();
    return new Promise((resolve, reject) => {
      let hasLeft = false;
      const leave = () => {
        if (hasLeft) return;
        hasLeft = true;
        limit.clear();
        signal?.removeEventListener("abort", onAbort);
        this.release();
      };
      const onAbort = () => {
        reject(signal!.reason);
        leave();
      };
      const onLimit = () => {
        onTimeout?.();
        resolve("timedOut");
        leave();
      };
      const limit = awakeTimer(endMs - now(), onLimit, timer);
      signal?.addEventListener("abort", onAbort, { once: true });
      this.settled.then((outcome) => {
        resolve(outcome);
        leave();
      });
    });
  }

  /** Adds a caller that needs the query. */
  retain(): void {
    this.#refCount++;
  }

  /** Removes a caller; the last one cancels the query. */
  release(): void {
    if (--this.#refCount === 0) this.cancel();
  }

  /** Cancels the query: what it still brings is ignored. */
  cancel(): void {
    const reason = new DOMException("The resolution was given up", "AbortError");
    this.#controller.abort(reason);
    if (!this.#isOver) {
      this.#isOver = true;
      this.#settle({ kind: "cancelled" });
    }
    this.#finish();
  }

  #end(controller: AbortController, result: QueryResult): void {
    // A weaker attempt that was given up, or a cancelled query.
    if (controller.signal.aborted) return;
    this.#isOver = true;
    this.#settings.onResult(this, result);
    this.#settle(result);
    const rest = result.kind === "answered" ? result.answer.rest : undefined;
    if (!rest) return this.#finish();
    const onLateHalf = (late: LateHalf) => {
      if (!controller.signal.aborted) this.#settings.onLateHalf(late);
      this.#finish();
    };
    rest.then(
      (answer) => onLateHalf({ kind: "answered", answer }),
      (error) => onLateHalf({ kind: "failed", error }),
    );
  }
}

function paceOf({ timeoutMs, maxRetries }: Demand): number {
  return maxRetries > 1 ? timeoutMs : Infinity;
}

/** Returns the stronger of two demands in each respect; the first itself if the second wants nothing more. */
function combine(known: Combined, wanted: Demand): Combined {
  const fallbacksMs = [known.beforeFallbackMs, wanted.beforeFallbackMs].filter((ms) =>
    ms !== undefined
  );
  const combined: Combined = {
    timeoutMs: Math.max(known.timeoutMs, wanted.timeoutMs),
    maxRetries: Math.max(known.maxRetries, wanted.maxRetries),
    beforeFallbackMs: fallbacksMs.length > 0 ? Math.min(...fallbacksMs) : undefined,
    paceMs: Math.min(known.paceMs, paceOf(wanted)),
  };
  const isSame = combined.timeoutMs === known.timeoutMs && combined.paceMs === known.paceMs &&
    combined.maxRetries === known.maxRetries &&
    combined.beforeFallbackMs === known.beforeFallbackMs;
  return isSame ? known : combined;
}
