/**
 * One resolution under way, shared by all callers that need its outcome.
 *
 * @module
 */

import { awakeTimer, now, type Timer, timer } from "../internal/clock.ts";
import type { Lookup } from "../lookups/lookup.ts";
import { type Resolution, Turns } from "./question_limit.ts";
import { type CachedAnswer, kindOf } from "./question.ts";
import {
  type Effort,
  isInHosts,
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

/** Who is told what a query brings. */
export interface QueryOwner {
  /** Called with the result before any caller gets it, unless the query was cancelled. */
  onResult(query: InFlightQuery, result: QueryResult): void;
  /** Called with what the second of two families brought, if that came later. */
  onLateHalf(result: LateHalf): void;
  /** Called when nothing of the query goes on: it is over, and both families have answered or failed. */
  onFinished(query: InFlightQuery): void;
}

/** What to resolve. */
export interface QueryRequest extends Omit<ResolveRequest, "signal" | "open" | keyof Effort> {
  /** The lookup that is asked after DNS, if a caller demands it. */
  readonly fallback: Lookup | undefined;
}

/** A query, and the number of callers that need it. The last one to leave cancels it. */
export class InFlightQuery implements Resolution {
  /** Fulfilled when the query is over; never rejected. */
  readonly settled: Promise<Outcome>;

  /** Time since which it waits for an answer, by `now()`. */
  startedAtMs = 0;

  readonly #request: QueryRequest;
  readonly #owner: QueryOwner;
  #combined: Combined;
  /** Its turns, while it waits for one. */
  #queue: Turns | undefined;
  /** Ends what goes on; `undefined` before the query's turn. */
  #controller: AbortController | undefined;
  /** Functions that repeat the questions that are open. */
  #open: Set<() => void> | undefined;
  #settle!: (outcome: Outcome) => void;
  #refCount = 0;
  #isOver = false;
  #isFinished = false;

  /**
   * Starts the query: in its turn, if servers are asked.
   *
   * @param request What to resolve.
   * @param demand How hard it tries at first.
   * @param owner Who is told.
   */
  constructor(request: QueryRequest, demand: Demand, owner: QueryOwner) {
    this.#request = request;
    this.#owner = owner;
    this.#combined = { ...demand, paceMs: paceOf(demand) };
    this.settled = new Promise((resolve) => this.#settle = resolve);
    this.#start();
  }

  /** Whether the query was answered, failed or was cancelled. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether nothing of it goes on: it is over, and both families have answered or failed. */
  get isFinished(): boolean {
    return this.#isFinished;
  }

  /** Whether it goes before the queries of names without an answer. */
  get goesFirst(): boolean {
    return this.#request.previous !== undefined;
  }

  /** Whether every source is asked: there is no fallback, or it is asked as well. */
  get triesFallback(): boolean {
    return this.#request.fallback === undefined || this.#combined.beforeFallbackMs !== undefined;
  }

  /** Makes the query try as hard as another caller wants. If it has tried less hard so far, it begins anew. */
  demand(wanted: Demand): void {
    const combined = combine(this.#combined, wanted);
    if (combined === this.#combined || this.#isOver) return;
    this.#combined = combined;
    // One that waits for its turn has not tried yet.
    if (this.#queue) return;
    this.#end("Another caller wants more attempts");
    this.#start();
  }

  /** Repeats the questions that are open. */
  repeat(): void {
    for (const repeat of this.#open ?? []) repeat();
  }

  #start(): void {
    this.startedAtMs = now();
    const { lookup, servers } = this.#request;
    if (isInHosts(this.#request)) return this.#resolve();
    const turns = Turns.at(lookup, servers.map(({ host, port }) => `${host} ${port}`).join());
    this.#queue = turns;
    turns.take(this);
  }

  /** Called by the queue in the query's turn: its time limits begin. */
  begin(): void {
    const turns = this.#queue;
    this.#queue = undefined;
    this.#resolve(turns);
  }

  #resolve(turns?: Turns): void {
    const controller = this.#controller = new AbortController();
    const { timeoutMs, maxRetries, beforeFallbackMs, paceMs } = this.#combined;
    const onEnd = (result: QueryResult) => {
      turns?.giveBack(!controller.signal.aborted);
      this.#take(controller, result);
    };
    resolveName({
      ...this.#request,
      rounds: maxRetries,
      timeoutMs,
      paceMs,
      dnsTimeoutMs: beforeFallbackMs ?? Infinity,
      fallback: beforeFallbackMs === undefined ? undefined : this.#request.fallback,
      open: this.#open ??= new Set(),
      signal: controller.signal,
    }).then(
      (answer) => onEnd({ kind: "answered", answer }),
      (error) => onEnd({ kind: "failed", error }),
    );
  }

  /** Ends what goes on. */
  #end(why: string): void {
    if (this.#isFinished) return;
    if (this.#queue?.leave(this)) this.#queue = undefined;
    this.#controller?.abort(new DOMException(why, "AbortError"));
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
    return new Promise((resolve, reject) => {
      new Waiter(this, { endMs, signal, onTimeout, resolve, reject });
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
    this.#end("The resolution was given up");
    if (!this.#isOver) {
      this.#isOver = true;
      this.#settle({ kind: "cancelled" });
    }
    this.#finish();
  }

  #take(controller: AbortController, result: QueryResult): void {
    // A weaker attempt that was given up, or a cancelled query.
    if (controller.signal.aborted) return;
    this.#isOver = true;
    this.#owner.onResult(this, result);
    this.#settle(result);
    const rest = result.kind === "answered" ? result.answer.rest : undefined;
    if (!rest) return this.#finish();
    const onLateHalf = (late: LateHalf) => {
      if (!controller.signal.aborted) this.#owner.onLateHalf(late);
      this.#finish();
    };
    rest.then(
      (answer) => onLateHalf({ kind: "answered", answer }),
      (error) => onLateHalf({ kind: "failed", error }),
    );
  }

  #finish(): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    this.#owner.onFinished(this);
  }
}

/** How one caller waits. */
interface Wait {
  readonly endMs: number;
  readonly signal: AbortSignal | undefined;
  readonly onTimeout: (() => void) | undefined;
  resolve(outcome: Outcome | "timedOut"): void;
  reject(reason: unknown): void;
}

/** A caller that waits for a query: an object, because there may be thousands, and closures would be larger. */
class Waiter {
  readonly #query: InFlightQuery;
  readonly #wait: Wait;
  readonly #limit: Timer;
  #hasLeft = false;

  constructor(query: InFlightQuery, wait: Wait) {
    this.#query = query;
    this.#wait = wait;
    query.retain();
    this.#limit = awakeTimer(wait.endMs - now(), () => this.#onLimit(), timer);
    wait.signal?.addEventListener("abort", this, { once: true });
    query.settled.then((outcome) => {
      wait.resolve(outcome);
      this.#leave();
    });
  }

  /** Called when the caller's signal is aborted. */
  handleEvent(): void {
    this.#wait.reject(this.#wait.signal!.reason);
    this.#leave();
  }

  #onLimit(): void {
    this.#wait.onTimeout?.();
    this.#wait.resolve("timedOut");
    this.#leave();
  }

  #leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#limit.clear();
    this.#wait.signal?.removeEventListener("abort", this);
    this.#query.release();
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
