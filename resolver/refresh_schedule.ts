/**
 * When to ask again ahead of expiry. Times in, a time out: no clock, no timer.
 *
 * Without a cache in between, one question shortly before the end of each answer would do. A caching resolver
 * answers it from the copy that it still has, with the rest of the TTL; and as that is rounded to whole seconds,
 * up or down, it does not tell when exactly the copy ends. So the plan keeps the earliest and the latest moment at
 * which the copy may end, narrows them with each answer, and has a question in every quarter of a second between.
 *
 * @module
 */

/** Two questions ahead of expiry are at least so far apart; and no further, while the copy may have ended. */
const GAP_MS = 250;
/** A question leaves so much earlier than its answer is expected to take. */
const LEAD_MS = 50;
/** From this TTL on, questions are spread over a tenth of it, so that a fleet does not ask in step. */
const JITTER_FROM_MS = 5000;
/** TTLs are whole seconds: what is left of one may be less by so much. */
const ROUNDING_MS = 1000;
/** After a failure the next try comes so much later, doubling up to the most, each up to a fifth sooner. */
const RETRY = { firstMs: 500, mostMs: 5000 };

/** An answer, as far as the plan is concerned. */
export interface PlannedAnswer {
  /** When its question was sent. */
  readonly askedAtMs: number;
  /** When it arrived. */
  readonly answeredAtMs: number;
  /** How long the resolution took, vain tries included. */
  readonly tookMs: number;
  /** The TTL that the server gave, where it gave one. */
  readonly givenTtlMs: number | undefined;
  /** The TTL that it counts for. */
  readonly ttlMs: number;
  /** Whether it has other addresses than the one before. */
  readonly changed: boolean;
}

/** Plans the next question about one name. */
export class RefreshPlan {
  /** When to ask next; `Infinity` before the first answer. */
  dueMs = Infinity;

  /** The copy in the cache in between ends between these two. */
  #copyEnds = { earliestMs: -Infinity, latestMs: -Infinity };
  #askedBeforeMs = -Infinity;
  /** Until then a TTL of 1 s may be the rest of a longer one. */
  #longTtlUntilMs = -Infinity;

  /** Takes note of an answer. */
  learn(answer: PlannedAnswer): void {
    const { askedAtMs, tookMs, givenTtlMs, ttlMs } = answer;
    const leadMs = Math.min(LEAD_MS + tookMs, ttlMs / 2);
    const jitterMs = ttlMs >= JITTER_FROM_MS ? Math.random() * ttlMs / 10 : 0;
    let dueMs = askedAtMs + ttlMs - leadMs - jitterMs;
    if (givenTtlMs !== undefined) {
      const known = this.#narrow(answer, givenTtlMs);
      const { earliestMs, latestMs } = this.#copyEnds;
      const lookMs = Math.min(latestMs, earliestMs + GAP_MS) - (known ? 0 : jitterMs);
      // An answer that the caller stretches (`dnsMinTtl`) is not asked for again before its end.
      if (givenTtlMs >= ttlMs) dueMs = Math.min(dueMs, lookMs);
    }
    this.#askedBeforeMs = askedAtMs;
    this.dueMs = Math.max(askedAtMs + GAP_MS, dueMs);
  }

  /** Takes note of a failed resolution, the `failures`th in a row. */
  miss(nowMs: number, failures: number): void {
    const pauseMs = Math.min(RETRY.firstMs * 2 ** (failures - 1), RETRY.mostMs);
    const retryMs = nowMs + pauseMs * (0.8 + Math.random() / 5);
    // A question of somebody else's that failed puts ours not off.
    this.dueMs = this.dueMs > nowMs ? Math.min(this.dueMs, retryMs) : retryMs;
  }

  /** Nothing is known any more: the next question is due at `dueMs`. */
  forget(dueMs: number): void {
    this.#copyEnds = { earliestMs: -Infinity, latestMs: -Infinity };
    this.#askedBeforeMs = this.#longTtlUntilMs = -Infinity;
    this.dueMs = dueMs;
  }

  /** Works out when the copy ends that this answer came from; returns whether it may be the one known before. */
  #narrow({ askedAtMs, answeredAtMs, changed }: PlannedAnswer, ttlMs: number): boolean {
    const before = this.#copyEnds;
    const latestMs = answeredAtMs + ttlMs;
    if (ttlMs > ROUNDING_MS) this.#longTtlUntilMs = latestMs + ROUNDING_MS;
    const doubtMs = askedAtMs < this.#longTtlUntilMs ? ROUNDING_MS : 0;
    const old = {
      earliestMs: Math.max(before.earliestMs, askedAtMs + ttlMs - ROUNDING_MS, askedAtMs),
      latestMs: Math.min(before.latestMs, latestMs),
    };
    // A new copy was made after the question before, which was still answered from the old one.
    const made = {
      earliestMs: Math.max(askedAtMs + ttlMs - doubtMs, this.#askedBeforeMs + ttlMs),
      latestMs,
    };
    const mayBeOld = !changed && old.earliestMs < old.latestMs;
    this.#copyEnds = mayBeOld ? old : made;
    return mayBeOld;
  }
}
