/**
 * What a benchmark shows: tables for people, and one line of JSON for `bench/run.ts`.
 *
 * @module
 */

import process from "node:process";
import type { RoundOptions, Timing } from "./rounds.ts";

/** Stands before the JSON in the last line. */
export const RESULT = "RESULT ";

/** Whether `--quick` was asked for: fewer and shorter rounds. */
export const quick: boolean = process.argv.includes("--quick");

/** How long each race takes. */
export const ROUNDS: RoundOptions = quick
  ? { rounds: 5, batchMs: 12 }
  : { rounds: 15, batchMs: 100 };

/** `"node 22.23.1"`. */
export function runtimeName(): string {
  const { deno, bun, node } = process.versions as Partial<Record<string, string>>;
  return deno ? `deno ${deno}` : bun ? `bun ${bun}` : `node ${node}`;
}

/** Prints a race: nanoseconds for an operation, and how many times as long as ours, with quartiles. */
export function show(title: string, timings: readonly Timing[]): void {
  const rows = timings.map(({ name, ns, spread, ratio, ratioSpread }) => [
    name,
    figure(ns),
    `${figure(spread[0])} to ${figure(spread[1])}`,
    ratio.toFixed(2),
    `${ratioSpread[0].toFixed(2)} to ${ratioSpread[1].toFixed(2)}`,
  ]);
  table(title, ["", "ns", "quartiles", "times ours", "quartiles"], rows);
}

/** Prints a table: the first column to the left, the others to the right. */
export function table(
  title: string,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): void {
  const widths = head.map((text, at) =>
    Math.max(text.length, ...rows.map((row) => (row[at] ?? "").length))
  );
  const line = (cells: readonly string[]) =>
    cells.map((cell, at) => at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)).join(
      "  ",
    );
  console.log(`\n${title}\n${[head, ...rows].map((row) => `  ${line(row)}`.trimEnd()).join("\n")}`);
}

/** Three digits are enough. */
export function figure(value: number): string {
  return value >= 100 ? Math.round(value).toString() : value.toPrecision(3);
}

/** Hands the result to `bench/run.ts`, and ends the process: some peers leave timers behind. */
export function finish(result: unknown): never {
  console.log(RESULT + JSON.stringify(result));
  process.exit(0);
}
