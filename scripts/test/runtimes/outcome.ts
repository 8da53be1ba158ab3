/**
 * The outcomes of tests and checks on each runtime: counted, shown as a table, and kept for the table in docs/runtimes.md.
 *
 * @module
 */

import { ROOT } from "../../check/run_deno.ts";

/** The outcome of a test file or a check on a runtime. */
export interface Outcome {
  /** Such as `node@22`. */
  readonly runtime: string;
  readonly version: string;
  /** The folder of the test file, or the description of the check. */
  readonly subject: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** The number of those that passed because they assert a declared exception. */
  readonly declared?: number;
}

/** Returns the counts as one line, such as `12 passed, 0 failed, 0 skipped`. */
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
 * Returns a table with a row for each subject and a column for each runtime: the number that passed, and in brackets how
 * many of them assert a declared exception.
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

/** The directory of what is kept; it is no part of the repository. */
const DIR = new URL(".deno/runs/", ROOT);

/**
 * Keeps outcomes, in place of what was kept before of the same run on the same runtimes.
 *
 * @param run The name of the run.
 * @param outcomes Its outcomes.
 */
export async function saveOutcomes(run: string, outcomes: readonly Outcome[]): Promise<void> {
  await Deno.mkdir(DIR, { recursive: true });
  // A file for each runtime: several runs may end at the same time.
  for (const [runtime, own = []] of Map.groupBy(outcomes, ({ runtime }) => runtime)) {
    const file = new URL(`${run} ${runtime}.json`, DIR);
    await Deno.writeTextFile(file, JSON.stringify(own, null, 1));
  }
}

/** Returns what was kept of a run; empty if it was not made. */
export async function savedOutcomes(run: string): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  await Deno.mkdir(DIR, { recursive: true });
  for await (const { name } of Deno.readDir(DIR)) {
    if (!name.startsWith(`${run} `)) continue;
    outcomes.push(...JSON.parse(await Deno.readTextFile(new URL(name, DIR))));
  }
  return outcomes;
}

/** Maps items, several at a time; the results are in the order of the items. */
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
