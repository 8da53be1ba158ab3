/**
 * Scenarios for a pool of SQLAlchemy's kind, numbered.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "../../internal/async.ts";
import {
  ConnectError,
  ConnectionInUseError,
  DisconnectionError,
  type EngineOptions,
  type Lease,
  PoolClosedError,
  PoolTimeoutError,
} from "../../mod.ts";
import type { FakeBehavior, FakeClient } from "../../testing/mod.ts";
import {
  assertAtRest,
  checkoutMany,
  closeAtRest,
  fixedRandom,
  noted,
  refused,
  releaseAll,
  verdict,
  watch,
} from "../support/checks.ts";
import { type FakeEngine, fakeEngine } from "../support/fake_engine.ts";
import { fakeTime, type TestTime } from "../support/time.ts";

Deno.test("1. Pool built, disposed, recreated: no connection opened, no DNS question asked", async () => {
  using _time = fakeTime();
  const first = fakeEngine();
  await first.engine.dispose();
  await first.engine.dispose();
  await closeAtRest(first);
  const second = fakeEngine({ dnsLookup: first.dns });
  await closeAtRest(second);
  assertEquals([first.adapter.dials, second.adapter.dials], [[], []]);
  assertEquals(first.dns.questions, []);
});

Deno.test("2. info survives checkin and is cleared on reconnect; a detached copy is private", async () => {
  using _time = fakeTime();
  const seen: Record<string, unknown>[] = [];
  const env = fakeEngine({ hooks: { connect: ({ info }) => void seen.push(info) } });
  await env.engine.use(({ info }) => {
    info["note"] = "mine";
  });
  const lease = await env.engine.connect();
  assertEquals(lease.info, { note: "mine" });
  lease.invalidate();
  const other = await env.engine.connect();
  assertEquals(other.info, {});
  other.info["note"] = "yours";
  const client = other.detach();
  other.info["note"] = "private";
  assertEquals(seen, [{ note: "mine" }, { note: "yours" }]);
  await env.adapter.close!(client);
  await closeAtRest(env, [client]);
});

Deno.test("3. poolSize 3, maxOverflow Infinity, six out and back: three stay, three closed", async () => {
  using _time = fakeTime();
  const env = fakeEngine({ poolSize: 3, maxOverflow: Infinity });
  const leases = await checkoutMany(env, 6);
  assertEquals([env.engine.status().inUse, env.engine.status().overflow], [6, 3]);
  await releaseAll(leases);
  const { idle, closed, overflow } = env.engine.status();
  assertEquals({ idle, closed, overflow }, { idle: 3, closed: 3, overflow: 0 });
  assertEquals(env.adapter.open.length, 3);
  await releaseAll(await checkoutMany(env, 3));
  assertEquals(env.adapter.dials.length, 6);
  await closeAtRest(env);
});

Deno.test("4. 3 + 0 all out, poolTimeout 2: the fourth fails at about 2 s; poolTimeout 0.5 works to sub-second precision", async () => {
  using time = fakeTime();
  for (const [poolTimeout, justBefore] of [[2, 1.999], [0.5, 0.499]] as const) {
    const env = fakeEngine({ poolSize: 3, maxOverflow: 0, poolTimeout, poolLoggingName: "orders" });
    const leases = await checkoutMany(env, 3);
    const fourth = watch(env.engine.connect());
    await time.advance(justBefore);
    assertEquals(fourth.state, "pending");
    await time.advance(0.001);
    assertInstanceOf(fourth.error, PoolTimeoutError);
    assertEquals(fourth.error.waited, poolTimeout);
    assertEquals(
      fourth.error.message,
      `Cannot check out a connection to "orders" within ${poolTimeout} seconds: ` +
        "3 in use, 0 idle, 0 connecting, 1 waiting, pool size 3, overflow 0",
    );
    await releaseAll(leases);
    await closeAtRest(env);
  }
});

Deno.test("5. Ten racers on 2 + 1: no checkout times out early; the maximum is never exceeded, with forty workers either", async () => {
  using time = fakeTime();
  const racing = fakeEngine({ poolSize: 2, maxOverflow: 1, poolTimeout: 3 }, {
    connect: () => delay(50),
  });
  const ends: number[] = [];
  const startMs = time.nowMs;
  const racers = Array.from(
    { length: 10 },
    () =>
      racing.engine.use(() => delay(4000)).catch((error) => {
        assertInstanceOf(error, PoolTimeoutError);
        ends.push(time.nowMs - startMs);
      }),
  );
  await time.advance(5);
  await Promise.all(racers);
  assertEquals(ends, Array(7).fill(3000));
  assertEquals(racing.adapter.dials.length, 3);
  await closeAtRest(racing);

  const busy = fakeEngine({ poolSize: 2, maxOverflow: 1 }, { connect: () => delay(3) });
  let holders = 0;
  let most = 0;
  const workers = Array.from({ length: 40 }, async (_, worker) => {
    for (let round = 0; round < 20; round++) {
      await busy.engine.use(async () => {
        most = Math.max(most, ++holders, busy.adapter.open.length);
        await delay((worker * 7 + round * 3) % 5);
        holders--;
      });
    }
  });
  await time.advance(5);
  await Promise.all(workers);
  assertEquals(most, 3);
  await closeAtRest(busy);
});

Deno.test("6. Connect fails in overflow: the overflow count is as before, and the next waiter gets its try at once", async () => {
  using time = fakeTime();
  let failing = true;
  const env = fakeEngine({ poolSize: 1, maxOverflow: 1, connectRetry: false });
  const held = await env.engine.connect();
  env.adapter.behavior.connect = async () => {
    await delay(100);
    if (failing) throw refused();
  };
  const first = watch(env.engine.connect());
  const second = watch(env.engine.connect());
  await time.tick(100);
  assertInstanceOf(first.error, ConnectError);
  // The connect for the second waiter began when the first one failed.
  assertEquals(env.adapter.dials.length, 3);
  assertEquals([env.engine.status().overflow, env.engine.status().connecting], [0, 1]);
  failing = false;
  await time.tick(100);
  assertEquals(second.state, "fulfilled");
  assertEquals(env.engine.status().overflow, 1);
  await releaseAll([held, second.value!]);
  await closeAtRest(env);
});

Deno.test("7. One connect hangs: others go on", async () => {
  using time = fakeTime();
  let hung = 0;
  const env = fakeEngine(
    { poolSize: 2, maxOverflow: 3, connectConcurrency: 5, connectTimeout: 60 },
    {
      connect: () => ++hung === 1 ? new Promise(() => {}) : delay(10),
    },
  );
  const waits = Array.from({ length: 5 }, () => watch(env.engine.connect()));
  await time.tick(10);
  // The oldest waiters are served first: the connect that hangs is missed by the last one.
  assertEquals(waits.map(({ state }) => state), [
    ...Array(4).fill("fulfilled"),
    "pending",
  ]);
  await waits[0]!.value!.release();
  await time.settle();
  assertEquals(waits[4]!.state, "fulfilled");
  await releaseAll(waits.map(({ value }) => value!));
  assertEquals(env.engine.status().connecting, 1);
  await time.advance(60);
  await closeAtRest(env);
});

Deno.test("8. Waiters blocked, the holder invalidates: all are served", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolSize: 1, maxOverflow: 1 });
  const holders = await checkoutMany(env, 2);
  const order: number[] = [];
  const waiters = Array.from({ length: 6 }, (_, i) =>
    env.engine.use(() => {
      order.push(i);
      return delay(10);
    }));
  await time.settle();
  assertEquals(order, []);
  for (const holder of holders) holder.invalidate();
  await time.tick(30);
  await Promise.all(waiters);
  assertEquals(order, [0, 1, 2, 3, 4, 5]);
  assertEquals(env.adapter.dials.length, 4);
  await closeAtRest(env);
});

Deno.test("9. dispose with one out: idle closed, the one still works, closed at checkin", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolSize: 2, maxOverflow: 0 });
  const [lease, other] = await checkoutMany(env, 2);
  await other!.release();
  const waits = [watch(env.engine.connect()), watch(env.engine.connect())];
  await time.settle();
  assertEquals(waits.map(({ state }) => state), ["fulfilled", "pending"]);
  await waits[0]!.value!.release();
  await releaseAll([waits[1]!.value ?? await env.engine.connect()]);
  await env.engine.dispose();
  assertFalse(env.adapter.clients[1]!.open);
  assertEquals(await env.adapter.query!(lease!.client, "SELECT 1"), [{ address: "10.0.0.1" }]);
  await env.engine.use(({ client }) => assertEquals(client.id, 3));
  await lease!.release();
  assertEquals(env.adapter.clients[0]!.log, ["SELECT 1", "close"]);
  await closeAtRest(env);
});

Deno.test("9. dispose with one out: waiters are rejected with a PoolClosedError", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolSize: 1, maxOverflow: 0 }, { connect: () => delay(10) });
  const connecting = watch(env.engine.connect());
  await time.tick(5);
  await env.engine.dispose();
  await time.settle();
  assertInstanceOf(connecting.error, PoolClosedError);
  const holder = env.engine.connect();
  await time.tick(10);
  const lease = await holder;
  const queued = watch(env.engine.connect());
  await env.engine.dispose();
  await time.settle();
  assertInstanceOf(queued.error, PoolClosedError);
  await lease.release();
  assertEquals(env.adapter.open, []);
  await closeAtRest(env);
});

Deno.test("10. poolSize 0: unlimited", async () => {
  using _time = fakeTime();
  const env = fakeEngine({ poolSize: 0, maxOverflow: 0, poolTimeout: 0 });
  await releaseAll(await checkoutMany(env, 100));
  const { opened, idle, closed } = env.engine.status();
  assertEquals({ opened, idle, closed }, { opened: 100, idle: 100, closed: 0 });
  await closeAtRest(env);
});

Deno.test("11. 2 + 2, four out, five times: ten closed, two open", async () => {
  using _time = fakeTime();
  const env = fakeEngine({ poolSize: 2, maxOverflow: 2 });
  for (let round = 0; round < 5; round++) await releaseAll(await checkoutMany(env, 4));
  assertEquals([env.engine.status().closed, env.adapter.open.length], [10, 2]);
  await closeAtRest(env);
});

Deno.test("12. recycle 30: at age 1 reused, at 35 replaced", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolRecycle: 30 });
  const idOfNext = () => env.engine.use(({ client }) => client.id);
  assertEquals(await idOfNext(), 1);
  await time.advance(1);
  assertEquals(await idOfNext(), 1);
  // Use does not make it younger.
  await time.advance(34);
  assertEquals(await idOfNext(), 2);
  assertEquals(env.adapter.clients[0]!.log, ["close"]);
  await closeAtRest(env);
});

Deno.test("13. Pool invalidated: the next checkout is new. Softly invalidated: usable until checkin, then replaced", async () => {
  using _time = fakeTime();
  const env = fakeEngine({ poolSize: 2, maxOverflow: 0 });
  const leases = await checkoutMany(env, 2);
  await leases[0]!.release();
  env.engine.pool.invalidate();
  assert(leases[1]!.client.open);
  await env.engine.use(({ client }) => assertEquals(client.id, 3));
  await leases[1]!.release();
  assertEquals(env.adapter.open.map(({ id }) => id), [3]);

  const lease = await env.engine.connect();
  lease.invalidate(undefined, { soft: true });
  assertFalse(lease.released);
  await env.adapter.query!(lease.client, "SELECT 1");
  await lease.release();
  assertEquals(lease.released, true);
  assertEquals(env.adapter.clients[2]!.log, ["SELECT 1", "close"]);
  await env.engine.use(({ client }) => assertEquals(client.id, 4));
  await closeAtRest(env);
});

Deno.test("14. Reconnect of a pooled slot fails: nothing is counted as out; full capacity later; no connect or checkout hook ran", async () => {
  using time = fakeTime();
  const log: string[] = [];
  const env = fakeEngine({
    poolSize: 2,
    maxOverflow: 1,
    connectRetry: false,
    hooks: noted(log, ["connect", "checkout"]),
  });
  await releaseAll(await checkoutMany(env, 2));
  log.length = 0;
  env.engine.pool.invalidate();
  env.adapter.behavior.connect = () => {
    throw refused();
  };
  for (let round = 0; round < 5; round++) {
    await assertRejects(() => env.engine.connect(), ConnectError, "connection refused");
    assertAtRest(env);
  }
  assertEquals([log, env.adapter.open.length], [[], 0]);
  env.adapter.behavior.connect = () => {};
  const leases = await checkoutMany(env, 3);
  const fourth = watch(env.engine.connect());
  await time.settle();
  assertEquals(fourth.state, "pending");
  await releaseAll(leases);
  await time.settle();
  await fourth.value!.release();
  await closeAtRest(env);
});

Deno.test("15. A checkout hook throws anything: the slot is back. Throws DisconnectionError once: old closed, a new one handed out", async () => {
  using time = fakeTime();
  let failures: unknown[] = [];
  const env = fakeEngine({
    poolSize: 1,
    maxOverflow: 0,
    poolTimeout: 0,
    hooks: {
      checkout() {
        if (failures.length > 0) throw failures.shift();
      },
    },
  });
  for (const failure of [new Error("no"), "no", null, undefined, 0]) {
    failures = [failure];
    const outcome = watch(env.engine.connect());
    await time.settle();
    assertEquals([outcome.state, outcome.error], ["rejected", failure]);
    assertAtRest(env);
  }
  assertEquals(env.adapter.dials.length, 1);

  failures = [new DisconnectionError("gone")];
  await env.engine.use(({ client }) => assertEquals(client.id, 2));
  assertEquals(env.adapter.clients[0]!.log, ["terminate"]);

  const second = new DisconnectionError("gone again");
  failures = [new DisconnectionError("gone"), second];
  assertStrictEquals(await assertRejects(() => env.engine.connect()), second);
  assertEquals(env.adapter.open, []);
  await env.engine.use(({ client }) => assertEquals(client.id, 4));
  await closeAtRest(env);
});

Deno.test("16. A connect hook throws: slot freed, socket terminated, next checkout works", async () => {
  using _time = fakeTime();
  for (const name of ["connect", "firstConnect"] as const) {
    let failure: Error | undefined = new Error("not this one");
    const env = fakeEngine({
      poolSize: 1,
      maxOverflow: 0,
      hooks: {
        [name]() {
          if (failure) throw failure;
        },
      },
    });
    assertStrictEquals(await assertRejects(() => env.engine.connect()), failure);
    assertAtRest(env);
    assertEquals(env.adapter.clients[0]!.log, ["terminate"]);
    failure = undefined;
    await env.engine.use(({ client }) => assertEquals(client.id, 2));
    await closeAtRest(env);
  }
});

Deno.test("17. Fifteen simultaneous disconnects: each closed once, fifteen reopened", async () => {
  using time = fakeTime();
  const closes: string[] = [];
  const env = fakeEngine({ poolSize: 15, maxOverflow: 0, hooks: noted(closes, ["close"]) });
  const leases = await checkoutMany(env, 15);
  await Promise.all(leases.map((lease) => lease.release(verdict("disconnect"))));
  await time.settle();
  assertEquals(closes.length, new Set(closes).size);
  assertEquals(env.adapter.clients.map(({ log }) => log), Array(15).fill(["terminate"]));
  const again = await checkoutMany(env, 15);
  assertEquals(env.adapter.dials.length, 30);
  await releaseAll(again);
  assertEquals(env.engine.status().idle, 15);
  assertEquals(closes.length, 15);
  await closeAtRest(env);
});

Deno.test("18. Size 1, detach: another opens; closing the detached one is real", async () => {
  using _time = fakeTime();
  const env = fakeEngine({ poolSize: 1, maxOverflow: 0, poolTimeout: 0 });
  const lease = await env.engine.connect();
  const client = lease.detach();
  assert(lease.released);
  await env.engine.use((other) => assertEquals(other.client.id, 2));
  assert(client.open);
  await lease.release();
  assert(client.open);
  await env.adapter.close!(client);
  assertEquals([client.open, env.adapter.open.length], [false, 1]);
  assertEquals(env.engine.status().detached, 1);
  await closeAtRest(env, [client]);
});

Deno.test("19. Return 1, 2, 3: LIFO gives 3, FIFO gives 1", async () => {
  using _time = fakeTime();
  for (const [poolUseLifo, expected] of [[true, [3, 2, 1]], [false, [1, 2, 3]]] as const) {
    const env = fakeEngine({ poolUseLifo });
    await releaseAll(await checkoutMany(env, 3));
    const leases = await checkoutMany(env, 3);
    assertEquals(leases.map(({ client }) => client.id), [...expected]);
    await releaseAll(leases);
    await closeAtRest(env);
  }
});

Deno.test('20. Reset null: nothing rolled back; "commit": only commit; "rollback" with an open transaction: once', async () => {
  using _time = fakeTime();
  const cases = [
    [null, ["BEGIN"]],
    ["commit", ["BEGIN", "commit"]],
    ["rollback", ["BEGIN", "rollback"]],
  ] as const;
  for (const [poolResetOnReturn, expected] of cases) {
    const env = fakeEngine({ poolResetOnReturn });
    // Without a transaction there is nothing to reset, and no round trip for it.
    await env.engine.use(() => {});
    await env.engine.use(({ client }) => env.adapter.query!(client, "BEGIN"));
    assertEquals(env.adapter.clients[0]!.log, [...expected]);
    assertEquals(env.engine.status().idle, 1);
    await closeAtRest(env);
  }
});

Deno.test("21. A slow firstConnect finishes before any concurrent lease is handed out", async () => {
  using time = fakeTime();
  const log: string[] = [];
  const env = fakeEngine({
    hooks: {
      ...noted(log, ["connect", "checkout"]),
      async firstConnect({ client }) {
        log.push(`firstConnect ${client.id}`);
        await delay(500);
        log.push("done");
      },
    },
  });
  const checkouts = Array.from({ length: 3 }, () => env.engine.connect());
  await time.tick(499);
  assertEquals(log, ["firstConnect 1"]);
  await time.tick(1);
  const leases = await Promise.all(checkouts);
  assertEquals(log.slice(0, 2), ["firstConnect 1", "done"]);
  assertEquals(log.filter((entry) => entry.startsWith("connect")).length, 3);
  assertEquals(log.filter((entry) => entry.startsWith("firstConnect")).length, 1);
  await releaseAll(leases);
  await closeAtRest(env);
});

Deno.test('22. "assertion" refuses the second; "null" reopens; "static" shares', async () => {
  using _time = fakeTime();
  const strict = fakeEngine({ poolClass: "assertion" });
  const lease = await (async function takeFirst() {
    return await strict.engine.connect(); // on Bun, without `await`, there would be no frame of it
  })();
  const error = await assertRejects(() => strict.engine.connect(), ConnectionInUseError);
  assertStringIncludes(error.message, "the first is in use, taken here:");
  assertStringIncludes(error.takenAt!, "takeFirst");
  await lease.release();
  await strict.engine.use(({ client }) => assertEquals(client.id, 1));
  await closeAtRest(strict);

  const fresh = fakeEngine({ poolClass: "null" });
  await releaseAll(await checkoutMany(fresh, 20));
  assertEquals([fresh.adapter.dials.length, fresh.adapter.open.length], [20, 0]);
  await closeAtRest(fresh);

  const shared = fakeEngine({ poolClass: "static" });
  const leases = await checkoutMany(shared, 3);
  assertEquals(leases.map(({ client }) => client.id), [1, 1, 1]);
  await releaseAll(leases);
  await shared.engine.use(({ client }) => assertEquals(client.id, 1));
  assertEquals(shared.adapter.dials.length, 1);
  await closeAtRest(shared);
});

Deno.test("23. Pre-ping skipped when fresh, run on reuse; server restarted: replaced silently; still down: connect error, counters unchanged", async () => {
  using _time = fakeTime();
  const env = fakeEngine({ poolPrePing: true, connectRetry: false });
  const use = () => env.engine.use(({ client }) => client.id);
  assertEquals(await use(), 1);
  assertEquals(env.adapter.clients[0]!.log, []);
  assertEquals(await use(), 1);
  assertEquals(env.adapter.clients[0]!.log, ["ping"]);

  env.adapter.behavior.ping = ({ id }) => {
    if (id === 1) throw verdict("disconnect");
  };
  assertEquals(await use(), 2);
  assertEquals(env.adapter.clients.map(({ log }) => log), [["ping", "ping", "terminate"], []]);

  env.adapter.behavior.ping = env.adapter.behavior.connect = () => {
    throw refused();
  };
  for (let round = 0; round < 3; round++) {
    await assertRejects(() => use(), ConnectError, "connection refused");
    assertAtRest(env);
  }
  env.adapter.behavior.ping = env.adapter.behavior.connect = () => {};
  assertEquals(await use(), 3);
  await closeAtRest(env);
});

Deno.test("23a. Own event loop blocked for longer than connectTimeout during a ping, a connect and a hook: the server is not blamed", async () => {
  using time = fakeTime();
  const work = { hook: () => {} };
  const env = fakeEngine({
    poolSize: 3,
    maxOverflow: 0,
    poolPrePing: true,
    connectTimeout: 1,
    hooks: { checkout: () => work.hook() },
  });
  /** Blocks the event loop while something waits for an answer, which is read behind the timers that are due. */
  const blocked = (answer: () => void) => {
    time.stall(1.6);
    setTimeout(answer, 1);
  };
  await releaseAll(await checkoutMany(env, 3));
  const answers = () => new Promise<void>((resolve) => blocked(resolve));
  env.adapter.behavior.ping = answers;
  const pinged = watch(env.engine.connect());
  await time.settle(); // the event loop is blocked in it
  await time.tick(10);
  assertEquals([pinged.state, env.adapter.dials.length], ["fulfilled", 3]);
  env.adapter.behavior.ping = () => {};
  work.hook = answers;
  const hooked = watch(env.engine.connect());
  await time.settle(); // the event loop is blocked in it
  await time.tick(10);
  assertEquals([hooked.state, env.adapter.dials.length], ["fulfilled", 3]);
  work.hook = () => {};
  await releaseAll([pinged.value!, hooked.value!]);
  // No sibling was condemned.
  await releaseAll(await checkoutMany(env, 3));
  assertEquals(env.adapter.dials.length, 3);

  env.engine.pool.invalidate();
  env.adapter.behavior.connect = answers;
  const connected = watch(env.engine.connect());
  await time.settle(); // the event loop is blocked in it
  await time.tick(10);
  assertEquals([connected.state, env.adapter.dials.length], ["fulfilled", 4]);
  await connected.value!.release();
  await closeAtRest(env);
});

Deno.test("24. Disconnect in mid-query: that lease invalidated, idle siblings to that address replaced at their next checkout, a second victim does not replace them again", async () => {
  using _time = fakeTime();
  const env = fakeEngine({ poolSize: 5, maxOverflow: 0 });
  const [first, second, ...others] = await checkoutMany(env, 5);
  await releaseAll(others);
  const failed = await assertRejects(() =>
    env.engine.use(() => Promise.reject(verdict("disconnect", "mid-query")))
  );
  assertEquals((failed as Error).message, "mid-query");
  assertEquals(env.adapter.clients[2]!.log, ["terminate"]);
  // The idle ones are still there, and replaced when their turn comes.
  assertEquals(env.engine.status().idle, 2);
  const renewed = await checkoutMany(env, 3);
  assertEquals(renewed.map(({ client }) => client.id), [6, 7, 8]);
  await releaseAll(renewed);
  // Two more victims of the same outage: what was opened since stays.
  await first!.release(verdict("disconnect"));
  second!.invalidate(verdict("disconnect"));
  const again = await checkoutMany(env, 3);
  assertEquals(again.map(({ client }) => client.id), [6, 7, 8]);
  await releaseAll(again);
  assertEquals(env.adapter.dials.length, 8);
  await closeAtRest(env);
});

/** What a checkout may have to wait for, a millisecond or more each. */
interface Situation {
  readonly options?: EngineOptions<FakeClient>;
  readonly behaviour?: FakeBehavior;
  /** Runs before the checkout; the function that it returns runs once the checkout has begun. */
  prepare?(env: FakeEngine, time: TestTime): Promise<(() => void) | void>;
  /** The checkout. By default `engine.connect()`. */
  connect?(env: FakeEngine, signal?: AbortSignal): Promise<Lease<FakeClient>>;
}

/** Hooks that take a millisecond each. */
const slowHooks = Object.fromEntries(
  ["firstConnect", "connect", "checkout", "reset", "checkin", "invalidate", "close"]
    .map((name) => [name, () => delay(1)]),
);

const situations: Readonly<Record<string, Situation>> = {
  "a cold start": {
    options: { hooks: slowHooks },
    behaviour: { connect: () => delay(2) },
    prepare: ({ dns }) => Promise.resolve(void (dns.delayMs = 2)),
  },
  "an idle connection, a stale answer": {
    options: { hooks: slowHooks, poolPrePing: true },
    behaviour: { ping: () => delay(1) },
    async prepare(env, time) {
      await tickUntil(time, env.engine.use(() => {}));
      await time.advance(10);
      env.dns.delayMs = 2;
    },
  },
  "an idle connection that is dead": {
    options: { hooks: slowHooks, poolPrePing: true },
    behaviour: {
      connect: () => delay(1),
      async ping({ id }) {
        await delay(1);
        if (id === 1) throw verdict("disconnect");
      },
    },
    prepare: (env, time) => tickUntil(time, env.engine.use(() => {})),
  },
  "a connection that another one holds": {
    options: { hooks: slowHooks },
    behaviour: { reset: () => delay(1) },
    async prepare(env, time) {
      const holder = await tickUntil(time, env.engine.connect());
      holder.client.transactionStatus = "open";
      return () => void setTimeout(() => holder.release(), 2);
    },
  },
  "a name that has moved": {
    options: { poolPrePing: true },
    behaviour: { connect: () => delay(2) },
    async prepare(env, time) {
      await tickUntil(time, env.engine.use(() => {}));
      await time.advance(10);
      env.dns.addresses = ["10.0.0.2"];
      env.dns.delayMs = 2;
    },
  },
  "a server that is down for a moment": {
    async prepare(env, time) {
      await env.engine.use((lease) => lease.invalidate());
      const backMs = time.nowMs + 3;
      env.adapter.behavior.connect = async () => {
        await delay(1);
        if (time.nowMs < backMs) throw refused();
      };
    },
  },
  "a connection that all share": {
    options: { poolClass: "static" },
    behaviour: { connect: () => delay(2) },
    prepare: ({ dns }) => Promise.resolve(void (dns.delayMs = 2)),
  },
  "an isolation level of its own": {
    behaviour: { connect: () => delay(1), setIsolationLevel: () => delay(2) },
    connect: ({ engine }, signal) =>
      engine.executionOptions({ isolationLevel: "serializable" })
        .connect(signal ? { signal } : undefined),
  },
};

/** Advances the time until a promise is settled. */
async function tickUntil<T>(time: TestTime, promise: Promise<T>): Promise<T> {
  const watched = watch(promise);
  while (watched.state === "pending") await time.tick(1);
  return await promise;
}

/** Runs one checkout in a new situation, and aborts it after a number of milliseconds and microtasks. */
async function abortAfter(
  time: TestTime,
  situation: Situation,
  after: { ms: number; microtasks: number } | undefined,
): Promise<{ state: string; tookMs: number }> {
  const { connect = ({ engine }, signal) => engine.connect(signal ? { signal } : undefined) } =
    situation;
  const sizes = situation.options?.poolClass ? {} : { poolSize: 1, maxOverflow: 0 };
  const env = fakeEngine(
    { dnsRefresh: "on-demand", ...sizes, ...situation.options },
    situation.behaviour,
  );
  const begin = await situation.prepare?.(env, time);
  const startMs = time.nowMs;
  const controller = new AbortController();
  const reason = new Error("changed my mind");
  const abort = async ({ microtasks }: { microtasks: number }) => {
    for (let i = 0; i < microtasks; i++) await null;
    controller.abort(reason);
  };
  let endMs = Infinity;
  const checkout = watch(
    connect(env, after && controller.signal).finally(() => endMs = time.nowMs),
  );
  // Another caller waits for the same connection, and does not abort.
  const rival = watch(connect(env));
  begin?.();
  if (after?.ms === 0) abort(after);
  else if (after) setTimeout(abort, after.ms, after);
  await time.tick(600);
  assert(checkout.state !== "pending", "the checkout never ended");
  if (checkout.state === "rejected") assertStrictEquals(checkout.error, reason);
  assert(checkout.value?.client.open ?? true);
  await Promise.all([checkout.value?.release(), time.tick(600)]);
  assertEquals(rival.state, "fulfilled", `the rival starved: ${rival.error}`);
  await Promise.all([rival.value!.release(), time.tick(600)]);
  assertAtRest(env);
  await tickUntil(time, closeAtRest(env));
  return { state: checkout.state, tookMs: endMs - startMs };
}

/** More microtasks than a checkout needs from one timer to the next. */
const MICROTASKS = 40;

for (const [name, situation] of Object.entries(situations)) {
  Deno.test(`25. Abort at every await of checkout: nothing leaks, no waiter starves: ${name}`, async () => {
    using time = fakeTime();
    // A backoff without jitter takes the same time each time.
    using _dice = fixedRandom(0.5);
    const { tookMs } = await abortAfter(time, situation, undefined);
    const states: string[] = [];
    for (let ms = 0; ms <= tookMs; ms++) {
      for (let microtasks = 0; microtasks < MICROTASKS; microtasks++) {
        const { state } = await abortAfter(time, situation, { ms, microtasks });
        states.push(state);
      }
    }
    // The first was aborted, the last had its lease before.
    assertEquals([states.at(0), states.at(-1)], ["rejected", "fulfilled"]);
  });
}

Deno.test("25. Abort at every await of checkout: a signal that is aborted beforehand", async () => {
  using _time = fakeTime();
  for (const poolClass of ["queue", "null", "static", "assertion"] as const) {
    const env = fakeEngine({ poolClass });
    const reason = new Error("no more");
    const signal = AbortSignal.abort(reason);
    assertStrictEquals(await assertRejects(() => env.engine.connect({ signal })), reason);
    assertEquals([env.dns.questions, env.adapter.dials], [[], []]);
    await closeAtRest(env);
  }
});
