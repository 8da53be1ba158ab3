/**
 * `deno task bench:pool --memory`: bytes of heap for a pool that was made, for one that was used once, for an idle
 * connection and for a waiter. dnspool's engines are on one name, and each on a name of its own.
 *
 * @module
 */

import process from "node:process";
import { makeEngine, POOLS } from "./pool_contenders.ts";
import { quick, table } from "./report.ts";

/** Size of the pools that are counted. */
const SIZE = 10;
const POOL_COUNT = quick ? 1000 : 10_000;
/** Number of connections of one pool, and of waiters. */
const MANY = 10_000;

/** Bytes of heap for one of each. */
interface Bytes {
  /** A pool that has opened no connection. */
  pool: number;
  /** A pool with one idle connection. */
  used: number;
  connection?: number;
  waiter?: number;
}

/** Measures all pools. The runtime must have been started with `--expose-gc`. */
export async function measureMemory(): Promise<Record<string, Bytes>> {
  const result: Record<string, Bytes> = {};
  for (const [name, make] of Object.entries(POOLS)) {
    await measureConnection(make); // what is made once, such as compiled code, belongs to no pool
    result[name] = {
      ...await measurePools(() => make(SIZE)),
      connection: await measureConnection(make),
      waiter: await measureWaiter(make),
    };
  }
  let count = 0;
  result["dnspool, names of their own"] = await measurePools(() => {
    const engine = makeEngine(SIZE, `db${count++}.internal`);
    return { burst: () => engine.use(() => {}), end: () => engine.close() };
  });
  table(
    "Bytes of heap",
    ["", "pool", "used pool", "idle connection", "waiter"],
    Object.entries(result).map(([name, { pool, used, connection = "", waiter = "" }]) =>
      [name, pool, used, connection, waiter].map(String)
    ),
  );
  return result;
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

async function measureConnection(make: (typeof POOLS)[string]): Promise<number> {
  const pool = make(MANY);
  const before = await heapUsed();
  await pool.burst(MANY);
  const bytes = (await heapUsed() - before) / MANY;
  await pool.end();
  return Math.round(bytes);
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
  // Memory held by a weak reference or a finalizer becomes free only with the next collection.
  for (let turn = 0; turn < 3; turn++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return process.memoryUsage().heapUsed;
}
