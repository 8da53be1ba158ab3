/**
 * `deno task test:unit`: the tests that start no process, and so no server; flags go to `deno test`. They are found by their
 * imports, and run without the permission to start one.
 *
 * @module
 */

import { denoWithLockCopy } from "../check/run_deno.ts";
import { chooseStd, stdFlags } from "../check/std_source.ts";
import { unitArgs } from "./test.ts";
import { testFiles, unitTests } from "./test_files.ts";

if (import.meta.main) {
  const std = stdFlags(await chooseStd());
  const args = unitArgs(await unitTests(await testFiles()));
  Deno.exit(await denoWithLockCopy([...args, ...std, ...Deno.args]));
}
