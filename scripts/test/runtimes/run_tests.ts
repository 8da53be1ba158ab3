/**
 * Runs a test file on a runtime that has no `Deno.test`: prints a line for each test that fails, and the counts as JSON in
 * the last line. `scripts/test/runtimes/bundle.ts` bundles it together with the files, and `scripts/test/runtimes.ts` reads
 * the counts.
 *
 * Unlike `Deno.test`, it does not look for leaks, and an uncaught error ends the process.
 *
 * @module
 */

import process from "node:process";
import { countMet } from "../../../tests/support/runtime_exceptions.ts";

/** Milliseconds after which a test has failed: it hangs. */
const HANG_MS = 100_000;

/** The real timers: tests fake the time. */
const { setTimeout, clearTimeout } = globalThis;

/** The last line. */
export interface Report {
  readonly passed: number;
  readonly failed: number;
  /** Tests whose server is missing, unless the environment has `CI`. */
  readonly skipped: number;
  /** The number of declared exceptions that tests assert. */
  readonly declared: number;
}

/** The file whose tests assert declared exceptions from the contract of lookups. */
const CONTRACT = "lookups/contract_test";

/** The part of Deno's test context that the tests use. */
interface Context {
  step(name: string, run: Run): Promise<boolean>;
}
type Run = (context: Context) => void | Promise<void>;

/** The part of AsyncDisposableStack that the tests use. Node has it from 24 on. */
class Stack {
  readonly #last: (() => unknown)[] = [];

  use<T extends Partial<AsyncDisposable & Disposable>>(value: T): T {
    this.defer(() => (value[Symbol.asyncDispose] ?? value[Symbol.dispose])!.call(value));
    return value;
  }

  adopt<T>(value: T, end: (value: T) => unknown): T {
    this.defer(() => end(value));
    return value;
  }

  defer(end: () => unknown): void {
    this.#last.push(end);
  }

  async disposeAsync(): Promise<void> {
    for (const end of this.#last.splice(0).reverse()) await end();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.disposeAsync();
  }
}
Object.assign(globalThis, { AsyncDisposableStack: globalThis.AsyncDisposableStack ?? Stack });

const tests: { readonly name: string; readonly run: Run }[] = [];
const before: Run[] = [];
const after: Run[] = [];
const skipped: string[] = [];

/** Replaces `Deno.test` in the bundle; options are for what Deno alone checks. */
export const registerTest = Object.assign(
  (name: string, ...rest: [run: Run] | [options: unknown, run: Run]): void =>
    void tests.push({ name, run: rest.at(-1) as Run }),
  {
    beforeAll: (run: Run): void => void before.push(run),
    afterAll: (run: Run): void => void after.unshift(run),
    ignore: (name: string): void => void skipped.push(name),
  },
);

/**
 * Loads the test file that the command line names, and runs its tests one after the other.
 *
 * @param files By name, such as `resolver/view_grace_test`.
 */
export async function runTests(
  files: Readonly<Record<string, () => Promise<unknown>>>,
): Promise<void> {
  const file = process.argv[2]!;
  await files[file]!();
  let passed = 0;
  let failed = 0;
  const count = (good: boolean) => good ? passed++ : failed++;
  const prepared = await allPass("before all tests", before);
  if (!prepared) failed++;
  else for (const { name, run } of tests) count(await passes(name, run));
  if (!await allPass("after all tests", after)) failed++;
  for (const name of skipped) console.log(`SKIPPED ${name}`);
  const declared = file === CONTRACT ? await countDeclared() : countMet();
  const report: Report = { passed, failed, skipped: skipped.length, declared };
  console.log(JSON.stringify(report));
  // Not process.exit(): what still keeps the process alive is to be noticed.
  process.exitCode = report.failed > 0 ? 1 : 0;
}

async function countDeclared(): Promise<number> {
  const { declaredExceptions } = await import("../../../tests/support/lookup_subjects.ts");
  return Object.values(declaredExceptions()).reduce((sum, count) => sum + count, 0);
}

/** Runs functions before or after the tests. They do not count as tests unless they fail. */
async function allPass(name: string, runs: readonly Run[]): Promise<boolean> {
  let good = true;
  for (const run of runs) good = await passes(name, run) && good;
  return good;
}

async function passes(name: string, run: Run): Promise<boolean> {
  let hang: ReturnType<typeof setTimeout> | undefined;
  let passed = true;
  const step = async (step: string, run: Run) => {
    const good = await passes(`${name} ... ${step}`, run);
    passed &&= good;
    return good;
  };
  try {
    const hangs = new Promise((_, reject) => {
      hang = setTimeout(
        () => reject(new Error(`The test did not end in ${HANG_MS / 1000} seconds`)),
        HANG_MS,
      );
    });
    await Promise.race([run({ step }), hangs]);
  } catch (error) {
    console.log(`FAILED ${name}\n${error instanceof Error ? error.stack : String(error)}`);
    passed = false;
  } finally {
    clearTimeout(hang);
  }
  return passed;
}
