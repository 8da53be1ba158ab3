import { assertEquals } from "@std/assert";
import { type Engine, type EngineOptions, getDnsEngine, type Lease } from "../../mod.ts";
import { type FakeAdapter, fakeAdapter, type FakeClient } from "../../testing/mod.ts";
import { collector } from "../support/garbage.ts";
import { pause, until } from "../support/waiting.ts";

const collect = collector();

/** Uses an engine with two connections, and returns what `keep` returns. */
async function useEngine<T>(
  adapter: FakeAdapter,
  keep: (engine: Engine<FakeClient>, leases: Lease<FakeClient>[]) => T,
): Promise<T> {
  const options: EngineOptions<FakeClient> = { adapter };
  const engine = getDnsEngine("fake://127.0.0.1/orders", options);
  const leases = [await engine.connect(), await engine.connect()];
  await leases[0]!.release();
  const kept = keep(engine, leases);
  return kept;
}

async function collectSeveralTimes(): Promise<void> {
  for (let round = 0; round < 20; round++) {
    collect();
    await pause(5);
  }
}

async function untilOpen(adapter: FakeAdapter, count: number): Promise<void> {
  await until(() => {
    collect();
    return adapter.open.length === count;
  }, `that ${count} connections are open`);
}

Deno.test("an engine to which nothing refers any more closes its idle connections, and the leased ones when they come back", async () => {
  const adapter = fakeAdapter();
  const lease = await useEngine(adapter, (_, leases) => leases[1]!);
  await untilOpen(adapter, 1);
  assertEquals(lease.signal.aborted, false);
  await lease.release();
  assertEquals(adapter.open, []);
});

/** Uses a sibling of an engine to which nothing else refers. When this returns, nothing refers to the sibling either. */
async function useSibling(adapter: FakeAdapter): Promise<void> {
  const sibling = await useEngine(adapter, (engine, leases) => {
    leases[1]!.release();
    return engine.executionOptions({ isolationLevel: "serializable" });
  });
  await collectSeveralTimes();
  assertEquals(adapter.open.length, 2);
  await sibling.use(() => {});
}

Deno.test("an engine stays open while the program refers to a sibling of it", async () => {
  const adapter = fakeAdapter();
  await useSibling(adapter);
  await untilOpen(adapter, 0);
});

Deno.test("an engine to which nothing refers but the promise of a checkout stays open until that is settled", async () => {
  let accept = () => {};
  const accepted = new Promise<void>((resolve) => accept = resolve);
  const adapter = fakeAdapter({ connect: () => accepted });
  const wait = getDnsEngine("fake://127.0.0.1/orders", { adapter }).connect();
  await collectSeveralTimes();
  accept();
  const lease = await wait;
  await collectSeveralTimes();
  assertEquals([lease.released, adapter.open.length], [false, 1]);
  await lease.release();
  await untilOpen(adapter, 0);
});

Deno.test("an engine to which nothing refers stays open while it has a listener", async () => {
  const adapter = fakeAdapter();
  const heard: string[] = [];
  let isClosed = false;
  const listen = () => {
    const engine = getDnsEngine("fake://127.0.0.1/orders", { adapter });
    engine.addEventListener("close", () => isClosed = true);
    return engine.listen("orders", (payload) => void heard.push(payload));
  };
  const listener = await listen();
  await collectSeveralTimes();
  adapter.notify("orders", "1");
  assertEquals([heard, adapter.open.length], [["1"], 1]);
  await listener.close();
  assertEquals(adapter.open, []);
  await until(() => isClosed);
});
