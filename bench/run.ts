/**
 * Runs a benchmark from one bundle on Deno, Node 22 and Bun, and writes the results to `bench/results/<name>.json`:
 * `deno task bench:pool`, or `deno task bench:pool --quick deno` for one runtime and less than a minute. Node and Bun
 * come from npm.
 *
 * @module
 */

import { deno, ROOT } from "../scripts/check/run_deno.ts";
import type { Bytes } from "./memory.ts";
import { RESULT, table } from "./report.ts";

const RUNTIMES: Readonly<Record<string, readonly string[]>> = {
  deno: [Deno.execPath(), "run", "-A", "--no-lock", "--v8-flags=--expose-gc"],
  node: ["npx", "--yes", "node@22", "--expose-gc"],
  bun: ["npx", "--yes", "bun@1", "--expose-gc"],
};

/** Runs the bundle and shows its output; resolves with its result. */
async function run(command: readonly string[]): Promise<unknown> {
  const [program, ...args] = command;
  const child = new Deno.Command(program!, { args, stdin: "null", stdout: "piped" }).spawn();
  let rest = "";
  let result: unknown;
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      if (line.startsWith(RESULT)) result = JSON.parse(line.slice(RESULT.length));
      else console.log(line);
    }
  }
  const { success } = await child.status;
  if (!success) Deno.exitCode = 1;
  return result;
}

/** Runs a bundle whose contenders have processes of their own; resolves with the result of each. */
async function runEach(command: readonly string[]): Promise<Record<string, unknown>> {
  const own: Record<string, unknown> = {};
  for (const contender of await run([...command, "--list"]) as string[]) {
    own[contender] = await run([...command, `--contender=${contender}`]);
  }
  return own;
}

/** Prints the bytes of `bench/memory.ts`. */
function showBytes(runtime: string, all: Readonly<Record<string, Partial<Bytes>>>): void {
  const rows = Object.entries(all).map(([name, { pool, used, connection = "", waiter = "" }]) =>
    [name, pool, used, connection, waiter].map(String)
  );
  const head = ["", "pool", "used pool", "idle connection", "waiter"];
  table(`Bytes of heap on ${runtime}`, head, rows);
}

const [name = "pool", ...rest] = Deno.args;
const flags = rest.filter((arg) => arg.startsWith("-"));
const wanted = rest.filter((arg) => !arg.startsWith("-"));
const unknown = wanted.find((runtime) => !(runtime in RUNTIMES));
if (unknown !== undefined) {
  console.error(`Cannot run on "${unknown}": there are ${Object.keys(RUNTIMES).join(", ")}`);
  Deno.exit(2);
}
const folder = await Deno.makeTempDir({ prefix: "dnspool-bench-" });
const results: Record<string, unknown> = {};
try {
  const file = `${folder}/${name}.mjs`;
  const code = await deno([
    ...["bundle", "--quiet", "--no-lock", "--platform=deno", `--output=${file}`],
    ...["--import-map=tests/std/import_map.json", `bench/${name}.ts`],
  ]);
  if (code !== 0) Deno.exit(code);
  for (const [runtime, command] of Object.entries(RUNTIMES)) {
    if (wanted.length > 0 && !wanted.includes(runtime)) continue;
    const whole = [...command, file, ...flags];
    if (name === "memory") {
      const bytes = await runEach(whole);
      showBytes(runtime, bytes as Record<string, Bytes>);
      results[runtime] = bytes;
    } else results[runtime] = await run(whole);
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
const part = [
  name,
  ...["names", "hits", "waiters"].filter((each) => flags.includes(`--${each}`)),
].join("_");
const target = new URL(`bench/results/${part}.json`, ROOT);
await Deno.mkdir(new URL(".", target), { recursive: true });
const machine = { cores: navigator.hardwareConcurrency, system: Deno.build.target };
await Deno.writeTextFile(target, JSON.stringify({ machine, flags, results }, null, 2) + "\n");
console.log(`\nbench/results/${part}.json`);
