/**
 * `deno task runtimes`: the contract suite of the lookups on every runtime that the package is for, bundled into one
 * file by `deno bundle`, with a table at the end. `deno task runtimes node@22 bun@1` runs those only.
 *
 * Node and Bun come from npm. Exit status: 0; 1 if a test failed or a process did not end by itself; 2 for a runtime
 * that there is not.
 *
 * @module
 */

import { deno, ROOT } from "./_run.ts";
import type { Report } from "./runtimes/run_tests.ts";

const RUNTIMES: Readonly<Record<string, readonly string[]>> = {
  "deno": [Deno.execPath(), "run", "-A", "--no-lock"],
  "node@20": ["npx", "--yes", "node@20"],
  "node@22": ["npx", "--yes", "node@22"],
  "node@24": ["npx", "--yes", "node@24"],
  "bun@1": ["npx", "--yes", "bun@1"],
};

/** For everything on one runtime, its download included. */
const PATIENCE_MS = 300_000;
/** After its last line a process has nothing left to wait for. */
const LINGER_MS = 2000;

interface Result {
  readonly runtime: string;
  readonly version: string;
  readonly report: Report | undefined;
  readonly trouble: string | undefined;
  readonly seconds: number;
}

async function bundle(file: string): Promise<void> {
  const code = await deno([
    ...["bundle", "--quiet", "--no-lock", "--import-map=tests/_std/import_map.json"],
    ...["--platform=deno", `--output=${file}`, "scripts/runtimes/run_tests.ts"],
  ]);
  if (code !== 0) throw new Error(`Cannot bundle the suite: deno bundle exited with ${code}`);
}

async function run(runtime: string, file: string): Promise<Result> {
  const version = await versionOf(runtime);
  const [program = "", ...args] = RUNTIMES[runtime]!;
  const startMs = performance.now();
  const child = new Deno.Command(program, {
    args: [...args, file],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(PATIENCE_MS),
  }).spawn();
  const errors = new Response(child.stderr).text();
  let output = "";
  let lastMs = startMs;
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    lastMs = performance.now();
  }
  const { code, signal } = await child.status;
  const lingeredMs = performance.now() - lastMs;
  const report = reportOf(output);
  const seconds = (performance.now() - startMs) / 1000;
  let trouble: string | undefined;
  if (!report) trouble = `it ended with ${signal ?? code} before the last test`;
  else if (lingeredMs > LINGER_MS) trouble = "something held the process up after the last test";
  else if (code !== 0) trouble = `it exited with ${code}`;
  if (trouble) console.log(`\n== ${runtime} ${version}\n${output}${await errors}`);
  await errors;
  return { runtime, version, report, trouble, seconds };
}

async function versionOf(runtime: string): Promise<string> {
  const [program = "", ...args] = RUNTIMES[runtime]!.filter((arg) =>
    !/^(run|-A|--no-lock)$/.test(arg)
  );
  const { stdout } = await new Deno.Command(program, {
    args: [...args, "--version"],
    stderr: "null",
    signal: AbortSignal.timeout(PATIENCE_MS),
  }).output();
  return /\d+\.\d+\.\d+/.exec(new TextDecoder().decode(stdout))?.[0] ?? "missing";
}

function reportOf(output: string): Report | undefined {
  try {
    return JSON.parse(output.trimEnd().split("\n").at(-1)!);
  } catch {
    return undefined;
  }
}

/** Tests passed, and in brackets how many of them assert a declared exception. */
function row({ runtime, version, report, trouble, seconds }: Result): string[] {
  const cells = ["system", "wire", "doh", "os"].map((group) => {
    const { passed = 0, failed = 0 } = report?.groups[group] ?? {};
    const declared = report?.declared[group] ?? 0;
    return `${passed}${declared ? ` (${declared})` : ""}${failed ? ` ${failed} FAILED` : ""}`;
  });
  const name = `${runtime.split("@")[0]} ${version}`;
  return [name, ...cells, `${seconds.toFixed(1)} s`, trouble ? `FAILED: ${trouble}` : "ok"];
}

if (import.meta.main) {
  const chosen = Deno.args.length ? Deno.args : Object.keys(RUNTIMES);
  const unknown = chosen.find((runtime) => !(runtime in RUNTIMES));
  if (unknown !== undefined) {
    console.error(`Cannot run on "${unknown}": there are ${Object.keys(RUNTIMES).join(", ")}`);
    Deno.exit(2);
  }
  Deno.chdir(ROOT);
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  const results: Result[] = [];
  try {
    const file = `${dir}/tests.mjs`;
    await bundle(file);
    // One after the other: some tests look at how soon something happens.
    for (const runtime of chosen) results.push(await run(runtime, file));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
  const head = ["runtime", "system", "wire", "doh", "os", "time", ""];
  const rows = [head, ...results.map(row)];
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  console.log("\nTests passed, and in brackets how many of them assert a declared exception:\n");
  for (const cells of rows) {
    console.log(cells.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd());
  }
  Deno.exit(results.some(({ trouble }) => trouble) ? 1 : 0);
}
