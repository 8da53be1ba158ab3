/**
 * `deno task drill:postgres`: measures what pools do when a primary of PostgreSQL with a synchronous standby is promoted
 * away from, stopped in three ways, killed, frozen or made read-only, and when reads on the standby conflict with its
 * recovery. Each event gets two servers of its own, and BIND, in which the drill moves the name of the primary.
 * `--event=smart;kill` and `--lane=pg.Pool` select; with either, no results are written.
 *
 * It needs Linux and root, for private mount and network namespaces in which the operating system resolves names at BIND,
 * and `apt-get install bind9 postgresql-client`; PostgreSQL itself comes from npm.
 *
 * Exit status: 0; 1 if a goal is missed; 2 if it cannot run, or the command line is wrong.
 *
 * @module
 */

import { findBind, startAuthority, ZONE } from "../lab/authority.ts";
import { pause } from "../lab/processes.ts";
import { ReplicatedPair } from "../lab/replicated_pair.ts";
import { NAMESERVER } from "./namespace.ts";
import { POSTGRES_EVENTS, type PostgresEvent } from "./postgres/events.ts";
import {
  POSTGRES_LANES,
  type PostgresLane,
  type PostgresTask,
  SLOW_RESULT,
} from "./postgres/lanes.ts";
import { Sessions } from "./postgres/sessions.ts";
import { runDrill } from "./stacks/drill.ts";
import { countCalls, type LaneFigures, missedOf, showLanes } from "./stacks/figures.ts";
import { type Call, UNFINISHED, WORKERS } from "./stacks/lane.ts";
import { Monitor } from "./stacks/postgres_monitor.ts";
import { runLanes } from "./stacks/run_lanes.ts";

const BUNDLE = "postgres_lane.mjs";
const PRIMARY = `primary.${ZONE}`;
const STANDBY = `standby.${ZONE}`;
const PASSWORD = "drill";
/** Seconds of the records' TTL. */
const TTL = 1;
/** Milliseconds of undisturbed work before the event. */
const BEFORE_MS = 3000;
/** Milliseconds of work after all of it is done. */
const AFTER_MS = 4000;
/** Milliseconds that a pool may take in addition to the bound. */
const SLACK_MS = 500;
/** Milliseconds for which readers may be without an answer while the standby lives. */
const MAX_READ_OUTAGE_MS = 1000;
/** Milliseconds that a pool may keep a server open that waits for its clients, beside the work that goes on. */
const MAX_HELD_MS = 10_000;
/** Milliseconds within which long work that the end of the drill cut off counts as well. */
const MAX_LONG_MS = 10_000;
/** Long work of each lane: a slow result and a transaction. */
const LONG = 2;

const SETUP = [
  "CREATE TABLE ledger (lane text, id bigint)",
  "CREATE TABLE rows AS SELECT generate_series(1, 1000) AS id",
];
const SETTINGS = {
  max_connections: 400,
  max_standby_streaming_delay: "200ms",
};

/** What a lane saw of an event. */
interface PostgresFigures extends LaneFigures {
  /** Those of the failed calls that were long work. */
  readonly failedLong?: number;
  /** How long it kept the server open that waited for its clients. */
  readonly heldMs?: number;
}

/** What was seen of an event. */
interface EventFigures {
  readonly event: string;
  readonly title: string;
  /** Longest time in which no server acknowledged a write to a client that asks both. */
  readonly clusterOutageMs: number;
  /** From the event to the move of the primary's name; `null` if it was not moved. */
  readonly movedMs: number | null;
  readonly lanes: readonly PostgresFigures[];
}

const userOf = (lane: PostgresLane) => `lane${POSTGRES_LANES.indexOf(lane)}`;

async function runEvent(
  event: PostgresEvent,
  lanes: readonly PostgresLane[],
): Promise<EventFigures> {
  await using stack = new AsyncDisposableStack();
  const authority = stack.use(await startAuthority({ host: NAMESERVER, port: 53 }));
  const users = lanes.map(userOf);
  const setUp = [
    ...SETUP,
    ...users.map((user) => `CREATE USER ${user} PASSWORD '${PASSWORD}'`),
    ...users.map((user) => `GRANT ALL ON ledger, rows TO ${user}`),
  ];
  const pair = stack.use(await ReplicatedPair.start(setUp.join("; "), SETTINGS));
  const [old, standby] = [pair.primary, pair.standby!];
  versions = { "postgres of the pair": old.version, bind: authority.version };
  await authority.set(PRIMARY, [old.host], TTL);
  await authority.set(STANDBY, [standby.host], TTL);
  const tasks = lanes.map((lane): PostgresTask => ({
    ...{ lane: lane.name, dialect: "postgres", work: "write and read" },
    ...{ host: lane.reads ? STANDBY : PRIMARY, port: old.port, servers: [old.host, standby.host] },
    ...{ user: userOf(lane), password: PASSWORD, database: "orders" },
  }));
  const { reports, seen } = await runLanes(BUNDLE, tasks, async () => {
    const monitor = new Monitor([old.url(), standby.url()]);
    await pause(BEFORE_MS);
    const eventMs = Date.now();
    let movedMs: number | undefined;
    let sessions: Sessions | undefined;
    await event.run({
      pair,
      async takeOver(loss) {
        const end = await pair.failOver(loss);
        stack.defer(end);
        await authority.set(PRIMARY, [standby.host], TTL);
        movedMs = Date.now();
        return end;
      },
      watchSessions: async () => sessions = await Sessions.open(old.url(), users),
    });
    await pause(AFTER_MS);
    const { outageMs: clusterOutageMs, endMs: writableMs } = monitor.writeOutage(eventMs);
    return { monitor, eventMs, movedMs, sessions, clusterOutageMs, writableMs };
  });
  const { monitor, eventMs, movedMs, clusterOutageMs } = seen;
  await monitor.stop();
  const rows = await pair.ask("SELECT lane || ' ' || id AS key FROM ledger");
  const ledger = new Set(rows.map(({ key }) => key as string));
  const { graceMs = 0 } = event;
  const known = { ...seen, graceMs, ledger, primary: pair.primary.host };
  return {
    event: event.name,
    title: event.title,
    clusterOutageMs,
    movedMs: movedMs === undefined ? null : movedMs - eventMs,
    lanes: lanes.map((lane, index) => figuresOf(lane, reports[index]!, known)),
  };
}

/** What is known of an event beside the calls. */
interface Seen {
  readonly eventMs: number;
  readonly graceMs: number;
  readonly movedMs: number | undefined;
  readonly clusterOutageMs: number;
  /** When writes were possible again. */
  readonly writableMs: number;
  readonly ledger: ReadonlySet<string>;
  readonly sessions: Sessions | undefined;
  /** The primary after the event. */
  readonly primary: string;
}

function figuresOf(lane: PostgresLane, report: Call[] | Error, seen: Seen): PostgresFigures {
  if (report instanceof Error) return { lane: lane.name, missed: [report.message] };
  const calls = report.filter(({ startMs, endMs, error, long }) =>
    long === undefined || error !== UNFINISHED || endMs - startMs > MAX_LONG_MS
  );
  const { eventMs, graceMs, movedMs, clusterOutageMs, writableMs, ledger, sessions, primary } =
    seen;
  const { errors } = countCalls(calls, eventMs);
  const short = calls.filter(({ long }) => long === undefined);
  const { good: _, errors: __, ...counted } = countCalls(short, eventMs);
  const long = countCalls(calls.filter(({ long }) => long !== undefined), eventMs);
  const knownMs = Math.max(writableMs, movedMs ?? 0) + TTL * 1000 + SLACK_MS;
  const misrouted = lane.reads
    ? []
    : calls.filter(({ startMs, server, error }) =>
      startMs > knownMs &&
      (server === undefined ? error!.startsWith("25006") : server !== primary)
    );
  const lost = calls.filter(({ id, server, long }) =>
    !lane.reads && server !== undefined && long !== SLOW_RESULT && !ledger.has(`${lane.name} ${id}`)
  );
  const user = userOf(lane);
  const heldMs = Math.max(0, (sessions?.lastMs.get(user) ?? eventMs) - eventMs);
  const moveMs = movedMs === undefined ? 0 : movedMs - eventMs + TTL * 1000 + graceMs;
  const figures = {
    ...counted,
    failedLong: long.failed,
    misrouted: misrouted.length,
    lost: lost.length,
    ...(sessions && !lane.reads && { heldMs }),
  };
  const maxOutageMs = lane.reads
    ? MAX_READ_OUTAGE_MS
    : Math.max(clusterOutageMs, moveMs) + SLACK_MS;
  const missed = lane.ours
    ? missedOf({
      outageMs: maxOutageMs,
      failed: WORKERS,
      failedLong: lane.reads ? Infinity : LONG, // a conflict may end each long read
      misrouted: 0,
      lost: 0,
      heldMs: MAX_HELD_MS,
    }, { ...figures, heldMs: figures.heldMs ?? 0 })
    : [];
  return { lane: lane.name, ...figures, errors, missed };
}

function show({ title, clusterOutageMs, movedMs, lanes }: EventFigures): void {
  const moved = movedMs === null ? "" : `, the name moved after ${movedMs} ms`;
  console.log(`\n${title}: no server took writes for ${clusterOutageMs} ms${moved}`);
  const usual = ["calls", "outageMs", "failed", "failedLong", "misrouted", "lost"] as const;
  showLanes(lanes, [...usual, "longestMs", "heldMs"]);
}

let versions: Readonly<Record<string, string>> = {};
await runDrill({
  name: "postgres",
  missing: findBind() ? undefined : "BIND",
  events: POSTGRES_EVENTS,
  lanes: POSTGRES_LANES,
  bundle: BUNDLE,
  hasGoals: true,
  runEvent,
  show,
  versions: () => versions,
});
