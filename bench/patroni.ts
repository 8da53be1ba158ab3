/**
 * `deno task drill:patroni`: measures what pools do when a cluster of Patroni changes its leader. Each event gets a cluster
 * of its own: etcd, three members, and BIND, in which Patroni's callbacks keep the names. `--event=switchover;kill` and
 * `--lane=pg.Pool` select; with either, no results are written.
 *
 * It needs Linux and root, for private mount and network namespaces in which the operating system resolves names at BIND,
 * and `apt-get install patroni etcd-server postgresql-15 bind9 bind9-dnsutils pgbouncer haproxy`.
 *
 * Exit status: 0; 1 if a goal is missed; 2 if it cannot run, or the command line is wrong.
 *
 * @module
 */

// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { findBind, startAuthority } from "../lab/authority.ts";
import { onFreePort } from "../lab/free_port.ts";
import {
  findPatroni,
  type PatroniCluster,
  PRIMARY,
  REPLICAS,
  startPatroni,
} from "../lab/patroni.ts";
import { pause } from "../lab/processes.ts";
import { findProxies, type ProxyServer, startHaproxy, startPgbouncer } from "../lab/proxies.ts";
import { NAMESERVER } from "./namespace.ts";
import { type Event, EVENTS, promotedAt } from "./patroni/events.ts";
import { PATRONI_LANES, type PatroniLane, type PatroniTask } from "./patroni/lanes.ts";
import { TUNED_PGBOUNCER } from "./proxies/lanes.ts";
import { runDrill } from "./stacks/drill.ts";
import { countCalls, type LaneFigures, missedOf, showLanes } from "./stacks/figures.ts";
import { type Call, WORKERS } from "./stacks/lane.ts";
import { Monitor } from "./stacks/postgres_monitor.ts";
import { runLanes } from "./stacks/run_lanes.ts";

const BUNDLE = "patroni_lane.mjs";
const LOGIN = { user: "drill", password: "drill" };
/** Milliseconds of undisturbed work before the event. */
const BEFORE_MS = 2000;
/** Milliseconds of work after all of it is done. */
const AFTER_MS = 5000;
/** Milliseconds that a pool may take in addition to the bound. */
const SLACK_MS = 500;
/** Milliseconds that readers may take longer than until a standby answers again. */
const MAX_READ_OUTAGE_MS = 1000;

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
  /**
   * The member whose promotion Patroni undid, because the leader before took its key back (Patroni 3.0.2 with etcd3): what
   * it acknowledged is lost, whatever the client.
   */
  readonly undone?: string | undefined;
  readonly lanes: readonly LaneFigures[];
}

/** The proxies in front of a cluster: PgBouncer follows the name, and HAProxy asks Patroni's REST API. */
const PROXIES: Readonly<
  Record<NonNullable<PatroniLane["proxy"]>, (cluster: PatroniCluster) => Promise<ProxyServer>>
> = {
  PgBouncer: ({ port }) =>
    onFreePort("127.0.0.1", (place) =>
      startPgbouncer({
        ...place,
        ...LOGIN,
        database: "postgres",
        server: { host: PRIMARY, port },
        settings: TUNED_PGBOUNCER,
      })),
  HAProxy: ({ members, port }) =>
    onFreePort("127.0.0.1", (place) =>
      startHaproxy({
        ...place,
        listen: [
          "option httpchk OPTIONS /primary",
          "http-check expect status 200",
          "default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions",
          ...members.map(({ name, host, api }) =>
            `server ${name} ${host}:${port} check port ${new URL(api).port}`
          ),
        ],
      })),
};

async function runEvent(event: Event, lanes: readonly PatroniLane[]): Promise<EventFigures> {
  await using stack = new AsyncDisposableStack();
  const authority = stack.use(await startAuthority({ host: NAMESERVER, port: 53 }));
  const { recordTtl = 1 } = event;
  const ttlMs = recordTtl * 1000;
  const cluster = stack.use(await startPatroni({ authority, ...LOGIN, recordTtl }));
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
  const proxies = await Promise.all(
    lanes.map(async ({ proxy }) =>
      proxy === undefined ? undefined : stack.use(await PROXIES[proxy](cluster))
    ),
  );
  const tasks = lanes.map((lane, index): PatroniTask => ({
    ...{ lane: lane.name, dialect: "postgres", work: "write and read" },
    ...{ host: lane.reads ? REPLICAS : PRIMARY, port: cluster.port, ...LOGIN },
    ...{ database: "postgres", members, apis: cluster.members.map(({ api }) => api) },
    ...proxies[index]?.address,
  }));
  const { reports, seen } = await runLanes(BUNDLE, tasks, async () => {
    const monitor = new Monitor(members.map((host) => cluster.url(host)));
    await pause(BEFORE_MS);
    const eventMs = Date.now();
    await event.run(cluster, leader);
    await monitor.written();
    await pause(AFTER_MS);
    const outages = [monitor.writeOutage(eventMs), monitor.readOutage(eventMs)] as const;
    return { monitor, eventMs, outages };
  });
  const { monitor, eventMs, outages: [writeOutage, readOutage] } = seen;
  const { outageMs: clusterOutageMs, endMs } = writeOutage;
  const { outageMs: readOutageMs } = readOutage;
  const promotions = cluster.members.flatMap((member) => {
    const atMs = promotedAt(member, eventMs);
    return atMs === undefined ? [] : [{ member, atMs }];
  });
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
  const [first] = promotions.toSorted((a, b) => a.atMs - b.atMs);
  const promotedMs = first ? first.atMs - eventMs : null;
  const undone = first && first.member !== leader && last === leader
    ? first.member.host
    : undefined;
  const boundMs = (promotedMs ?? clusterOutageMs) + ttlMs;
  const writableMs = Math.max(endMs, eventMs + (promotedMs ?? 0));
  const times = {
    ...{ event: event.name, eventMs, ttlMs, boundMs, readOutageMs, writableMs },
    ...{ leader: last.host, undone },
  };
  return {
    event: event.name,
    title: event.title,
    promotedMs,
    clusterOutageMs,
    readOutageMs,
    undone,
    lanes: lanes.map((lane, index) => figuresOf(lane, reports[index]!, ledger, times)),
  };
}

/** The times of an event, and the leader after it. */
interface Times {
  /** The name of the event. */
  readonly event: string;
  readonly eventMs: number;
  /** Milliseconds of the records' TTL. */
  readonly ttlMs: number;
  /** Time from the event to the promotion, or without a writable member, and the TTL. */
  readonly boundMs: number;
  /** Longest time without a standby that answered. */
  readonly readOutageMs: number;
  /** End of the cluster's outage, and not before the promotion. */
  readonly writableMs: number;
  readonly leader: string;
  /** A leader in between, whose calls are judged neither as misrouted nor as lost. */
  readonly undone: string | undefined;
}

function figuresOf(
  lane: PatroniLane,
  calls: Call[] | Error,
  ledger: ReadonlySet<string>,
  times: Times,
): LaneFigures {
  if (calls instanceof Error) return { lane: lane.name, missed: [calls.message] };
  const { event, eventMs, ttlMs, boundMs, readOutageMs, writableMs, leader, undone } = times;
  const { good, errors, ...counted } = countCalls(calls, eventMs);
  const late = calls.filter(({ startMs }) => startMs > writableMs + ttlMs + SLACK_MS);
  const misrouted = late.filter(({ server, error }) =>
    lane.reads
      // While no standby answers, reading at the leader is right, and then staying there.
      ? server === leader && readOutageMs <= MAX_READ_OUTAGE_MS
      : server === undefined
      ? error!.startsWith("25006")
      : server !== leader && server !== undone
  );
  const lost = lane.reads
    ? []
    : good.filter(({ id, server }) => server !== undone && !ledger.has(`${lane.name} ${id}`));
  const figures = { ...counted, misrouted: misrouted.length, lost: lost.length };
  const maxOutageMs = lane.reads ? readOutageMs + MAX_READ_OUTAGE_MS : boundMs + SLACK_MS;
  // A record that still has the member whose promotion was undone leads all calls to a standby.
  const maxFailed = undone === undefined ? WORKERS : Infinity;
  const maxWrong = lane.blindTo === event ? Infinity : 0;
  const maximums = {
    outageMs: maxOutageMs,
    failed: maxFailed,
    misrouted: maxWrong,
    lost: maxWrong,
  };
  const missed = lane.ours ? missedOf(maximums, figures) : [];
  return { lane: lane.name, ...figures, errors, missed };
}

function show(
  { title, promotedMs, clusterOutageMs, readOutageMs, undone, lanes }: EventFigures,
): void {
  const promoted = promotedMs === null ? "none was promoted" : `promoted after ${promotedMs} ms`;
  console.log(`\n${title}: ${promoted}`);
  console.log(
    `no member took writes for ${clusterOutageMs} ms, no standby read for ${readOutageMs} ms`,
  );
  if (undone !== undefined) console.log(`the old leader took its key back from ${undone}`);
  showLanes(lanes);
}

let versions: Readonly<Record<string, string>> = {};
await runDrill({
  name: "patroni",
  missing: findBind() && findPatroni() && findProxies()
    ? undefined
    : "Patroni, etcd, PostgreSQL 15, BIND, PgBouncer or HAProxy",
  events: EVENTS,
  lanes: PATRONI_LANES,
  bundle: BUNDLE,
  hasGoals: true,
  runEvent,
  show,
  versions: () => versions,
});
