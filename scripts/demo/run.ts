/**
 * Runs the demo: two servers, one DNS server, two pools, and a record that moves.
 *
 * @module
 */

// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { delay } from "../../internal/async.ts";
import { getDnsEngine } from "../../mod.ts";
import { DnsServer } from "../../testing/mod.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type PostgresOptions, type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { atMost, type Insert, plainPool, work } from "./lanes.ts";
import { Lane } from "./measure.ts";
import type { Result } from "./summary.ts";
import type { Terminal } from "./terminal.ts";
import { frame, plainLine, recordChange, type Scene } from "./view.ts";

const HOST = "db.internal";
const USER = "demo";
const DATABASE = "postgres";
const TTL_S = 1;
const POOL_SIZE = 10;
const WORKERS = 8;
const THINK_MS = 5;
const TOTAL_MS = 8000;
const MOVE_AT_MS = 3000;
/** One table for each pool. */
const TABLES = { dnspool: "demo_dnspool", plain: "demo_pg_pool" };
const FRAME_MS = 100;
const LINE_MS = 500;
const CLOSE_MS = 2000;

/** The result, and the first error of each pool. */
export interface Outcome {
  readonly result: Result;
  readonly errors: { readonly dnspool: string | undefined; readonly plain: string | undefined };
}

/** The servers and pools of a run. */
interface Setup {
  readonly servers: readonly PostgresServer[];
  readonly dns: DnsServer;
  readonly lanes: { readonly dnspool: Lane; readonly plain: Lane };
  readonly inserts: { readonly dnspool: Insert; readonly plain: Insert };
}

/**
 * Runs the demo. Everything it started is stopped when the promise settles.
 *
 * @param terminal The output.
 * @param signal Ends the demo early: the promise is rejected with the signal's reason.
 */
export async function runDemo(terminal: Terminal, signal: AbortSignal): Promise<Outcome> {
  await using stack = new AsyncDisposableStack();
  const setup = await setUp(stack, terminal, signal);
  const endMs = await perform(setup, terminal, signal);
  const { dnspool, plain } = setup.lanes;
  return {
    result: {
      ttlMs: TTL_S * 1000,
      dnspool: dnspool.result(endMs),
      lostRows: await lostRows(dnspool, setup.servers),
      plain: plain.result(endMs),
    },
    errors: { dnspool: dnspool.firstError, plain: plain.firstError },
  };
}

async function setUp(
  stack: AsyncDisposableStack,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<Setup> {
  const onProgress = (step: string) => terminal.progress(step);
  const hosts = await loopbackPair();
  const port = await freePort(hosts);
  const password = crypto.randomUUID();
  const options = { port, user: USER, password, onProgress, signal };
  const servers = await startAll(stack, hosts.map((host) => ({ ...options, host })));
  const lanes = {
    dnspool: new Lane("dnspool", { old: hosts[0], new: hosts[1] }, TTL_S * 1000),
    plain: new Lane("pg.Pool", { old: hosts[0], new: hosts[1] }, TTL_S * 1000),
  };
  for (const server of servers) {
    for (const table of [TABLES.dnspool, TABLES.plain]) {
      await ask(server, `CREATE TABLE ${table} (id integer PRIMARY KEY)`);
    }
  }

  onProgress("Starting the DNS server");
  const dns = stack.use(await DnsServer.start());
  dns.set(HOST, [hosts[0]], { ttl: TTL_S });

  const url = servers[0]!.url(HOST).replace("postgresql:", "postgresql+pg:");
  const engine = getDnsEngine<pg.Client>(url, {
    dnsNameservers: [dns.address],
    poolSize: POOL_SIZE,
  });
  stack.defer(() => atMost(CLOSE_MS, engine.close()));
  const plain = plainPool({
    host: HOST,
    port,
    user: USER,
    password,
    database: DATABASE,
    max: POOL_SIZE,
    dnsServer: dns.address,
  });
  stack.defer(() => atMost(CLOSE_MS, plain.end()));
  return {
    servers,
    dns,
    lanes,
    inserts: {
      dnspool: (id) =>
        engine.use(async ({ client, address }) => {
          const server = await insert(client, TABLES.dnspool, id);
          if (server !== address) throw new Error(`Leased ${address}, answered by ${server}`);
          return server;
        }),
      plain: (id) => insert(plain, TABLES.plain, id),
    },
  };
}

/** Starts the servers in parallel. If one of them fails, the stack stops the others. */
async function startAll(
  stack: AsyncDisposableStack,
  options: readonly PostgresOptions[],
): Promise<PostgresServer[]> {
  const starts = await Promise.allSettled(options.map((each) => startPostgres(each)));
  const servers: PostgresServer[] = [];
  for (const start of starts) {
    if (start.status === "fulfilled") servers.push(stack.use(start.value));
  }
  for (const start of starts) if (start.status === "rejected") throw start.reason;
  return servers;
}

/** Runs the workers and moves the record. Resolves with the time at which the workers were stopped. */
async function perform(setup: Setup, terminal: Terminal, signal: AbortSignal): Promise<number> {
  const { dns, servers, lanes, inserts } = setup;
  const began = performance.now();
  const now = () => performance.now() - began;
  const over = new AbortController();
  const options = { workers: WORKERS, thinkMs: THINK_MS, now, signal: over.signal };
  let movedAtMs: number | undefined;
  const scene = (): Scene => ({
    title: `Two PostgreSQL ${servers[0]!.version} servers, one name, two pools of ${POOL_SIZE}, ` +
      `${WORKERS} workers each`,
    host: HOST,
    servers: { old: servers[0]!.host, new: servers[1]!.host },
    ttlMs: TTL_S * 1000,
    elapsedMs: Math.min(now(), TOTAL_MS),
    totalMs: TOTAL_MS,
    movedAtMs,
    lanes: [lanes.dnspool, lanes.plain],
  });
  const show = showing(terminal, scene);
  const working = Promise.all([
    work(lanes.dnspool, inserts.dnspool, options),
    work(lanes.plain, inserts.plain, options),
  ]);
  try {
    await delay(MOVE_AT_MS - now(), signal);
    movedAtMs = now();
    dns.set(HOST, [servers[1]!.host], { ttl: TTL_S });
    lanes.dnspool.moved(movedAtMs);
    lanes.plain.moved(movedAtMs);
    show.changed();
    await delay(TOTAL_MS - now(), signal);
    return now();
  } finally {
    over.abort();
    await working;
    show.end();
  }
}

/** Shows the scene while it changes: redraws it on a terminal, otherwise prints a line every half second. */
function showing(terminal: Terminal, scene: () => Scene): { changed(): void; end(): void } {
  if (terminal.live) {
    const draw = () => terminal.draw(frame(scene(), terminal.screen));
    draw();
    const interval = setInterval(draw, FRAME_MS);
    return {
      changed: draw,
      end: () => {
        clearInterval(interval);
        draw();
      },
    };
  }
  let shownMs = 0;
  const report = () => {
    const untilMs = Math.round(scene().elapsedMs / LINE_MS) * LINE_MS;
    if (untilMs > shownMs) terminal.line(plainLine(scene(), shownMs, untilMs));
    shownMs = untilMs;
  };
  terminal.line(recordChange(scene()));
  const interval = setInterval(report, LINE_MS);
  return {
    changed: () => {
      report();
      terminal.line(recordChange(scene()));
    },
    end: () => {
      clearInterval(interval);
      report();
    },
  };
}

/** Inserts a row; resolves with the address of the server. */
async function insert(on: pg.Pool | pg.ClientBase, table: string, id: number): Promise<string> {
  const text = `INSERT INTO ${table} (id) VALUES ($1) RETURNING host(inet_server_addr()) AS server`;
  const { rows } = await on.query<{ server: string }>(text, [id]);
  return rows[0]?.server ?? "unknown";
}

/** Counts the rows that a server acknowledged but does not have. Asks each server directly. */
async function lostRows(lane: Lane, servers: readonly PostgresServer[]): Promise<number> {
  let lost = 0;
  for (const [host, ids] of lane.acknowledged) {
    const server = servers.find((server) => server.host === host);
    const rows = server
      ? await ask<{ id: number }>(server, `SELECT id FROM ${TABLES.dnspool}`)
      : [];
    const found = new Set(rows.map(({ id }) => id));
    lost += ids.filter((id) => !found.has(id)).length;
  }
  return lost;
}

/** Runs one statement on a new connection. */
async function ask<Row extends pg.QueryResultRow>(
  server: PostgresServer,
  text: string,
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}
