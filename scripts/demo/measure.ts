/**
 * What one lane of the demo lived through, as counts and moments. All times are milliseconds since the run began,
 * on one clock.
 *
 * @module
 */

/** Answers are counted in slices of so many milliseconds; a cell on the screen is a whole number of them. */
export const SLICE_MS = 25;

/** On top of the TTL: how long an answer of the old server is no mistake yet. */
export const SLACK_MS = 250;

/** The addresses that the record holds before and after it moves. */
export interface Servers {
  readonly old: string;
  readonly new: string;
}

/** Queries by how they ended. */
export interface Counts {
  /** Answered by the old server while that was right, or not wrong yet. */
  old: number;
  /** Answered by the new server. */
  new: number;
  /** Answered by the old server later than TTL + 250 ms after the record moved. */
  misrouted: number;
  /** Not answered, or by neither. */
  failed: number;
}

/** No queries yet. */
export function noCounts(): Counts {
  return { old: 0, new: 0, misrouted: 0, failed: 0 };
}

/** What is reported of a lane at the end. */
export interface LaneResult {
  /** Queries that came to an end, however. */
  readonly queries: number;
  /** See {@linkcode Counts}. */
  readonly misrouted: number;
  /** See {@linkcode Counts}. */
  readonly failed: number;
  /** From the move to the first answer of the new server; `null`: none came. */
  readonly flipToFirstMs: number | null;
  /** From the move to the moment since which only the new server answered; `null`: that moment never came. */
  readonly flipToAllMs: number | null;
}

/** "Only the new server" has to last so long before it counts. */
const SETTLED_MS = 500;

/** Collects the answers of one lane. */
export class Lane {
  /** The pool's name. */
  readonly name: string;
  /** The ids that a server said it stored, by server. */
  readonly acknowledged: Map<string, number[]> = new Map();
  /** The message of the first failure. */
  firstError: string | undefined;
  /** All queries so far. */
  readonly total: Counts = noCounts();
  readonly #servers: Servers;
  readonly #ttlMs: number;
  readonly #slices: Counts[] = [];
  #movedAt: number | undefined;
  #firstNew: number | undefined;
  #lastOld: number | undefined;

  constructor(name: string, servers: Servers, ttlMs: number) {
    this.name = name;
    this.#servers = servers;
    this.#ttlMs = ttlMs;
  }

  /** The counts in order of time, each for {@linkcode SLICE_MS}. A slice may be missing. */
  get slices(): readonly (Counts | undefined)[] {
    return this.#slices;
  }

  /** The record moved. */
  moved(atMs: number): void {
    this.#movedAt = atMs;
  }

  /** A server stored row `id` and said so. */
  answered(atMs: number, server: string, id: number): void {
    const ids = this.acknowledged.get(server);
    if (ids) ids.push(id);
    else this.acknowledged.set(server, [id]);
    if (server === this.#servers.new) {
      this.#firstNew ??= atMs;
      return this.#count(atMs, "new");
    }
    if (server !== this.#servers.old) return this.failed(atMs, `Answered by ${server}`);
    this.#lastOld = atMs;
    const late = this.#movedAt !== undefined && atMs > this.#movedAt + this.#ttlMs + SLACK_MS;
    this.#count(atMs, late ? "misrouted" : "old");
  }

  /** A query failed. */
  failed(atMs: number, error: unknown): void {
    this.firstError ??= error instanceof Error ? error.message : String(error);
    this.#count(atMs, "failed");
  }

  /** What became of it. */
  result(endMs: number): LaneResult {
    const { old, new: fresh, misrouted, failed } = this.total;
    return {
      queries: old + fresh + misrouted + failed,
      misrouted,
      failed,
      flipToFirstMs: this.#sinceMove(this.#firstNew),
      flipToAllMs: this.#sinceMove(this.#settledAt(endMs)),
    };
  }

  #settledAt(endMs: number): number | undefined {
    if (this.#firstNew === undefined) return undefined;
    const at = Math.max(this.#firstNew, this.#lastOld ?? 0);
    return endMs - at >= SETTLED_MS ? at : undefined;
  }

  #sinceMove(atMs: number | undefined): number | null {
    if (atMs === undefined || this.#movedAt === undefined) return null;
    return Math.round(atMs - this.#movedAt);
  }

  #count(atMs: number, kind: keyof Counts): void {
    this.total[kind]++;
    const slice = this.#slices[Math.floor(atMs / SLICE_MS)] ??= noCounts();
    slice[kind]++;
  }
}

/** Adds up the counts from one moment to another. */
export function countBetween(
  slices: readonly (Counts | undefined)[],
  fromMs: number,
  toMs: number,
): Counts {
  const sum = noCounts();
  for (const slice of slices.slice(Math.round(fromMs / SLICE_MS), Math.round(toMs / SLICE_MS))) {
    if (!slice) continue;
    sum.old += slice.old;
    sum.new += slice.new;
    sum.misrouted += slice.misrouted;
    sum.failed += slice.failed;
  }
  return sum;
}
