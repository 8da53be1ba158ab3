/**
 * `deno task bench:connect`: how soon the first row is there if one of three hosts refuses, is silent or has the wrong
 * role, by dnspool, the drivers, libpq and pgx, each with its own way to name several hosts or with one name that has
 * several addresses. `--quick` makes fewer rounds; `--scene=dropped,mute` selects.
 *
 * All run on the same real servers, in interleaved rounds, each in a process of its own. Like the drill, it needs Linux
 * and root, for private namespaces in which packets are dropped (`apt-get install nftables`). It names and omits
 * contenders that the machine lacks: libpq, pgx, MariaDB.
 *
 * Exit status: 0; 1 if a goal is missed; 2 if it cannot run.
 *
 * @module
 */

import { createServer } from "node:net";
import { freePort } from "../lab/free_port.ts";
import { findMariadb, startMariadb } from "../lab/mariadb.ts";
import { startPostgres } from "../lab/postgres.ts";
import { ROOT } from "../scripts/check/run_deno.ts";
import { DnsServer } from "../testing/mod.ts";
import {
  type Contender,
  ContenderProcess,
  CONTENDERS,
  isPrepared,
  prepareContenders,
} from "./connect/contenders.ts";
import {
  ADDRESSES,
  type ConnectTiming,
  type Entry,
  type Goal,
  goalsOf,
  type Scene,
  SCENES,
  type ServerName,
} from "./connect/scenes.ts";
import { type ConnectTask, LOGIN } from "./connect/task.ts";
import {
  canDropPackets,
  dropPackets,
  INSIDE,
  NAMESERVER,
  runInside,
  setUpNamespace,
  whyUnsupported,
} from "./namespace.ts";
import { figure, quick, table } from "./report.ts";
import { quantile } from "./rounds.ts";

/** Milliseconds after which a contender is no longer waited for. */
const LIMIT_MS = quick ? 5_000 : 20_000;
/** A contender that takes longer makes few rounds; one that waits for the timeout of a pool, none but the first. */
const SLOW_MS = 1000;
const VERY_SLOW_MS = quick ? 2000 : 5000;
const SLOW_ROUNDS = quick ? 1 : 3;
/** Rounds before those that count. */
const WARM_ROUNDS = quick ? 2 : 5;
const RESULT_FILE = new URL("bench/results/connect.json", ROOT);

const hostOf = (server: ServerName) => `${server}.internal`;
const nameOf = (servers: readonly ServerName[]) => `${servers.join("-")}.internal`;

/** Starts everything that the contenders connect to; returns the ports by database. */
async function startServers(
  stack: AsyncDisposableStack,
): Promise<Readonly<Record<Contender["database"], number>>> {
  const all = Object.values(ADDRESSES);
  const ports = { postgres: await freePort(all), mariadb: await freePort(all) };
  const readers = { default_transaction_read_only: "on" };
  const { writer, reader, reader2, mute } = ADDRESSES;
  stack.use(await startPostgres({ ...LOGIN, host: writer, port: ports.postgres }));
  for (const host of [reader, reader2]) {
    stack.use(
      await startPostgres({ ...LOGIN, host, port: ports.postgres, settings: readers }),
    );
  }
  if (findMariadb()) stack.use(await startMariadb({ ...LOGIN, host: writer, port: ports.mariadb }));
  for (const port of Object.values(ports)) {
    const held = new Set<{ destroy(): void }>();
    const silent = createServer((socket) => {
      held.add(socket);
      socket.on("error", () => {});
    });
    await new Promise<void>((resolve) => silent.listen(port, mute, resolve));
    stack.defer(() => {
      for (const socket of held) socket.destroy();
      silent.close();
    });
  }
  stack.use(await dropPackets(ADDRESSES.dropped));
  const names = stack.use(await DnsServer.start({ host: NAMESERVER, port: 53 }));
  const sets = SCENES.flatMap(({ servers, entries = [], beside = [] }) => [
    servers,
    ...[...entries, ...beside].map((entry) => entry.servers ?? servers),
  ]);
  for (const servers of sets) {
    names.set(nameOf(servers), servers.map((server) => ADDRESSES[server]), { ttl: 60 });
    for (const server of servers) names.set(hostOf(server), [ADDRESSES[server]], { ttl: 60 });
  }
  return ports;
}

function taskOf(
  scene: Scene,
  { servers = scene.servers }: Entry,
  { way }: Contender,
  port: number,
): ConnectTask {
  const hosts = way === "hosts" ? servers.map(hostOf) : [nameOf(servers)];
  const role = scene.role ?? "any";
  const list = hosts.map((host) => `${host}:${port}`).join(",");
  const query = scene.role ? `?target_session_attrs=${scene.role}` : "";
  const url = `postgresql://${LOGIN.user}:${LOGIN.password}@${list}/${LOGIN.database}${query}`;
  return { hosts, port, role, url, keep: scene.keep ?? false };
}

/** One contender of a scene: its process, and its times. */
interface Turn {
  readonly label: string;
  readonly connect: () => Promise<number | undefined>;
  readonly times: number[];
}

async function runScene(
  scene: Scene,
  contenders: readonly Contender[],
  ports: Readonly<Record<Contender["database"], number>>,
): Promise<ConnectTiming[]> {
  const all = scene.entries ?? contenders.map(({ name }): Entry => ({ contender: name }));
  const entries = [...all, ...scene.beside ?? []];
  const processes: ContenderProcess[] = [];
  const turns = entries.flatMap((entry): Turn[] => {
    const contender = contenders.find(({ name }) => name === entry.contender);
    if (contender === undefined) return [];
    const child = new ContenderProcess(contender);
    processes.push(child);
    const task = taskOf(scene, entry, contender, ports[contender.database]);
    const connect = () => child.connect(task, LIMIT_MS);
    return [{ label: entry.label ?? contender.name, connect, times: [] }];
  });
  try {
    return await compare(scene, turns);
  } finally {
    await Promise.all(processes.map((child) => child.end()));
  }
}

async function compare(scene: Scene, turns: readonly Turn[]): Promise<ConnectTiming[]> {
  // Once at the same time: the programs start, and it shows who waits for a timeout.
  const first = await Promise.all(turns.map(({ connect }) => connect()));
  for (const [index, { connect }] of turns.entries()) {
    if (first[index]! > SLOW_MS && first[index]! < VERY_SLOW_MS) first[index] = await connect();
  }
  const rounds = quick ? Math.ceil(scene.rounds / 10) : scene.rounds;
  const left = first.map((ms = LIMIT_MS) =>
    ms > VERY_SLOW_MS ? 0 : ms > SLOW_MS ? SLOW_ROUNDS : rounds
  );
  for (const [index, ms] of first.entries()) {
    if (left[index] === 0 && ms !== undefined) turns[index]!.times.push(ms);
  }
  for (let round = -WARM_ROUNDS; round < rounds; round++) {
    for (const turn of turns.keys()) {
      const index = (Math.abs(round) + turn) % turns.length;
      // Nothing of one that waits for a timeout is to be compiled.
      if (round < 0 ? (first[index] ?? LIMIT_MS) > SLOW_MS : left[index]! <= round) continue;
      const ms = await turns[index]!.connect() ?? LIMIT_MS;
      if (round >= 0) turns[index]!.times.push(ms);
    }
  }
  const base = turns[0]!.times;
  return turns.map(({ label, times }) => {
    if (times.length === 0) return { name: label, ms: null, spread: null, ratio: null };
    const [low, ms, high] = [0.25, 0.5, 0.75].map((at) => quantile(times, at));
    const pairs = times.slice(0, base.length).map((time, i) => time / base[i]!);
    const ratio = pairs.length > 0 ? quantile(pairs, 0.5) : null;
    return { name: label, ms: ms!, spread: [low!, high!], ratio };
  });
}

function show(title: string, timings: readonly ConnectTiming[]): void {
  const rows = timings.map(({ name, ms, spread, ratio }) => [
    name,
    ms === null ? `above ${LIMIT_MS}` : figure(ms),
    spread === null ? "" : spread.map(figure).join(" to "),
    ratio === null ? "" : figure(ratio),
  ]);
  table(title, ["", "ms", "quartiles", "ratio"], rows);
}

function showGoals(goals: readonly Goal[]): void {
  const rows = goals.map(({ goal, measured, limit, met }) => [
    met ? goal : `${goal} (missed)`,
    figure(measured),
    figure(limit),
  ]);
  table("Goals", ["", "measured", "limit"], rows);
}

async function main(scenes: readonly Scene[]): Promise<boolean> {
  await using stack = new AsyncDisposableStack();
  const contenders: Contender[] = [];
  for (const contender of CONTENDERS) {
    if (contender.database === "mariadb" && !findMariadb()) continue;
    if (await isPrepared(contender)) contenders.push(contender);
    else console.error(`Omitted: ${contender.name}`);
  }
  const ports = await startServers(stack);
  const results: Record<string, readonly ConnectTiming[]> = {};
  for (const scene of scenes) {
    const timings = await runScene(scene, contenders, ports);
    show(scene.title, timings);
    results[scene.name] = timings;
  }
  const goals = goalsOf(results, LIMIT_MS, contenders);
  showGoals(goals);
  if (scenes.length === SCENES.length) {
    const machine = { cores: navigator.hardwareConcurrency, system: Deno.build.target };
    const json = JSON.stringify({ machine, quick, limitMs: LIMIT_MS, results, goals }, null, 2);
    await Deno.writeTextFile(RESULT_FILE, json + "\n");
  }
  return goals.every(({ met }) => met);
}

const reason = whyUnsupported();
if (reason !== undefined) {
  console.error(`Cannot run: ${reason}`);
  Deno.exit(2);
}
const inside = Deno.args.find((arg) => arg.startsWith(INSIDE))?.slice(INSIDE.length);
if (inside === undefined) {
  Deno.exit(await runInside("bench/connect.ts", Deno.args, prepareContenders));
}
await setUpNamespace(inside);
if (!await canDropPackets()) {
  console.error("Cannot drop packets here: apt-get install nftables");
  Deno.exit(2);
}
const wanted = Deno.args.find((arg) => arg.startsWith("--scene="))?.slice(8).split(",");
const met = await main(SCENES.filter(({ name }) => wanted?.includes(name) ?? true));
console.log(met ? "\nEvery goal is met" : "\nA goal is missed");
Deno.exit(met ? 0 : 1);
