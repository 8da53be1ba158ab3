/**
 * Computes when to ask again ahead of expiry. Times in, a time out: no clock, no timer.
 *
 * Without a cache between this process and the authoritative server, one query shortly before the end of each TTL
 * would do. But a caching resolver answers that query from its copy, with the rest of the TTL, rounded up or down to
 * whole seconds; so the answer does not tell when exactly the copy ends. The schedule therefore keeps the earliest and
 * the latest time at which the copy may end, narrows them with each answer, and asks every quarter of a second in
 * between.
 *
 * For example, with a TTL of 30 s:
 *
 * | asked at | answer   | the copy ends between                                                         |
 * | -------- | -------- | ----------------------------------------------------------------------------- |
 * | 0 s      | TTL 30 s | 29 s and 30 s                                                                 |
 * | 29.25 s  | TTL 1 s  | 29.25 s and 30 s: the same copy                                               |
 * | 29.5 s   | TTL 30 s | 59.25 s and 59.5 s: a new copy, made after the query at 29.25 s was answered  |
 *
 * @module
 */

/** Interval of the queries while the copy may have ended, and minimum interval of all. */
const GAP_MS = 250;
/** Time before expiry at which a query is sent, in addition to the time that the last resolution took. */
const LEAD_MS = 50;
/** TTL from which queries are spread over a tenth of it, so that many processes do not ask at the same time. */
const MIN_JITTERED_TTL_MS = 5000;
/** Maximum rounding error of a TTL: TTLs are whole seconds. */
const ROUNDING_MS = 1000;
/** Delay of the next query after a failure. It doubles, and a random part of up to a fifth is taken off. */
const MIN_RETRY_MS = 500;
/** Maximum of that delay. */
const MAX_RETRY_MS = 5000;

/** What the schedule needs to know of an answer. */
export interface ScheduledAnswer {
  /** Time of the query. */
  readonly askedAtMs: number;
  /** Time of the answer. */
  readonly answeredAtMs: number;
  /** Duration of the resolution, with the attempts that failed. */
  readonly tookMs: number;
  /** The server's TTL, if known. */
  readonly serverTtlMs: number | undefined;
  /** The TTL within `dnsMinTtl` and `dnsMaxTtl`. */
  readonly ttlMs: number;
  /** Whether the addresses differ from those of the answer before. */
  readonly changed: boolean;
  /** Time at which the name is asked again, whatever the TTL says, because the answer is in doubt. */
  readonly askAgainAtMs: number;
}

/** A range of time in which a copy in a caching resolver ends. */
interface CopyEnd {
  readonly earliestMs: number;
  readonly latestMs: number;
}

/** An empty range: no copy is known. */
const NO_COPY: CopyEnd = { earliestMs: -Infinity, latestMs: -Infinity };

/** The schedule for one name. */
export class RefreshSchedule {
  /** Time of the next query; `Infinity` before the first answer. */
  dueMs = Infinity;

  #copyEnd: CopyEnd = NO_COPY;
  #lastAskedAtMs = -Infinity;
  /** Time until which a TTL of 1 s may be the rest of a longer one. */
  #longTtlUntilMs = -Infinity;

  /** Schedules the next query after an answer. */
  onAnswer(answer: ScheduledAnswer): void {
    const { askedAtMs, tookMs, serverTtlMs, ttlMs, askAgainAtMs } = answer;
    const leadMs = Math.min(LEAD_MS + tookMs, ttlMs / 2);
    const jitterMs = ttlMs >= MIN_JITTERED_TTL_MS ? Math.random() * ttlMs / 10 : 0;
    let dueMs = askedAtMs + ttlMs - leadMs - jitterMs;
    if (serverTtlMs !== undefined) {
      const isSameCopy = this.#narrow(answer, serverTtlMs);
      const { earliestMs, latestMs } = this.#copyEnd;
      const copyDueMs = Math.min(latestMs, earliestMs + GAP_MS) - (isSameCopy ? 0 : jitterMs);
      // An answer whose TTL `dnsMinTtl` extends is not asked for again before its end.
      if (serverTtlMs >= ttlMs) dueMs = Math.min(dueMs, copyDueMs, askAgainAtMs);
    }
    this.#lastAskedAtMs = askedAtMs;
    this.dueMs = Math.max(askedAtMs + GAP_MS, dueMs);
  }

  /**
   * Schedules the next query after a failed resolution.
   *
   * @param nowMs The time.
   * @param failures Number of failures in a row, this one included.
   */
  onFailure(nowMs: number, failures: number): void {
    const delayMs = Math.min(MIN_RETRY_MS * 2 ** (failures - 1), MAX_RETRY_MS);
    const retryMs = nowMs + delayMs * (0.8 + Math.random() / 5);
    // A failed query that another caller started must not delay a query that is already due earlier.
    this.dueMs = this.dueMs > nowMs ? Math.min(this.dueMs, retryMs) : retryMs;
  }

  /** Forgets the answers; the next query is due at `dueMs`. */
  clear(dueMs: number): void {
    this.#copyEnd = NO_COPY;
    this.#lastAskedAtMs = this.#longTtlUntilMs = -Infinity;
    this.dueMs = dueMs;
  }

  /** Narrows down when the copy ends from which an answer came; returns whether it may be the copy known before. */
  #narrow({ askedAtMs, answeredAtMs, changed }: ScheduledAnswer, ttlMs: number): boolean {
    const known = this.#copyEnd;
    const latestMs = answeredAtMs + ttlMs;
    if (ttlMs > ROUNDING_MS) this.#longTtlUntilMs = latestMs + ROUNDING_MS;
    const roundingMs = askedAtMs < this.#longTtlUntilMs ? ROUNDING_MS : 0;
    const sameCopy = {
      earliestMs: Math.max(known.earliestMs, askedAtMs + ttlMs - ROUNDING_MS, askedAtMs),
      latestMs: Math.min(known.latestMs, latestMs),
    };
    // The query before was still answered from the old copy, so a new one was made after it.
    const newCopy = {
      earliestMs: Math.max(askedAtMs + ttlMs - roundingMs, this.#lastAskedAtMs + ttlMs),
      latestMs,
    };
    const isSameCopy = !changed && sameCopy.earliestMs < sameCopy.latestMs;
    this.#copyEnd = isSameCopy ? sameCopy : newCopy;
    return isSameCopy;
  }
}
