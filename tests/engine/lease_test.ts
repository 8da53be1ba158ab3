import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertNotStrictEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { delay } from "../../internal/async.ts";
import { ConnectionLostError, type Lease } from "../../mod.ts";
import type { FakeClient } from "../../testing/mod.ts";
import {
  assertAtRest,
  checkoutMany,
  closeAtRest,
  keepLines,
  releaseAll,
  verdict,
  watch,
} from "../support/checks.ts";
import { fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";

/** All ways to end a lease. */
const endings: Readonly<Record<string, (lease: Lease<FakeClient>) => unknown>> = {
  "release()": (lease) => lease.release(),
  "release(error)": (lease) => lease.release(verdict("disconnect")),
  "invalidate()": (lease) => lease.invalidate(),
  "invalidate(error)": (lease) => lease.invalidate(verdict("disconnect")),
  "soft invalidate()": (lease) => {
    lease.invalidate(undefined, { soft: true });
    return lease.release();
  },
  "detach()": (lease) => lease.detach(),
  "asyncDispose": (lease) => lease[Symbol.asyncDispose](),
};

/** All calls that may be made on a lease after its end. */
const laterCalls: Readonly<Record<string, (lease: Lease<FakeClient>) => unknown>> = {
  ...endings,
  "detach()": (lease) => assertThrows(() => lease.detach(), TypeError),
  "client": (lease) => assertThrows(() => lease.client, TypeError),
};

Deno.test("Lease has client, address, info and released", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  const lease = await env.engine.connect();
  assertStrictEquals(lease.client, env.adapter.clients[0]);
  assertEquals([lease.address, lease.info, lease.released], ["10.0.0.1", {}, false]);
  assertFalse(lease.signal.aborted);
  assertStrictEquals(lease.signal, lease.signal);
  await lease.release();
  assertEquals([lease.address, lease.released, lease.signal.aborted], ["10.0.0.1", true, false]);
  await closeAtRest(env);
});

for (const [ending, finish] of Object.entries(endings)) {
  Deno.test(`after ${ending}, a lease has no effect on the next lease of its connection`, async () => {
    using time = fakeTime();
    for (const [call, later] of Object.entries(laterCalls)) {
      const env = fakeEngine({ poolSize: 1, maxOverflow: 0, poolTimeout: 0 });
      const lease = await env.engine.connect();
      await finish(lease);
      await time.settle();
      assert(lease.released, call);
      assertThrows(
        () => lease.client,
        TypeError,
        "Cannot use the client of a lease that was released or invalidated",
      );
      const other = await env.engine.connect();
      const before = env.engine.status();
      const log = [...other.client.log];
      await later(lease);
      await later(lease);
      await time.settle();
      assertEquals(env.engine.status(), before, call);
      assertEquals([other.released, other.signal.aborted, other.client.open], [false, false, true]);
      assertEquals(other.client.log, log);
      await assertRejects(() => env.engine.connect());
      await other.release();
    }
  });
}

Deno.test("Lease.release() twice at once gives one connection back", async () => {
  using _time = fakeTime();
  const env = fakeEngine({ poolSize: 1, maxOverflow: 0, poolTimeout: 0 }, {
    reset: () => delay(10),
  });
  const lease = await env.engine.connect();
  await Promise.all([lease.release(), lease.release(), lease[Symbol.asyncDispose]()]);
  assertEquals(env.engine.status().idle, 1);
  const [next] = await checkoutMany(env, 1);
  await assertRejects(() => env.engine.connect());
  await next!.release();
  await closeAtRest(env);
});

Deno.test("a connection that is being reset is not handed out", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolSize: 1, maxOverflow: 0 }, { reset: () => delay(10) });
  const lease = await env.engine.connect();
  lease.client.transactionStatus = "open";
  const release = watch(lease.release());
  const next = watch(env.engine.connect());
  await time.tick(9);
  assertEquals([release.state, next.state], ["pending", "pending"]);
  await time.tick(1);
  assertEquals([release.state, next.state], ["fulfilled", "fulfilled"]);
  await next.value!.release();
  await closeAtRest(env);
});

Deno.test("Lease.release() waits until a connection above poolSize is closed", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolSize: 1, hooks: { close: () => delay(10) } });
  const [kept, surplus] = await checkoutMany(env, 2);
  await kept!.release();
  const release = watch(surplus!.release());
  await time.tick(9);
  assertEquals([release.state, surplus!.released], ["pending", true]);
  await time.tick(1);
  assertEquals(release.state, "fulfilled");
  const closing = watch(env.engine.close());
  await time.tick(10);
  assertEquals([closing.state, env.adapter.open], ["fulfilled", []]);
});

Deno.test("await using releases the lease, whatever is thrown", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  const work = async (fail: boolean) => {
    await using lease = await env.engine.connect();
    if (fail) throw new Error(`failed on ${lease.client.id}`);
    return lease.client.id;
  };
  assertEquals(await work(false), 1);
  await assertRejects(() => work(true), Error, "failed on 1");
  assertAtRest(env);
  await closeAtRest(env);
});

Deno.test("Lease.release(error) closes a lost connection, and keeps it after any other error", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  for (const error of [new Error("syntax error"), verdict("read-only"), null, undefined]) {
    const lease = await env.engine.connect();
    await lease.release(error);
    assertEquals(env.engine.status().idle, 1);
  }
  const lease = await env.engine.connect();
  await lease.release(verdict("disconnect"));
  assertEquals(env.adapter.clients.map(({ log }) => log), [["terminate"]]);
  await closeAtRest(env);
});

Deno.test("Lease.release(error) closes the connections to a server that became read-only only if targetSessionAttrs needs writes", async () => {
  using _time = fakeTime();
  for (
    const [targetSessionAttrs, idle] of [["any", 3], ["standby", 3], ["read-write", 0]] as const
  ) {
    const role = { standby: targetSessionAttrs === "standby", readOnly: false };
    const env = fakeEngine({ targetSessionAttrs }, { role: () => role });
    const [lease, ...others] = await checkoutMany(env, 3);
    role.readOnly = true;
    await lease!.release(verdict("read-only"));
    await releaseAll(others);
    assertEquals(env.engine.status().idle, idle);
    await closeAtRest(env);
  }
});

Deno.test("Lease.release(error) keeps the connections to a server that refused a write in a transaction of the caller's own", async () => {
  using time = fakeTime();
  for (const poolClass of ["queue", "static"] as const) {
    const env = fakeEngine({ targetSessionAttrs: "read-write", poolClass });
    const [lease, ...others] = await checkoutMany(env, 3);
    const ways = [
      () => lease!.release(verdict("read-only")),
      () => env.engine.use(({ client }) => env.adapter.report(client, verdict("read-only"))),
      () => env.engine.use(() => Promise.reject(verdict("read-only"))).catch(() => {}),
    ];
    await ways[0]!();
    for (const other of others) assertFalse(other.signal.aborted);
    await releaseAll(others);
    await time.settle();
    for (const way of ways.slice(1)) await way();
    await time.settle();
    const { opened, closed } = env.engine.status();
    assertEquals([opened, closed], [poolClass === "static" ? 1 : 3, 0]);
    await closeAtRest(env);
  }
});

Deno.test("Lease.invalidate(error) closes its own connection, and others only if the server has another role", async () => {
  using time = fakeTime();
  for (const readOnly of [false, true]) {
    const role = { standby: false, readOnly: false };
    const env = fakeEngine({ targetSessionAttrs: "read-write" }, { role: () => role });
    const [lease, ...others] = await checkoutMany(env, 3);
    role.readOnly = readOnly;
    lease!.invalidate(verdict("read-only"));
    await time.settle();
    await releaseAll(others);
    assertEquals(env.engine.status().idle, readOnly ? 0 : 2);
    await closeAtRest(env);
  }
});

Deno.test("Lease.release() and invalidate() accept any value as an error", async () => {
  using time = fakeTime();
  const hostile = {
    get code() {
      throw new Error("do not look");
    },
    get verdict() {
      throw new Error("do not look");
    },
    get message() {
      throw new Error("do not look");
    },
  };
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  const bare = Object.create(null);
  const foreign = [
    0,
    "",
    "gone",
    false,
    10n,
    Symbol("gone"),
    () => {},
    [],
    new Map(),
    { code: "DISCONNECTED" },
    bare,
    hostile,
    proxy,
  ];
  for (const error of foreign) {
    const logger = keepLines();
    const env = fakeEngine({
      poolSize: 1,
      maxOverflow: 0,
      poolTimeout: 0,
      echoPool: "debug",
      logger,
    });
    const lease = await env.engine.connect();
    await lease.release(error);
    assertAtRest(env);
    assertEquals(env.engine.status().idle, 1);
    const again = await env.engine.connect();
    again.invalidate(error);
    await time.settle();
    assertEquals(env.engine.status().idle, 0);
    await env.engine.use(({ client }) => assertEquals(client.id, 2));
    await closeAtRest(env);
  }
});

Deno.test("Lease.invalidate() refuses invalid options", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  const lease = await env.engine.connect();
  const invalidate = (options: unknown) =>
    lease.invalidate(undefined, options as { soft?: boolean });
  const refused = [
    [true, '"options of invalidate()" must be an object, got true'],
    [null, '"options of invalidate()" must be an object, got null'],
    [{ soft: 1 }, '"soft" must be one of true, false, got 1'],
  ] as const;
  for (const [options, message] of refused) {
    assertThrows(() => invalidate(options), TypeError, message);
  }
  assertThrows(() => invalidate({ softly: true }), TypeError, 'did you mean "soft"?');
  assertFalse(lease.released);
  await lease.release();
  assertEquals(env.engine.status().idle, 1);
  await closeAtRest(env);
});

Deno.test("Lease.invalidate({ soft: true }) closes the connection when the lease is released", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  const [first, second] = await checkoutMany(env, 2);
  first!.invalidate(new Error("tired"), { soft: true });
  first!.invalidate(undefined, { soft: true });
  assertEquals(await env.adapter.query!(first!.client, "SELECT 1"), [{ address: "10.0.0.1" }]);
  await releaseAll([first!, second!]);
  assertEquals(env.adapter.clients.map(({ open }) => open), [false, true]);
  await closeAtRest(env);
});

Deno.test("Lease.detach() frees the place in the pool, and the pool does not touch the connection later", async () => {
  using time = fakeTime();
  const closes: number[] = [];
  const env = fakeEngine({
    poolSize: 1,
    maxOverflow: 0,
    idleTimeout: 60,
    hooks: { close: ({ client }) => void closes.push(client.id) },
  });
  const lease = await env.engine.connect();
  const waiter = watch(env.engine.connect());
  lease.info["note"] = 1;
  const { info } = lease;
  const client = lease.detach();
  await time.settle();
  assertEquals(waiter.value!.client.id, 2);
  assertNotStrictEquals(lease.info, info);
  assertEquals(lease.info, { note: 1 });
  env.engine.pool.invalidate();
  env.dns.addresses = ["10.0.0.2"];
  await time.advance(120);
  await waiter.value!.release();
  env.adapter.kill(client);
  client.open = true;
  await closeAtRest(env, [client]);
  assertEquals([client.open, client.log], [true, []]);
  assertEquals(closes, [2]);
});

Deno.test("Lease.signal is aborted when the connection dies in use, which is closed at once, without a reset that could not work", async () => {
  using _time = fakeTime();
  const logger = keepLines();
  const env = fakeEngine({ logger }, { reset: () => Promise.reject(new Error("it is dead")) });
  const lease = await env.engine.connect();
  lease.client.transactionStatus = "open";
  const died = new Error("reset by peer");
  env.adapter.kill(lease.client, died);
  const { reason } = lease.signal;
  assertInstanceOf(reason, ConnectionLostError);
  assertEquals(
    reason.message,
    "Lost the connection to 10.0.0.1: it was closed: reset by peer; work under way may or may not have been done",
  );
  assertStrictEquals(reason.cause, died);
  assertStrictEquals(assertThrows(() => lease.client), reason);
  assert(lease.released);
  assertAtRest(env);
  await lease.release();
  await env.engine.use(({ client }) => assertEquals(client.id, 2));
  assertEquals(logger.lines, []);
  assertAtRest(env);
  await env.engine.close();
});

Deno.test("a connection that dies while idle is not handed out", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  await releaseAll(await checkoutMany(env, 2));
  env.adapter.kill(env.adapter.clients[0]!);
  assertEquals(env.engine.status().idle, 1);
  await env.engine.use(({ client }) => assertEquals(client.id, 2));
  assertEquals(env.engine.status().closed, 1);
  await env.engine.close();
});

Deno.test("Lease.untilLost() ends with its work, or as soon as the connection is terminated, for all callers", async () => {
  using time = fakeTime();
  const env = fakeEngine();
  const lease = await env.engine.connect();
  assertEquals(await lease.untilLost(1), 1);
  assertEquals(await lease.untilLost(Promise.resolve(2)), 2);
  await assertRejects(() => lease.untilLost(Promise.reject(new Error("mine"))), Error, "mine");
  const never = new Promise<void>(() => {});
  const waits = [watch(lease.untilLost(never)), watch(lease.untilLost(never))];
  const closing = env.engine.close({ drain: 0 });
  await time.tick(0);
  await closing;
  await time.settle();
  const { reason } = lease.signal;
  assertInstanceOf(reason, ConnectionLostError);
  for (const { error } of waits) assertStrictEquals(error, reason);
  assertStrictEquals(await assertRejects(() => lease.untilLost(never)), reason);
});

Deno.test("Lease.untilLost() leaves no listener on a long lease, however often it was called", async () => {
  using time = fakeTime();
  const env = fakeEngine();
  const lease = await env.engine.connect();
  for (let i = 0; i < 100_000; i++) lease.untilLost(i);
  await time.settle();
  const wait = watch(lease.untilLost(new Promise<void>(() => {})));
  const closing = env.engine.close({ drain: 0 });
  await time.tick(0);
  await closing;
  assertInstanceOf(wait.error, ConnectionLostError);
  assertStrictEquals(lease.signal.reason, wait.error);
});

Deno.test("Lease.client throws the reason of the termination, not the error of a release", async () => {
  using time = fakeTime();
  const env = fakeEngine();
  const lease = await env.engine.connect();
  const closing = env.engine.close({ drain: 0 });
  await time.tick(0);
  await closing;
  const error = assertThrows(() => lease.client, ConnectionLostError);
  assertStrictEquals(error, lease.signal.reason);
  await lease.release();
});
