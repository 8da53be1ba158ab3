/**
 * `deno task test`: all tests and the examples in the docs, several files at a time, with `@std` from where it can be had.
 * Arguments go to `deno test`: `deno task test tests/engine/url_test.ts --filter=password`.
 *
 * The variable DENO_JOBS is the number of files at a time. The run leaves deno.lock alone; `deno task lock` adds to it what
 * is newly imported.
 *
 * @module
 */

import { shareLab } from "../../lab/shared.ts";
import { denoWithLockCopy, ROOT } from "../check/run_deno.ts";
import { chooseStd, stdFlags } from "../check/std_source.ts";
import { type Outcome, saveOutcomes } from "./runtimes/outcome.ts";

/** Files that run at a time, besides one for each core: most of the time they wait for servers. */
const WAITING_JOBS = 4;

/** Folders whose files take longest. They begin first, so that none of them is left alone at the end. */
const SLOW = ["scenarios", "faults", "drop_in", "examples", "cli"];

/**
 * Runs tests.
 *
 * @param args Arguments for `deno test`; none: all tests run, and the outcome is kept for docs/runtimes.md.
 * @returns The exit code.
 */
export async function test(args: readonly string[]): Promise<number> {
  const std = stdFlags(await chooseStd());
  const files = args.length > 0 ? args : [...await testFiles(SLOW), "."];
  // One file's output is easier to read if it does not have to be told from that of others.
  const isOneFile = args.filter((arg) => !arg.startsWith("-")).length === 1 &&
    /\.ts$/.test(args[0]!);
  const flags = ["-A", "--doc", "--ignore=npm,scripts/test/test.ts"];
  if (!isOneFile) flags.push("--parallel");
  await using lab = await shareLab();
  const jobs = Deno.env.get("DENO_JOBS") ?? String(navigator.hardwareConcurrency + WAITING_JOBS);
  const env = { ...lab.env, DENO_JOBS: jobs };
  const code = await denoWithLockCopy(["test", ...flags, ...std, ...files], env);
  if (args.length === 0) await saveOutcomes("runtimes", await outcomes(code === 0));
  return code;
}

/** Returns the outcome of a run of all tests, by folder: if one test failed, nothing is claimed. */
async function outcomes(passed: boolean): Promise<Outcome[]> {
  const found: Outcome[] = [];
  for (const { name, isDirectory } of Deno.readDirSync(new URL("tests/", ROOT))) {
    const files = isDirectory ? (await testFiles([name])).length : 0;
    if (files === 0) continue;
    const counts = { passed: passed ? files : 0, failed: passed ? 0 : files, skipped: 0 };
    found.push({ runtime: "deno", version: Deno.version.deno, subject: name, ...counts });
  }
  return found;
}

/** Returns the test files in folders of `tests/`, as paths in the repository. */
async function testFiles(folders: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const folder of folders) {
    for await (const { name, isDirectory } of Deno.readDir(new URL(`tests/${folder}`, ROOT))) {
      if (isDirectory) files.push(...await testFiles([`${folder}/${name}`]));
      else if (name.endsWith("_test.ts")) files.push(`tests/${folder}/${name}`);
    }
  }
  return files.sort();
}

if (import.meta.main) Deno.exit(await test(Deno.args));
