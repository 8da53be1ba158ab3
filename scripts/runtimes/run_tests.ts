/**
 * Runs the tests that know no test runner, on whatever runtime this is: a line for each that fails, and the counts as
 * JSON in the last line. `scripts/runtimes.ts` bundles it and reads that.
 *
 * @module
 */

import process from "node:process";
import { contractTests, declaredExceptions } from "../../tests/_lookup_subjects.ts";

/** No test takes so long unless it hangs. */
const HANG_MS = 20_000;

/** The last line. */
export interface Report {
  /** By the first word of their names, which is the lookup's. */
  readonly groups: Readonly<Record<string, { passed: number; failed: number }>>;
  /** How many of the tests assert a declared exception. */
  readonly declared: Readonly<Record<string, number>>;
}

const groups: Record<string, { passed: number; failed: number }> = {};
for (const { name, run } of contractTests()) {
  const group = groups[name.split(" ")[0]!] ??= { passed: 0, failed: 0 };
  let hang: ReturnType<typeof setTimeout> | undefined;
  try {
    await Promise.race([
      run(),
      new Promise((_, reject) => {
        hang = setTimeout(() => reject(new Error("It hangs")), HANG_MS);
      }),
    ]);
    group.passed++;
  } catch (error) {
    group.failed++;
    console.log(`FAILED ${name}\n${error instanceof Error ? error.stack : String(error)}`);
  } finally {
    clearTimeout(hang);
  }
}
const report: Report = { groups, declared: declaredExceptions() };
console.log(JSON.stringify(report));
// Not process.exit(): whatever still runs holds the process up, and that is to be seen.
process.exitCode = Object.values(groups).some(({ failed }) => failed > 0) ? 1 : 0;
