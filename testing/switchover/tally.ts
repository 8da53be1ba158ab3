/**
 * What checkouts lived through around a switchover, as counts and moments. Times come in from outside: no clock, no
 * timer.
 *
 * @module
 */

/** How a switchover went. All times are seconds since the record moved. */
export interface SwitchoverResult {
  /** Whether everything that was taken was on new addresses before the deadline, and stayed so for half a second. */
  readonly followed: boolean;
  /** When the first connection to a new address was handed out; `undefined`: none was. */
  readonly first: number | undefined;
  /** Since when nothing failed and nothing but new addresses was handed out; `undefined`: it did not follow. */
  readonly all: number | undefined;
  /** Checkouts that began after the move, and were given an old address; right, while the TTL ran. */
  readonly onOld: number;
  /** Those of them that began later than TTL and slack after the move: 0, for whoever follows DNS. */
  readonly misrouted: number;
  /** Checkouts that failed, or reached an address that is neither old nor new. */
  readonly failed: number;
  /** What the first ten of them failed with. */
  readonly errors: readonly unknown[];
  /** Checkouts under way at the end that had been for more than half a second. */
  readonly unanswered: number;
  /** Checkouts that came to an end after the move, however. */
  readonly checkouts: number;
}

/** What is counted. Times are milliseconds of one clock. */
export interface TallySettings {
  /** The addresses before. */
  readonly from: readonly string[];
  /** Those afterwards. One that is in both stays: it is right all the time, and proves nothing. */
  readonly to: readonly string[];
  readonly workers: number;
  readonly ttlMs: number;
  readonly slackMs: number;
}

/** A checkout that came to an end. */
export interface Ended {
  /** Whose it was. */
  readonly worker: number;
  readonly beganMs: number;
  readonly endedMs: number;
}

/** So many errors are kept. */
const MOST_ERRORS = 10;

/** Collects what the workers lived through. */
export class Tally {
  /** What the last checkout failed with. */
  lastError: unknown;

  readonly #settings: TallySettings;
  /** The workers that reached one of the first addresses before the move. */
  readonly #ready: Set<number> = new Set();
  /** Each worker's last checkout after the move that was given a right address. */
  readonly #lastRight: Map<number, Ended> = new Map();
  /** When each worker began what is under way. */
  readonly #underWay: Map<number, number> = new Map();
  readonly #errors: unknown[] = [];
  #movedAtMs = Infinity;
  #firstNewMs: number | undefined;
  /** When something last failed or reached an old address. */
  #lastBadMs = -Infinity;
  #checkouts = 0;
  #onOld = 0;
  #misrouted = 0;
  #failed = 0;

  /** @param settings What is counted. */
  constructor(settings: TallySettings) {
    this.#settings = settings;
  }

  /** Whether every worker has reached one of the first addresses. */
  get ready(): boolean {
    return this.#ready.size === this.#settings.workers;
  }

  /** The record moved. */
  moved(atMs: number): void {
    this.#movedAtMs = atMs;
  }

  /** A worker begins a checkout. */
  began(worker: number, atMs: number): void {
    this.#underWay.set(worker, atMs);
  }

  /** A checkout was given an address. */
  reached(address: string, ended: Ended): void {
    const { from, to } = this.#settings;
    const { worker, beganMs, endedMs } = ended;
    if (!from.includes(address) && !to.includes(address)) {
      const message =
        `Cannot tell where "${address}" belongs: it is neither an old nor a new address`;
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
      this.#lastRight.set(worker, ended);
      return;
    }
    this.#lastBadMs = endedMs;
    if (beganMs < this.#movedAtMs) return;
    this.#onOld++;
    const { ttlMs, slackMs } = this.#settings;
    if (beganMs > this.#movedAtMs + ttlMs + slackMs) this.#misrouted++;
  }

  /** A checkout failed. */
  failed(error: unknown, { worker, endedMs }: Ended): void {
    this.#underWay.delete(worker);
    this.lastError = error;
    if (endedMs < this.#movedAtMs) return;
    this.#checkouts++;
    this.#failed++;
    this.#lastBadMs = endedMs;
    if (this.#errors.length < MOST_ERRORS) this.#errors.push(error);
  }

  /**
   * Whether it has followed: for so long nothing but new addresses, by every worker.
   *
   * @param atMs Now.
   * @param quietMs For how long.
   */
  settled(atMs: number, quietMs: number): boolean {
    const sinceMs = this.#settledMs;
    if (sinceMs === undefined || atMs - sinceMs < quietMs) return false;
    const { workers } = this.#settings;
    const since = [...this.#lastRight.values()].filter(({ beganMs }) => beganMs > this.#lastBadMs);
    return since.length === workers;
  }

  /**
   * What became of it.
   *
   * @param atMs Now.
   * @param quietMs How long nothing but new addresses had to last.
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

  /** Since when there were new addresses only. */
  get #settledMs(): number | undefined {
    return this.#firstNewMs && Math.max(this.#firstNewMs, this.#lastBadMs);
  }

  #seconds(atMs: number | undefined): number | undefined {
    return atMs === undefined ? undefined : Number(((atMs - this.#movedAtMs) / 1000).toFixed(4));
  }
}
