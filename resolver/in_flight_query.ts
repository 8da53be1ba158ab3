/**
 * One resolution under way, shared by all callers that need its outcome.
 *
 * @module
 */

import { now, timer } from "../internal/clock.ts";
import { type CachedAnswer, kindOf, resolveName, type ResolveRequest } from "./resolution.ts";

/** How hard a resolution tries. */
export interface RetryBudget {
  /** Time limit for the whole resolution, in milliseconds. */
  readonly timeoutMs: number;
  /** Number of rounds over all servers. */
  readonly maxRetries: number;
}

/** What a query brought. */
export type QueryResult =
  | { readonly kind: "answered"; readonly answer: CachedAnswer }
  | { readonly kind: "failed"; readonly error: unknown };

/** How a query ended for its callers. What a cancelled one still brings is ignored. */
export type Outcome = QueryResult | { readonly kind: "cancelled" };

/** What a query is for. */
export interface QuerySettings {
  readonly budget: RetryBudget;
  /** Whether every source is asked: there is no fallback, or it is asked as well. */
  readonly triesFallback: boolean;
  /** Called with the result before any caller gets it, unless the query was cancelled. */
  onResult(query: InFlightQuery, result: QueryResult): void;
}

/** A query, and the number of callers that need it. The last one to leave cancels it. */
export class InFlightQuery {
  /** Fulfilled when the query is over; never rejected. */
  readonly settled: Promise<Outcome>;

  readonly #settings: QuerySettings;
  readonly #controller = new AbortController();
  #refCount = 0;
  #isOver = false;

  /**
   * Starts the query.
   *
   * @param request What to resolve.
   * @param settings What the query is for.
   */
  constructor(request: Omit<ResolveRequest, "signal">, settings: QuerySettings) {
    this.#settings = settings;
    this.settled = resolveName({ ...request, signal: this.#controller.signal }).then(
      (answer) => this.#settle({ kind: "answered", answer }),
      (error) => this.#settle({ kind: "failed", error }),
    );
  }

  /** Whether the query was answered, failed or was cancelled. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether every source is asked: there is no fallback, or it is asked as well. */
  get triesFallback(): boolean {
    return this.#settings.triesFallback;
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
    const { timeoutMs, maxRetries } = this.#settings.budget;
    return timeoutMs >= budget.timeoutMs && maxRetries >= budget.maxRetries;
  }

  /**
   * Waits for the outcome.
   *
   * @param endMs Time at which the wait ends.
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
      // A caller that left early is here again when the query settles; then there is nothing to cancel.
      const leave = () => {
        limit.clear();
        signal?.removeEventListener("abort", onAbort);
        this.release();
      };
      const onAbort = () => {
        reject(signal!.reason);
        leave();
      };
      const limit = timer(endMs - now(), () => {
        onTimeout?.();
        resolve("timedOut");
        leave();
      });
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
    if (this.#isOver) return;
    this.#isOver = true;
    this.#controller.abort(new DOMException("The resolution was given up", "AbortError"));
  }

  #settle(result: QueryResult): Outcome {
    if (this.#isOver) return { kind: "cancelled" };
    this.#isOver = true;
    this.#settings.onResult(this, result);
    return result;
  }
}
