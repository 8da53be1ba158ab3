/**
 * `deno task bench:pool --waiters`: the cost of a checkout by the number of waiters, where connections are opened or
 * checks fail for them, and the longest time for which the event loop was blocked meanwhile. Each measurement has a
 * thread of its own. Connects, pings, lookups and uses of a connection take one turn of the event loop, as on a socket.
 *
 * @module
 */

import genericPool from "npm:generic-pool@3.9.0";
import { createPool as createLightningPool } from "npm:lightning-pool@4.12.0";
import PgPool from "npm:pg-pool@3.14.0";
import { Pool as TarnPool } from "npm:tarn@3.1.2";
import { type Adapter, type EngineOptions, getDnsEngine } from "../mod.ts";
import { Isolate } from "./isolates.ts";
import { FakeClient } from "./pool_contenders.ts";
import { figure, quick, table } from "./report.ts";

/** The name of the threads that measure. */
export const WAITERS = "waiters";

/** Number of connections. */
const SIZE = 10;
const COUNTS = quick ? [100, 2500, 20_000] : [100, 2500, 20_000, 100_000];
/** Number of checkouts of a measurement at least: few waiters are measured repeatedly. */
const MIN_CHECKOUTS = quick ? 2500 : 20_000;
const TIMEOUT = 3600;
/** Interval in which a flapping record changes, in milliseconds. */
const FLIP_MS = 50;
/** Number of waiters that begin in one turn of the event loop. */
const BATCH = 2000;

/** What a thread measured. */
export interface WaitersOutcome {
  /** Microseconds for one checkout. */
  readonly us: number;
  /** Longest time for which the event loop was blocked, in milliseconds. */
  readonly blockedMs: number;
  /** Number of waiters that were rejected. */
  readonly rejected: number;
}

/** A pool that is taken from and given back to. */
interface Contender {
  acquire(): Promise<unknown>;
  release(held: unknown): unknown;
}

interface Resource {
  readonly id: number;
}

let created = 0;
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const create = (): Promise<Resource> => turn().then(() => ({ id: ++created }));
const destroy = () => Promise.resolve();
let checks = 0;
const isEverySecond = () => ++checks % 2 === 0;

function dnspool(
  options: EngineOptions<Resource>,
  { ttl = 300, flips = false }: { ttl?: number; flips?: boolean } = {},
): Contender {
  const adapter: Adapter<Resource> = {
    name: "none",
    defaultPort: 1,
    connect: create,
    close: destroy,
    ping: () =>
      turn().then(() => isEverySecond() ? Promise.reject(new Error("silent")) : undefined),
  };
  const addressNow = () => `127.0.0.${flips ? 2 + Math.floor(performance.now() / FLIP_MS) % 2 : 2}`;
  const engine = getDnsEngine("none://db.internal/orders", {
    adapter,
    dnsLookup: {
      name: "memory",
      lookup: () => turn().then(() => ({ addresses: [addressNow()], ttl })),
    },
    dnsMinTtl: 0,
    ...(options.poolClass === undefined && { poolSize: SIZE, maxOverflow: 0 }),
    poolTimeout: TIMEOUT,
    ...options,
  });
  return {
    acquire: () => engine.connect(),
    release: (held) => (held as { release(): unknown }).release(),
  };
}

function tarn(validate: () => boolean): Contender {
  const pool = new TarnPool<Resource>({
    ...{ create, destroy, validate, min: 0, max: SIZE },
    acquireTimeoutMillis: TIMEOUT * 1000,
  });
  return {
    acquire: () => pool.acquire().promise,
    release: (held) => pool.release(held as Resource),
  };
}

function generic(testOnBorrow: boolean): Contender {
  const validate = () => turn().then(() => !isEverySecond());
  const pool = genericPool.createPool<Resource>({ create, destroy, validate }, {
    max: SIZE,
    testOnBorrow,
  });
  return {
    acquire: () => Promise.resolve(pool.acquire()),
    release: (held) => pool.release(held as Resource),
  };
}

function lightning(validation: boolean): Contender {
  const validate = () =>
    turn().then(() => isEverySecond() ? Promise.reject(new Error("silent")) : undefined);
  const pool = createLightningPool<Resource>(
    { create, destroy, validate },
    { max: SIZE, maxQueue: 1e6, validation },
  );
  pool.start();
  return { acquire: () => pool.acquire(), release: (held) => pool.release(held as Resource) };
}

/** A client of pg-pool that takes a turn to connect. */
class SlowClient extends FakeClient {
  override connect(done: (error?: Error) => void): void {
    setImmediate(done);
  }
}

function pgPool(maxUses: number): Contender {
  // deno-lint-ignore no-explicit-any -- it has only the members that the pool uses
  const pool = new PgPool({ Client: SlowClient as any, max: SIZE, maxUses });
  return {
    acquire: () => pool.connect(),
    release: (held) => (held as { release(): void }).release(),
  };
}

const alwaysGood = () => true;

/** The settings, and the pools that have them. */
const SCENES: Readonly<Record<string, Readonly<Record<string, () => Contender>>>> = {
  "no check": {
    dnspool: () => dnspool({}),
    tarn: () => tarn(alwaysGood),
    "generic-pool": () => generic(false),
    "lightning-pool": () => lightning(false),
    "pg-pool": () => pgPool(Infinity),
  },
  'poolClass: "null"': {
    dnspool: () => dnspool({ poolClass: "null" }),
  },
  "maxUses: 1": {
    dnspool: () => dnspool({ maxUses: 1 }),
    "pg-pool": () => pgPool(1),
  },
  'poolClass: "static"': {
    dnspool: () => dnspool({ poolClass: "static" }),
  },
  "every second ping fails": {
    dnspool: () => dnspool({ poolPrePing: true, prePingAfter: 0 }),
    tarn: () => tarn(() => !isEverySecond()),
    "generic-pool": () => generic(true),
    "lightning-pool": () => lightning(true),
  },
  "TTL 0": {
    dnspool: () => dnspool({}, { ttl: 0 }),
  },
  "flapping record": {
    dnspool: () => dnspool({}, { ttl: 0, flips: true }),
  },
};

/** Time after which a measurement of a peer is given up, in milliseconds. */
const LIMIT_MS = 120_000;

/** Measures in this thread. */
export async function measureWaiters(
  { scene, pool, count }: { scene: string; pool: string; count: number },
): Promise<WaitersOutcome> {
  const contender = SCENES[scene]![pool]!();
  const held = await Promise.all(Array.from({ length: SIZE }, () => contender.acquire()));
  for (const each of held) contender.release(each);
  const rounds = Math.max(1, Math.ceil(MIN_CHECKOUTS / count));
  let rejected = 0;
  let blockedMs = 0;
  let lastMs = performance.now();
  const watch = () => {
    const nowMs = performance.now();
    blockedMs = Math.max(blockedMs, nowMs - lastMs);
    lastMs = nowMs;
  };
  const timer = setInterval(watch, 1);
  const use = async () => {
    try {
      const held = await contender.acquire();
      await turn();
      await contender.release(held);
    } catch {
      rejected++;
    }
  };
  await turn();
  lastMs = performance.now();
  const startMs = performance.now();
  for (let round = 0; round < rounds; round++) {
    const uses: Promise<void>[] = [];
    while (uses.length < count) {
      uses.push(use());
      if (uses.length % BATCH === 0) await turn();
    }
    await Promise.all(uses);
  }
  const us = (performance.now() - startMs) * 1000 / (rounds * count);
  watch();
  clearInterval(timer);
  return { us, blockedMs, rejected };
}

/** Runs all scenes with all pools and numbers of waiters. */
export async function compareWaiters(file: string): Promise<unknown> {
  const results: Record<string, Record<string, Record<number, WaitersOutcome>>> = {};
  for (const [scene, pools] of Object.entries(SCENES)) {
    const outcomes: Record<string, Record<number, WaitersOutcome>> = results[scene] = {};
    for (const pool of Object.keys(pools)) {
      outcomes[pool] = {};
      for (const count of COUNTS) {
        const isolate = new Isolate<unknown, WaitersOutcome>(file, WAITERS);
        let limit: ReturnType<typeof setTimeout>;
        const over = new Promise<undefined>((resolve) => {
          limit = setTimeout(() => resolve(undefined), LIMIT_MS);
        });
        const outcome = await Promise.race([isolate.run({ scene, pool, count }), over]);
        clearTimeout(limit!);
        await isolate.end();
        if (outcome === undefined) break; // more waiters take longer
        outcomes[pool]![count] = outcome;
      }
    }
    const rows = Object.entries(outcomes).map(([pool, byCount]) => [
      pool,
      ...COUNTS.map((count) => {
        const outcome = byCount[count];
        if (outcome === undefined) return "> 120 s";
        const { us, blockedMs, rejected } = outcome;
        const failed = rejected > 0 ? `, ${rejected} rejected` : "";
        return `${figure(us)} us, blocked ${blockedMs.toFixed(0)} ms${failed}`;
      }),
    ]);
    table(`${scene}: a checkout, by the number of waiters`, ["", ...COUNTS.map(String)], rows);
  }
  return results;
}
