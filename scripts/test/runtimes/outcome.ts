/**
 * What ran where, and how it went: counted, shown as a table, and kept for the table in docs/runtimes.md.
 *
 * @module
 */

import { ROOT } from "../../check/run_deno.ts";

/** How often something was tried on a runtime. */
export interface Outcome {
  /** Such as `node@22`. */
  readonly runtime: string;
  readonly version: string;
  /** What was tried: the folder of a test file, or a sentence of the consumers. */
  readonly subject: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** How many of those that passed assert a declared exception. */
  readonly declared?: number;
}

/** Such as `12 passed, 0 failed, 0 skipped`. */
export function countsLine(outcomes: readonly Outcome[]): string {
  const { passed, failed, skipped } = sums(outcomes);
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

function sums(outcomes: readonly Outcome[]) {
  const sum = (key: "passed" | "failed" | "skipped" | "declared") =>
    outcomes.reduce((sum, outcome) => sum + (outcome[key] ?? 0), 0);
  return {
    passed: sum("passed"),
    failed: sum("failed"),
    skipped: sum("skipped"),
    declared: sum("declared"),
  };
}

/**
 * A row for each subject, a column for each runtime: how many passed, and in brackets how many of them assert a
 * declared exception.
 */
export function table(outcomes: readonly Outcome[]): string {
  const subjects = [...new Set(outcomes.map(({ subject }) => subject))].sort();
  const runtimes = [...new Set(outcomes.map(({ runtime, version }) => `${runtime} ${version}`))];
  const rows = subjects.map((subject) => [
    subject,
    ...runtimes.map((name) => {
      const cell = outcomes.filter((outcome) =>
        outcome.subject === subject && `${outcome.runtime} ${outcome.version}` === name
      );
      if (cell.length === 0) return "";
      const { passed, failed, skipped, declared } = sums(cell);
      return `${passed}${declared ? ` (${declared})` : ""}` +
        `${failed ? `, ${failed} FAILED` : ""}${skipped ? `, ${skipped} skipped` : ""}`;
    }),
  ]);
  const all = [["passed", ...runtimes.map((name) => name.replace(/@\d+/, ""))], ...rows];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all.map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd()
  ).join("\n");
}

/** Not in the repository. */
const DIR = new URL(".deno/runs/", ROOT);

/** Keeps what ran, in the place of what was kept of the same runtimes, for the table in docs/runtimes.md. */
export async function saveOutcomes(run: string, outcomes: readonly Outcome[]): Promise<void> {
  const again = new Set(outcomes.map(({ runtime }) => runtime));
  const others = (await savedOutcomes(run)).filter(({ runtime }) => !again.has(runtime));
  await Deno.mkdir(DIR, { recursive: true });
  const text = JSON.stringify([...others, ...outcomes], null, 1);
  await Deno.writeTextFile(new URL(`${run}.json`, DIR), text);
}

/** What was kept; empty where that run was not made. */
export async function savedOutcomes(run: string): Promise<readonly Outcome[]> {
  try {
    return JSON.parse(await Deno.readTextFile(new URL(`${run}.json`, DIR)));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Maps items, a few at a time, in order of the items. */
export async function eachOf<T, R>(
  items: readonly T[],
  atATime: number,
  map: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const rest = items.entries();
  const work = async () => {
    for (const [index, item] of rest) results[index] = await map(item);
  };
  await Promise.all(Array.from({ length: atATime }, work));
  return results;
}
