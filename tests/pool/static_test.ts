import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { delay } from "../../internal/async.ts";
import { ConnectionLostError, PoolClosedError } from "../../mod.ts";
import {
  assertAtRest,
  checkoutMany,
  closeAtRest,
  refused,
  releaseAll,
  verdict,
  watch,
} from "../support/checks.ts";
import type { Lease } from "../../pool/lease.ts";
import type { FakeClient } from "../../testing/mod.ts";
import { fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";

Deno.test("StaticPool: concurrent first checkouts wait for one connect", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolClass: "static" }, { connect: () => delay(10) });
  const waits = Array.from({ length: 20 }, () => env.engine.connect());
  await time.tick(10);
  const leases = await Promise.all(waits);
  assertEquals(new Set(leases.map(({ client }) => client)).size, 1);
  assertEquals(env.engine.status().inUse, 1);
  await releaseAll(leases);
  await closeAtRest(env);
});

Deno.test("StaticPool resets the connection when the last lease is released, not before", async () => {
  using _time = fakeTime();
  const env = fakeEngine({ poolClass: "static" });
  const [first, second] = await checkoutMany(env, 2);
  first!.client.transactionStatus = "open";
  await first!.release();
  await first!.release();
  const [client] = env.adapter.clients;
  assertEquals(client!.log, []);
  await second!.release();
  assertEquals(client!.log, ["rollback"]);
  await closeAtRest(env);
});

Deno.test("StaticPool ends all leases when one of them reports the connection as broken", async () => {
  using _time = fakeTime();
  const ways = [
    (lease: { release(error: unknown): Promise<void> }) => lease.release(verdict("disconnect")),
    (lease: { invalidate(error: unknown): void }) => lease.invalidate(verdict("disconnect")),
  ];
  for (const tell of ways) {
    const env = fakeEngine({ poolClass: "static" });
    const [first, second] = await checkoutMany(env, 2);
    const third = watch(env.engine.use(() => new Promise(() => {})));
    await env.engine.use(() => {});
    await tell(first!);
    assert(second!.signal.aborted && second!.released);
    assertInstanceOf(second!.signal.reason, ConnectionLostError);
    assertEquals(second!.signal.reason.address, "10.0.0.1");
    await second!.release(verdict("disconnect"));
    await env.engine.use(({ client }) => assertEquals(client.id, 2));
    assertEquals([third.state, third.error], ["rejected", third.error]);
    assertInstanceOf(third.error, ConnectionLostError);
    assertEquals(env.adapter.clients[0]!.log, ["terminate"]);
    await closeAtRest(env);
  }
});

Deno.test("StaticPool keeps the connection shared after an error that does not concern it", async () => {
  using _time = fakeTime();
  const env = fakeEngine({ poolClass: "static" });
  const [first, second] = await checkoutMany(env, 2);
  await first!.release(new Error("syntax error"));
  assertEquals(second!.signal.aborted, false);
  await second!.release(new Error("syntax error"));
  assertEquals(env.engine.status().idle, 1);
  await closeAtRest(env);
});

Deno.test("StaticPool: detach() ends the other leases, and another connection is opened", async () => {
  using _time = fakeTime();
  const env = fakeEngine({ poolClass: "static" });
  const [first, second] = await checkoutMany(env, 2);
  const client = first!.detach();
  assert(second!.signal.aborted);
  assert(client.open);
  await second!.release();
  await env.engine.use((lease) => assertEquals(lease.client.id, 2));
  assertEquals(env.engine.status().detached, 1);
  await env.adapter.close!(client);
  await closeAtRest(env, [client]);
});

Deno.test("StaticPool: an aborted checkout ends at once, and the connection becomes idle", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolClass: "static" }, { connect: () => delay(10) });
  const controllers = [new AbortController(), new AbortController()];
  const waits = controllers.map(({ signal }) => watch(env.engine.connect({ signal })));
  await time.tick(5);
  controllers[0]!.abort(new Error("no more"));
  await time.settle();
  assertEquals(waits.map(({ state }) => state), ["rejected", "pending"]);
  controllers[1]!.abort(new Error("no more"));
  await time.tick(5);
  assertEquals([waits[1]!.state, env.engine.status().idle], ["rejected", 1]);
  await env.engine.use(({ client }) => assertEquals(client.id, 1));
  await closeAtRest(env);
});

Deno.test("StaticPool gives each caller its own timeout", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolClass: "static" });
  await env.engine.use((lease) => lease.invalidate());
  env.adapter.behavior.connect = () => Promise.reject(refused());
  const hasty = watch(env.engine.connect({ timeout: 0.2 }));
  const patient = watch(env.engine.connect({ timeout: 20 }));
  await time.advance(5);
  assertEquals([hasty.state, patient.state], ["rejected", "pending"]);
  env.adapter.behavior.connect = () => {};
  await time.advance(1);
  assertEquals(patient.state, "fulfilled");
  await patient.value!.release();
  await closeAtRest(env);
});

Deno.test("StaticPool shares the connection with a fresh answer only, and an aborted wait for one leaves nothing behind", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolClass: "static", dnsRefresh: "on-demand" });
  const [holder] = await checkoutMany(env, 1);
  await time.advance(10);
  env.dns.addresses = ["10.0.0.2"];
  assertEquals(await env.engine.use(({ address }) => address), "10.0.0.2");
  await holder!.release();
  const [other] = await checkoutMany(env, 1);
  await time.advance(10);
  env.dns.delayMs = 1000;
  const controller = new AbortController();
  const wait = watch(env.engine.connect({ signal: controller.signal }));
  await other!.release();
  controller.abort();
  await time.settle();
  assertEquals([wait.state, env.engine.status().idle], ["rejected", 1]);
  await closeAtRest(env);
});

Deno.test("StaticPool opens a new connection after a change of address while the old one is still leased", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolClass: "static" });
  const [old] = await checkoutMany(env, 1);
  env.dns.addresses = ["10.0.0.2"];
  await time.advance(10);
  const lease = await env.engine.connect();
  assertEquals([old!.address, lease.address], ["10.0.0.1", "10.0.0.2"]);
  assert(old!.client.open);
  await releaseAll([old!, lease]);
  assertEquals(env.adapter.open.map(({ address }) => address), ["10.0.0.2"]);
  await closeAtRest(env);
});

Deno.test("StaticPool applies idleTimeout and poolRecycle when the connection is back, not while it is shared", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolClass: "static", idleTimeout: 60, poolRecycle: 100 });
  let lease = await env.engine.connect();
  for (let i = 0; i < 20; i++) {
    await time.advance(30);
    const next = await env.engine.connect({ timeout: 0 });
    await lease.release();
    lease = next;
  }
  assertEquals(env.adapter.dials.length, 1);
  await lease.release();
  await env.engine.use(({ client }) => assertEquals(client.id, 2));
  await closeAtRest(env);
});

Deno.test("StaticPool takes the isolation level of a sibling back with the connection", async () => {
  using _time = fakeTime();
  const env = fakeEngine({ poolClass: "static" });
  const sibling = env.engine.executionOptions({ isolationLevel: "serializable" });
  await sibling.use(({ client }) => assertEquals(client.isolationLevel, "serializable"));
  assertEquals(env.adapter.clients[0]!.log, ["isolation serializable", "isolation default"]);
  await closeAtRest(env);
});

Deno.test("StaticPool shares nothing once the engine is closed or its pool disposed", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolClass: "static" });
  const lease = await env.engine.connect();
  await env.engine.dispose();
  await env.engine.use(({ client }) => assertEquals(client.id, 2));
  await lease.release();
  const [last] = await checkoutMany(env, 1);
  const closing = watch(env.engine.close({ drain: 50 }));
  await time.advance(1);
  // While the lease is not released yet, and with an expired answer.
  for (let round = 0; round < 2; round++) {
    await assertRejects(() => env.engine.connect(), PoolClosedError, "the engine is closed");
    await time.advance(20);
  }
  await time.advance(10);
  assertEquals(closing.state, "fulfilled");
  assertInstanceOf(last!.signal.reason, ConnectionLostError);
  await last!.release();
  assertEquals(env.adapter.open, []);
  assertAtRest(env);
});

Deno.test("StaticPool gives the connection back that a departure keeps from being shared, though a caller waits", async () => {
  for (const waitsForAnswer of [false, true]) {
    using time = fakeTime();
    const env = fakeEngine({ poolClass: "static" }, { connect: () => delay(20) });
    const first = watch(env.engine.connect());
    await time.tick(20);
    for (let move = 2; move < 7; move++) {
      env.dns.addresses = [`10.0.0.${move}`];
      const holder = move === 2 ? first.value! : await env.engine.connect();
      if (waitsForAnswer) env.dns.delayMs = 50;
      await time.advance((waitsForAnswer ? 1 : 2) * env.dns.ttl!);
      const next = watch(env.engine.connect());
      await time.tick(5);
      await holder.release();
      await time.tick(100);
      assertEquals(next.value?.address, `10.0.0.${move}`);
      await next.value!.release();
      const { idle, inUse, retired } = env.engine.status();
      assertEquals([idle, inUse, retired, env.adapter.open.length], [1, 0, 0, 1]);
    }
    await closeAtRest(env);
  }
});

Deno.test("StaticPool serves a caller that waits for the place of a connection that must not be shared any more", async () => {
  const ways: ((env: ReturnType<typeof fakeEngine>, lease: Lease<FakeClient>) => void)[] = [
    ({ engine }) => engine.pool.invalidate(),
    (_, lease) => lease.invalidate(undefined, { soft: true }),
    ({ adapter }) => adapter.kill(adapter.open[0]!),
  ];
  for (const invalidate of ways) {
    using time = fakeTime();
    const env = fakeEngine({ poolClass: "static", poolTimeout: 3 });
    const holder = await env.engine.connect();
    invalidate(env, holder);
    const waiting = watch(env.engine.connect());
    await time.tick(10);
    await holder.release();
    await time.tick(10);
    assertEquals(waiting.value?.client.id, 2);
    await waiting.value!.release();
    await closeAtRest(env);
  }
});

Deno.test("StaticPool rejects a caller that waits for an answer when the engine is closed", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolClass: "static" });
  env.dns.delayMs = 3000;
  const waiting = watch(env.engine.connect());
  await time.tick(10);
  const closing = env.engine.close();
  await time.tick(10);
  assertInstanceOf(waiting.error, PoolClosedError);
  await closing;
});
