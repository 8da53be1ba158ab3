/**
 * The counts in the last line of `deno test`, such as `ok | 12 passed (3 steps) | 0 failed | 1 ignored (2 steps) (1s)`.
 *
 * @module
 */

/** Tests, and their steps. */
interface Count {
  readonly tests: number;
  readonly steps: number;
}

/** The counts of a run. */
export interface Counts {
  readonly passed: Count;
  readonly failed: Count;
  readonly ignored: Count;
}

const NONE: Count = { tests: 0, steps: 0 };

/** The counts of a run without tests. */
export const NO_TESTS: Counts = { passed: NONE, failed: NONE, ignored: NONE };

/** The counts of a run that did not end with counts, and of a check that failed. */
export const BROKEN: Counts = { ...NO_TESTS, failed: { tests: 1, steps: 0 } };

/** Reads the counts in the output of `deno test`; `undefined` if it has none. */
export function countsIn(output: string): Counts | undefined {
  const line = output.split("\n").findLast((line) => /^(ok|FAILED) \| \d+ passed/.test(line));
  if (line === undefined) return undefined;
  const count = (what: string): Count => {
    const [, tests = 0, steps = 0] =
      new RegExp(`(\\d+) ${what}(?: \\((\\d+) steps?\\))?`).exec(line) ?? [];
    return { tests: Number(tests), steps: Number(steps) };
  };
  return { passed: count("passed"), failed: count("failed"), ignored: count("ignored") };
}

/** Adds counts. */
export function sumOf(all: readonly Counts[]): Counts {
  const sum = (key: keyof Counts): Count => ({
    tests: all.reduce((sum, counts) => sum + counts[key].tests, 0),
    steps: all.reduce((sum, counts) => sum + counts[key].steps, 0),
  });
  return { passed: sum("passed"), failed: sum("failed"), ignored: sum("ignored") };
}

/** Writes counts as `deno test` does. */
export function lineOf({ passed, failed, ignored }: Counts, seconds: number): string {
  const parts = [show(passed, "passed"), show(failed, "failed")];
  if (ignored.tests + ignored.steps > 0) parts.push(show(ignored, "ignored"));
  const result = failed.tests > 0 ? "FAILED" : "ok";
  return `${[result, ...parts].join(" | ")} (${seconds.toFixed(0)}s)`;
}

function show({ tests, steps }: Count, what: string): string {
  return `${tests} ${what}${steps > 0 ? ` (${steps} step${steps > 1 ? "s" : ""})` : ""}`;
}
