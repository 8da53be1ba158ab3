/**
 * `deno task bench:import`: the cost of an import, compared with pg-pool, tarn and undici, all installed from npm into
 * one project. `--quick` is shorter. Writes the results to `bench/results/import.json`.
 *
 * Each import is timed in a new process (with the files in the system's cache); the contenders take turns. Bytes are
 * those of the modules that Node 22 loads. The sizes are those of a bundle by esbuild: minified, without modules that
 * are loaded later, and compressed by gzip.
 *
 * @module
 */

import config from "../deno.json" with { type: "json" };
import { ROOT } from "../scripts/check/run_deno.ts";
import { buildPackage } from "../scripts/package/npm.ts";
import { findRuntime, type Runtime } from "../scripts/test/runtimes/binaries.ts";
import { npmInstall } from "../scripts/test/runtimes/bundle.ts";
import { figure, quick, table } from "./report.ts";
import { quantile } from "./rounds.ts";

const OURS = config.name;
const PEERS = ["pg-pool@3.14.0", "tarn@3.1.2", "undici@7.30.0"];
const PACKAGES = [OURS, ...PEERS.map((name) => name.replace(/@[^@]*$/, ""))];
const ESBUILD = "esbuild@0.28.2";
const RUNTIMES = ["deno", "node@22", "bun@1"];

/** A program that prints the duration and the CPU time of an import, in milliseconds. */
const TIMER = `import process from "node:process";
const start = process.cpuUsage();
const startMs = performance.now();
await import(process.argv[2]);
const ms = performance.now() - startMs;
const { user, system } = process.cpuUsage(start);
console.log(JSON.stringify({ ms, cpuMs: (user + system) / 1000 }));
`;

/** A program that prints the number of files and bytes that an import loads. It needs Node 22.15. */
const COUNTER = `import { registerHooks } from "node:module";
let files = 0, bytes = 0;
registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    if (url.startsWith("file:")) {
      files++;
      bytes += Buffer.byteLength(loaded.source ?? "");
    }
    return loaded;
  },
});
await import(process.argv[2]);
console.log(JSON.stringify({ files, bytes }));
`;

interface Sample {
  readonly ms: number;
  readonly cpuMs: number;
}

interface Timing extends Sample {
  readonly runtime: string;
  readonly package: string;
  /** Duration in milliseconds: the median over all rounds. */
  readonly ms: number;
  /** CPU time of all threads in milliseconds, which a busy machine hardly changes: the median over all rounds. */
  readonly cpuMs: number;
  /** CPU time divided by dnspool's in the same round: the median over all rounds. */
  readonly ratio: number;
  /** The quartiles of `ratio`. */
  readonly ratioSpread: readonly [low: number, high: number];
}

interface Size {
  readonly package: string;
  /** Files and bytes that Node loads. */
  readonly files: number;
  readonly bytes: number;
  /** Bytes of the bundle. */
  readonly minified: number;
  readonly gzipped: number;
}

async function output(program: string, args: readonly string[], cwd: string): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(60_000),
  }).output();
  const text = new TextDecoder();
  if (code !== 0) throw new Error(`${program} ${args.join(" ")}:\n${text.decode(stderr)}`);
  return text.decode(stdout);
}

/** Times all packages on one runtime. */
async function timeOn(runtime: Runtime, dir: string, rounds: number): Promise<Timing[]> {
  const { name, version, program, args } = runtime;
  const flags = name === "deno" ? [...args, "--node-modules-dir=manual"] : args;
  // On Deno, the package from JSR is TypeScript.
  const specifiers = name === "deno" ? [...PACKAGES, new URL("mod.ts", ROOT).href] : PACKAGES;
  const label = (specifier: string) =>
    specifier.startsWith("file:") ? `${OURS} as TypeScript` : specifier;
  const times = new Map(specifiers.map((specifier) => [specifier, [] as Sample[]]));
  for (let round = -1; round < rounds; round++) {
    for (const index of specifiers.keys()) {
      const specifier = specifiers[(index + Math.max(round, 0)) % specifiers.length]!;
      const sample = await output(program, [...flags, "timer.mjs", specifier], dir);
      if (round >= 0) times.get(specifier)!.push(JSON.parse(sample)); // the first round fills the system's cache
    }
  }
  return specifiers.map((specifier) => {
    const own = times.get(specifier)!;
    const ratios = own.map(({ cpuMs }, round) => cpuMs / times.get(OURS)![round]!.cpuMs);
    return {
      runtime: `${name.split("@")[0]} ${version}`,
      package: label(specifier),
      ms: quantile(own.map(({ ms }) => ms), 0.5),
      cpuMs: quantile(own.map(({ cpuMs }) => cpuMs), 0.5),
      ratio: quantile(ratios, 0.5),
      ratioSpread: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
    };
  });
}

async function sizeOf(name: string, dir: string, node: string): Promise<Size> {
  const counted = JSON.parse(await output(node, ["counter.mjs", name], dir));
  // Using every export prevents tree shaking.
  const entry = `import * as all from "${name}";\nglobalThis.all = all;\n`;
  await Deno.writeTextFile(`${dir}/entry.js`, entry);
  await output(`${dir}/node_modules/.bin/esbuild`, [
    ...["entry.js", "--bundle", "--minify", "--splitting", "--format=esm", "--platform=node"],
    ...["--external:pg", "--outdir=bundle", "--metafile=meta.json", "--log-level=error"],
  ], dir);
  const { outputs } = JSON.parse(await Deno.readTextFile(`${dir}/meta.json`));
  const loaded = ["bundle/entry.js"];
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (const path of loaded) {
    parts.push(await Deno.readFile(`${dir}/${path}`));
    for (const { path: imported, kind } of outputs[path].imports) {
      const isLoaded = kind === "import-statement" && imported in outputs;
      if (isLoaded && !loaded.includes(imported)) loaded.push(imported);
    }
  }
  const minified = new Blob(parts);
  const gzip = minified.stream().pipeThrough(new CompressionStream("gzip"));
  const { byteLength } = await new Response(gzip).arrayBuffer();
  return { package: name, ...counted, minified: minified.size, gzipped: byteLength };
}

function show(timings: readonly Timing[], sizes: readonly Size[]): void {
  for (const runtime of new Set(timings.map(({ runtime }) => runtime))) {
    const rows = timings.filter((timing) => timing.runtime === runtime).map((timing) => [
      timing.package,
      figure(timing.ms),
      figure(timing.cpuMs),
      timing.ratio.toFixed(2),
      timing.ratioSpread.map((value) => value.toFixed(2)).join(" to "),
    ]);
    table(`import on ${runtime}`, ["", "ms", "CPU ms", "ratio", "quartiles"], rows);
  }
  const kB = (bytes: number) => figure(bytes / 1000);
  table(
    "size",
    ["", "files", "kB loaded", "kB minified", "kB gzipped"],
    sizes.map(({ package: name, files, bytes, minified, gzipped }) => [
      ...[name, String(files), kB(bytes), kB(minified), kB(gzipped)],
    ]),
  );
}

if (import.meta.main) {
  const dir = await Deno.makeTempDir({ prefix: "dnspool-bench-" });
  const timings: Timing[] = [];
  const sizes: Size[] = [];
  try {
    await Deno.writeTextFile(`${dir}/package.json`, '{ "private": true, "type": "module" }');
    await Deno.writeTextFile(`${dir}/timer.mjs`, TIMER);
    await Deno.writeTextFile(`${dir}/counter.mjs`, COUNTER);
    await npmInstall([await buildPackage(dir), ...PEERS, "pg@8", ESBUILD], dir);
    const runtimes = await Promise.all(RUNTIMES.map(findRuntime));
    for (const runtime of runtimes) timings.push(...await timeOn(runtime, dir, quick ? 3 : 25));
    const node = runtimes.find(({ name }) => name.startsWith("node"))!.program;
    for (const name of PACKAGES) sizes.push(await sizeOf(name, dir, node));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
  show(timings, sizes);
  const machine = { cores: navigator.hardwareConcurrency, system: Deno.build.target };
  const result = { machine, flags: Deno.args, results: { timings, sizes } };
  const target = new URL("bench/results/import.json", ROOT);
  await Deno.writeTextFile(target, JSON.stringify(result, null, 2) + "\n");
}
