/**
 * `deno task bench:memory`: bytes of heap for a pool that was made, for one with an idle connection, for each further
 * idle connection without its client, and for a waiter. Each contender has a process of its own, which `bench/run.ts`
 * starts with `--contender=NAME`; with `--list`, the program says which there are. dnspool's engines are on one name,
 * and each on a name of its own. `bench/pool_contenders.ts` says how each pool is configured.
 *
 * @module
 */

import process from "node:process";
import { clientOf, makeEngine, POOLS } from "./pool_contenders.ts";
import { finish, quick } from "./report.ts";

/** Size of the pools that are counted. */
const SIZE = 10;
const POOL_COUNT = quick ? 1000 : 10_000;
/** Number of connections of one pool, and of waiters. */
const MANY = 10_000;

/** Bytes of heap for one of each. */
export interface Bytes {
  /** A pool that has opened no connection. */
  readonly pool: number;
  /** A pool with one idle connection, the client included. */
  readonly used: number;
  /** An idle connection, without its client. */
  readonly connection?: number;
  /** A caller that waits. */
  readonly waiter?: number;
}

/** dnspool with another name for each engine. */
const OWN_NAMES = "dnspool, names of their own";

/** Bytes by which the next collections must make the heap smaller for more of them to follow. */
const SETTLED = 20_000;

/** What is measured. */
const CONTENDERS = [
  ...Object.keys(POOLS).filter((name) => name !== "dnspool, tryConnect"),
  OWN_NAMES,
];

async function measure(name: string): Promise<Bytes> {
  if (name === OWN_NAMES) {
    let count = 0;
    return await measurePools(() => {
      const engine = makeEngine(SIZE, `db${count++}.internal`);
      return { burst: () => engine.use(() => {}), end: () => engine.close() };
    });
  }
  const make = POOLS[name]!;
  await measureConnection(name); // what is made once, such as compiled code, belongs to no pool
  return {
    ...await measurePools(() => make(SIZE)),
    connection: await measureConnection(name),
    waiter: await measureWaiter(make),
  };
}

async function measurePools(
  make: () => { burst(count: number): Promise<void>; end(): Promise<unknown> },
): Promise<Pick<Bytes, "pool" | "used">> {
  const warm = make();
  await warm.burst(1);
  await warm.end();
  const pools = new Array<ReturnType<typeof make> | undefined>(POOL_COUNT).fill(undefined);
  const before = await heapUsed();
  for (let index = 0; index < POOL_COUNT; index++) pools[index] = make();
  const pool = Math.round((await heapUsed() - before) / POOL_COUNT);
  for (const pool of pools) await pool!.burst(1);
  const used = Math.round((await heapUsed() - before) / POOL_COUNT);
  for (const pool of pools) await pool!.end();
  return { pool, used };
}

async function measureConnection(name: string): Promise<number> {
  const clients = new Array<unknown>(MANY).fill(undefined);
  const empty = await heapUsed();
  for (let index = 0; index < MANY; index++) clients[index] = clientOf(name);
  const client = (await heapUsed() - empty) / MANY;
  clients.length = 0;
  const pool = POOLS[name]!(MANY);
  const before = await heapUsed();
  await pool.burst(MANY);
  const bytes = (await heapUsed() - before) / MANY;
  await pool.end();
  return Math.round(bytes - client);
}

async function measureWaiter(make: (typeof POOLS)[string]): Promise<number> {
  const pool = make(1);
  await pool.work({ left: 0 });
  const before = await heapUsed();
  const { release, waiters } = await pool.queue(MANY);
  const bytes = (await heapUsed() - before) / MANY;
  release();
  await waiters;
  await pool.end();
  return Math.round(bytes);
}

/** Returns the bytes that are in use after a collection. */
async function heapUsed(): Promise<number> {
  const { gc } = globalThis as { gc?: () => void };
  if (!gc) throw new Error("Cannot measure memory: the runtime needs --expose-gc");
  // Memory held by a weak reference or a finalizer becomes free only with the next collections.
  let bytes = Infinity;
  for (;;) {
    for (let turn = 0; turn < 3; turn++) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const { heapUsed } = process.memoryUsage();
    if (heapUsed > bytes - SETTLED) return heapUsed;
    bytes = heapUsed;
  }
}

if (process.argv.includes("--list")) finish(CONTENDERS);
const FLAG = "--contender=";
finish(await measure(process.argv.find((arg) => arg.startsWith(FLAG))!.slice(FLAG.length)));
