/**
 * `deno task runtimes`: every test that needs no Deno, on Node 20, 22, 24 and Bun, with a table at the end.
 * `deno task runtimes node@22 bun@1` runs them on those only, and `deno` is there to compare with.
 *
 * Node and Bun come from npm. Exit status: 0; 1 if a test failed or a process did not end by itself; 2 for a runtime
 * that there is not. The last line is `N passed, N failed, N skipped`.
 *
 * @module
 */

import { ROOT } from "../check/run_deno.ts";
import { countsLine, eachOf, type Outcome, saveOutcomes, table } from "./runtimes/outcome.ts";
import { chosenRuntimes, findRuntime, type Runtime } from "./runtimes/binaries.ts";
import { bundleTests, sortTests } from "./runtimes/bundle.ts";
import type { Report } from "./runtimes/run_tests.ts";

/** For one file's tests. */
const PATIENCE_MS = 120_000;
/** After its last line a process has nothing left to wait for. */
const LINGER_MS = 2000;
/** Processes at a time. They mostly wait for servers, but some tests look at how soon something happens. */
const AT_A_TIME = 3;

/** Runs one file's tests on one runtime. */
async function run(
  { name, version, program, args }: Runtime,
  test: string,
  bundle: string,
): Promise<Outcome> {
  const child = new Deno.Command(program, {
    args: [...args, bundle, test],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(PATIENCE_MS),
  }).spawn();
  const errors = new Response(child.stderr).text();
  let output = "";
  let lastMs = performance.now();
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    lastMs = performance.now();
  }
  const { code, signal } = await child.status;
  const lingeredMs = performance.now() - lastMs;
  const report = reportOf(output);
  let trouble: string | undefined;
  if (!report) trouble = `ended with ${signal ?? code} before the last test`;
  else if (lingeredMs > LINGER_MS) trouble = "something held the process up after the last test";
  else if (code !== 0 && report.failed === 0) trouble = `exited with ${code}`;
  const { passed = 0, failed = 0, skipped = 0, declared = 0 } = report ?? {};
  if (trouble || failed > 0) {
    console.log(
      `\n== ${name} ${version} ${test}: ${trouble ?? `${failed} failed`}\n${output}${await errors}`,
    );
  }
  await errors;
  const subject = test.split("/")[0]!;
  // What broke off, or stayed, is a failure of its own.
  const all = failed + (trouble ? 1 : 0);
  return { runtime: name, version, subject, passed, failed: all, skipped, declared };
}

function reportOf(output: string): Report | undefined {
  try {
    return JSON.parse(output.trimEnd().split("\n").at(-1)!);
  } catch {
    return undefined;
  }
}

if (import.meta.main) {
  const names = chosenRuntimes(Deno.args, "deno");
  Deno.chdir(ROOT);
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  const outcomes: Outcome[] = [];
  try {
    await Deno.chmod(dir, 0o755); // PostgreSQL's programs in it are run as another user
    const { portable, bound } = await sortTests();
    console.log(`On Deno only, for they need it: ${bound.join(", ")}\n`);
    const bundle = await bundleTests(portable, dir);
    for (const name of names) {
      const startMs = performance.now();
      const runtime = await findRuntime(name);
      const results = await eachOf(portable, AT_A_TIME, (test) => run(runtime, test, bundle));
      outcomes.push(...results);
      const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
      console.log(`${name} ${runtime.version}: ${countsLine(results)} (${seconds} s)`);
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
  await saveOutcomes("runtimes", outcomes);
  console.log(`\n${table(outcomes)}\n\n${countsLine(outcomes)}`);
  Deno.exit(outcomes.some(({ failed }) => failed > 0) ? 1 : 0);
}
