/**
 * How long an answer may be used: fresh, then in grace when resolution fails, then not at all. Times in, times
 * out: no clock, no timer.
 *
 * @module
 */

/** Seconds that an answer of unknown TTL counts for. */
const UNKNOWN_TTL = 5;
/** Grace doubles so often at most, and up to so many milliseconds. */
const GRACE = { doublings: 4, mostMs: 300_000 };

/** One caller's limits, in milliseconds. */
export interface FreshnessSettings {
  /** Clamps on the TTL. */
  readonly minTtlMs: number;
  /** Clamps on the TTL. */
  readonly maxTtlMs: number;
  /** How long a stale answer may be used when resolution fails. */
  readonly graceMs: number;
  /** Whether grace doubles each time it runs out. */
  readonly extendGrace: boolean;
  /** After so long past its end, an answer is not used at all. */
  readonly maxStaleMs: number;
}

/** The life of the answer in force, as one caller has it. All moments are in milliseconds of one clock. */
export class Freshness {
  /** Until then the answer is fresh. */
  freshUntilMs: number = -Infinity;
  /** Until then, past that, the answer may be used without waiting for a resolution. */
  graceUntilMs: number = -Infinity;
  /** After that it is not used at all. */
  staleUntilMs: number = -Infinity;

  readonly #settings: FreshnessSettings;
  /** How often grace began since the last answer. */
  #graces = 0;

  /** @param settings The caller's limits. */
  constructor(settings: FreshnessSettings) {
    this.#settings = settings;
  }

  /**
   * A new answer.
   *
   * @param askedAtMs When its question was sent: the TTL counts from here.
   * @param ttl Seconds, as the server said; `undefined` where nobody could tell.
   * @returns The TTL that it counts for, in milliseconds.
   */
  learn(askedAtMs: number, ttl: number | undefined): number {
    const { minTtlMs, maxTtlMs, maxStaleMs } = this.#settings;
    const ttlMs = Math.min(Math.max((ttl ?? UNKNOWN_TTL) * 1000, minTtlMs), maxTtlMs);
    this.freshUntilMs = askedAtMs + ttlMs;
    this.staleUntilMs = this.freshUntilMs + maxStaleMs;
    this.graceUntilMs = -Infinity;
    this.#graces = 0;
    return ttlMs;
  }

  /**
   * A resolution failed: grace begins, now or when the answer expires if that is later. It is counted, and
   * doubled, once for each time it runs out.
   */
  miss(nowMs: number): void {
    if (nowMs < this.graceUntilMs) return;
    const { graceMs, extendGrace } = this.#settings;
    const factor = extendGrace ? 2 ** Math.min(this.#graces++, GRACE.doublings) : 1;
    const lengthMs = Math.min(graceMs * factor, Math.max(GRACE.mostMs, graceMs));
    const untilMs = Math.max(nowMs, this.freshUntilMs) + lengthMs;
    this.graceUntilMs = Math.min(untilMs, this.staleUntilMs);
  }

  /** The answer ends sooner than its TTL says. */
  endAt(untilMs: number): void {
    this.freshUntilMs = Math.min(this.freshUntilMs, untilMs);
  }

  /** Whether no failed resolution could let the answer serve any longer. */
  spent(nowMs: number): boolean {
    return nowMs >= (this.#settings.graceMs > 0 ? this.staleUntilMs : this.freshUntilMs);
  }

  /** There is no answer. */
  forget(): void {
    this.freshUntilMs = this.graceUntilMs = this.staleUntilMs = -Infinity;
    this.#graces = 0;
  }
}
