/**
 * Computes how long an answer may be used: fresh, then in grace if resolution fails, then not at all. Times in, times
 * out: no clock, no timer.
 *
 * @module
 */

/** TTL of an answer whose lookup does not know it, in seconds. */
const UNKNOWN_TTL = 5;
/** Number of times that grace doubles. */
const MAX_GRACE_DOUBLINGS = 4;
/** Maximum to which grace is doubled, in milliseconds. */
const MAX_EXTENDED_GRACE_MS = 300_000;

/** Time after its TTL for which an answer is used if the next one was asked for before, and may be lost on the way. */
const LATE_ANSWER_MS = 1000;

/** Time by which the timer of a query may be late. */
const TIMER_LATE_MS = 50;

/** The limits of one set of options, in milliseconds. */
export interface FreshnessSettings {
  /** Minimum TTL. */
  readonly minTtlMs: number;
  /** Maximum TTL. */
  readonly maxTtlMs: number;
  /** Time for which a stale answer may be used if resolution fails. */
  readonly graceMs: number;
  /** Whether grace doubles each time it runs out. */
  readonly extendGrace: boolean;
  /** Time after its TTL from which an answer is not used at all. */
  readonly maxStaleMs: number;
}

/** When an answer was asked for and came, in milliseconds. */
export interface TimedAnswer {
  /** Time of the query. */
  readonly askedAtMs: number;
  /** Time of the answer. */
  readonly answeredAtMs: number;
  /** Time that the answer needed, without the time for which the machine slept. */
  readonly waitedMs: number;
  /** Seconds, if known. */
  readonly ttl: number | undefined;
}

/** The deadlines of the newest answer for one set of options, all in milliseconds of one clock. */
export class Freshness {
  /** End of the TTL. */
  freshUntilMs: number = -Infinity;
  /** End of the time for which an answer is used that is to be renewed and whose successor is late. */
  lateUntilMs: number = -Infinity;
  /** End of grace: until then the stale answer may be used without waiting for a resolution. */
  graceUntilMs: number = -Infinity;
  /** End of all use. */
  staleUntilMs: number = -Infinity;

  readonly #settings: FreshnessSettings;
  /** Number of times that grace began since the last answer. */
  #graces = 0;

  /** @param settings The limits. */
  constructor(settings: FreshnessSettings) {
    this.#settings = settings;
  }

  /**
   * Starts again with a new answer.
   *
   * @param answer The times of the query and of the answer, the time in between, and the TTL in seconds, as
   *   the server said; `undefined` if the lookup does not know it. The TTL counts from the query; if it is over by the
   *   time the answer comes, from the answer.
   * @param usableMs Maximum time for which the answer is used, whatever its TTL says; not below `minTtlMs`.
   * @returns The TTL within the limits, in milliseconds.
   */
  onAnswer(answer: TimedAnswer, usableMs: number = Infinity): number {
    const { minTtlMs, maxTtlMs, maxStaleMs } = this.#settings;
    const { askedAtMs, answeredAtMs, waitedMs, ttl } = answer;
    const limited = (ms: number) => Math.min(Math.max(ms, minTtlMs), maxTtlMs);
    const fullMs = limited((ttl ?? UNKNOWN_TTL) * 1000);
    const ttlMs = Math.min(fullMs, limited(usableMs));
    // If the machine slept meanwhile, the answer is as old as that.
    const endOf = (ms: number) => (ms <= waitedMs ? answeredAtMs : askedAtMs) + ms;
    this.freshUntilMs = Math.min(endOf(ttlMs), endOf(fullMs));
    this.staleUntilMs = endOf(fullMs) + maxStaleMs;
    this.graceUntilMs = this.lateUntilMs = -Infinity;
    this.#graces = 0;
    return ttlMs;
  }

  /**
   * Begins grace after a failed resolution: now, or when the answer expires if that is later. Failures during grace
   * change nothing.
   */
  onFailure(nowMs: number): void {
    if (nowMs < this.graceUntilMs) return;
    const { graceMs, extendGrace } = this.#settings;
    const factor = extendGrace ? 2 ** Math.min(this.#graces++, MAX_GRACE_DOUBLINGS) : 1;
    const lengthMs = Math.min(graceMs * factor, Math.max(MAX_EXTENDED_GRACE_MS, graceMs));
    const untilMs = Math.max(nowMs, this.freshUntilMs) + lengthMs;
    this.graceUntilMs = Math.min(untilMs, this.staleUntilMs);
  }

  /** Starts with an answer that expired before it came. */
  onExpired(askedAtMs: number): void {
    this.freshUntilMs = askedAtMs;
    this.staleUntilMs = askedAtMs + this.#settings.maxStaleMs;
  }

  /** Is told that the next answer is asked for. If the answer just expires, that lets it serve a little longer. */
  onAsked(nowMs: number): void {
    if (nowMs >= this.freshUntilMs + TIMER_LATE_MS || this.#settings.graceMs === 0) return;
    this.lateUntilMs = Math.min(this.freshUntilMs + LATE_ANSWER_MS, this.staleUntilMs);
  }

  /** Lets the answer expire before its TTL is over, and no later. */
  expireAt(untilMs: number): void {
    this.lateUntilMs = -Infinity;
    this.freshUntilMs = Math.min(this.freshUntilMs, untilMs);
  }

  /** Returns for how many milliseconds the answer may be used without waiting: the rest of its TTL, or of grace. */
  remainingMs(nowMs: number): number {
    const { freshUntilMs, lateUntilMs, graceUntilMs } = this;
    const staleMs = Math.max(lateUntilMs, graceUntilMs);
    return Math.max(0, (nowMs < freshUntilMs ? freshUntilMs : staleMs) - nowMs);
  }

  /** Returns whether a stale answer serves because resolution failed. */
  isInGrace(nowMs: number): boolean {
    return nowMs >= this.freshUntilMs && nowMs < this.graceUntilMs;
  }

  /** Returns whether the answer could not serve any more, even if resolution failed now. */
  isExpiredForGood(nowMs: number): boolean {
    return nowMs >= (this.#settings.graceMs > 0 ? this.staleUntilMs : this.freshUntilMs);
  }

  /** Forgets the answer. */
  clear(): void {
    this.freshUntilMs =
      this.lateUntilMs =
      this.graceUntilMs =
      this.staleUntilMs =
        -Infinity;
    this.#graces = 0;
  }
}
