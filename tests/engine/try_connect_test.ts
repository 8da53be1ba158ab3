import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import type { Lease } from "../../mod.ts";
import type { EngineOptions } from "../../engine/options.ts";
import type { FakeClient } from "../../testing/mod.ts";
import { assertAtRest, closeAtRest, watch } from "../support/checks.ts";
import { fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";

/** Makes an engine with idle connections. */
async function warmEngine(options: EngineOptions<FakeClient> = {}, count = 1) {
  const env = fakeEngine(options);
  await env.engine.warm(count);
  return env;
}

Deno.test("Engine.tryConnect() hands out an idle connection, and nothing that has to be opened", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  assertEquals(env.engine.tryConnect(), undefined);
  assertEquals([env.dns.questions.length, env.adapter.clients.length], [0, 0]);
  await env.engine.warm();
  const lease = env.engine.tryConnect();
  assertEquals([lease?.client.id, lease?.address], [1, "10.0.0.1"]);
  assertEquals(env.engine.status().inUse, 1);
  assertEquals(env.engine.tryConnect(), undefined);
  assertEquals([env.engine.status().connecting, env.engine.status().waiting], [0, 0]);
  await lease!.release();
  await closeAtRest(env);
});

Deno.test("Engine.tryConnect() hands out connections in the order of connect()", async () => {
  using _time = fakeTime();
  for (const poolUseLifo of [false, true]) {
    const env = await warmEngine({ poolUseLifo }, 3);
    const orders: number[][] = [];
    for (const next of [() => env.engine.tryConnect()!, () => env.engine.connect()]) {
      const leases: Lease<FakeClient>[] = [];
      for (let taken = 0; taken < 3; taken++) leases.push(await next());
      orders.push(leases.map(({ client }) => client.id));
      // Back in an order in which the next round takes them as this one did.
      for (const lease of poolUseLifo ? leases.toReversed() : leases) await lease.release();
    }
    assertEquals(orders[0], orders[1]);
    await closeAtRest(env);
  }
});

Deno.test("Engine.tryConnect() leaves an answer that has expired, and an address that departed, to connect()", async () => {
  using time = fakeTime();
  const env = await warmEngine();
  env.dns.respond = () => new Promise(() => {});
  await time.advance(12);
  assertEquals(env.engine.tryConnect(), undefined);
  assertEquals(env.engine.status().idle, 1);
  await env.engine.close();

  const moved = await warmEngine();
  const kept = moved.engine.tryConnect()!;
  await moved.engine.use(() => {});
  moved.dns.addresses = ["10.0.0.2"];
  await time.advance(10);
  assertEquals(moved.engine.tryConnect(), undefined);
  await moved.engine.use(() => {});
  const next = moved.engine.tryConnect();
  assertEquals(next?.address, "10.0.0.2");
  await next!.release();
  await kept.release();
  await closeAtRest(moved);
});

Deno.test("Engine.tryConnect() leaves a check that takes time to connect(), and the connection in its place", async () => {
  using time = fakeTime();
  const pinged = await warmEngine({ poolPrePing: true, prePingAfter: 1 }, 2);
  const first = pinged.engine.tryConnect();
  assertEquals(first?.client.id, 1);
  await first!.release();
  await time.advance(1);
  assertEquals(pinged.engine.tryConnect(), undefined);
  assertEquals(pinged.adapter.clients.map(({ log }) => log), [[], []]);
  const checked = await pinged.engine.connect();
  assertEquals([checked.client.id, checked.client.log], [2, ["ping"]]);
  await checked.release();
  await closeAtRest(pinged);

  let calls = 0;
  const hooked = await warmEngine({ hooks: { checkout: () => void calls++ } });
  calls = 0;
  assertEquals([hooked.engine.tryConnect(), calls], [undefined, 0]);
  await closeAtRest(hooked);
});

Deno.test("Engine.tryConnect() closes a connection that is too old, and hands out the next one", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolRecycle: 5 });
  const old = await env.engine.connect();
  await time.advance(4);
  const young = await env.engine.connect();
  await old.release();
  await young.release();
  await time.advance(1.5);
  const lease = env.engine.tryConnect();
  assertEquals(lease?.client.id, 2);
  await lease!.release();
  assertEquals(env.adapter.clients[0]!.open, false);
  await closeAtRest(env);
});

Deno.test("Engine.tryConnect() does not overtake a caller that waits", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolSize: 2, maxOverflow: 0 });
  const leases = [await env.engine.connect(), await env.engine.connect()];
  const waiting = watch(env.engine.connect());
  await time.settle();
  leases[0]!.release();
  leases[1]!.release();
  const taken = env.engine.tryConnect();
  await time.settle();
  assertEquals([waiting.state, waiting.value?.client.id, taken?.client.id], ["fulfilled", 1, 2]);
  await waiting.value!.release();
  await taken!.release();
  await closeAtRest(env);
});

Deno.test("Engine.tryConnect() of each pool class, after dispose() and after close()", async () => {
  using _time = fakeTime();
  const taken: Record<string, (number | undefined)[]> = {};
  for (const poolClass of ["queue", "null", "static", "assertion"] as const) {
    const env = fakeEngine({ poolClass, ...(poolClass === "queue" && { poolSize: 1 }) });
    await env.engine.use(() => {});
    const first = env.engine.tryConnect();
    const second = env.engine.tryConnect();
    taken[poolClass] = [first?.client.id, second?.client.id];
    await first?.release();
    await second?.release();
    await env.engine.dispose();
    assertEquals(env.engine.tryConnect(), undefined);
    await env.engine.use(() => {});
    await env.engine.close();
    assertEquals(env.engine.tryConnect(), undefined);
    assertAtRest(env);
  }
  assertEquals(taken, {
    queue: [1, undefined],
    null: [undefined, undefined],
    static: [1, 1],
    assertion: [1, undefined],
  });
});

Deno.test("Engine.tryConnect() of a sibling with an isolation level, which is set by a statement", async () => {
  using _time = fakeTime();
  const env = await warmEngine();
  const sibling = env.engine.executionOptions({ isolationLevel: "serializable" });
  assertEquals(sibling.tryConnect(), undefined);
  const named = env.engine.executionOptions({ loggingToken: "job" });
  await named.tryConnect()!.release();
  await closeAtRest(env);
});

Deno.test("Engine.tryConnect() is logged, counted and traced as connect() is", async () => {
  using _time = fakeTime();
  const lines: string[] = [];
  let served = 0;
  const add = (line: string) => void lines.push(line);
  const env = await warmEngine({
    echoPool: "debug",
    logger: { debug: add, info: add, warn: add },
    observer: { served: () => void served++ },
    poolClass: "assertion",
  });
  const count = () => lines.filter((line) => line.includes("Checked out")).length;
  const before = [count(), served];
  const lease = env.engine.tryConnect();
  assertEquals([count(), served], [before[0]! + 1, before[1]! + 1]);
  // The error of the second checkout shows where the first one was.
  const refused = watch(env.engine.connect());
  await Promise.resolve();
  assert(String(refused.error).includes("tryCheckout"), String(refused.error));
  await lease!.release();
  await closeAtRest(env);
});

Deno.test("Lease[Symbol.dispose]() gives the connection back, and does not wait for its reset", async () => {
  using time = fakeTime();
  const env = await warmEngine({ poolSize: 1, maxOverflow: 0 });
  let client: FakeClient;
  {
    using lease = env.engine.tryConnect()!;
    ({ client } = lease);
    client.transactionStatus = "open";
  }
  assertEquals([env.engine.status().inUse, env.engine.tryConnect()], [1, undefined]);
  await time.settle();
  assertEquals(client.log, ["rollback"]);
  const again = env.engine.tryConnect();
  assertStrictEquals(again?.client, client);
  await again!.release();
  await closeAtRest(env);
});

Deno.test("Engine.query() sends its statement at once if nothing has to be awaited", async () => {
  using _time = fakeTime();
  const env = await warmEngine();
  const rows = env.engine.query("SELECT 1");
  assertEquals(env.adapter.clients[0]!.log, ["SELECT 1"]);
  await rows;
  await closeAtRest(env);
});
