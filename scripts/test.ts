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

/** Runs the tests; resolves with the runner's exit code. */
export async function test(args: readonly string[]): Promise<number> {
  const std = stdFlags(await chooseStd());
  return await denoWithLockCopy([
    "test",
    "-A",
    "--doc",
    "--ignore=npm,scripts/test.ts",
    ...std,
    ...args,
  ]);
}

if (import.meta.main) Deno.exit(await test(Deno.args));
