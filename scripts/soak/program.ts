/**
 * The part of the soak test that runs on every runtime: 64 workers on one engine that check out connections, abort,
 * throw and invalidate, while the parent process injects faults into servers, network and DNS. It exits by itself, and
 * its last line is the report.
 *
 * Arguments: the URL, the name server, seconds, the seed.
 *
 * @module
 */

import process from "node:process";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { pgAdapter } from "../../adapters/pg.ts";
import { type Engine, getDnsEngine, type Lease } from "../../mod.ts";
import { seededRandom } from "../../testing/dns/random.ts";
import { countTimers } from "./timers.ts";

/** The program's last line, as JSON. */
export interface SoakReport {
  /** Number of actions that succeeded. */
  readonly done: number;
  /** Number of errors by code. */
  readonly failed: Readonly<Record<string, number>>;
  /** Violations, such as a connection with two holders. */
  readonly wrong: readonly string[];
  readonly opened: number;
  readonly closed: number;
  /** Number of `addresschange` events. */
  readonly changes: number;
  /** Number of warnings: connections that could not be reset. */
  readonly warnings: number;
  /** Number of timers after `close()`, including those that do not keep the process alive. */
  readonly timers: number;
  /** Megabytes in use after a garbage collection, after each quarter of the time. */
  readonly heap: readonly number[];
}

const WORKERS = 64;
const MEGABYTE = 2 ** 20;
const MEASUREMENTS = 4;
const SAMPLES = 5;
/** Pause before a measurement, in which pending work ends and idle connections are closed. */
const QUIET_MS = 4000;

type Client = pg.Client;

const timers = countTimers();
const [url = "", server = "", seconds = "60", seed = "1"] = process.argv.slice(2);
const wrong: string[] = [];
for (const event of ["unhandledRejection", "uncaughtException"]) {
  process.on(event, (error) => note(`${event}: ${error}`));
}

let [changes, warnings] = [0, 0];
const engine: Engine<Client> = getDnsEngine(url, {
  adapter: pgAdapter(pg),
  poolSize: 12,
  maxOverflow: 4,
  poolTimeout: 3,
  connectTimeout: 1,
  idleTimeout: 2,
  poolRecycle: 10,
  leaseProbeAfter: 1,
  probeTimeout: 0.5,
  dnsNameservers: [server],
  dnsLookup: "wire",
  dnsTimeout: 1,
  dnsFallback: false,
  logger: { debug() {}, info() {}, warn: () => warnings++ },
});
engine.addEventListener("addresschange", () => changes++);

const failed: Record<string, number> = {};
const held = new Set<Client>();
let done = 0;
let over = false;
/** While it is set, the workers start no action. */
let gate: Promise<void> | undefined;

function note(violation: string): void {
  if (wrong.length < 20) wrong.push(violation);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Runs `work`, and checks that no other worker has the connection meanwhile. */
async function exclusively<T>(client: Client, work: () => Promise<T>): Promise<T> {
  if (held.has(client)) note("a connection had two holders");
  held.add(client);
  try {
    return await work();
  } finally {
    held.delete(client);
  }
}

/** The actions of a worker, with their relative frequencies. */
const ACTIONS: readonly [share: number, action: (random: () => number) => Promise<unknown>][] = [
  [40, () => engine.query("SELECT 1")],
  [
    15,
    (random) =>
      engine.begin(({ client }) =>
        exclusively(client, () => client.query(`SELECT pg_sleep(${random() / 50})`))
      ),
  ],
  [10, () =>
    engine.begin(async ({ client }) => {
      await exclusively(client, () => client.query("SELECT 1"));
      throw new Expected();
    })],
  [10, () => engine.query("SELECT nothing")],
  [10, (random) => {
    const signal = AbortSignal.timeout(Math.ceil(random() * 20));
    return withLease(engine.connect({ signal }), (lease) => lease.release());
  }],
  [5, () => withLease(engine.connect({ timeout: 0.01 }), (lease) => lease.release())],
  [5, () => withLease(engine.connect(), (lease) => lease.release(new Expected()))],
  [3, () => withLease(engine.connect(), (lease) => lease.invalidate())],
  [1, () => withLease(engine.connect(), (lease) => lease.detach().end())],
  [1, () => Promise.resolve(engine.pool.invalidate())],
];
const SHARES = ACTIONS.reduce((sum, [share]) => sum + share, 0);

/** Thrown by an action on purpose. */
class Expected extends Error {
  readonly code = "on purpose";
}

async function withLease(
  checkout: Promise<Lease<Client>>,
  end: (lease: Lease<Client>) => unknown,
): Promise<void> {
  const lease = await checkout;
  try {
    await exclusively(lease.client, () => lease.client.query("SELECT 1"));
  } finally {
    await end(lease);
    await lease.release();
  }
}

async function work(random: () => number): Promise<void> {
  while (!over) {
    await gate;
    let at = random() * SHARES;
    const [, action] = ACTIONS.find(([share]) => (at -= share) < 0) ?? ACTIONS[0]!;
    try {
      await action(random);
      done++;
    } catch (error) {
      const { code, name, message } = error as { code?: unknown; name: string; message: string };
      const kind = typeof code === "string" ? code : name === "Error" ? message : name;
      failed[kind] = (failed[kind] ?? 0) + 1;
    }
    const { opened, closed, idle, inUse, detached } = engine.status();
    if (opened !== closed + idle + inUse + detached) {
      note(`opened ${opened} is not ${closed} + ${idle} + ${inUse} + ${detached}`);
    }
    await pause(5 + random() * 20);
  }
}

/** Returns the least of several samples of the heap, in megabytes, while the workers pause. */
async function heapInUse(): Promise<number> {
  let resume!: () => void;
  gate = new Promise((resolve) => resume = resolve);
  await pause(QUIET_MS);
  // deno-lint-ignore no-explicit-any -- each runtime has another function, present if it was requested
  const { gc, Bun } = globalThis as any;
  let least = Infinity;
  for (let i = 0; i < SAMPLES; i++) {
    await pause(200);
    if (Bun) Bun.gc(true);
    else gc?.();
    least = Math.min(least, process.memoryUsage().heapUsed);
  }
  resume();
  gate = undefined;
  return Number((least / MEGABYTE).toFixed(2));
}

async function main(): Promise<void> {
  const durationMs = Number(seconds) * 1000;
  const random = seededRandom(Number(seed));
  const workers = Array.from(
    { length: WORKERS },
    () => work(seededRandom(Math.floor(random() * 2 ** 32))),
  );
  const startMs = performance.now();
  const heap: number[] = [];
  for (let turn = 1; turn <= MEASUREMENTS; turn++) {
    const atMs = startMs + durationMs * turn / MEASUREMENTS - QUIET_MS - SAMPLES * 200;
    await pause(Math.max(0, atMs - performance.now()));
    heap.push(await heapInUse());
  }
  over = true;
  await Promise.all(workers);
  await engine.close({ drain: 2 });
  await pause(200);
  const { opened, closed, detached } = engine.status();
  const report: SoakReport = {
    done,
    failed,
    wrong,
    opened,
    closed: closed + detached,
    changes,
    warnings,
    timers: timers(),
    heap,
  };
  console.log(JSON.stringify(report));
}

main();
