/**
 * `deno task test`: all tests and the examples in the docs, with `@std` from where it can be had. Arguments go to
 * `deno test`: `deno task test tests/url_test.ts --filter=password`.
 *
 * The run leaves deno.lock alone; `deno task lock` adds to it what is newly imported.
 *
 * @module
 */

import { denoWithLockCopy } from "./_run.ts";
import { chooseStd, stdFlags } from "./_std_source.ts";
import { type Outcome, saveOutcomes } from "./runtimes/outcome.ts";

/** Runs the tests; resolves with the runner's exit code. */
export async function test(args: readonly string[]): Promise<number> {
  const std = stdFlags(await chooseStd());
  const code = await denoWithLockCopy([
    "test",
    "-A",
    "--doc",
    "--ignore=npm,scripts/test.ts",
    ...std,
    ...args,
  ]);
  if (args.length === 0) await saveOutcomes("runtimes", await outcomesOfAll(code === 0));
  return code;
}

/** For the table in README: each test file, by the first word of its name. */
async function outcomesOfAll(good: boolean): Promise<Outcome[]> {
  const files = await Array.fromAsync(Deno.readDir(new URL("../tests", import.meta.url)));
  return files.filter(({ name }) => name.endsWith("_test.ts")).map(({ name }) => ({
    runtime: "deno",
    version: Deno.version.deno,
    subject: name.split("_")[0]!,
    passed: good ? 1 : 0,
    failed: good ? 0 : 1,
    skipped: 0,
  }));
}

if (import.meta.main) Deno.exit(await test(Deno.args));
