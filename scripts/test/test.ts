/**
 * `deno task test`: all tests and the examples in the docs, with `@std` from where it can be had. Arguments go to
 * `deno test`: `deno task test tests/engine/url_test.ts --filter=password`.
 *
 * The run leaves deno.lock alone; `deno task lock` adds to it what is newly imported.
 *
 * @module
 */

import { denoWithLockCopy } from "../check/run_deno.ts";
import { chooseStd, stdFlags } from "../check/std_source.ts";
import { type Outcome, saveOutcomes } from "./runtimes/outcome.ts";

/** Runs the tests; resolves with the runner's exit code. What a run of all of them found is kept for README's table. */
export async function test(args: readonly string[]): Promise<number> {
  const std = stdFlags(await chooseStd());
  const all = ["test", "-A", "--doc", "--ignore=npm,scripts/test/test.ts", ...std, ...args];
  if (args.length > 0) return await denoWithLockCopy(all);
  const report = await Deno.makeTempFile({ prefix: "dnspool-", suffix: ".xml" });
  try {
    const code = await denoWithLockCopy([...all, `--junit-path=${report}`]);
    await saveOutcomes("runtimes", outcomesOf(await Deno.readTextFile(report)));
    return code;
  } finally {
    await Deno.remove(report);
  }
}

/** One outcome for each test file, by its folder. */
export function outcomesOf(junit: string): Outcome[] {
  const suites = junit.matchAll(
    /<testsuite name="\.\/tests\/([a-z_]+)\/\w+\.ts" tests="(\d+)" disabled="(\d+)" errors="(\d+)" failures="(\d+)"/g,
  );
  return [...suites].map(([, subject, ...counts]) => {
    const [tests, skipped, errors, failures] = counts.map(Number) as [
      number,
      number,
      number,
      number,
    ];
    const failed = errors + failures;
    const passed = tests - skipped - failed;
    const { deno: version } = Deno.version;
    return { runtime: "deno", version, subject: subject!, passed, failed, skipped };
  });
}

if (import.meta.main) Deno.exit(await test(Deno.args));
