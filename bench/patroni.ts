/**
 * `deno task drill:patroni`: measures what pools do when a cluster of Patroni changes its leader. Each event gets a cluster
 * of its own: etcd, three members, and BIND, in which Patroni's callbacks keep the names. `--event=switchover;kill` and
 * `--lane=pg.Pool` select; with either, no results are written.
 *
 * It needs Linux and root, for private mount and network namespaces in which the operating system resolves names at BIND,
 * and `apt-get install patroni etcd-server postgresql-15 bind9 bind9-dnsutils`.
 *
 * Exit status: 0; 1 if a goal is missed; 2 if it cannot run, or the command line is wrong.
 *
 * @module
 */

// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { findBind, startAuthority } from "../lab/authority.ts";
import { findPatroni, PRIMARY, REPLICAS, startPatroni } from "../lab/patroni.ts";
import { pause } from "../lab/processes.ts";
import { ROOT } from "../scripts/check/run_deno.ts";
import { LaneProcess } from "./failover/run.ts";
import {
  bundle,
  INSIDE,
  NAMESERVER,
  NODE,
  PREPARED,
  run,
  runInside,
  setUpNamespace,
  whyUnsupported,
} from "./namespace.ts";
import { type Event, EVENTS, longestGap, Monitor, promotedAt } from "./patroni/events.ts";
import {
  type Call,
  PATRONI_LANES,
  type PatroniLane,
  type PatroniTask,
  WORKERS,
} from "./patroni/lanes.ts";

const BUNDLE = "patroni_lane.mjs";
const RESULTS = new URL("bench/results/stacks.json", ROOT);
const LOGIN = { user: "drill", password: "drill" };
/** Milliseconds of undisturbed work before the event. */
const BEFORE_MS = 2000;
/** Milliseconds of work after all of it is done. */
const AFTER_MS = 5000;
/** Milliseconds of the records' TTL. */
const TTL_MS = 1000;
/** Milliseconds that a pool may take in addition to the bound. */
const SLACK_MS = 500;
/** Milliseconds that readers may take longer than until a standby answers again. */
const MAX_READ_OUTAGE_MS = 1000;

/** What a lane saw of an event. */
interface LaneFigures {
  readonly lane: string;
  readonly calls?: number;
  /** Longest time without a call that succeeded. */
  readonly outageMs?: number;
  readonly failed?: number;
  /** Calls that began after the outage of the cluster, the TTL and the slack, and that another server than the leader answered or refused. */
  readonly misrouted?: number;
  /** Writes that were acknowledged and are not in the final leader's ledger. */
  readonly lost?: number;
  readonly longestMs?: number;
  /** The most frequent errors, with their counts. */
  readonly errors?: readonly (readonly [string, number])[];
  readonly missed: readonly string[];
}

/** What was seen of an event. */
interface EventFigures {
  readonly event: string;
  readonly title: string;
  /** From the event to the promotion, by Patroni's log; `null` if none was promoted. */
  readonly promotedMs: number | null;
  /** Longest time in which no member acknowledged a write to a client that asks all of them. */
  readonly clusterOutageMs: number;
  /** Longest time in which no standby answered a client that asks all of them. */
  readonly readOutageMs: number;
  readonly lanes: readonly LaneFigures[];
}

function pick<T extends { readonly name: string }>(
  all: readonly T[],
  option: string,
): readonly T[] {
  const names = Deno.args.find((arg) => arg.startsWith(`--${option}=`))
    ?.slice(option.length + 3).split(";");
  const missing = names?.find((name) => !all.some((one) => one.name === name));
  if (missing !== undefined) {
    console.error(
      `Unknown ${option} "${missing}": there are ${all.map((one) => one.name).join("; ")}`,
    );
    Deno.exit(2);
  }
  return names ? all.filter(({ name }) => names.includes(name)) : all;
}

async function runEvent(event: Event, lanes: readonly PatroniLane[]): Promise<EventFigures> {
  await using stack = new AsyncDisposableStack();
  const authority = stack.use(await startAuthority({ host: NAMESERVER, port: 53 }));
  const cluster = stack.use(
    await startPatroni({ authority, ...LOGIN, recordTtl: TTL_MS / 1000 }),
  );
  const ask = async (host: string, text: string) => {
    const client = new pg.Client({ connectionString: cluster.url(host) });
    await client.connect();
    try {
      return (await client.query(text)).rows;
    } finally {
      await client.end();
    }
  };
  versions = {
    ...{ patroni: cluster.members[0]!.version, etcd: cluster.etcd.version },
    postgres: (await ask(cluster.members[0]!.host, "SHOW server_version"))[0].server_version,
    bind: authority.version,
  };
  const leader = await cluster.settled();
  await ask(leader.host, "CREATE TABLE ledger (lane text, id bigint)");
  const members = cluster.members.map(({ host }) => host);
  const processes = lanes.map((lane) => {
    const task: PatroniTask = {
      ...{ lane: lane.name, dialect: "postgres", work: "write and read" },
      ...{ host: lane.reads ? REPLICAS : PRIMARY, port: cluster.port, ...LOGIN },
      ...{ database: "postgres", members, apis: cluster.members.map(({ api }) => api) },
    };
    const args = [PREPARED + BUNDLE, JSON.stringify(task)];
    return new LaneProcess<Call[]>(NODE, args);
  });
  stack.defer(async () => void await Promise.all(processes.map((each) => each.terminate())));
  await Promise.all(processes.map((each) => each.ready()));
  const monitor = new Monitor(cluster);
  for (const each of processes) each.send("go");
  await pause(BEFORE_MS);
  const eventMs = Date.now();
  await event.run(cluster, leader);
  await pause(AFTER_MS);
  const { outageMs: clusterOutageMs, endMs } = monitor.writeOutage(eventMs);
  const { outageMs: readOutageMs } = monitor.readOutage(eventMs);
  const promoted = cluster.members.map((each) => promotedAt(each, eventMs))
    .filter((each) => each !== undefined);
  for (const each of processes) each.send("stop");
  const reports = await Promise.all(processes.map((each) => each.report()));
  await monitor.stop();
  const last = (await cluster.leader())!;
  if (Deno.env.get("DRILL_VERBOSE")) {
    console.error(await cluster.states());
    for (const member of cluster.members) {
      const text =
        "SELECT pg_is_in_recovery() AS standby, (SELECT count(*) FROM ledger) AS rows, (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline";
      console.error(member.host, await ask(member.host, text).catch(String));
      console.error(
        member.log.split("\n").filter((line) => !/no action|Lock owner/.test(line)).slice(-25).join(
          "\n",
        ),
      );
    }
  }
  const rows = await ask(last.host, "SELECT lane || ' ' || id AS key FROM ledger");
  const ledger = new Set(rows.map(({ key }) => key as string));
  const promotedMs = promoted.length > 0 ? Math.min(...promoted) - eventMs : null;
  const boundMs = (promotedMs ?? clusterOutageMs) + TTL_MS;
  const writableMs = Math.max(endMs, eventMs + (promotedMs ?? 0));
  const times = { eventMs, boundMs, readOutageMs, writableMs, leader: last.host };
  return {
    event: event.name,
    title: event.title,
    promotedMs,
    clusterOutageMs,
    readOutageMs,
    lanes: lanes.map((lane, index) => figuresOf(lane, reports[index]!, ledger, times)),
  };
}

/** The times of an event, and the leader after it. */
interface Times {
  readonly eventMs: number;
  /** Time from the event to the promotion, or without a writable member, and the TTL. */
  readonly boundMs: number;
  /** Longest time without a standby that answered. */
  readonly readOutageMs: number;
  /** End of the cluster's outage, and not before the promotion. */
  readonly writableMs: number;
  readonly leader: string;
}

function figuresOf(
  lane: PatroniLane,
  calls: Call[] | Error,
  ledger: ReadonlySet<string>,
  times: Times,
): LaneFigures {
  if (calls instanceof Error) return { lane: lane.name, missed: [calls.message] };
  const { eventMs, boundMs, readOutageMs, writableMs, leader } = times;
  const good = calls.filter(({ server }) => server !== undefined);
  const failed = calls.filter(({ error, endMs }) => error !== undefined && endMs >= eventMs);
  const stopMs = Math.max(...calls.map(({ endMs }) => endMs));
  const { outageMs } = longestGap(
    good.map(({ endMs }) => endMs).sort((a, b) => a - b),
    eventMs,
    stopMs,
  );
  const late = calls.filter(({ startMs }) => startMs > writableMs + TTL_MS + SLACK_MS);
  const misrouted = lane.reads
    ? []
    : late.filter(({ server, error }) =>
      server === undefined ? error!.startsWith("25006") : server !== leader
    );
  const lost = lane.reads ? [] : good.filter(({ id }) => !ledger.has(`${lane.name} ${id}`));
  const counts = new Map<string, number>();
  for (const { error } of failed) counts.set(error!, (counts.get(error!) ?? 0) + 1);
  const figures = {
    calls: calls.length,
    outageMs,
    failed: failed.length,
    misrouted: misrouted.length,
    lost: lost.length,
    longestMs: Math.max(...calls.map((call) => call.endMs - call.startMs)),
  };
  const maxOutageMs = lane.reads ? readOutageMs + MAX_READ_OUTAGE_MS : boundMs + SLACK_MS;
  const maximums = { outageMs: maxOutageMs, failed: WORKERS, misrouted: 0, lost: 0 } as const;
  const missed = Object.entries(maximums).flatMap(([name, max]) => {
    const value = figures[name as keyof typeof maximums];
    return lane.ours && value > max ? [`${name}: ${value} of ${max}`] : [];
  });
  const errors = [...counts].sort(([, a], [, b]) => b - a).slice(0, 3);
  return { lane: lane.name, ...figures, errors, missed };
}

function show({ title, promotedMs, clusterOutageMs, readOutageMs, lanes }: EventFigures): void {
  const promoted = promotedMs === null ? "none was promoted" : `promoted after ${promotedMs} ms`;
  console.log(`\n${title}: ${promoted}`);
  console.log(
    `no member took writes for ${clusterOutageMs} ms, no standby read for ${readOutageMs} ms`,
  );
  const columns = ["calls", "outageMs", "failed", "misrouted", "lost", "longestMs"] as const;
  const head = columns.map((name) => name.padStart(10)).join("");
  console.log("lane".padEnd(30) + head);
  for (const lane of lanes) {
    const cells = columns.map((name) => String(lane[name] ?? "").padStart(10)).join("");
    console.log(lane.lane.padEnd(30) + cells);
    for (const each of lane.missed) console.log(`  missed: ${each}`);
    for (const [error, count] of lane.errors ?? []) console.log(`  ${count} x ${error}`);
  }
}

/** Lets ordinary users listen on port 53, and gives the loopback device the address of the name server. */
async function prepareNameServer(): Promise<void> {
  await Deno.writeTextFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
  await run("ip", ["address", "add", `${NAMESERVER}/8`, "dev", "lo"]);
}

const inside = Deno.args.find((arg) => arg.startsWith(INSIDE))?.slice(INSIDE.length);
const [events, lanes] = [pick(EVENTS, "event"), pick(PATRONI_LANES, "lane")];
const reason = whyUnsupported() ??
  (findBind() && findPatroni()
    ? undefined
    : "Patroni, etcd, PostgreSQL 15 or BIND is not installed");
if (reason !== undefined) {
  console.error(`Cannot run the drill: ${reason}`);
  Deno.exit(2);
}
if (inside === undefined) {
  const prepare = async () => void await bundle("bench/patroni/lane.ts", BUNDLE);
  Deno.exit(await runInside("bench/patroni.ts", Deno.args, prepare));
}
await setUpNamespace(inside);
await prepareNameServer();
const results: EventFigures[] = [];
let versions: Readonly<Record<string, string>> = {};
for (const event of events) {
  results.push(await runEvent(event, lanes));
  show(results.at(-1)!);
}
if (events === EVENTS && lanes === PATRONI_LANES) {
  const machine = { cores: navigator.hardwareConcurrency, system: Deno.build.target };
  await Deno.writeTextFile(
    RESULTS,
    JSON.stringify({ machine, versions, patroni: results }, null, 2) + "\n",
  );
}
const met = results.every(({ lanes }) => lanes.every(({ missed }) => missed.length === 0));
console.log(met ? "\nEvery goal is met" : "\nA goal is missed");
Deno.exit(met ? 0 : 1);
