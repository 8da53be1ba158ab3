/**
 * The part of the soak test that runs on every runtime: 64 workers on one engine, who take, hold, abort, throw and drop,
 * while somebody else does harm to servers, network and DNS. It ends by itself, and its last line is the report.
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

/** What the program has to say in the end. */
export interface SoakReport {
  readonly done: number;
  readonly failed: Readonly<Record<string, number>>;
  /** What must never be. */
  readonly wrong: readonly string[];
  readonly opened: number;
  readonly closed: number;
  readonly changes: number;
  /** Lines for somebody to look at: connections that could not be reset. */
  readonly warnings: number;
  /** Timers that are set after `close()`, those that hold up no process too. */
  readonly timers: number;
  /** Megabytes in use after a collection, after each quarter of the time. */
  readonly heap: readonly number[];
}

const WORKERS = 64;
const MEGABYTE = 2 ** 20;
const LOOKS = 4;
const SAMPLES = 5;
/** What is under way ends meanwhile, and idle connections are closed. */
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
/** While it is there, nobody begins anything. */
let gate: Promise<void> | undefined;

function note(what: string): void {
  if (wrong.length < 20) wrong.push(what);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Nobody else may have the connection meanwhile. */
async function alone<T>(client: Client, work: () => Promise<T>): Promise<T> {
  if (held.has(client)) note("two had one connection at a time");
  held.add(client);
  try {
    return await work();
  } finally {
    held.delete(client);
  }
}

/** What a worker may do with a connection; each has its share. */
const DEEDS: readonly [share: number, deed: (dice: () => number) => Promise<unknown>][] = [
  [40, () => engine.query("SELECT 1")],
  [
    15,
    (dice) =>
      engine.begin(({ client }) =>
        alone(client, () => client.query(`SELECT pg_sleep(${dice() / 50})`))
      ),
  ],
  [10, () =>
    engine.begin(async ({ client }) => {
      await alone(client, () => client.query("SELECT 1"));
      throw new Expected();
    })],
  [10, () => engine.query("SELECT nothing")],
  [10, (dice) => {
    const signal = AbortSignal.timeout(Math.ceil(dice() * 20));
    return withLease(engine.connect({ signal }), (lease) => lease.release());
  }],
  [5, () => withLease(engine.connect({ timeout: 0.01 }), (lease) => lease.release())],
  [5, () => withLease(engine.connect(), (lease) => lease.release(new Expected()))],
  [3, () => withLease(engine.connect(), (lease) => lease.invalidate())],
  [1, () => withLease(engine.connect(), (lease) => lease.detach().end())],
  [1, () => Promise.resolve(engine.pool.invalidate())],
];
const SHARES = DEEDS.reduce((sum, [share]) => sum + share, 0);

/** What a deed throws on purpose. */
class Expected extends Error {
  readonly code = "on purpose";
}

async function withLease(
  coming: Promise<Lease<Client>>,
  end: (lease: Lease<Client>) => unknown,
): Promise<void> {
  const lease = await coming;
  try {
    await alone(lease.client, () => lease.client.query("SELECT 1"));
  } finally {
    await end(lease);
    await lease.release();
  }
}

async function work(dice: () => number): Promise<void> {
  while (!over) {
    await gate;
    let at = dice() * SHARES;
    const [, deed] = DEEDS.find(([share]) => (at -= share) < 0) ?? DEEDS[0]!;
    try {
      await deed(dice);
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
    await pause(5 + dice() * 20);
  }
}

/** The least that is in use, of a few looks, while nobody works. */
async function heapInUse(): Promise<number> {
  let goOn!: () => void;
  gate = new Promise((resolve) => goOn = resolve);
  await pause(QUIET_MS);
  // deno-lint-ignore no-explicit-any -- each runtime has its own, if it was asked for
  const { gc, Bun } = globalThis as any;
  let least = Infinity;
  for (let i = 0; i < SAMPLES; i++) {
    await pause(200);
    if (Bun) Bun.gc(true);
    else gc?.();
    least = Math.min(least, process.memoryUsage().heapUsed);
  }
  goOn();
  gate = undefined;
  return Number((least / MEGABYTE).toFixed(2));
}

async function main(): Promise<void> {
  const lastsMs = Number(seconds) * 1000;
  const dice = seededRandom(Number(seed));
  const workers = Array.from(
    { length: WORKERS },
    () => work(seededRandom(Math.floor(dice() * 2 ** 32))),
  );
  const startMs = performance.now();
  const heap: number[] = [];
  for (let look = 1; look <= LOOKS; look++) {
    const atMs = startMs + lastsMs * look / LOOKS - QUIET_MS - SAMPLES * 200;
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
