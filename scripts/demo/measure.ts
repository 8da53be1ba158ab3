/**
 * The measurements of one pool in the demo (a lane of its picture). All times are milliseconds since the start of the
 * run.
 *
 * @module
 */

/** The duration of a slice, in which answers are counted. A cell of the picture shows one or more slices. */
export const SLICE_MS = 25;

/** An answer of the old server is a mistake if it comes later than TTL + this time after the move. */
export const SLACK_MS = 250;

/** The addresses in the record before and after the move. */
export interface Servers {
  readonly old: string;
  readonly new: string;
}

/** Numbers of queries by result. */
export interface Counts {
  /** Answered by the old server in time. */
  old: number;
  /** Answered by the new server. */
  new: number;
  /** Answered by the old server later than TTL + 250 ms after the record moved. */
  misrouted: number;
  /** Not answered, or by neither. */
  failed: number;
}

/** Returns counts of zero. */
export function noCounts(): Counts {
  return { old: 0, new: 0, misrouted: 0, failed: 0 };
}

/** The result of one pool. */
export interface LaneResult {
  /** All queries that ended. */
  readonly queries: number;
  /** See {@linkcode Counts}. */
  readonly misrouted: number;
  /** See {@linkcode Counts}. */
  readonly failed: number;
  /** Time from the move to the first answer of the new server; `null` if there was none. */
  readonly flipToFirstMs: number | null;
  /** Time from the move until only the new server answered; `null` if the old one answered to the end. */
  readonly flipToAllMs: number | null;
}

/** Minimum time for which only the new server must have answered at the end. */
const SETTLED_MS = 500;

/** Collects the results of one pool. */
export class Lane {
  /** The pool's name. */
  readonly name: string;
  /** The ids of the rows that were acknowledged, by server. */
  readonly acknowledged: Map<string, number[]> = new Map();
  /** The message of the first failure. */
  firstError: string | undefined;
  /** The counts of all queries. */
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

  /** The counts of each period of {@linkcode SLICE_MS}, `undefined` for a period without results. */
  get slices(): readonly (Counts | undefined)[] {
    return this.#slices;
  }

  /** Notes that the record moved. */
  moved(atMs: number): void {
    this.#movedAt = atMs;
  }

  /** Notes that a server acknowledged row `id`. */
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

  /** Notes that a query failed. */
  failed(atMs: number, error: unknown): void {
    this.firstError ??= error instanceof Error ? error.message : String(error);
    this.#count(atMs, "failed");
  }

  /** Returns the result of a run that ended at `endMs`. */
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

/** Adds up the counts between two times. */
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
