/**
 * `deno task drill:galera`: measures what pools do when a node of a Galera cluster is lost, is cut off, refuses statements
 * or copies its data to another one. Each event gets a cluster of its own: three nodes, and BIND, in which one name has
 * the addresses of all nodes, and another one that of a node that is ready. `--event=kill;minority` and
 * `--lane=mysql2 pool` select; with either, no results are written.
 *
 * It needs Linux and root, for private mount and network namespaces in which the operating system resolves names at BIND,
 * and `apt-get install mariadb-server galera-4 rsync bind9`.
 *
 * Exit status: 0; 1 if a goal is missed; 2 if it cannot run, or the command line is wrong.
 *
 * @module
 */

import { findBind, startAuthority, ZONE } from "../lab/authority.ts";
import { findGalera, type GaleraCluster, startGalera } from "../lab/galera.ts";
import { pause } from "../lab/processes.ts";
import { GALERA_EVENTS, type GaleraEvent } from "./galera/events.ts";
import { GALERA_LANES, type GaleraLane, type GaleraTask } from "./galera/lanes.ts";
import { type Refusal, Watch } from "./galera/watch.ts";
import { NAMESERVER } from "./namespace.ts";
import { runDrill } from "./stacks/drill.ts";
import { countCalls, type LaneFigures, missedOf, showLanes } from "./stacks/figures.ts";
import { type Call, WORKERS } from "./stacks/lane.ts";
import { runLanes } from "./stacks/run_lanes.ts";

const BUNDLE = "galera_lane.mjs";
const NODES = `nodes.${ZONE}`;
const WRITER = `writer.${ZONE}`;
const PASSWORD = "drill";
/** Seconds of the records' TTL. */
const TTL = 1;
/** Milliseconds of undisturbed work before the event. */
const BEFORE_MS = 2000;
/** Milliseconds of work after all of it is over. */
const AFTER_MS = 3000;
/** Milliseconds that a pool may take in addition to the bound. */
const SLACK_MS = 500;
/** Milliseconds after which a node that refuses statements is known to do so. */
const KNOWN_MS = 1000;
/** Maximum number of statements that it then gets from a pool in a second. */
const MAX_REFUSED_PER_SECOND = 1;

/** What a lane saw of an event. */
interface GaleraFigures extends LaneFigures {
  /** Most statements in a second that a node got which had refused statements for a second, connects included. */
  readonly perSecond?: number;
}

/** What was seen of an event. */
interface EventFigures {
  readonly event: string;
  readonly title: string;
  /** Longest time in which no node acknowledged a write to a client that asks all of them. */
  readonly clusterOutageMs: number;
  /** How long a node let clients in and refused their statements. */
  readonly refusingMs: number;
  /** From the event to the move of the writer's name; `null` if it was not moved. */
  readonly movedMs: number | null;
  readonly lanes: readonly GaleraFigures[];
}

const userOf = (lane: GaleraLane) => `lane${GALERA_LANES.indexOf(lane)}`;

async function runEvent(
  event: GaleraEvent,
  lanes: readonly GaleraLane[],
): Promise<EventFigures> {
  await using stack = new AsyncDisposableStack();
  const authority = stack.use(await startAuthority({ host: NAMESERVER, port: 53 }));
  const cluster = stack.use(
    await startGalera({
      user: "app",
      password: PASSWORD,
      settings: { general_log: true, log_output: "TABLE", max_connections: 400 },
    }),
  );
  const node = cluster.nodes[0]!;
  versions = {
    mariadb: node.version,
    galera: await galeraVersion(cluster),
    bind: authority.version,
  };
  await authority.set(NODES, cluster.hosts, TTL);
  await authority.set(WRITER, [node.host], TTL);
  for (
    const text of [
      "CREATE TABLE test.ledger (lane VARCHAR(50), id INT, PRIMARY KEY (lane, id))",
      "CREATE TABLE test.watched (id INT AUTO_INCREMENT PRIMARY KEY)",
      "INSERT INTO test.ledger VALUES ('', 0)",
      ...lanes.map((lane) => `CREATE USER ${userOf(lane)}@'%' IDENTIFIED BY '${PASSWORD}'`),
      ...lanes.map((lane) => `GRANT ALL ON test.* TO ${userOf(lane)}@'%'`),
    ]
  ) await node.ask(text);
  await cluster.settled();
  const tasks = lanes.map((lane): GaleraTask => ({
    ...{ lane: lane.name, dialect: "mariadb", work: "write and read", nodes: cluster.hosts },
    ...{ host: lane.writer ? WRITER : NODES, port: cluster.port },
    ...{ user: userOf(lane), password: PASSWORD, database: "test" },
  }));
  const { reports, seen: { watch, eventMs, clusterOutageMs } } = await runLanes(
    BUNDLE,
    tasks,
    async () => {
      const watch = new Watch(cluster, { authority, name: WRITER, ttl: TTL });
      await pause(BEFORE_MS);
      const eventMs = Date.now();
      await event.run(cluster, node);
      await pause(AFTER_MS);
      return { watch, eventMs, clusterOutageMs: watch.outage(eventMs).outageMs };
    },
  );
  const refusals = await watch.stop();
  await cluster.settled();
  const rows = await node.ask("SELECT CONCAT(lane, ' ', id) AS name FROM test.ledger");
  const seen: Seen = {
    eventMs,
    clusterOutageMs,
    movedMs: watch.movedMs,
    refusals,
    statements: await statementsOf(refusals),
    ledger: new Set(rows.map(({ name }) => String(name))),
  };
  return {
    event: event.name,
    title: event.title,
    clusterOutageMs,
    refusingMs: refusals.reduce((sum, { fromMs, untilMs }) => sum + untilMs - fromMs, 0),
    movedMs: watch.movedMs === undefined ? null : watch.movedMs - eventMs,
    lanes: lanes.map((lane, index) => figuresOf(lane, reports[index]!, seen)),
  };
}

async function galeraVersion({ nodes }: GaleraCluster): Promise<string> {
  const [row] = await nodes[0]!.ask("SHOW STATUS LIKE 'wsrep_provider_version'");
  return String(row!.Value);
}

/** A statement that a node got in a time in which it refused statements. */
interface Statement {
  readonly user: string;
  readonly atMs: number;
}

/** Returns the statements that nodes got, by their own logs, after it was known that they refuse them. */
async function statementsOf(refusals: readonly Refusal[]): Promise<readonly Statement[]> {
  const lists = refusals.map(async ({ node, fromMs, untilMs }) => {
    const rows = await node.ask(
      `SELECT SUBSTRING_INDEX(user_host, '[', 1) AS user, UNIX_TIMESTAMP(event_time) * 1000 AS atMs
       FROM mysql.general_log WHERE user_host LIKE 'lane%' AND command_type IN ('Query', 'Prepare', 'Execute')`,
    );
    return rows.map(({ user, atMs }) => ({ user: String(user), atMs: Number(atMs) }))
      .filter(({ atMs }) => atMs > fromMs + KNOWN_MS && atMs < untilMs);
  });
  return (await Promise.all(lists)).flat();
}

/** What the drill saw of an event. */
interface Seen {
  readonly eventMs: number;
  readonly clusterOutageMs: number;
  readonly movedMs: number | undefined;
  readonly refusals: readonly Refusal[];
  readonly statements: readonly Statement[];
  readonly ledger: ReadonlySet<string>;
}

function figuresOf(lane: GaleraLane, calls: Call[] | Error, seen: Seen): GaleraFigures {
  if (calls instanceof Error) return { lane: lane.name, missed: [calls.message] };
  const { eventMs, clusterOutageMs, movedMs, refusals, statements, ledger } = seen;
  const { good, errors, ...counted } = countCalls(calls, eventMs);
  const misrouted = calls.filter(({ startMs, endMs, server, error }) =>
    refusals.some(({ node, fromMs, untilMs }) =>
      startMs > fromMs + KNOWN_MS && endMs < untilMs &&
      (server === node.host || error?.includes("WSREP"))
    )
  );
  const lost = good.filter(({ id }) => id % 2 === 1 && !ledger.has(`${lane.name} ${id}`));
  const times = statements.filter(({ user }) => user === userOf(lane)).map(({ atMs }) => atMs);
  const perSecond = Math.max(
    0,
    ...times.map((from) => times.filter((each) => each >= from && each < from + 1000).length),
  );
  const figures = {
    ...counted,
    misrouted: misrouted.length,
    lost: lost.length,
    perSecond,
  };
  const moveMs = lane.writer && movedMs !== undefined ? movedMs - eventMs + TTL * 1000 : 0;
  const missed = lane.ours
    ? missedOf({
      outageMs: Math.max(clusterOutageMs, moveMs) + SLACK_MS,
      failed: WORKERS,
      misrouted: 0,
      lost: 0,
      perSecond: MAX_REFUSED_PER_SECOND,
    }, figures)
    : [];
  return { lane: lane.name, ...figures, errors, missed };
}

function show({ title, clusterOutageMs, refusingMs, movedMs, lanes }: EventFigures): void {
  const moved = movedMs === null ? "" : `, the writer's name moved after ${movedMs} ms`;
  console.log(`\n${title}: no node took writes for ${clusterOutageMs} ms${moved}`);
  if (refusingMs > 0) console.log(`a node refused statements for ${refusingMs} ms`);
  const usual = ["calls", "outageMs", "failed", "misrouted", "lost", "longestMs"] as const;
  showLanes(lanes, [...usual, "perSecond"]);
}

let versions: Readonly<Record<string, string>> = {};
await runDrill({
  name: "galera",
  missing: findBind() && findGalera() ? undefined : "MariaDB, Galera, rsync or BIND",
  events: GALERA_EVENTS,
  lanes: GALERA_LANES,
  bundle: BUNDLE,
  hasGoals: true,
  runEvent,
  show,
  versions: () => versions,
});
