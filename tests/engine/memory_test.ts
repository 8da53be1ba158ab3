import { assert } from "@std/assert";
import process from "node:process";
import { type Engine, getDnsEngine } from "../../mod.ts";
import { fakeAdapter, type FakeClient } from "../../testing/mod.ts";
import { collector } from "../support/garbage.ts";

const collect = collector();

Deno.test("an engine that is not used takes less than 5,500 bytes", async () => {
  const count = 2000;
  const adapter = fakeAdapter();
  const make = () => getDnsEngine("fake://db.internal/orders", { adapter });
  await make().close(); // what is made once belongs to no engine
  const engines = new Array<Engine<FakeClient> | undefined>(count).fill(undefined);
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let index = 0; index < count; index++) engines[index] = make();
  collect();
  const bytes = (process.memoryUsage().heapUsed - before) / count;
  assert(bytes < 5500, `${Math.round(bytes)} bytes`);
  for (const engine of engines) await engine!.close();
});
