/**
 * `deno task test`: all tests, the examples in the docs, and the types. `deno task test tests/engine --filter=password` runs
 * the tests of some files or folders; flags go to `deno test`.
 *
 * The files run side by side. Each one that starts processes, such as servers, has a process of its own: they wait most of
 * the time. All others run in one process. The variable DENO_JOBS is the number of processes at a time. Only the output of
 * processes with a failure is printed; the last line has the counts of all.
 *
 * The run leaves deno.lock alone; `deno task lock` adds to it what is newly imported.
 *
 * @module
 */

import { shareLab } from "../../lab/shared.ts";
import { denoWithLockCopy, ROOT } from "../check/run_deno.ts";
import { chooseStd, stdFlags } from "../check/std_source.ts";
import { BROKEN, type Counts, countsIn, lineOf, NO_TESTS, sumOf } from "./counts.ts";
import { eachOf, type Outcome, saveOutcomes } from "./runtimes/outcome.ts";
import { testFiles, unitTests } from "./test_files.ts";

/** Processes at a time besides one for each core: most of the time they wait for servers. */
const WAITING_JOBS = 6;
/** Seconds after which a process has failed. */
const LIMIT_SECONDS = 900;
/** Folders whose files take longest. They begin first, so that none of them is left alone at the end. */
const SLOW = [
  "tests/faults/",
  "tests/scenarios/",
  "tests/drop_in/",
  "tests/examples/",
  "tests/cli/",
  "tests/resolvers/",
  "tests/lab/",
  "tests/adapters/",
];
/** Leaves files out of the search for tests and examples outside of `tests/`. */
const IGNORED = "--ignore=npm,scripts/test/test.ts,tests";

/** One process. */
interface Job {
  /** A description of what it runs. */
  readonly name: string;
  /** Arguments of `deno`. */
  readonly args: readonly string[];
}

/** The outcome of one process. */
interface Result {
  readonly job: Job;
  readonly counts: Counts;
  readonly output: string;
}

/**
 * Runs tests.
 *
 * @param args Files and folders, and flags for `deno test`; none: all tests run, and the outcome is kept for the table of
 * what runs where.
 * @returns The exit code.
 */
export async function test(args: readonly string[]): Promise<number> {
  const paths = args.filter((arg) => !arg.startsWith("-"));
  const flags = args.filter((arg) => arg.startsWith("-"));
  const std = stdFlags(await chooseStd());
  await using lab = await shareLab();
  if (paths.length === 1 && paths[0]!.endsWith("_test.ts")) {
    return await denoWithLockCopy(["test", "-A", ...std, ...args], lab.env);
  }
  const jobs = paths.length > 0 ? await jobsFor(paths) : await allJobs();
  const startMs = performance.now();
  const results = await runAll(jobs, [...std, ...flags], lab.env);
  const failed = results.filter(({ counts }) => counts.failed.tests > 0);
  if (failed.length > 0) console.log(`\nFailed: ${failed.map(({ job }) => job.name).join(", ")}`);
  const counts = sumOf(results.map(({ counts }) => counts));
  console.log(`\n${lineOf(counts, (performance.now() - startMs) / 1000)}`);
  if (args.length === 0) await saveOutcomes("runtimes", await outcomes(failed.length === 0));
  return failed.length > 0 || counts.passed.tests === 0 ? 1 : 0;
}

/** Returns the processes for all tests, those that take longest first. */
async function allJobs(): Promise<Job[]> {
  return [
    { name: "types", args: ["check", "."] },
    { name: "examples", args: ["test", "-A", "--doc", IGNORED] },
    ...await jobsFor(await testFiles()),
  ];
}

/** Returns the processes for files and folders, those that take longest first. */
async function jobsFor(paths: readonly string[]): Promise<Job[]> {
  const lists = await Promise.all(paths.map(async (path) => {
    const { isDirectory } = await Deno.stat(new URL(path, ROOT));
    return isDirectory ? await testFiles(path.replace(/\/$/, "")) : [path];
  }));
  const files = [...new Set(lists.flat())];
  const tests = files.filter((file) => file.endsWith("_test.ts"));
  const units = await unitTests(tests);
  const isUnit = new Set(units);
  const rank = (file: string) => SLOW.findIndex((folder) => file.startsWith(folder)) >>> 0;
  const others = tests.filter((file) => !isUnit.has(file)).sort((a, b) => rank(a) - rank(b));
  const documents = files.filter((file) => !file.endsWith("_test.ts"));
  return [
    ...units.length > 0 ? [{ name: "unit tests", args: unitArgs(units) }] : [],
    ...others.map((file) => ({ name: file, args: ["test", "-A", "--no-check", file] })),
    ...documents.map((file) => ({ name: file, args: ["test", "-A", "--doc", file] })),
  ];
}

/** Returns the arguments of `deno` for tests that may start no process. */
export function unitArgs(files: readonly string[]): string[] {
  return ["test", "-A", "--deny-run", "--no-check", "--parallel", ...files];
}

/** Runs processes, several at a time. */
async function runAll(
  jobs: readonly Job[],
  flags: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Result[]> {
  const cores = navigator.hardwareConcurrency;
  const atATime = Number(Deno.env.get("DENO_JOBS") ?? cores + WAITING_JOBS);
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  try {
    return await eachOf(jobs, atATime, async (job) => {
      const startMs = performance.now();
      const lock = await Deno.makeTempFile({ dir });
      await Deno.copyFile(new URL("deno.lock", ROOT), lock);
      const [command = "", ...args] = job.args;
      const own = command === "test" ? flags : flags.filter((flag) => flag.startsWith("--import"));
      const result = await runJob(job, [command, `--lock=${lock}`, ...own, ...args], {
        ...env,
        NO_COLOR: "1",
        DENO_JOBS: String(cores),
      });
      const seconds = (performance.now() - startMs) / 1000;
      if (result.counts.failed.tests > 0) console.log(`\n== ${job.name}\n\n${errorsIn(result)}\n`);
      if (command === "test") console.log(`${job.name}: ${lineOf(result.counts, seconds)}`);
      return result;
    });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function runJob(job: Job, args: string[], env: Record<string, string>): Promise<Result> {
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(LIMIT_SECONDS * 1000),
  }).spawn();
  let output = "";
  const collect = async (stream: ReadableStream<Uint8Array>) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) output += text;
  };
  const [{ code }] = await Promise.all([
    child.status,
    collect(child.stdout),
    collect(child.stderr),
  ]);
  const counted = countsIn(output) ?? NO_TESTS;
  const broke = code !== 0 && counted.failed.tests === 0;
  return { job, counts: broke ? sumOf([counted, BROKEN]) : counted, output };
}

/** Returns the part of the output that begins with the errors; all of it if there is no such part. */
function errorsIn({ output }: Result): string {
  return output.slice(Math.max(0, output.search(/^ *ERRORS *$/m))).trim();
}

/** Returns the outcome of a run of all tests, by folder: if one test failed, nothing is claimed. */
async function outcomes(passed: boolean): Promise<Outcome[]> {
  const files = Map.groupBy(await testFiles(), (file) => file.split("/")[1]!);
  return [...files].map(([subject, { length }]) => ({
    runtime: "deno",
    version: Deno.version.deno,
    subject,
    passed: passed ? length : 0,
    failed: passed ? 0 : length,
    skipped: 0,
  }));
}

if (import.meta.main) Deno.exit(await test(Deno.args));
