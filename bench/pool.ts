/**
 * Checkout and checkin beside tarn, generic-pool, lightning-pool and pg-pool, with resources that cost nothing:
 * `deno task bench:pool`. Ours has everything on that is on by default, the check of the address included.
 *
 * @module
 */

import process from "node:process";
import { contenderHere, Isolate, serve } from "./isolates.ts";
import { bareQueue, type ContenderPool, POOLS } from "./pool_contenders.ts";
import { figure, finish, quick, ROUNDS, runtimeName, show, table } from "./report.ts";
import { type Contender, race, type Timing } from "./rounds.ts";

/** So many connections, unless a scene says otherwise. */
const SIZE = 10;

/** Operations of each scene before anything is timed: by then, its code is compiled. */
const WARM_UP = quick ? 10_000 : 50_000;

/** What is timed: what one contender does for so many operations. */
type Scene = (pool: Pick<ContenderPool, "work" | "burst">) => Omit<Contender, "name">;

/** Each takes one and gives it back, again and again: ten times at least, for it costs something to begin. */
const workers = (count: number) => (pool: Pick<ContenderPool, "work">) => ({
  unit: 10 * count,
  async run(operations: number) {
    const budget = { left: operations };
    await Promise.all(Array.from({ length: count }, () => pool.work(budget)));
  },
});

/** All come at once, and each is served once. */
const waiters = (count: number) => (pool: Pick<ContenderPool, "work">) => ({
  unit: count,
  async run(operations: number) {
    for (let left = operations; left > 0; left -= count) await workers(count)(pool).run(count);
  },
});

/** Stands for a pool where only a scene's numbers are asked for. */
const NOBODY: Pick<ContenderPool, "work" | "burst"> = {
  work: () => Promise.resolve(),
  burst: () => Promise.resolve(),
};

const SCENES: Readonly<Record<string, Scene>> = {
  "one at a time": workers(1),
  "1,000 workers on 10 connections": workers(1000),
  "10,000 waiters on 10 connections": waiters(10_000),
  "bursts of 10 with Promise.all": (pool) => ({
    unit: SIZE,
    async run(operations) {
      for (let left = operations; left > 0; left -= SIZE) await pool.burst(SIZE);
    },
  }),
};

/** What there is no getting below. */
const BASELINES: Readonly<Record<string, (operations: number) => Promise<void>>> = {
  async "await of a resolved promise"(operations) {
    const promise = Promise.resolve();
    for (let i = 0; i < operations; i++) await promise;
  },
  async "pop, clock, Set check, await, push"(operations) {
    const idle = [{ address: "127.0.0.2" }];
    const current = new Set(["127.0.0.2"]);
    const untilMs = performance.now() + 3_600_000;
    const take = () => {
      const slot = idle.pop()!;
      if (performance.now() >= untilMs || !current.has(slot.address)) throw new Error("stale");
      return Promise.resolve(slot);
    };
    for (let i = 0; i < operations; i++) idle.push(await take());
  },
};

/** What a contender's thread is asked for; it tells the nanoseconds for one operation. */
interface Batch {
  readonly scene: string;
  readonly operations: number;
}

/** A contender's thread: one pool for all scenes. */
async function contend(name: string): Promise<void> {
  const pool = POOLS[name]?.(SIZE);
  await pool?.burst(SIZE); // open
  const scenes = Object.entries(SCENES).map(([title, scene]) =>
    [title, pool ? scene(pool).run : BASELINES[name]!] as const
  );
  const runs = new Map(scenes);
  serve(async ({ scene, operations }: Batch) => {
    const startMs = performance.now();
    await runs.get(scene)!(operations);
    return (performance.now() - startMs) * 1e6 / operations;
  });
}

/** All scenes, each with all contenders. */
async function timed(): Promise<Record<string, readonly Timing[]>> {
  const names = [...Object.keys(POOLS), ...Object.keys(BASELINES)];
  const isolates = names.map((name) => new Isolate<Batch, number>(import.meta.url, name));
  for (const title of Object.keys(SCENES)) {
    for (const isolate of isolates) await isolate.run({ scene: title, operations: WARM_UP });
  }
  const results: Record<string, readonly Timing[]> = {};
  for (const [title, scene] of Object.entries(SCENES)) {
    const { unit = 1 } = scene(NOBODY);
    const contenders = isolates.map((isolate) => ({
      name: isolate.name,
      unit: isolate.name in POOLS ? unit : 1,
      run: (operations: number) => isolate.run({ scene: title, operations }),
    }));
    results[title] = await race(contenders, ROUNDS);
    show(title, results[title]);
  }
  for (const isolate of isolates) await isolate.end();
  return results;
}

/**
 * Nanoseconds for an operation of ours, with so many connections, and with so many waiters on ten; and what as many
 * waiters cost without a pool.
 */
async function curve(): Promise<Record<string, Record<string, number>>> {
  const counts = [10, 100, 1000, 10_000];
  const byCount = async (make: (count: number) => Promise<Contender>) => {
    const contenders: Contender[] = [];
    for (const count of counts) contenders.push(await make(count));
    const timings = await race(contenders, ROUNDS);
    return Object.fromEntries(timings.map(({ name, ns }) => [name, ns]));
  };
  return {
    connections: await byCount(async (count) => {
      const pool = POOLS.dnspool!(count);
      await pool.burst(count);
      return { name: String(count), ...workers(1)(pool) };
    }),
    waiters: await byCount(async (count) => {
      const pool = POOLS.dnspool!(SIZE);
      await pool.burst(SIZE);
      return { name: String(count), ...waiters(count)(pool) };
    }),
    queue: await byCount((count) =>
      Promise.resolve({ name: String(count), ...waiters(count)(bareQueue(SIZE)) })
    ),
  };
}

/** Bytes of the heap for each of many, with every pool: idle connections, and waiters. */
async function memory(): Promise<Record<string, { slot: number; waiter: number }> | undefined> {
  const { gc } = globalThis as { gc?: () => void };
  if (!gc) return undefined;
  const many = 10_000;
  const used = async () => {
    // What a weak reference or a finalizer held is free at the next collection only.
    for (let time = 0; time < 3; time++) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return process.memoryUsage().heapUsed;
  };
  const result: Record<string, { slot: number; waiter: number }> = {};
  for (const [name, make] of Object.entries(POOLS)) {
    const big = make(many);
    const before = await used();
    await big.burst(many);
    const slot = (await used() - before) / many;
    await big.end();
    const small = make(1);
    const budget = { left: 0 };
    await small.work(budget);
    const empty = await used();
    const { release, waiters } = await small.queue(many);
    const waiter = (await used() - empty) / many;
    release();
    await waiters;
    await small.end();
    result[name] = { slot: Math.round(slot), waiter: Math.round(waiter) };
  }
  return result;
}

async function main(): Promise<void> {
  console.log(`${runtimeName()}${quick ? ", quick" : ""}`);
  const scenes = await timed();
  const growth = await curve();
  const counts = Object.keys(growth.connections!);
  table("Ours, ns for an operation", ["", ...counts], [
    ["connections", ...counts.map((count) => figure(growth.connections![count]!))],
    ["waiters on 10", ...counts.map((count) => figure(growth.waiters![count]!))],
    ["a bare queue of promises", ...counts.map((count) => figure(growth.queue![count]!))],
  ]);
  const bytes = await memory();
  if (bytes) {
    table(
      "Bytes of heap",
      ["", "idle connection", "waiter"],
      Object.entries(bytes).map(([name, { slot, waiter }]) => [name, `${slot}`, `${waiter}`]),
    );
  }
  finish({ scenes, growth, bytes });
}

await (contenderHere === undefined ? main() : contend(contenderHere));
