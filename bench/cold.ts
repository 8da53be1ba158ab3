/**
 * `deno task bench:cold`: from the start of a process to its first row, the name resolved at a DNS server, by dnspool and
 * by the drivers' own pools, on Node 22, Deno and Bun. `--quick` makes fewer rounds; `deno task bench:cold bun` selects.
 *
 * Each time is that of a new process, from its start to its line on standard output. The contenders take turns, and what
 * counts is the ratio to the pool of the same driver within a round. On Node and Bun, dnspool is the package for npm, on
 * Deno its sources. Like `bench:connect`, it needs Linux and root.
 *
 * Exit status: 0; 1 if a goal is missed; 2 if it cannot run.
 *
 * @module
 */

import config from "../deno.json" with { type: "json" };
import { freePort } from "../lab/free_port.ts";
import { findMariadb, startMariadb } from "../lab/mariadb.ts";
import { startPostgres } from "../lab/postgres.ts";
import { ROOT } from "../scripts/check/run_deno.ts";
import { buildPackage } from "../scripts/package/npm.ts";
import { DnsServer } from "../testing/mod.ts";
import { type Contender, CONTENDERS, programOf } from "./cold/programs.ts";
import { ADDRESSES, STAGGER_MS } from "./connect/scenes.ts";
import { LOGIN } from "./connect/task.ts";
import {
  INSIDE,
  NAMESERVER,
  NODE,
  PREPARED,
  run,
  runInside,
  setUpNamespace,
  whyUnsupported,
} from "./namespace.ts";
import { figure, quick, table } from "./report.ts";
import { quantile } from "./rounds.ts";

/** Milliseconds after which a process is no longer waited for. */
const LIMIT_MS = 20_000;
const RESULT_FILE = new URL("bench/results/cold.json", ROOT);

const RUNTIMES: Readonly<Record<string, readonly string[]>> = {
  node: [NODE],
  deno: [Deno.execPath(), "run", "-A", "--no-lock", "--cached-only"], // its deno.json is beside the programs
  bun: [`${PREPARED}node_modules/bun/bin/bun.exe`],
};

/** A name, and what is special about it. */
interface Scene {
  readonly name: string;
  readonly title: string;
  readonly addresses: readonly string[];
  /** Seconds for which the DNS server holds its answers back. */
  readonly delay?: number;
  readonly rounds: number;
  /** The maximum ratio to the pool of the same driver. */
  readonly limit?: number;
  /** The maximum of milliseconds more than with one address. */
  readonly extraMs?: number;
}

const SCENES: readonly Scene[] = [
  {
    name: "plain",
    title: "one address",
    addresses: [ADDRESSES.writer],
    rounds: quick ? 2 : 15,
    limit: 1.1,
  },
  {
    name: "refuses",
    title: "the first of two addresses refuses",
    addresses: [ADDRESSES.refusing, ADDRESSES.writer],
    rounds: quick ? 2 : 8,
    extraMs: STAGGER_MS,
  },
  {
    name: "distant",
    title: "one address, the DNS server is 20 ms away",
    addresses: [ADDRESSES.writer],
    delay: 0.02,
    rounds: quick ? 2 : 8,
  },
];

interface Sample {
  readonly ms: number;
  readonly cpuMs: number;
}

/** The result of one contender. */
interface Timing {
  readonly name: string;
  /** Milliseconds from the start of the process to the row: the median over the rounds; `null` if it failed. */
  readonly ms: number | null;
  /** The quartiles of `ms`. */
  readonly spread: readonly [low: number, high: number] | null;
  /** CPU time of the process in milliseconds, which a busy machine changes less: the median over the rounds. */
  readonly cpuMs: number | null;
  /** The time divided by that of the driver's own pool in the same round: the median over the rounds. */
  readonly ratio: number | null;
  /** The quartiles of `ratio`. */
  readonly ratioSpread: readonly [low: number, high: number] | null;
  /** The CPU time divided by that of the driver's own pool in the same round: the median over the rounds. */
  readonly cpuRatio: number | null;
}

const hostOf = ({ name }: Scene) => `${name}.internal`;
const fileOf = (contender: Contender) => `${CONTENDERS.indexOf(contender)}.mjs`;

/** Installs the package beside the drivers. */
async function installPackage(): Promise<void> {
  const installed = `${PREPARED}node_modules/${config.name}`;
  const dir = await Deno.makeTempDir({ prefix: "dnspool-bench-" });
  try {
    const tarball = await buildPackage(dir);
    await Deno.remove(installed, { recursive: true }).catch(() => {});
    await Deno.mkdir(installed, { recursive: true });
    await run("tar", ["-xzf", tarball, "--strip-components=1", "-C", installed]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Writes the programs into a directory. */
async function writePrograms(dir: string): Promise<void> {
  await Deno.symlink(`${PREPARED}node_modules`, `${dir}/node_modules`);
  const sources = Object.entries(config.exports).map(([path, file]) => [
    `${config.name}${path.slice(1)}`,
    new URL(file, ROOT).href,
  ]);
  const drivers = ["pg", "postgres", "mysql2", "mysql2/promise", "mariadb"]
    .map((name) => [name, `npm:${name}`]);
  const imports = Object.fromEntries([...sources, ...drivers]);
  const denoJson = JSON.stringify({ nodeModulesDir: "manual", imports });
  await Deno.writeTextFile(`${dir}/deno.json`, denoJson);
  await Deno.copyFile(`${PREPARED}package.json`, `${dir}/package.json`);
  for (const contender of CONTENDERS) {
    await Deno.writeTextFile(`${dir}/${fileOf(contender)}`, programOf(contender, LOGIN));
  }
}

/** Runs a program until its row is there; returns `undefined` if it fails or takes too long. */
async function sampleOf(command: readonly string[], cwd: string): Promise<Sample | undefined> {
  const [program, ...args] = command;
  const signal = AbortSignal.timeout(LIMIT_MS);
  const beganMs = performance.now();
  const child = new Deno.Command(program!, {
    args,
    cwd,
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal,
  }).spawn();
  const errors = new Response(child.stderr).text();
  let ms = 0;
  let line = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    if (ms === 0) ms = performance.now() - beganMs;
    line += text;
  }
  const { success } = await child.status;
  if (success) return { ms, cpuMs: Number(line) };
  console.error(`${command.join(" ")}: ${signal.aborted ? "too late" : await errors}`);
}

/** Runs a scene on one runtime. */
async function runScene(
  scene: Scene,
  contenders: readonly Contender[],
  { command, dir, ports }: {
    readonly command: readonly string[];
    readonly dir: string;
    readonly ports: Readonly<Record<Contender["database"], number>>;
  },
): Promise<Timing[]> {
  const samples = new Map(contenders.map((contender) => [contender.name, [] as Sample[]]));
  const failed = new Set<Contender>();
  for (let round = -1; round < scene.rounds; round++) {
    for (const turn of contenders.keys()) {
      const contender = contenders[(turn + Math.max(round, 0)) % contenders.length]!;
      if (failed.has(contender)) continue;
      const args = [fileOf(contender), hostOf(scene), `${ports[contender.database]}`];
      const sample = await sampleOf([...command, ...args], dir);
      if (sample === undefined) failed.add(contender);
      else if (round >= 0) samples.get(contender.name)!.push(sample); // the first fills the system's cache
    }
  }
  return contenders.map((contender) =>
    timingOf(
      contender.name,
      failed.has(contender) ? [] : samples.get(contender.name)!,
      samples.get(contender.peer)!,
    )
  );
}

/** Compares the samples of a contender with those of its peer in the same rounds. */
function timingOf(name: string, own: readonly Sample[], peer: readonly Sample[]): Timing {
  const over = (values: readonly number[], at: number) =>
    values.length === 0 ? null : quantile(values, at);
  const spread = (values: readonly number[]) =>
    values.length === 0 ? null : [quantile(values, 0.25), quantile(values, 0.75)] as const;
  const compared = own.length === peer.length ? own : [];
  const times = own.map(({ ms }) => ms);
  const ratios = compared.map(({ ms }, round) => ms / peer[round]!.ms);
  const cpuRatios = compared.map(({ cpuMs }, round) => cpuMs / peer[round]!.cpuMs);
  return {
    name,
    ms: over(times, 0.5),
    spread: spread(times),
    cpuMs: over(own.map(({ cpuMs }) => cpuMs), 0.5),
    ratio: over(ratios, 0.5),
    ratioSpread: spread(ratios),
    cpuRatio: over(cpuRatios, 0.5),
  };
}

function show(title: string, timings: readonly Timing[]): void {
  const range = (spread: readonly number[] | null) => spread?.map(figure).join(" to ") ?? "";
  const rows = timings.map(({ name, ms, spread, ratio, ratioSpread, cpuMs, cpuRatio }) => [
    name,
    ms === null ? "failed" : figure(ms),
    range(spread),
    ratio?.toFixed(2) ?? "",
    ratioSpread?.map((value) => value.toFixed(2)).join(" to ") ?? "",
    cpuMs === null ? "" : figure(cpuMs),
    cpuRatio?.toFixed(2) ?? "",
  ]);
  table(title, ["", "ms", "quartiles", "ratio", "quartiles", "CPU ms", "ratio"], rows);
}

/** Returns what dnspool did not reach, in words. */
function goalsMissed(
  { limit, extraMs }: Scene,
  timings: readonly Timing[],
  plain: readonly Timing[],
): string[] {
  return timings.filter(({ name }) => name.startsWith("dnspool")).flatMap(({ name, ms, ratio }) => {
    if (ms === null) return `${name} failed`;
    const base = plain.find((one) => one.name === name)?.ms ?? Infinity;
    if (extraMs !== undefined && ms > base + extraMs) {
      return `${name}, ${figure(ms - base)} ms more than with one address`;
    }
    return limit !== undefined && ratio !== null && ratio > limit
      ? `${name}, ${ratio.toFixed(2)} times its peer`
      : [];
  });
}

async function main(runtimes: readonly string[], dir: string): Promise<boolean> {
  await writePrograms(dir);
  await using stack = new AsyncDisposableStack();
  const hasMariadb = findMariadb() !== undefined;
  if (!hasMariadb) console.error("Omitted: MariaDB (apt-get install mariadb-server)");
  const contenders = CONTENDERS.filter(({ database }) => database !== "mariadb" || hasMariadb);
  const host = ADDRESSES.writer;
  const ports = { postgres: await freePort([host]), mariadb: await freePort([host]) };
  stack.use(await startPostgres({ ...LOGIN, host, port: ports.postgres }));
  if (hasMariadb) stack.use(await startMariadb({ ...LOGIN, host, port: ports.mariadb }));
  const names = stack.use(await DnsServer.start({ host: NAMESERVER, port: 53 }));
  for (const scene of SCENES) {
    names.set(hostOf(scene), [...scene.addresses], { ttl: 60 });
    if (scene.delay !== undefined) names.fault(hostOf(scene), { delay: scene.delay });
  }
  const results: Record<string, Record<string, Timing[]>> = {};
  let met = true;
  for (const runtime of runtimes) {
    results[runtime] = {};
    for (const scene of SCENES) {
      const timings = await runScene(scene, contenders, {
        command: RUNTIMES[runtime]!,
        dir,
        ports,
      });
      show(`${runtime}: ${scene.title}`, timings);
      results[runtime][scene.name] = timings;
      const missed = goalsMissed(scene, timings, results[runtime]["plain"]!);
      for (const goal of missed) console.log(`  Missed: ${goal}`);
      if (missed.length > 0) met = false;
    }
  }
  if (runtimes.length === Object.keys(RUNTIMES).length) {
    const machine = { cores: navigator.hardwareConcurrency, system: Deno.build.target };
    const json = JSON.stringify({ machine, quick, results }, null, 2);
    await Deno.writeTextFile(RESULT_FILE, json + "\n");
  }
  return met;
}

if (import.meta.main) {
  const reason = whyUnsupported();
  if (reason !== undefined) {
    console.error(`Cannot run: ${reason}`);
    Deno.exit(2);
  }
  const inside = Deno.args.find((arg) => arg.startsWith(INSIDE))?.slice(INSIDE.length);
  if (inside === undefined) Deno.exit(await runInside("bench/cold.ts", Deno.args, installPackage));
  await setUpNamespace(inside);
  const wanted = Object.keys(RUNTIMES).filter((name) => Deno.args.includes(name));
  const met = await main(wanted.length > 0 ? wanted : Object.keys(RUNTIMES), inside);
  console.log(met ? "\nEvery goal is met" : "\nA goal is missed");
  Deno.exit(met ? 0 : 1);
}
