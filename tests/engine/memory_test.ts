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
    const bytes = await bytesOfEngine(urlOf, () => ({ poolSize: 10, maxOverflow: 0 }));
    assert(bytes < 1000, `${Math.round(bytes)} bytes`);
  }
});

Deno.test("an engine whose options are its own takes less than 2,000 bytes while it is not used", async () => {
  const optionsOf = (index: number) => ({ poolLoggingName: `orders ${index}`, connectArgs: {} });
  const bytes = await bytesOfEngine(() => "none://db.internal/orders", optionsOf);
  assert(bytes < 2000, `${Math.round(bytes)} bytes`);
});

Deno.test("an engine with one idle connection takes less than 6,500 bytes", async () => {
  const dnsLookup = {
    name: "memory",
    lookup: () => Promise.resolve({ addresses: ["127.0.0.2"], ttl: 300 }),
  };
  const bytes = await bytesOfEngine(
    () => "none://db.internal/orders",
    () => ({ dnsLookup, poolSize: 10, maxOverflow: 0 }),
    (engine) => engine.use(() => {}),
  );
  assert(bytes < 6500, `${Math.round(bytes)} bytes`);
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
  await using engine = make(count);
  const before = await heapUsed();
  await burst(engine);
  const connection = (await heapUsed() - before) / count;
  assert(connection < 350, `${Math.round(connection)} bytes for a connection`);
  await using single = make(1);
  const first = await single.connect();
  const empty = await heapUsed();
  const waiters = Array.from(
    { length: count },
    () => single.connect().then((lease) => lease.release()),
  );
  const waiter = (await heapUsed() - empty) / count;
  assert(waiter < 1000, `${Math.round(waiter)} bytes for a waiter`);
  await first.release();
  await Promise.all(waiters);
});
