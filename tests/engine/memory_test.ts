import { assert } from "@std/assert";
import process from "node:process";
import { type Engine, type EngineOptions, getDnsEngine } from "../../mod.ts";
import { fakeAdapter, type FakeClient } from "../../testing/mod.ts";
import { collector } from "../support/garbage.ts";

const collect = collector();

/** Returns the bytes for one engine; `use` is called with each. */
async function bytesOfEngine(
  urlOf: (index: number) => string,
  optionsOf: (index: number) => EngineOptions<FakeClient>,
  use?: (engine: Engine<FakeClient>) => Promise<unknown>,
): Promise<number> {
  const count = 2000;
  const adapter = fakeAdapter();
  const make = (index: number) => getDnsEngine(urlOf(index), { adapter, ...optionsOf(index) });
  for (let index = 0; index < 20; index++) { // what is made once belongs to no engine
    const engine = make(index);
    await use?.(engine);
    await engine.close();
  }
  const engines = new Array<Engine<FakeClient> | undefined>(count).fill(undefined);
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let index = 0; index < count; index++) engines[index] = make(index);
  if (use) { for (const engine of engines) await use(engine!); }
  collect();
  const bytes = (process.memoryUsage().heapUsed - before) / count;
  for (const engine of engines) await engine!.close();
  return bytes;
}

Deno.test("an engine that is not used takes less than 1,000 bytes, on one name or on names of their own", async () => {
  const urls = [() => "fake://db.internal/orders", (index: number) => `fake://db${index}/orders`];
  for (const urlOf of urls) {
    const bytes = await bytesOfEngine(urlOf, () => ({ poolSize: 10, maxOverflow: 0 }));
    assert(bytes < 1000, `${Math.round(bytes)} bytes`);
  }
});

Deno.test("an engine whose options are its own takes less than 2,000 bytes while it is not used", async () => {
  const optionsOf = (index: number) => ({ poolLoggingName: `orders ${index}`, connectArgs: {} });
  const bytes = await bytesOfEngine(() => "fake://db.internal/orders", optionsOf);
  assert(bytes < 2000, `${Math.round(bytes)} bytes`);
});

Deno.test("an engine with one idle connection takes less than 7,000 bytes, the fake client included", async () => {
  const dnsLookup = {
    name: "memory",
    lookup: () => Promise.resolve({ addresses: ["127.0.0.2"], ttl: 300 }),
  };
  const bytes = await bytesOfEngine(
    () => "fake://db.internal/orders",
    () => ({ dnsLookup, poolSize: 10, maxOverflow: 0 }),
    (engine) => engine.use(() => {}),
  );
  assert(bytes < 7000, `${Math.round(bytes)} bytes`);
});
