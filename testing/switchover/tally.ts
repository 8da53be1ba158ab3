/**
 * Counts the checkouts around a switchover. Times are arguments: there is no clock and no timer.
 *
 * @module
 */

/** The figures of a switchover. All times are seconds since the record moved. */
export interface SwitchoverResult {
  /** Whether, before the deadline, all workers reached only new addresses for half a second. */
  readonly followed: boolean;
  /** When the first connection to a new address was handed out; `undefined` if none was. */
  readonly first: number | undefined;
  /** Since when no checkout failed or was given an old address; `undefined` if `followed` is `false`. */
  readonly all: number | undefined;
  /** Checkouts that began after the move and were given an old address, which is correct within the TTL. */
  readonly onOld: number;
  /** Those of `onOld` that began later than TTL and slack after the move: 0 if the follower follows DNS. */
  readonly misrouted: number;
  /** Checkouts that failed, or reached an address that is neither old nor new. */
  readonly failed: number;
  /** The errors of the first ten of `failed`. */
  readonly errors: readonly unknown[];
  /** Checkouts that were still under way at the end, after more than half a second. */
  readonly unanswered: number;
  /** Checkouts that ended after the move, with any result. */
  readonly checkouts: number;
}

/** The settings of a tally. Times are milliseconds of one clock. */
export interface TallySettings {
  /** The addresses before the move. */
  readonly from: readonly string[];
  /** The addresses after the move. One that is in both lists is always correct, and no sign of following. */
  readonly to: readonly string[];
  readonly workers: number;
  readonly ttlMs: number;
  readonly slackMs: number;
}

/** A checkout that ended. */
export interface EndedCheckout {
  /** The worker whose checkout it was. */
  readonly worker: number;
  readonly beganMs: number;
  readonly endedMs: number;
}

/** Maximum number of errors kept. */
const MAX_ERRORS = 10;

/** Counts the checkouts of all workers. */
export class Tally {
  /** The error of the last checkout that failed. */
  lastError: unknown;

  readonly #settings: TallySettings;
  /** The workers that reached an old address before the move. */
  readonly #ready: Set<number> = new Set();
  /** Each worker's last checkout after the move that was given an address after the move. */
  readonly #lastCorrect: Map<number, EndedCheckout> = new Map();
  /** When the checkout under way of each worker began. */
  readonly #underWay: Map<number, number> = new Map();
  readonly #errors: unknown[] = [];
  #movedAtMs = Infinity;
  #firstNewMs: number | undefined;
  /** When a checkout last failed or reached an old address. */
  #lastBadMs = -Infinity;
  #checkouts = 0;
  #onOld = 0;
  #misrouted = 0;
  #failed = 0;

  /** @param settings The addresses, the workers and the TTL. */
  constructor(settings: TallySettings) {
    this.#settings = settings;
  }

  /** Whether every worker has reached an old address. */
  get ready(): boolean {
    return this.#ready.size === this.#settings.workers;
  }

  /** Records the move. */
  moved(atMs: number): void {
    this.#movedAtMs = atMs;
  }

  /** Records the beginning of a checkout. */
  began(worker: number, atMs: number): void {
    this.#underWay.set(worker, atMs);
  }

  /** Records the address that a checkout was given. */
  reached(address: string, ended: EndedCheckout): void {
    const { from, to } = this.#settings;
    const { worker, beganMs, endedMs } = ended;
    if (!from.includes(address) && !to.includes(address)) {
      const message =
        `Cannot count a checkout on "${address}": it is neither an old nor a new address`;
      return this.failed(new Error(message), ended);
    }
    this.#underWay.delete(worker);
    if (endedMs < this.#movedAtMs) {
      if (from.includes(address)) this.#ready.add(worker);
      return;
    }
    this.#checkouts++;
    if (to.includes(address)) {
      if (!from.includes(address)) this.#firstNewMs ??= endedMs;
      this.#lastCorrect.set(worker, ended);
      return;
    }
    this.#lastBadMs = endedMs;
    if (beganMs < this.#movedAtMs) return;
    this.#onOld++;
    const { ttlMs, slackMs } = this.#settings;
    if (beganMs > this.#movedAtMs + ttlMs + slackMs) this.#misrouted++;
  }

  /** Records a checkout that failed. */
  failed(error: unknown, { worker, endedMs }: EndedCheckout): void {
    this.#underWay.delete(worker);
    this.lastError = error;
    if (endedMs < this.#movedAtMs) return;
    this.#checkouts++;
    this.#failed++;
    this.#lastBadMs = endedMs;
    if (this.#errors.length < MAX_ERRORS) this.#errors.push(error);
  }

  /**
   * Returns whether every worker has reached only new addresses for some time.
   *
   * @param atMs The present time.
   * @param quietMs The time for which that must hold.
   */
  settled(atMs: number, quietMs: number): boolean {
    const sinceMs = this.#settledMs;
    if (sinceMs === undefined || atMs - sinceMs < quietMs) return false;
    const { workers } = this.#settings;
    const since = [...this.#lastCorrect.values()].filter(({ beganMs }) =>
      beganMs > this.#lastBadMs
    );
    return since.length === workers;
  }

  /**
   * Returns the figures.
   *
   * @param atMs The present time.
   * @param quietMs The time for which only new addresses must be reached.
   */
  result(atMs: number, quietMs: number): SwitchoverResult {
    const followed = this.settled(atMs, quietMs);
    const hung = [...this.#underWay.values()].filter((beganMs) => atMs - beganMs > quietMs);
    return {
      followed,
      first: this.#seconds(this.#firstNewMs),
      all: followed ? this.#seconds(this.#settledMs) : undefined,
      onOld: this.#onOld,
      misrouted: this.#misrouted,
      failed: this.#failed,
      errors: [...this.#errors],
      unanswered: hung.length,
      checkouts: this.#checkouts,
    };
  }

  /** Since when only new addresses were reached. */
  get #settledMs(): number | undefined {
    return this.#firstNewMs && Math.max(this.#firstNewMs, this.#lastBadMs);
  }

  #seconds(atMs: number | undefined): number | undefined {
    return atMs === undefined ? undefined : Number(((atMs - this.#movedAtMs) / 1000).toFixed(4));
  }
}
