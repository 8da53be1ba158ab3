/**
 * `deno task bench:pool`: checkout and checkin, compared with tarn, generic-pool, lightning-pool and pg-pool, on fake
 * connections. dnspool has its defaults, including the check of the address. `bench/rounds.ts` says how it is measured.
 *
 * @module
 */

import process from "node:process";
import { contenderHere, Isolate, serve } from "./isolates.ts";
import { bareQueue, type ContenderPool, POOLS } from "./pool_contenders.ts";
import { figure, finish, quick, ROUNDS, runtimeName, show, table } from "./report.ts";
import { compare, type Contender, type Timing } from "./rounds.ts";
import { compareWaiters, measureWaiters, WAITERS } from "./waiters.ts";

/** Size of the pools. */
const SIZE = 10;

/** Number of operations of each workload before it is timed, so that its code is compiled. */
const WARM_UP = quick ? 10_000 : 50_000;

/** Makes the contender of a workload from its pool. */
type Workload = (pool: Pick<ContenderPool, "work" | "burst">) => Omit<Contender, "name">;

/** Workers that acquire and release repeatedly: at least ten times each, because starting them has a cost. */
const workers = (count: number) => (pool: Pick<ContenderPool, "work">) => ({
  unit: 10 * count,
  async run(operations: number) {
    const budget = { left: operations };
    await Promise.all(Array.from({ length: count }, () => pool.work(budget)));
  },
});

/** Waiters that start at the same time and are served once each. */
const waiters = (count: number) => (pool: Pick<ContenderPool, "work">) => ({
  unit: count,
  async run(operations: number) {
    for (let left = operations; left > 0; left -= count) await workers(count)(pool).run(count);
  },
});

/** Replaces a pool to read the `unit` of a workload. */
const NO_POOL: Pick<ContenderPool, "work" | "burst"> = {
  work: () => Promise.resolve(),
  burst: () => Promise.resolve(),
};

const WORKLOADS: Readonly<Record<string, Workload>> = {
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

/** Lower bounds. */
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
  // deno-lint-ignore require-await -- the lower bound of what needs no promise
  async "Map read, clock, Set check"(operations) {
    const idle = new Map([["idle", { address: "127.0.0.2" }]]);
    const current = new Set(["127.0.0.2"]);
    const untilMs = performance.now() + 3_600_000;
    for (let i = 0; i < operations; i++) {
      const slot = idle.get("idle")!;
      if (performance.now() >= untilMs || !current.has(slot.address)) throw new Error("stale");
    }
  },
};

/** A batch of a contender's thread, which replies with the nanoseconds for one operation. */
interface Batch {
  readonly workload: string;
  readonly operations: number;
}

/** Runs a contender's thread: one pool for all workloads. */
async function contend(name: string): Promise<void> {
  const pool = POOLS[name]?.(SIZE);
  await pool?.burst(SIZE); // opens the connections
  const workloads = Object.entries(WORKLOADS).map(([title, workload]) =>
    [title, pool ? workload(pool).run : BASELINES[name]!] as const
  );
  const runs = new Map(workloads);
  serve(async ({ workload, operations }: Batch) => {
    const startMs = performance.now();
    await runs.get(workload)!(operations);
    return (performance.now() - startMs) * 1e6 / operations;
  });
}

/** Runs every workload with every contender. */
async function runAll(): Promise<Record<string, readonly Timing[]>> {
  const names = [...Object.keys(POOLS), ...Object.keys(BASELINES)];
  const isolates = names.map((name) => new Isolate<Batch, number>(import.meta.url, name));
  for (const title of Object.keys(WORKLOADS)) {
    for (const isolate of isolates) await isolate.run({ workload: title, operations: WARM_UP });
  }
  const results: Record<string, readonly Timing[]> = {};
  for (const [title, workload] of Object.entries(WORKLOADS)) {
    const { unit = 1 } = workload(NO_POOL);
    const contenders = isolates.map((isolate) => ({
      name: isolate.name,
      unit: isolate.name in POOLS ? unit : 1,
      run: (operations: number) => isolate.run({ workload: title, operations }),
    }));
    results[title] = await compare(contenders, ROUNDS);
    show(title, results[title]);
  }
  for (const isolate of isolates) await isolate.end();
  return results;
}

/**
 * Measures how dnspool scales: nanoseconds for an operation by the number of connections, by the number of waiters on
 * ten connections, and by the number of waiters without a pool.
 */
async function scaling(): Promise<Record<string, Record<string, number>>> {
  const counts = [10, 100, 1000, 10_000];
  const byCount = async (make: (count: number) => Promise<Contender>) => {
    const contenders: Contender[] = [];
    for (const count of counts) contenders.push(await make(count));
    const timings = await compare(contenders, ROUNDS);
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

async function main(): Promise<void> {
  console.log(`${runtimeName()}${quick ? ", quick" : ""}`);
  if (process.argv.includes("--waiters")) finish(await compareWaiters(import.meta.url));
  const scenes = await runAll();
  const growth = await scaling();
  const counts = Object.keys(growth.connections!);
  table("dnspool, ns for an operation", ["", ...counts], [
    ["connections", ...counts.map((count) => figure(growth.connections![count]!))],
    ["waiters on 10", ...counts.map((count) => figure(growth.waiters![count]!))],
    ["a bare queue of promises", ...counts.map((count) => figure(growth.queue![count]!))],
  ]);
  finish({ scenes, growth });
}

if (contenderHere === undefined) await main();
else if (contenderHere === WAITERS) serve(measureWaiters);
else await contend(contenderHere);
