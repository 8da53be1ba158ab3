/**
 * `deno task drill:proxies`: measures what pools behind PgBouncer and HAProxy see when the server behind the proxy moves, is
 * lost, or becomes read-only, and when the name server falls silent. Each event gets two PostgreSQL servers, BIND, and a
 * proxy for each lane. `--event=move;outage` and `--lane=pg.Pool | HAProxy` select; with either, no results are written.
 *
 * It needs Linux and root, for private mount and network namespaces in which the proxies resolve names at BIND, and
 * `apt-get install pgbouncer haproxy bind9`.
 *
 * Exit status: 0; 1 if a lane did not report; 2 if it cannot run, or the command line is wrong.
 *
 * @module
 */

// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { findBind, startAuthority, ZONE } from "../lab/authority.ts";
import { freePort, onFreePort } from "../lab/free_port.ts";
import { type PostgresServer, startPostgres } from "../lab/postgres.ts";
import { pause } from "../lab/processes.ts";
import { findProxies, type ProxyServer, startHaproxy, startPgbouncer } from "../lab/proxies.ts";
import type { LaneTask } from "./failover/lanes.ts";
import { NAMESERVER } from "./namespace.ts";
import { PROXIES_EVENTS, type ProxiesEvent } from "./proxies/events.ts";
import { PROXIES, PROXIES_LANES, type ProxiesKind, type ProxiesLane } from "./proxies/lanes.ts";
import { runDrill } from "./stacks/drill.ts";
import { countCalls, type LaneFigures, showLanes } from "./stacks/figures.ts";
import type { Call } from "./stacks/lane.ts";
import { runLanes } from "./stacks/run_lanes.ts";

const BUNDLE = "proxies_lane.mjs";
const NAME = `db.${ZONE}`;
const LOGIN = { user: "drill", password: "drill", database: "postgres" };
const HOSTS = ["127.0.0.11", "127.0.0.12"] as const;
/** Seconds of the record's TTL. */
const TTL = 1;
/** Milliseconds of undisturbed work before the event. */
const BEFORE_MS = 2000;

/** Milliseconds from a move to a RECONNECT: the TTL, and a little. */
const RECONNECT_AFTER_MS = 1500;

/** What a lane saw of an event. */
interface ProxiesFigures extends LaneFigures {
  readonly proxy: string;
  readonly pool: string;
  /** From the move to the last call that the old server answered or refused; `null`: to the end, or there was no move. */
  readonly leftMs?: number | null;
  /** From the first to the last failed call. */
  readonly failingMs?: number;
}

/** What was seen of an event. */
interface EventFigures {
  readonly event: string;
  readonly title: string;
  readonly lanes: readonly ProxiesFigures[];
}

async function startProxy(kind: ProxiesKind, port: number): Promise<ProxyServer> {
  return await onFreePort("127.0.0.1", (place) =>
    "pgbouncer" in kind
      ? startPgbouncer({
        ...place,
        ...LOGIN,
        server: { host: NAME, port },
        settings: { ...kind.pgbouncer, admin_users: LOGIN.user },
      })
      : startHaproxy({
        ...place,
        listen: [...kind.haproxy.listen, `server one ${NAME}:${port} ${kind.haproxy.server}`],
        resolvers: [`nameserver lab ${NAMESERVER}:53`, ...kind.haproxy.resolvers],
      }));
}

async function ask(server: PostgresServer, text: string): Promise<void> {
  await askAt(server.url(), text);
}

async function askAt(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}

async function runEvent(
  event: ProxiesEvent,
  lanes: readonly ProxiesLane[],
): Promise<EventFigures> {
  await using stack = new AsyncDisposableStack();
  const authority = stack.use(await startAuthority({ host: NAMESERVER, port: 53 }));
  const port = await freePort(HOSTS);
  const [old, next] = await Promise.all(HOSTS.map(async (host) => {
    const settings = { max_connections: 400 };
    const server = stack.use(
      await startPostgres({ host, port, ...LOGIN, database: undefined, settings }),
    );
    await ask(server, "CREATE TABLE ledger (lane text, id bigint)");
    return server;
  })) as [PostgresServer, PostgresServer];
  await authority.set(NAME, [old.host], TTL);
  const proxies = await Promise.all(
    lanes.map(async ({ proxy }) => stack.use(await startProxy(PROXIES[proxy], port))),
  );
  versions = {
    ...versions,
    "postgres of the proxies": old.version,
    bind: authority.version,
    ...Object.fromEntries(lanes.map(({ proxy }, index) => {
      const name = proxy.startsWith("HAProxy") ? "haproxy" : "pgbouncer";
      return [name, proxies[index]!.version];
    })),
  };
  const tasks = lanes.map((lane, index): LaneTask => ({
    ...{ lane: lane.name, dialect: "postgres", work: "write and read" },
    ...{ ...LOGIN, ...proxies[index]!.address },
  }));
  let movedMs: number | undefined;
  const move = async () => {
    await authority.set(NAME, [next.host], TTL);
    movedMs = Date.now();
    await pause(RECONNECT_AFTER_MS);
    await Promise.all(lanes.map(async ({ proxy }, index) => {
      if (!("reconnects" in PROXIES[proxy])) return;
      const { where } = proxies[index]!;
      await askAt(`postgresql://${LOGIN.user}@${where}/pgbouncer`, "RECONNECT");
    }));
  };
  const { reports, seen: { eventMs, endMs } } = await runLanes(BUNDLE, tasks, async () => {
    await pause(BEFORE_MS);
    const eventMs = Date.now();
    await event.run({ authority, old, next, move, ask });
    await pause(event.afterMs);
    return { eventMs, endMs: Date.now() };
  });
  if (Deno.env.get("DRILL_VERBOSE")) {
    for (const each of proxies) console.error(each.log.split("\n").slice(-30).join("\n"));
  }
  const times = { eventMs, movedMs, endMs, old: old.host };
  return {
    event: event.name,
    title: event.title,
    lanes: lanes.map((lane, index) => figuresOf(lane, reports[index]!, times)),
  };
}

/** The times of an event. */
interface Times {
  readonly eventMs: number;
  readonly movedMs: number | undefined;
  readonly endMs: number;
  /** The address of the old server. */
  readonly old: string;
}

/** A call of the last milliseconds says that the lane did not leave. */
const LAST_MS = 1000;

function figuresOf(
  { name: lane, proxy, pool }: ProxiesLane,
  calls: Call[] | Error,
  { eventMs, movedMs, endMs, old }: Times,
): ProxiesFigures {
  const which = { lane, proxy, pool };
  if (calls instanceof Error) return { ...which, missed: [calls.message] };
  const { good: _, errors, ...counted } = countCalls(calls, eventMs);
  const failures = calls.filter((call) => call.error !== undefined && call.endMs >= eventMs)
    .map((call) => call.endMs).sort((a, b) => a - b);
  const failingMs = failures.length === 0 ? 0 : failures.at(-1)! - failures[0]!;
  const onOld = calls.filter(({ server, error }) =>
    server === undefined ? error!.startsWith("25006") : server === old
  ).map(({ endMs }) => endMs);
  const lastMs = Math.max(...onOld);
  const leftMs = movedMs === undefined || lastMs > endMs - LAST_MS
    ? null
    : Math.max(0, lastMs - movedMs);
  return { ...which, ...counted, leftMs, failingMs, errors, missed: [] };
}

function show({ title, lanes }: EventFigures): void {
  console.log(`\n${title}`);
  showLanes(lanes, [
    ...["calls", "outageMs", "failed", "failingMs", "longestMs", "leftMs"] as const,
  ]);
}

let versions: Readonly<Record<string, string>> = {};
await runDrill({
  name: "proxies",
  missing: findBind() && findProxies() ? undefined : "PgBouncer, HAProxy or BIND",
  events: PROXIES_EVENTS,
  lanes: PROXIES_LANES,
  bundle: BUNDLE,
  hasGoals: false,
  runEvent,
  show,
  versions: () => versions,
});
