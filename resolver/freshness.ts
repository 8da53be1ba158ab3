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

/** The deadlines of the newest answer for one set of options, all in milliseconds of one clock. */
export class Freshness {
  /** End of the TTL. */
  freshUntilMs: number = -Infinity;
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
   * @param askedAtMs Time of the query: the TTL counts from here.
   * @param ttl Seconds, as the server said; `undefined` if the lookup does not know it.
   * @returns The TTL within the limits, in milliseconds.
   */
  onAnswer(askedAtMs: number, ttl: number | undefined): number {
    const { minTtlMs, maxTtlMs, maxStaleMs } = this.#settings;
    const ttlMs = Math.min(Math.max((ttl ?? UNKNOWN_TTL) * 1000, minTtlMs), maxTtlMs);
    this.freshUntilMs = askedAtMs + ttlMs;
    this.staleUntilMs = this.freshUntilMs + maxStaleMs;
    this.graceUntilMs = -Infinity;
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

  /** Lets the answer expire before its TTL is over. */
  expireAt(untilMs: number): void {
    this.freshUntilMs = Math.min(this.freshUntilMs, untilMs);
  }

  /** Returns for how many milliseconds the answer may be used without waiting: the rest of its TTL, or of grace. */
  remainingMs(nowMs: number): number {
    const { freshUntilMs, graceUntilMs } = this;
    return Math.max(0, (nowMs < freshUntilMs ? freshUntilMs : graceUntilMs) - nowMs);
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
    this.freshUntilMs = this.graceUntilMs = this.staleUntilMs = -Infinity;
    this.#graces = 0;
  }
}
