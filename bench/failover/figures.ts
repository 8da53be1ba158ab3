/**
 * Computes the figures of the table and the slices of the picture from a lane's report. It reads no clock.
 *
 * @module
 */

import type { LaneReport, OperationResult } from "./lanes.ts";

/** The TTL of the record. */
export const TTL_MS = 1000;

/** Tolerance on top of the TTL for the use of the old server. */
export const SLACK_MS = 300;

/** Minimum time for which only the new server must have answered at the end. */
const SETTLED_MS = 500;

/** Minimum age of a hung operation. */
const HUNG_MS = 3000;

/** The times of a run, as `Date.now()` returns them. */
export interface Timeline {
  /** Start of the workers. */
  readonly startMs: number;
  /** Start of the fault in a server or in DNS. */
  readonly faultMs: number;
  /** End of the action that caused the fault. */
  readonly faultDoneMs: number;
  /** Last move of the record to the new server. */
  readonly movedMs: number;
  /** First answer of the operating system's resolver with the new address. */
  readonly shownMs: number | undefined;
  /** Stop of the workers. */
  readonly endMs: number;
  /** The contents of the record. */
  readonly record: readonly { readonly fromMs: number; readonly addresses: readonly string[] }[];
  /** The address of the old server. */
  readonly old: string;
  /** Time after the move in which the old server may be used. Default: TTL + 0.3 s. */
  readonly graceMs?: number;
}

/** The figures of one lane in one run. Times are milliseconds after the move of the record; `null` means never. */
export interface Figures {
  readonly operations: number;
  /** Time to the first answer of the operating system's resolver with the new address. */
  readonly shownMs: number | null;
  /** Time to the first answer of the new server. */
  readonly firstMs: number | null;
  /** Time until only the new server answered. */
  readonly allMs: number | null;
  /** Operations that the old server answered, or refused as a write, later than the grace after the move. */
  readonly misrouted: number;
  /** Those of the misrouted operations that also began later than that. */
  readonly startedOnOld: number;
  /** Operations whose server was not in the record at any time in the TTL + 0.3 s before. */
  readonly offRecord: number;
  /** Operations that failed since the fault. */
  readonly failed: number;
  /** Those of the failed operations that a read-only server refused. */
  readonly refused: number;
  /** Those of the failed operations that began before the fault. */
  readonly failedInFlight: number;
  /** Operations that never ended. */
  readonly hung: number;
  /** Duration of the longest operation that ended after the fault or hung. */
  readonly longestMs: number;
  /** Connects since the fault. */
  readonly dials: number;
  /** Maximum number of connects in one second. */
  readonly dialsPerSecond: number;
  /** Errors that would have ended the process. */
  readonly uncaught: number;
}

interface Operation {
  readonly startMs: number;
  /** `undefined` if it did not end. */
  readonly endMs: number | undefined;
  readonly result: OperationResult | undefined;
  /** The server that answered, or that refused a write. */
  readonly by: string | undefined;
}

/** Returns the server of a result. Only the old server is ever read-only. */
function answeredBy(result: OperationResult | undefined, { old }: Timeline): string | undefined {
  return result?.server ?? (result?.readOnly ? old : undefined);
}

function operationsOf({ operations, results }: LaneReport, timeline: Timeline): Operation[] {
  return operations.map(([startMs, tookMs, index]) => {
    const result = results[index];
    return {
      startMs,
      endMs: result && startMs + tookMs,
      result,
      by: answeredBy(result, timeline),
    };
  });
}

const graceOf = ({ graceMs = TTL_MS + SLACK_MS }: Timeline) => graceMs;

/** Returns whether an operation was answered by the new server, or one of several. */
const isOnNew = ({ by }: Operation, { old }: Timeline) => by !== undefined && by !== old;

/** Computes the figures of a lane. */
export function figuresOf(report: LaneReport, timeline: Timeline): Figures {
  const { faultMs, faultDoneMs, movedMs, shownMs, endMs } = timeline;
  const operations = operationsOf(report, timeline);
  const count = (holds: (one: Operation) => boolean) => operations.filter(holds).length;
  const lateMs = movedMs + graceOf(timeline);
  const onOld = (one: Operation) => one.by === timeline.old;
  const failed = operations.filter(({ startMs, endMs, result }) =>
    result?.error !== undefined && (endMs ?? startMs) >= faultMs
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
    refused: failed.filter(({ result }) => result?.readOnly).length,
    failedInFlight: failed.filter(({ startMs }) => startMs <= faultDoneMs).length,
    hung: count((one) => one.endMs === undefined && endMs - one.startMs > HUNG_MS),
    longestMs: longest(operations, timeline),
    dials: dials.length,
    dialsPerSecond: maxPerSecond(dials),
    uncaught: report.uncaught.reduce((sum, [, times]) => sum + times, 0),
  };
}

function firstOnNew(operations: readonly Operation[], timeline: Timeline): number | undefined {
  const ends = operations.filter((one) => isOnNew(one, timeline)).map(({ endMs }) => endMs!)
    .filter((endMs) => endMs >= timeline.movedMs);
  return minOf(ends);
}

function settled(operations: readonly Operation[], timeline: Timeline): number | undefined {
  const first = firstOnNew(operations, timeline);
  if (first === undefined) return undefined;
  const lastOld = maxOf(
    operations.filter(({ by }) => by === timeline.old).map(({ endMs }) => endMs!),
  );
  const atMs = Math.max(first, lastOld ?? first);
  return timeline.endMs - atMs >= SETTLED_MS ? atMs : undefined;
}

/** Returns whether the server that answered had left the record for longer than its address may be cached. */
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
  return maxOf(after.map((one) => (one.endMs ?? endMs) - one.startMs)) ?? 0;
}

function maxPerSecond(moments: readonly number[]): number {
  let max = 0;
  for (let first = 0, last = 0; last < moments.length; last++) {
    while (moments[last]! - moments[first]! >= 1000) first++;
    max = Math.max(max, last - first + 1);
  }
  return max;
}

// Math.max(...values) fails with a hundred thousand values.
function maxOf(values: readonly number[]): number | undefined {
  return values.reduce<number | undefined>((a, b) => a === undefined || b > a ? b : a, undefined);
}

function minOf(values: readonly number[]): number | undefined {
  return values.reduce<number | undefined>((a, b) => a === undefined || b < a ? b : a, undefined);
}

/** The kinds of operations in the picture. */
export const KINDS = ["old", "new", "misrouted", "failed"] as const;

/** Number of operations of each kind that ended in a slice of time. */
export type Slice = Readonly<Record<typeof KINDS[number], number>>;

/** Counts operations by the time of their end, from `fromMs` after the move to `toMs`. */
export function slicesOf(
  report: LaneReport,
  timeline: Timeline,
  { fromMs, toMs, stepMs }: { fromMs: number; toMs: number; stepMs: number },
): Slice[] {
  const slices = Array.from(
    { length: Math.ceil((toMs - fromMs) / stepMs) },
    () => ({ old: 0, new: 0, misrouted: 0, failed: 0 }),
  );
  for (const operation of operationsOf(report, timeline)) {
    const { endMs, result, by } = operation;
    if (endMs === undefined) continue;
    const atMs = endMs - timeline.movedMs;
    const slice = slices[Math.floor((atMs - fromMs) / stepMs)];
    if (!slice) continue;
    const late = by === timeline.old && atMs > graceOf(timeline);
    slice[
      late
        ? "misrouted"
        : result?.error !== undefined
        ? "failed"
        : isOnNew(operation, timeline)
        ? "new"
        : "old"
    ]++;
  }
  return slices;
}

/** Returns the median; of an even number of values, the lower of the two in the middle. */
export function median<T extends number | null>(values: readonly T[]): T {
  const sorted = [...values].sort((a, b) => (a ?? Infinity) - (b ?? Infinity));
  return sorted[Math.floor((sorted.length - 1) / 2)]!;
}

/** Returns the median of each figure of several runs. */
export function medianFigures(runs: readonly Figures[]): Figures {
  const keys = Object.keys(runs[0]!) as (keyof Figures)[];
  return Object.fromEntries(
    keys.map((key) => [key, median(runs.map((run) => run[key]))]),
  ) as unknown as Figures;
}
