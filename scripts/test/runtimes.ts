/**
 * `deno task runtimes`: every test that needs no Deno, on Node 20, 22, 24 and Bun, with a table at the end.
 * `deno task runtimes node@22 bun@1` runs them on those only, and `deno` can be added for comparison.
 *
 * Node and Bun come from npm. Exit status: 0; 1 if a test failed or a process did not end by itself; 2 for an unknown
 * runtime. The last line is `N passed, N failed, N skipped`.
 *
 * @module
 */

import { shareLab } from "../../lab/shared.ts";
import { ROOT } from "../check/run_deno.ts";
import { countsLine, eachOf, type Outcome, saveOutcomes, table } from "./runtimes/outcome.ts";
import { chosenRuntimes, findRuntime, type Runtime } from "./runtimes/binaries.ts";
import { bundleTests, sortTests } from "./runtimes/bundle.ts";
import type { Report } from "./runtimes/run_tests.ts";
import { unitTests } from "./test_files.ts";

/** Seconds after which the process of a file has failed. */
const LIMIT_SECONDS = 240;
/** Seconds in which a process must end after its last line, for nothing is left to wait for. */
const MAX_LINGER_SECONDS = 5;
/** Processes at a time besides one for each core that start servers: most of the time they wait for them. */
const WAITING_JOBS = 5;
/** Folders whose files take longest. They begin first, so that none of them is left alone at the end. */
const SLOW = ["scenarios/", "drop_in/", "adapters/"];

/** A file's tests on a runtime. */
interface Job {
  readonly runtime: Runtime;
  /** The file in `tests/`, without `.ts`. */
  readonly file: string;
}

/** Runs one file's tests on one runtime. */
async function run(
  { runtime: { name, version, program, args }, file }: Job,
  bundle: string,
  env: Readonly<Record<string, string>>,
): Promise<Outcome> {
  const child = new Deno.Command(program, {
    args: [...args, bundle, file],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { ...env, NO_COLOR: "1" },
    signal: AbortSignal.timeout(LIMIT_SECONDS * 1000),
  }).spawn();
  const errors = new Response(child.stderr).text();
  let output = "";
  let lastMs = performance.now();
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    lastMs = performance.now();
  }
  const { code, signal } = await child.status;
  const lingered = (performance.now() - lastMs) / 1000;
  const report = reportOf(output);
  let problem: string | undefined;
  if (!report) problem = `ended with ${signal ?? code} before the last test`;
  else if (lingered > MAX_LINGER_SECONDS) {
    problem = `stayed alive for ${lingered.toFixed(0)} s after the last test`;
  } else if (code !== 0 && report.failed === 0) problem = `exited with ${code}`;
  const { passed = 0, failed = 0, skipped = 0, declared = 0 } = report ?? {};
  if (problem || failed > 0) {
    const what = problem ?? `${failed} failed`;
    console.log(`\n== ${name} ${version} ${file}: ${what}\n${output}${await errors}`);
  }
  await errors;
  const subject = file.split("/")[0]!;
  // A process that broke off, or stayed alive, is a failure of its own.
  const all = failed + (problem ? 1 : 0);
  return { runtime: name, version, subject, passed, failed: all, skipped, declared };
}

function reportOf(output: string): Report | undefined {
  try {
    return JSON.parse(output.trimEnd().split("\n").at(-1)!);
  } catch {
    return undefined;
  }
}

/**
 * Runs all files on the named runtimes. Those that start servers wait for them, and leave the cores to the others, which
 * run beside them.
 */
async function runAll(names: readonly string[]): Promise<Outcome[]> {
  const finding = eachOf(names, 1, findRuntime); // while the files are bundled
  await using lab = await shareLab();
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  try {
    await Deno.chmod(dir, 0o755); // PostgreSQL's programs in it are run as another user
    const { portable, bound } = await sortTests();
    console.log(`On Deno only, for they need it: ${bound.join(", ")}\n`);
    const bundle = await bundleTests(portable, dir);
    const runtimes = await finding;
    const cores = navigator.hardwareConcurrency;
    const isUnit = new Set(await unitTests(portable.map((file) => `tests/${file}.ts`)));
    const rank = (file: string) => SLOW.findIndex((folder) => file.startsWith(folder)) >>> 0;
    const runThose = (unit: boolean, atATime: number) => {
      const files = portable.filter((file) => isUnit.has(`tests/${file}.ts`) === unit);
      const jobs = files.sort((a, b) => rank(a) - rank(b))
        .flatMap((file) => runtimes.map((runtime) => ({ runtime, file })));
      return eachOf(jobs, atATime, (job) => run(job, bundle, lab.env));
    };
    const all = [runThose(false, cores + WAITING_JOBS), runThose(true, cores)];
    return (await Promise.all(all)).flat();
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

if (import.meta.main) {
  const names = chosenRuntimes(Deno.args, "deno");
  Deno.chdir(ROOT);
  const startMs = performance.now();
  const outcomes = await runAll(names);
  await saveOutcomes("runtimes", outcomes);
  const seconds = ((performance.now() - startMs) / 1000).toFixed(0);
  console.log(`\n${table(outcomes)}\n\nafter ${seconds} s\n${countsLine(outcomes)}`);
  Deno.exit(outcomes.some(({ failed }) => failed > 0) ? 1 : 0);
}
