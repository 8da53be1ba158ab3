/**
 * What the drills of real stacks find out about a lane.
 *
 * @module
 */

import type { Call } from "./lane.ts";

/** What a lane saw of an event; nothing but what was missed if it did not report. */
export interface LaneFigures {
  readonly lane: string;
  readonly calls?: number;
  /** Longest time without a call that succeeded. */
  readonly outageMs?: number;
  readonly failed?: number;
  /** Calls that a server got that should not have got them, well after it was known. */
  readonly misrouted?: number;
  /** Writes that were acknowledged and are not in the final ledger. */
  readonly lost?: number;
  readonly longestMs?: number;
  /** The most frequent errors, with their counts. */
  readonly errors?: readonly (readonly [string, number])[];
  readonly missed: readonly string[];
}

/** Counts the calls of a lane. */
export function countCalls(calls: readonly Call[], eventMs: number) {
  const good = calls.filter(({ server }) => server !== undefined);
  const failed = calls.filter(({ error, endMs }) => error !== undefined && endMs >= eventMs);
  const stopMs = Math.max(...calls.map(({ endMs }) => endMs));
  const times = good.map(({ endMs }) => endMs).sort((a, b) => a - b);
  const counts = new Map<string, number>();
  for (const { error } of failed) counts.set(error!, (counts.get(error!) ?? 0) + 1);
  return {
    good,
    calls: calls.length,
    outageMs: longestGap(times, eventMs, stopMs).outageMs,
    failed: failed.length,
    longestMs: Math.max(...calls.map((call) => call.endMs - call.startMs)),
    errors: [...counts].sort(([, a], [, b]) => b - a).slice(0, 3),
  };
}

/** Returns the figures that are above their maximum, as text. */
export function missedOf<Name extends string>(
  maximums: Readonly<Record<Name, number>>,
  figures: Readonly<Record<NoInfer<Name>, number>>,
): string[] {
  return (Object.keys(maximums) as Name[]).flatMap((name) => {
    const [value, max] = [figures[name], maximums[name]];
    return value > max ? [`${name}: ${value} of ${max}`] : [];
  });
}

/** An interval, as milliseconds and as the `Date.now()` of its end. */
export interface Gap {
  readonly outageMs: number;
  readonly endMs: number;
}

/** Returns the longest interval between two of the times, which are in order, that ends after `fromMs`. */
export function longestGap(
  times: readonly number[],
  fromMs: number,
  stopMs: number,
): Gap {
  let longest = { outageMs: 0, endMs: fromMs };
  let last = times.findLast((time) => time <= fromMs) ?? fromMs;
  for (const endMs of [...times.filter((time) => time > fromMs), stopMs]) {
    if (endMs - last > longest.outageMs) longest = { outageMs: endMs - last, endMs };
    last = endMs;
  }
  return longest;
}

/** Prints the figures of lanes. */
export function showLanes<Lane extends LaneFigures>(
  lanes: readonly Lane[],
  columns: readonly (keyof Lane & string)[] = [
    ...["calls", "outageMs", "failed", "misrouted", "lost", "longestMs"] as const,
  ],
): void {
  const head = columns.map((name) => name.padStart(10)).join("");
  console.log("lane".padEnd(34) + head);
  for (const lane of lanes) {
    const cells = columns.map((name) => String(lane[name] ?? "").padStart(10)).join("");
    console.log(lane.lane.padEnd(34) + cells);
    for (const each of lane.missed) console.log(`  missed: ${each}`);
    for (const [error, count] of lane.errors ?? []) console.log(`  ${count} x ${error}`);
  }
}
