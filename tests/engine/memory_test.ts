import { assert } from "@std/assert";
import process from "node:process";
import { type Adapter, type Engine, type EngineOptions, getDnsEngine } from "../../mod.ts";
import { collector } from "../support/garbage.ts";

const collect = collector();

/** Opens connections that take no memory. */
const adapter: Adapter<object> = {
  name: "none",
  defaultPort: 1,
  connect: () => Promise.resolve({}),
  close: () => Promise.resolve(),
};

/** Returns the bytes that are in use. What only a finalizer refers to is free with the next collection. */
async function heapUsed(): Promise<number> {
  for (let turn = 0; turn < 3; turn++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return process.memoryUsage().heapUsed;
}

/**
 * Measures, and again if it is too much, up to three times: compiled code, too, comes and goes on the heap.
 *
 * @param limit The bytes that are too many.
 * @param measure Returns the bytes for one.
 */
async function assertBelow(limit: number, measure: () => Promise<number>): Promise<void> {
  const all: number[] = [];
  while (all.length < 3 && !(all.at(-1)! < limit)) all.push(Math.round(await measure()));
  assert(all.at(-1)! < limit, `${all} bytes`);
}

/** Returns the bytes for one engine; `use` is called with each. */
async function bytesOfEngine(
  urlOf: (index: number) => string,
  optionsOf: (index: number) => EngineOptions<object>,
  use?: (engine: Engine<object>) => Promise<unknown>,
): Promise<number> {
  const count = 2000;
  const make = (index: number) => getDnsEngine(urlOf(index), { adapter, ...optionsOf(index) });
  for (let index = 0; index < 20; index++) { // what is made once belongs to no engine
    const engine = make(index);
    await use?.(engine);
    await engine.close();
  }
  const engines = new Array<Engine<object> | undefined>(count).fill(undefined);
  const before = await heapUsed();
  for (let index = 0; index < count; index++) engines[index] = make(index);
  if (use) { for (const engine of engines) await use(engine!); }
  const bytes = (await heapUsed() - before) / count;
  for (const engine of engines) await engine!.close();
  return bytes;
}

Deno.test("an engine that is not used takes less than 1,000 bytes, on one name or on names of their own", async () => {
  const urls = [() => "none://db.internal/orders", (index: number) => `none://db${index}/orders`];
  for (const urlOf of urls) {
    await assertBelow(
      1000,
      () => bytesOfEngine(urlOf, () => ({ poolSize: 10, maxOverflow: 0 })),
    );
  }
});

Deno.test("an engine whose options are its own takes less than 2,000 bytes while it is not used", async () => {
  const optionsOf = (index: number) => ({ poolLoggingName: `orders ${index}`, connectArgs: {} });
  await assertBelow(2000, () => bytesOfEngine(() => "none://db.internal/orders", optionsOf));
});

Deno.test("an engine with one idle connection takes less than 6,500 bytes", async () => {
  const dnsLookup = {
    name: "memory",
    lookup: () => Promise.resolve({ addresses: ["127.0.0.2"], ttl: 300 }),
  };
  await assertBelow(6500, () =>
    bytesOfEngine(
      () => "none://db.internal/orders",
      () => ({ dnsLookup, poolSize: 10, maxOverflow: 0 }),
      (engine) => engine.use(() => {}),
    ));
});

Deno.test("an idle connection takes less than 350 bytes beside its client, a caller that waits less than 1,000", async () => {
  const count = 2000;
  const dnsLookup = {
    name: "memory",
    lookup: () => Promise.resolve({ addresses: ["127.0.0.2"], ttl: 300 }),
  };
  const make = (poolSize: number) =>
    getDnsEngine("none://db.internal/orders", { adapter, dnsLookup, poolSize, maxOverflow: 0 });
  const burst = async (engine: Engine<object>) => {
    const leases = await Promise.all(Array.from({ length: count }, () => engine.connect()));
    for (const lease of leases) void lease.release();
  };
  const warm = make(count); // what is made once belongs to no connection
  await burst(warm);
  await warm.close();
  await assertBelow(350, async () => {
    await using engine = make(count);
    const before = await heapUsed();
    await burst(engine);
    return (await heapUsed() - before) / count;
  });
  await assertBelow(1000, async () => {
    await using single = make(1);
    const first = await single.connect();
    const empty = await heapUsed();
    const waiters = Array.from(
      { length: count },
      () => single.connect().then((lease) => lease.release()),
    );
    const bytes = (await heapUsed() - empty) / count;
    await first.release();
    await Promise.all(waiters);
    return bytes;
  });
});
