/**
 * `deno task drill:mariadb`: measures what pools do when the primary of a replicated MariaDB is demoted, locked, killed,
 * frozen or stopped and its replica promoted, when the replica lags, and when it is lost. Each event gets a pair of its
 * own, with GTIDs and semi-synchronous replication, and BIND, in which one name has the primary, one the replica, and one
 * both. `--event=switchover;kill` and `--lane=mysql2 pool` select; with either, no results are written.
 *
 * It needs Linux and root, for private mount and network namespaces in which the operating system resolves names at BIND,
 * and `apt-get install mariadb-server bind9`.
 *
 * Exit status: 0; 1 if a goal is missed; 2 if it cannot run, or the command line is wrong.
 *
 * @module
 */

import { findBind, startAuthority, ZONE } from "../lab/authority.ts";
import { findMariadb } from "../lab/mariadb.ts";
import { startMariadbPair } from "../lab/mariadb_pair.ts";
import { pause } from "../lab/processes.ts";
import { MARIADB_EVENTS, type MariadbEvent } from "./mariadb/events.ts";
import { MARIADB_LANES, type MariadbLane, type MariadbTask, OPEN_MS } from "./mariadb/lanes.ts";
import { Watch } from "./mariadb/watch.ts";
import { NAMESERVER } from "./namespace.ts";
import { runDrill } from "./stacks/drill.ts";
import { countCalls, type LaneFigures, missedOf, showLanes } from "./stacks/figures.ts";
import { type Call, WORKERS } from "./stacks/lane.ts";
import { runLanes } from "./stacks/run_lanes.ts";

const BUNDLE = "mariadb_lane.mjs";
const NAMES = { primary: `primary.${ZONE}`, replica: `replica.${ZONE}`, both: `both.${ZONE}` };
const LOGIN = { user: "app", password: "drill" };
/** Seconds of the records' TTL. */
const TTL = 1;
/** Milliseconds of undisturbed work before the event. */
const BEFORE_MS = 2000;
/** Milliseconds of work after all of it is over. */
const AFTER_MS = 4000;
/** Milliseconds that a pool may take in addition to the bound. */
const SLACK_MS = 500;
/** Milliseconds without a read while a replica lives. */
const MAX_READ_OUTAGE_MS = 1000;

/** What a lane saw of an event. */
interface MariadbFigures extends LaneFigures {
  /** How old the data of a reader were at most: the time of the last write that the server had. */
  readonly staleMs?: number;
}

/** What was seen of an event. */
interface EventFigures {
  readonly event: string;
  readonly title: string;
  /** Longest time in which no server acknowledged a write to a client that asks both. */
  readonly clusterOutageMs: number;
  /** From the event to the move of the names, right after the promotion; `null` if they were not moved. */
  readonly movedMs: number | null;
  readonly lanes: readonly MariadbFigures[];
}

async function runEvent(
  event: MariadbEvent,
  lanes: readonly MariadbLane[],
): Promise<EventFigures> {
  await using stack = new AsyncDisposableStack();
  const authority = stack.use(await startAuthority({ host: NAMESERVER, port: 53 }));
  const pair = stack.use(
    await startMariadbPair({
      ...LOGIN,
      semiSync: !event.asynchronous,
      settings: { max_connections: 400 },
    }),
  );
  versions = { mariadb: pair.primary.version, bind: authority.version };
  for (
    const text of [
      "CREATE TABLE test.ledger (lane VARCHAR(50), id INT, PRIMARY KEY (lane, id))",
      "CREATE TABLE test.counters (id INT PRIMARY KEY, n INT)",
      "CREATE TABLE test.heartbeat (id INT PRIMARY KEY, at BIGINT)",
      `INSERT INTO test.heartbeat VALUES (1, ${Date.now()})`,
    ]
  ) await pair.primary.ask(text);
  await pair.settled();
  let movedMs: number | undefined;
  const move = async (otherIsLost = false) => {
    const primary = pair.primary.host;
    const others = otherIsLost ? [] : [pair.other.host];
    await authority.set(NAMES.primary, [primary], TTL);
    await authority.set(NAMES.replica, [others[0] ?? primary], TTL);
    await authority.set(NAMES.both, [...others, primary], TTL);
    movedMs = Date.now();
  };
  await move();
  movedMs = undefined;
  const tasks = lanes.map((lane): MariadbTask => ({
    ...{ lane: lane.name, dialect: "mariadb", work: "write and read", servers: pair.hosts },
    ...{ host: NAMES[lane.reads ?? "primary"], port: pair.port, database: "test", ...LOGIN },
  }));
  const { reports, seen: { watch, eventMs, clusterOutageMs } } = await runLanes(
    BUNDLE,
    tasks,
    async () => {
      const watch = new Watch(pair);
      await pause(BEFORE_MS);
      const eventMs = Date.now();
      await event.run({ pair, move });
      await pause(AFTER_MS);
      return { watch, eventMs, clusterOutageMs: watch.outage(eventMs).outageMs };
    },
  );
  await watch.stop();
  const rows = await pair.primary.ask("SELECT CONCAT(lane, ' ', id) AS name FROM test.ledger");
  const ledger = new Set(rows.map(({ name }) => String(name)));
  const seen = { event, eventMs, clusterOutageMs, movedMs, primary: pair.primary.host, ledger };
  return {
    event: event.name,
    title: event.title,
    clusterOutageMs,
    movedMs: movedMs === undefined ? null : movedMs - eventMs,
    lanes: lanes.map((lane, index) => figuresOf(lane, reports[index]!, seen)),
  };
}

/** What the drill saw of an event. */
interface Seen {
  readonly event: MariadbEvent;
  readonly eventMs: number;
  readonly clusterOutageMs: number;
  readonly movedMs: number | undefined;
  /** The address of the primary after it. */
  readonly primary: string;
  readonly ledger: ReadonlySet<string>;
}

function figuresOf(lane: MariadbLane, calls: Call[] | Error, seen: Seen): MariadbFigures {
  if (calls instanceof Error) return { lane: lane.name, missed: [calls.message] };
  const { event, eventMs, clusterOutageMs, movedMs, primary, ledger } = seen;
  const { good, errors, ...counted } = countCalls(calls, eventMs);
  const toKnownMs = movedMs === undefined ? 0 : movedMs - eventMs + TTL * 1000;
  const late = calls.filter(({ startMs }) => startMs > eventMs + toKnownMs + SLACK_MS);
  const misrouted = lane.reads || movedMs === undefined
    ? []
    : late.filter(({ server, error }) =>
      server === undefined ? /read-only/.test(error!) : server !== primary
    );
  const lost = lane.reads ? [] : good.filter(({ id }) => !ledger.has(`${lane.name} ${id}`));
  const figures = { ...counted, misrouted: misrouted.length, lost: lost.length };
  const writeMs = Math.max(clusterOutageMs, event.losesReplica ? 0 : toKnownMs) +
    (lane.inTransaction ? OPEN_MS : 0);
  const readMs = event.losesReplica && lane.reads === "replica" ? toKnownMs : 0;
  const maximums = {
    outageMs: lane.reads ? Math.max(readMs + SLACK_MS, MAX_READ_OUTAGE_MS) : writeMs + SLACK_MS,
    failed: WORKERS,
    misrouted: 0,
    lost: event.asynchronous ? Infinity : 0,
  };
  const missed = lane.ours ? missedOf(maximums, figures) : [];
  const ages = good.filter(({ endMs }) => endMs > eventMs)
    .map(({ server, endMs }) => endMs - Number(server!.split(" ")[1]));
  const stale = lane.reads ? { staleMs: Math.max(0, ...ages) } : {};
  return { lane: lane.name, ...figures, ...stale, errors, missed };
}

function show({ title, clusterOutageMs, movedMs, lanes }: EventFigures): void {
  const moved = movedMs === null ? "" : `, names moved after ${movedMs} ms`;
  console.log(`\n${title}: no server took writes for ${clusterOutageMs} ms${moved}`);
  const usual = ["calls", "outageMs", "failed", "misrouted", "lost", "longestMs"] as const;
  showLanes(lanes, [...usual, "staleMs"]);
}

let versions: Readonly<Record<string, string>> = {};
await runDrill({
  name: "mariadb",
  missing: findBind() && findMariadb() ? undefined : "MariaDB or BIND",
  events: MARIADB_EVENTS,
  lanes: MARIADB_LANES,
  bundle: BUNDLE,
  hasGoals: true,
  runEvent,
  show,
  versions: () => versions,
});
