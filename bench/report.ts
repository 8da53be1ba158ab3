/**
 * The output of a benchmark: tables, and one line of JSON for `bench/run.ts`.
 *
 * @module
 */

import process from "node:process";
import type { RoundOptions, Timing } from "./rounds.ts";

/** Marks the line with the JSON. */
export const RESULT = "RESULT ";

/** Whether `--quick` is given: fewer and shorter rounds. */
export const quick: boolean = process.argv.includes("--quick");

/** The length of each comparison. */
export const ROUNDS: RoundOptions = quick
  ? { rounds: 3, batchMs: 12 }
  : { rounds: 11, batchMs: 100 };

/** Returns the runtime and its version, such as `"node 22.23.1"`. */
export function runtimeName(): string {
  const { deno, bun, node } = process.versions as Partial<Record<string, string>>;
  return deno ? `deno ${deno}` : bun ? `bun ${bun}` : `node ${node}`;
}

/** Prints a comparison: nanoseconds for an operation, and the ratio to dnspool, with quartiles. */
export function show(title: string, timings: readonly Timing[]): void {
  const rows = timings.map(({ name, ns, spread, ratio, ratioSpread }) => [
    name,
    figure(ns),
    `${figure(spread[0])} to ${figure(spread[1])}`,
    ratio.toFixed(2),
    `${ratioSpread[0].toFixed(2)} to ${ratioSpread[1].toFixed(2)}`,
  ]);
  table(title, ["", "ns", "quartiles", "ratio", "quartiles"], rows);
}

/** Prints a table: the first column aligned left, the others right. */
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

/** Formats a number with three digits. */
export function figure(value: number): string {
  return value >= 100 ? Math.round(value).toString() : value.toPrecision(3);
}

/** Prints the result for `bench/run.ts`, and exits, because some peers leave timers behind. */
export function finish(result: unknown): never {
  console.log(RESULT + JSON.stringify(result));
  process.exit(0);
}
