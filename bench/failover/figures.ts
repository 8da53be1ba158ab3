/**
 * What is made of a lane's report: the figures of the table, and the slices of the picture. Moments in, figures out:
 * no clock.
 *
 * @module
 */

import type { LaneReport, OperationEnd } from "./lanes.ts";

/** The TTL of the record. */
export const TTL_MS = 1000;

/** On top of the TTL: how long the old server may still be in use. */
export const SLACK_MS = 300;

/** "Only the new server" has to last so long before it counts. */
const SETTLED_MS = 500;

/** An operation without an end hangs when it is older than that. */
const HUNG_MS = 3000;

/** What happened when. Moments are `Date.now()`. */
export interface Timeline {
  /** The workers were told to begin. */
  readonly startMs: number;
  /** Something was done to a server, or to DNS; and it was done. */
  readonly faultMs: number;
  readonly faultDoneMs: number;
  /** The record moved to the new server, for good. */
  readonly movedMs: number;
  /** The operating system's resolver showed it. */
  readonly shownMs: number | undefined;
  /** The workers were told to stop. */
  readonly endMs: number;
  /** What the record held, from when on. */
  readonly record: readonly { readonly fromMs: number; readonly addresses: readonly string[] }[];
  /** The addresses before and after. */
  readonly old: string;
  readonly new: string;
}

/** The figures of one lane in one run. Times are milliseconds after the record moved; `null`: it never came. */
export interface Figures {
  readonly operations: number;
  /** The operating system's resolver shows the new address. */
  readonly shownMs: number | null;
  /** The first answer of the new server. */
  readonly firstMs: number | null;
  /** Since then only the new server answered. */
  readonly allMs: number | null;
  /** The old server answered, or refused a write, later than TTL + 0.3 s after the move. */
  readonly misrouted: number;
  /** The same, for operations that also began later than that. */
  readonly startedOnOld: number;
  /** The server that answered was not in the record at any time in the TTL + 0.3 s before. */
  readonly offRecord: number;
  /** Failed, in all; of these, refused by a read-only server; of these, begun before the fault. */
  readonly failed: number;
  readonly refused: number;
  readonly failedInFlight: number;
  /** Never ended. */
  readonly hung: number;
  /** The longest call, of those that ended after the fault or hung. */
  readonly longestMs: number;
  /** Connections dialled since the fault, and the most in one second. */
  readonly dials: number;
  readonly dialsPerSecond: number;
  /** Errors that would have ended the process. */
  readonly uncaught: number;
}

interface Operation {
  readonly startMs: number;
  /** `undefined`: it has no end. */
  readonly endMs: number | undefined;
  readonly end: OperationEnd | undefined;
  /** The server that answered, or that refused a write. */
  readonly by: string | undefined;
}

/** Whose word an end is: a read-only server is the old one, there is no other. */
function answeredBy(end: OperationEnd | undefined, { old }: Timeline): string | undefined {
  return end?.server ?? (end?.readOnly ? old : undefined);
}

function operationsOf({ operations, ends }: LaneReport, timeline: Timeline): Operation[] {
  return operations.map(([startMs, tookMs, index]) => {
    const end = ends[index];
    return {
      startMs,
      endMs: end && startMs + tookMs,
      end,
      by: answeredBy(end, timeline),
    };
  });
}

/** Works out the figures. */
export function figuresOf(report: LaneReport, timeline: Timeline): Figures {
  const { faultMs, faultDoneMs, movedMs, shownMs, endMs } = timeline;
  const operations = operationsOf(report, timeline);
  const count = (holds: (one: Operation) => boolean) => operations.filter(holds).length;
  const lateMs = movedMs + TTL_MS + SLACK_MS;
  const onOld = (one: Operation) => one.by === timeline.old;
  const failed = operations.filter(({ startMs, endMs, end }) =>
    end?.error !== undefined && (endMs ?? startMs) >= faultMs
  );
  const dials = report.dials.map(([atMs]) => atMs).filter((atMs) => atMs >= faultMs);
  const since = (atMs: number | undefined) => atMs === undefined ? null : atMs - movedMs;
  return {
    operations: operations.length,
    shownMs: since(shownMs),
    firstMs: since(firstOnNew(operations, timeline)),
    allMs: since(settled(operations, timeline)),
    misrouted: count((one) => onOld(one) && one.endMs! > lateMs),
    startedOnOld: count((one) => onOld(one) && one.startMs > lateMs),
    offRecord: count((one) => offRecord(one, timeline)),
    failed: failed.length,
    refused: failed.filter(({ end }) => end?.readOnly).length,
    failedInFlight: failed.filter(({ startMs }) => startMs <= faultDoneMs).length,
    hung: count((one) => one.endMs === undefined && endMs - one.startMs > HUNG_MS),
    longestMs: longest(operations, timeline),
    dials: dials.length,
    dialsPerSecond: mostInASecond(dials),
    uncaught: report.uncaught.reduce((sum, [, times]) => sum + times, 0),
  };
}

function firstOnNew(operations: readonly Operation[], timeline: Timeline): number | undefined {
  const ends = operations.filter(({ by }) => by === timeline.new).map(({ endMs }) => endMs!)
    .filter((endMs) => endMs >= timeline.movedMs);
  return least(ends);
}

function settled(operations: readonly Operation[], timeline: Timeline): number | undefined {
  const first = firstOnNew(operations, timeline);
  if (first === undefined) return undefined;
  const lastOld = most(
    operations.filter(({ by }) => by === timeline.old).map(({ endMs }) => endMs!),
  );
  const atMs = Math.max(first, lastOld ?? first);
  return timeline.endMs - atMs >= SETTLED_MS ? atMs : undefined;
}

/** Whether the record had not held the server that answered for longer than it may be remembered. */
function offRecord({ startMs, endMs, by }: Operation, { record }: Timeline): boolean {
  if (by === undefined || endMs === undefined) return false;
  const fromMs = startMs - TTL_MS - SLACK_MS;
  return !record.some((entry, index) => {
    const untilMs = record[index + 1]?.fromMs ?? Infinity;
    return entry.fromMs <= endMs && untilMs > fromMs && entry.addresses.includes(by);
  });
}

function longest(operations: readonly Operation[], { faultMs, endMs }: Timeline): number {
  const after = operations.filter((one) => one.endMs === undefined || one.endMs >= faultMs);
  return most(after.map((one) => (one.endMs ?? endMs) - one.startMs)) ?? 0;
}

function mostInASecond(moments: readonly number[]): number {
  let most = 0;
  for (let first = 0, last = 0; last < moments.length; last++) {
    while (moments[last]! - moments[first]! >= 1000) first++;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

// Not Math.max(...values): there may be a hundred thousand of them.
function most(values: readonly number[]): number | undefined {
  return values.reduce<number | undefined>((a, b) => a === undefined || b > a ? b : a, undefined);
}

function least(values: readonly number[]): number | undefined {
  return values.reduce<number | undefined>((a, b) => a === undefined || b < a ? b : a, undefined);
}

/** The kinds of operations that the picture tells apart. */
export const KINDS = ["old", "new", "misrouted", "failed"] as const;

/** How many operations of each kind ended in one slice of time. */
export type Slice = Readonly<Record<typeof KINDS[number], number>>;

/** Counts operations by the time that they ended at, from `fromMs` after the move to `toMs`. */
export function slicesOf(
  report: LaneReport,
  timeline: Timeline,
  { fromMs, toMs, stepMs }: { fromMs: number; toMs: number; stepMs: number },
): Slice[] {
  const slices = Array.from(
    { length: Math.ceil((toMs - fromMs) / stepMs) },
    () => ({ old: 0, new: 0, misrouted: 0, failed: 0 }),
  );
  for (const { endMs, end, by } of operationsOf(report, timeline)) {
    if (endMs === undefined) continue;
    const atMs = endMs - timeline.movedMs;
    const slice = slices[Math.floor((atMs - fromMs) / stepMs)];
    if (!slice) continue;
    const late = by === timeline.old && atMs > TTL_MS + SLACK_MS;
    slice[
      late ? "misrouted" : end?.error !== undefined ? "failed" : by === timeline.new ? "new" : "old"
    ]++;
  }
  return slices;
}

/** The middle one; of an even number, the lower one of the two. */
export function median<T extends number | null>(values: readonly T[]): T {
  const sorted = [...values].sort((a, b) => (a ?? Infinity) - (b ?? Infinity));
  return sorted[Math.floor((sorted.length - 1) / 2)]!;
}

/** Of several runs, the median of every figure. */
export function medianFigures(runs: readonly Figures[]): Figures {
  const keys = Object.keys(runs[0]!) as (keyof Figures)[];
  return Object.fromEntries(
    keys.map((key) => [key, median(runs.map((run) => run[key]))]),
  ) as unknown as Figures;
}
