/**
 * Options of the pool: sizes, timeouts, ages, checks, order, prefill.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { delay } from "../../internal/async.ts";
import {
  ConnectError,
  ConnectionInUseError,
  type EngineOptions,
  getDnsEngine,
  PoolTimeoutError,
} from "../../mod.ts";
import { type FakeAdapter, fakeAdapter, type FakeClient } from "../../testing/mod.ts";
import {
  assertAtRest,
  checkoutMany,
  closeAtRest,
  fixedRandom,
  keepLines,
  refused,
  releaseAll,
  verdict,
  watch,
} from "../support/checks.ts";
import { type FakeEngine, fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";

/** Returns the number of the connection that the next checkout gets. */
function idOfNext({ engine }: FakeEngine): Promise<number> {
  return engine.use(({ client }) => client.id);
}

Deno.test("poolSize: number of connections that are kept; by default 5, with 0 all", async () => {
  using _time = fakeTime();
  for (const [options, kept] of [[{}, 5], [{ poolSize: 2 }, 2], [{ poolSize: 0 }, 12]] as const) {
    const env = fakeEngine(options);
    await releaseAll(await checkoutMany(env, 12));
    assertEquals(env.engine.status().idle, kept);
    await closeAtRest(env);
  }
});

Deno.test("poolSize: a connection above it that comes back is kept for a checkout that waits for an answer, and closed when it aborts", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolSize: 1, dnsRefresh: "on-demand" });
  const leases = await checkoutMany(env, 4);
  await time.advance(10);
  env.dns.delayMs = 1000;
  const controller = new AbortController();
  const wait = watch(env.engine.connect({ signal: controller.signal }));
  await releaseAll(leases);
  assertEquals(env.engine.status().idle, 4);
  controller.abort();
  await time.settle();
  assertEquals([wait.state, env.engine.status().idle], ["rejected", 1]);
  await closeAtRest(env);
});

Deno.test("maxOverflow: number of connections above poolSize; by default 10, with -1 or Infinity no limit", async () => {
  using _time = fakeTime();
  for (
    const [maxOverflow, most] of [[undefined, 11], [0, 1], [3, 4], [-1, 99], [
      Infinity,
      99,
    ]] as const
  ) {
    const options = maxOverflow === undefined ? {} : { maxOverflow };
    const env = fakeEngine({ ...options, poolSize: 1, poolTimeout: 0 });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 99 }, async (_, i) => {
        // One after the other, so that no connect has to wait for another.
        for (let turn = 0; turn < i * 50; turn++) await null;
        return await env.engine.connect();
      }),
    );
    const leases = outcomes.flatMap((o) => o.status === "fulfilled" ? [o.value] : []);
    assertEquals([leases.length, env.engine.status().overflow], [most, most - 1]);
    await releaseAll(leases);
    await closeAtRest(env);
  }
});

Deno.test("poolTimeout: timeout of a checkout; 0 fails at once, Infinity never; connect({ timeout }) replaces it", async () => {
  using time = fakeTime();
  const cases: [EngineOptions, { timeout?: number }, number][] = [
    [{}, {}, 30],
    [{ poolTimeout: 0.25 }, {}, 0.25],
    [{ poolTimeout: 0 }, {}, 0],
    [{ poolTimeout: 5 }, { timeout: 1 }, 1],
    [{ poolTimeout: 1 }, { timeout: 5 }, 5],
  ];
  for (const [options, connectOptions, seconds] of cases) {
    const env = fakeEngine({
      poolSize: 1,
      maxOverflow: 0,
      ...options as EngineOptions<FakeClient>,
    });
    const lease = await env.engine.connect();
    const wait = watch(env.engine.connect(connectOptions));
    if (seconds > 0) await time.advance(seconds - 0.001);
    assertEquals(wait.state, "pending");
    await time.tick(seconds > 0 ? 1 : 0);
    assertInstanceOf(wait.error, PoolTimeoutError);
    assertEquals(wait.error.waited, seconds);
    await lease.release();
    await closeAtRest(env);
  }
  const patient = fakeEngine({
    poolSize: 1,
    maxOverflow: 0,
    poolTimeout: Infinity,
    dnsRefresh: "on-demand",
  });
  const lease = await patient.engine.connect();
  const wait = watch(patient.engine.connect());
  // Beyond the maximum delay of a timer, which is 24.8 days.
  await time.advance(31 * 86_400);
  assertEquals(wait.state, "pending");
  await lease.release();
  await time.settle();
  await wait.value!.release();
  await closeAtRest(patient);
});

Deno.test("poolTimeout: the error has the last failed connect as its cause", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolSize: 1, maxOverflow: 1, poolTimeout: 2 });
  const [lease] = await checkoutMany(env, 1);
  const failure = new Error("too many clients");
  env.adapter.behavior.connect = () => Promise.reject(failure);
  const failed = await assertRejects(() => env.engine.connect(), ConnectError);
  env.adapter.behavior.connect = () => {};
  assertStrictEquals(failed.cause, failure);
  env.adapter.behavior.connect = () => new Promise(() => {});
  const [first, second] = [1, 2].map(() => watch(env.engine.connect()));
  await time.advance(2);
  assertEquals([first!.state, second!.state], ["pending", "rejected"]);
  assertInstanceOf(second!.error, PoolTimeoutError);
  assertStrictEquals(second!.error.cause, failed);
  assertEquals(second!.error.counts, {
    poolSize: 1,
    maxOverflow: 1,
    inUse: 1,
    retired: 0,
    idle: 0,
    connecting: 1,
    waiting: 2,
  });
  await lease!.release();
  await time.settle();
  // The connect that hangs is aborted; after a connect has succeeded, the failure is forgotten.
  await time.advance(10);
  env.adapter.behavior.connect = () => {};
  const last = await env.engine.connect();
  const late = await assertRejects(() => env.engine.connect({ timeout: 0 }), PoolTimeoutError);
  assertEquals(late.cause, undefined);
  await releaseAll([first!.value!, last]);
  await closeAtRest(env);
});

Deno.test("a failed connect does not reject a waiter for which another connect is under way", async () => {
  using time = fakeTime();
  const env = fakeEngine({ connectRetry: false }, {
    async connect() {
      const first = env.adapter.dials.length === 1;
      await delay(first ? 10 : 20);
      if (first) throw refused();
    },
  });
  const controller = new AbortController();
  const given = watch(env.engine.connect({ signal: controller.signal }));
  const kept = watch(env.engine.connect());
  await time.tick(5);
  controller.abort();
  await time.tick(15);
  assertEquals([given.state, kept.state], ["rejected", "fulfilled"]);
  assertEquals(env.adapter.dials.length, 2);
  await kept.value!.release();
  await closeAtRest(env);
});

Deno.test("poolTimeout 0 opens a connection if the limit allows it: only waiting in the queue fails at once", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolSize: 2, maxOverflow: 0, poolTimeout: 0 }, {
    connect: () => delay(3000),
  });
  const waits = [1, 2, 3].map(() => watch(env.engine.connect()));
  await time.settle();
  assertEquals(waits.map(({ state }) => state), ["pending", "pending", "rejected"]);
  await time.advance(3);
  await releaseAll(waits.slice(0, 2).map(({ value }) => value!));
  await closeAtRest(env);
});

Deno.test("poolTimeout 0 opens a connection at once, also after a failed connect without a waiter", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolTimeout: 0 }, {
    async connect() {
      await delay(10);
      if (env.adapter.dials.length === 1) throw refused();
    },
  });
  const controller = new AbortController();
  const given = watch(env.engine.connect({ signal: controller.signal }));
  await time.tick(5);
  controller.abort();
  await time.tick(5);
  assertEquals(given.state, "rejected");
  const next = watch(env.engine.connect());
  await time.tick(10);
  assertEquals(next.state, "fulfilled");
  await next.value!.release();
  await closeAtRest(env);
});

Deno.test("poolRecycle: older connections are replaced at checkout, up to 2.5 % sooner so that a fleet does not reconnect at once", async () => {
  using time = fakeTime();
  const replacedAt = async (random: number) => {
    using _dice = fixedRandom(random);
    const env = fakeEngine({ poolRecycle: 100 });
    const startMs = time.nowMs;
    await idOfNext(env);
    await time.advance(97);
    while (await idOfNext(env) === 1) await time.tick(10);
    const seconds = (time.nowMs - startMs) / 1000;
    await closeAtRest(env);
    return seconds;
  };
  assertEquals(await replacedAt(0), 100);
  assertEquals(await replacedAt(0.4), 99);
  assertEquals(await replacedAt(1 - Number.EPSILON), 97.5);
  const env = fakeEngine({ dnsRefresh: "on-demand" });
  await idOfNext(env);
  await time.advance(1_000_000);
  assertEquals(await idOfNext(env), 1);
  await closeAtRest(env);
});

Deno.test("poolRecycle: the age counts from the beginning of the connect; one that takes longer serves one checkout", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolRecycle: 2 }, { connect: () => delay(1500) });
  const use = async () => {
    const id = watch(idOfNext(env));
    while (id.state === "pending") await time.tick(100);
    return id.value;
  };
  assertEquals(await use(), 1);
  await time.tick(500);
  assertEquals(await use(), 2);
  env.adapter.behavior.connect = () => delay(3000);
  env.engine.pool.invalidate();
  assertEquals([await use(), await use()], [3, 4]);
  await closeAtRest(env);
});

Deno.test("poolPrePing: a dead connection is found before it is handed out; a new one is not pinged", async () => {
  using _time = fakeTime();
  for (const poolPrePing of [false, true]) {
    const env = fakeEngine({ poolPrePing });
    await idOfNext(env);
    env.adapter.behavior.ping = () => Promise.reject(verdict("disconnect"));
    assertEquals(await idOfNext(env), poolPrePing ? 2 : 1);
    assertEquals(env.adapter.clients.at(-1)!.log, []);
    await closeAtRest(env);
  }
});

Deno.test("poolPrePing: a failed ping evicts all connections to the same address, which are not pinged any more", async () => {
  using _time = fakeTime();
  const env = fakeEngine({ poolPrePing: true });
  await releaseAll(await checkoutMany(env, 3));
  env.adapter.behavior.ping = () => Promise.reject(verdict("disconnect"));
  await releaseAll(await checkoutMany(env, 3));
  assertEquals(env.adapter.clients.slice(0, 3).map(({ log }) => log), [
    ["ping", "terminate"],
    ["close"],
    ["close"],
  ]);
  await closeAtRest(env);
});

Deno.test("poolPrePing: a ping without an answer is aborted after connectTimeout", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolPrePing: true, connectTimeout: 2 });
  await idOfNext(env);
  env.adapter.behavior.ping = () => new Promise(() => {});
  const id = watch(idOfNext(env));
  await time.advance(1.999);
  assertEquals(id.state, "pending");
  await time.advance(0.001);
  assertEquals(id.value, 2);
  await closeAtRest(env);
});

Deno.test("poolPrePing: a prefilled connection that was idle for a while is pinged", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolPrePing: true, poolSize: 2, minIdle: 1 });
  const lease = await env.engine.connect();
  await time.settle();
  await time.advance(60);
  assertEquals(await idOfNext(env), 2);
  assertEquals(env.adapter.clients[1]!.log, ["ping"]);
  await lease.release();
  await time.settle();
  await closeAtRest(env);
});

Deno.test("prePingAfter: a connection used within that time is not pinged, but its address is checked", async () => {
  using time = fakeTime();
  for (const [prePingAfter, idle, pings] of [[0, 0, 1], [5, 4.999, 0], [5, 5, 1]] as const) {
    const env = fakeEngine({ poolPrePing: true, prePingAfter });
    await idOfNext(env);
    await time.advance(idle);
    await idOfNext(env);
    assertEquals(env.adapter.clients[0]!.log, Array(pings).fill("ping"));
    await closeAtRest(env);
  }
  const env = fakeEngine({ poolPrePing: true, prePingAfter: 3600, dnsRefresh: "on-demand" });
  await idOfNext(env);
  env.dns.addresses = ["10.0.0.2"];
  await time.advance(10);
  assertEquals(await env.engine.use(({ address }) => address), "10.0.0.2");
  assertEquals(env.adapter.clients[0]!.log, ["close"]);
  await closeAtRest(env);
});

Deno.test("poolUseLifo: the connection that came back last is handed out first, so that the others become idle", async () => {
  using time = fakeTime();
  for (const [poolUseLifo, left] of [[false, 3], [true, 1]] as const) {
    const env = fakeEngine({ poolUseLifo, idleTimeout: 60 });
    await releaseAll(await checkoutMany(env, 3));
    for (let i = 0; i < 20; i++) {
      await env.engine.use(() => {});
      await time.advance(10);
    }
    assertEquals(env.engine.status().idle, left);
    await closeAtRest(env);
  }
});

Deno.test("poolResetOnReturn: ends an open transaction at checkin, also on retired connections and those above poolSize", async () => {
  using time = fakeTime();
  const cases = [["rollback", ["rollback"]], ["commit", ["commit"]], [null, []]] as const;
  for (const [poolResetOnReturn, expected] of cases) {
    const env = fakeEngine({ poolResetOnReturn, poolSize: 1 });
    const [kept, overflowing, soft, departed] = await checkoutMany(env, 4);
    soft!.invalidate(undefined, { soft: true });
    env.dns.addresses = ["10.0.0.1", "10.0.0.2"];
    await time.advance(10);
    env.dns.addresses = ["10.0.0.2"];
    await time.advance(10);
    for (const lease of [kept, overflowing, soft, departed]) {
      const { client } = lease!;
      client.transactionStatus = "open";
      await lease!.release();
      assertEquals(client.log, [...expected, "close"]);
    }
    await closeAtRest(env);
  }
});

Deno.test("poolResetOnReturn: a reset that fails or hangs closes the connection, and is logged, not thrown", async () => {
  using time = fakeTime();
  const warnings: string[] = [];
  const logger = { debug() {}, info() {}, warn: (line: string) => void warnings.push(line) };
  for (
    const [reset, why] of [
      [() => Promise.reject(new Error("no way back")), "no way back"],
      [
        () => new Promise<void>(() => {}),
        "no reset of the connection to 10.0.0.1 within 3 seconds",
      ],
    ] as const
  ) {
    const env = fakeEngine({ poolSize: 1, maxOverflow: 0, connectTimeout: 3, logger }, { reset });
    const lease = await env.engine.connect();
    lease.client.transactionStatus = "open";
    const release = watch(lease.release());
    const next = watch(idOfNext(env));
    await time.advance(3);
    assertEquals([release.state, next.value], ["fulfilled", 2]);
    assertEquals(env.adapter.clients[0]!.log, ["rollback", "terminate"]);
    assertEquals(warnings.splice(0), [
      `[db.internal] Closing a connection to 10.0.0.1 that cannot be reset: ${why}`,
    ]);
    await closeAtRest(env);
  }
});

Deno.test('poolClass "null": a connection for each lease, closed after it, never handed to another', async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolClass: "null" }, { connect: () => delay(10) });
  const waits = [1, 2].map(() => watch(env.engine.connect()));
  await time.tick(10);
  const third = watch(env.engine.connect());
  await time.tick(5);
  // A waiter does not get a used connection.
  await waits[0]!.value!.release();
  assertFalse(env.adapter.clients[0]!.open);
  assertEquals(third.state, "pending");
  await time.tick(5);
  assertEquals(third.value!.client.id, 3);
  await releaseAll([waits[1]!.value!, third.value!]);
  assertEquals(env.adapter.open, []);
  await closeAtRest(env);
});

Deno.test('poolClass "assertion": a second checkout is refused while the first waits or is in use, with ping and hooks too', async () => {
  using time = fakeTime();
  const hooks = { checkout: () => delay(10) };
  const plain = {};
  for (const options of [plain, { hooks }, { hooks, poolPrePing: true }]) {
    const env = fakeEngine({ poolClass: "assertion", ...options }, { connect: () => delay(10) });
    const takeFirst = async function takeFirst() {
      return await env.engine.connect();
    };
    for (let round = 0; round < 3; round++) {
      const first = watch(takeFirst());
      const second = await assertRejects(() => env.engine.connect(), ConnectionInUseError);
      // While the connection is being opened, there is no stack.
      assertEquals(second.takenAt === undefined, round === 0 || options !== plain);
      await time.tick(20);
      await assertRejects(() => env.engine.connect(), ConnectionInUseError, "takeFirst");
      await first.value!.release();
    }
    assertEquals(env.adapter.dials.length, 1);
    await closeAtRest(env);
  }
  // A connect without a waiter does not refuse another checkout.
  const env = fakeEngine({ poolClass: "assertion" }, { connect: () => delay(10) });
  const controller = new AbortController();
  const given = watch(env.engine.connect({ signal: controller.signal }));
  await time.tick(5);
  controller.abort();
  const next = watch(env.engine.connect());
  await time.tick(5);
  assertEquals([given.state, next.value?.client.id], ["rejected", 1]);
  await next.value!.release();
  await closeAtRest(env);
});

Deno.test('poolClass "assertion": a checkout waits for a rollback that is under way', async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolClass: "assertion" }, { reset: () => delay(10) });
  const first = await env.engine.connect();
  first.client.transactionStatus = "open";
  first.release();
  const second = watch(env.engine.connect());
  await assertRejects(() => env.engine.connect(), ConnectionInUseError);
  await time.tick(10);
  assertEquals([second.value?.client.id, env.adapter.dials.length], [1, 1]);
  await second.value!.release();
  await closeAtRest(env);
});

Deno.test("poolPrePing: callers whose pings fail together are served in the order in which they came", async () => {
  using time = fakeTime();
  const pings = [30, 10, 20];
  const env = fakeEngine({ poolSize: 3, maxOverflow: 0, poolPrePing: true, connectConcurrency: 1 });
  await releaseAll(await checkoutMany(env, 3));
  env.adapter.behavior.ping = async () => {
    await delay(pings.shift()!);
    throw new Error("no answer");
  };
  env.adapter.behavior.connect = () => delay(100);
  const served: number[] = [];
  const leases = [1, 2, 3].map(async (caller) => {
    const lease = await env.engine.connect();
    served.push(caller);
    return lease;
  });
  await time.advance(1);
  assertEquals(served, [1, 2, 3]);
  await releaseAll(await Promise.all(leases));
  await closeAtRest(env);
});

Deno.test("poolTimeout: the longest wait is as long as docs/production.md says, with pings and hooks", async () => {
  using time = fakeTime();
  const [poolTimeout, connectTimeout, dnsTimeout] = [5, 3, 2];
  const hang = () => new Promise<void>(() => {});
  const check = 2 * connectTimeout + dnsTimeout;
  for (const hanging of ["ping", "hook", "both"]) {
    const env = fakeEngine({
      poolSize: 3,
      maxOverflow: 0,
      poolPrePing: true,
      connectRetry: false,
      poolTimeout,
      connectTimeout,
      dnsTimeout,
      hooks: {
        checkout: async ({ client }) => {
          if (hanging !== "ping" && client.log.includes("used")) await hang();
        },
      },
      logger: keepLines(),
    });
    const leases = await checkoutMany(env, 3);
    for (const { client } of leases) client.log.push("used");
    if (hanging !== "hook") env.adapter.behavior.ping = hang;
    env.adapter.behavior.connect = hang;
    const waits = [1, 2, 3].map(() => watch(env.engine.connect()));
    await time.advance(poolTimeout - 0.001);
    await releaseAll(leases);
    await time.advance(dnsTimeout + connectTimeout + 2 * check);
    assertFalse(waits.some(({ state }) => state === "pending"), hanging);
    await closeAtRest(env);
  }
});

Deno.test("poolSize, maxOverflow, minIdle and minSize are refused with another poolClass", () => {
  for (const poolClass of ["null", "static", "assertion"] as const) {
    for (const name of ["poolSize", "maxOverflow", "minIdle", "minSize"]) {
      const error = assertThrows(
        () => getDnsEngine("fake://db/x", { adapter: fakeAdapter(), poolClass, [name]: 1 }),
        TypeError,
      );
      assertEquals(
        error.message,
        `"${name}" must not be given: it is for the pool class "queue", not for "${poolClass}"`,
      );
    }
  }
});

Deno.test("idleTimeout: an idle connection is closed, by the clock even if no timer has fired", async () => {
  using time = fakeTime();
  const env = fakeEngine({ idleTimeout: 60 });
  await releaseAll(await checkoutMany(env, 3));
  await time.advance(30);
  await idOfNext(env);
  await time.advance(31);
  assertEquals(env.adapter.open.map(({ id }) => id), [1]);
  await time.advance(60);
  assertEquals(env.adapter.open, []);
  await idOfNext(env);
  time.stall(61);
  assertEquals(await idOfNext(env), 5);
  await closeAtRest(env);

  const forever = fakeEngine();
  await idOfNext(forever);
  await time.advance(86_400);
  assertEquals(await idOfNext(forever), 1);
  await closeAtRest(forever);
});

Deno.test("maxUses: a connection is replaced after that number of checkouts", async () => {
  using _time = fakeTime();
  for (const [maxUses, ids] of [[3, [1, 1, 1, 2, 2, 2, 3]], [1, [1, 2, 3, 4, 5, 6, 7]]] as const) {
    const env = fakeEngine({ maxUses });
    const seen: number[] = [];
    while (seen.length < ids.length) seen.push(await idOfNext(env));
    assertEquals(seen, [...ids]);
    await closeAtRest(env);
  }
});

Deno.test("minIdle: after the first use, that number of connections is opened in the background, and kept", async () => {
  using time = fakeTime();
  const env = fakeEngine({ minIdle: 3, idleTimeout: 60 }, { connect: () => delay(100) });
  await time.advance(10);
  assertEquals(env.adapter.dials, []);
  env.adapter.behavior.connect = () => Promise.reject(refused());
  await assertRejects(() => env.engine.connect(), ConnectError);
  await time.advance(10);
  assertEquals(env.adapter.dials.splice(0).length, 1);
  env.adapter.behavior.connect = () => delay(100);
  const first = watch(env.engine.connect());
  await time.advance(1);
  assertEquals([env.engine.status().idle, env.engine.status().inUse], [3, 1]);
  await first.value!.release();
  // idleTimeout closes none of them.
  await time.advance(600);
  assertEquals([env.engine.status().idle, env.adapter.dials.length], [3, 4]);
  const leases = await checkoutMany(env, 3);
  await time.advance(2);
  assertEquals([env.engine.status().idle, env.engine.status().inUse], [3, 3]);
  await releaseAll(leases);
  await time.advance(70);
  assertEquals(env.engine.status().idle, 3);
  await closeAtRest(env);
});

Deno.test("minIdle with poolRecycle: a connection is replaced ahead of its maximum age, and no checkout waits for a connect", async () => {
  using time = fakeTime();
  const sizes = [
    { minIdle: 2, poolSize: 5 },
    { minIdle: 2, poolSize: 2 },
    { minIdle: 2, poolSize: 2, maxOverflow: 0 },
    { minIdle: 3, poolSize: 3, maxOverflow: 0, poolRecycle: 4 },
  ];
  for (const size of sizes) {
    const { poolRecycle = 100 } = size as { poolRecycle?: number };
    const opened = new Map<FakeClient, number>();
    const env = fakeEngine({
      ...size,
      poolRecycle,
      hooks: { connect: ({ client }) => void opened.set(client, time.nowMs) },
    }, { connect: () => delay(200) });
    const first = watch(env.engine.use(() => {}));
    await time.advance(2);
    assertEquals(first.state, "fulfilled");
    for (let round = 0; round < 10 * poolRecycle; round++) {
      await time.advance(0.5);
      const next = watch(env.engine.connect());
      await time.settle();
      assertEquals([size, round, next.state], [size, round, "fulfilled"]);
      assertLess(time.nowMs - opened.get(next.value!.client)!, poolRecycle * 1000);
      await next.value!.release();
      assertLess(env.engine.status().idle, size.minIdle + 3);
    }
    // In half the time of the rounds, each connection was replaced about once per maximum age.
    assertGreater(env.adapter.dials.length, 4 * size.minIdle);
    assertLess(env.adapter.dials.length, 10 * size.minIdle);
    while (env.engine.status().connecting > 0) await time.advance(0.2);
    await closeAtRest(env);
  }
});

Deno.test("minIdle with poolRecycle: no connection is opened in place of one that there is no room beside", async () => {
  using time = fakeTime();
  const { random } = Math;
  let draws = 0;
  Math.random = () => draws++ % 2 / 5; // the two reach their maximum age half a second apart
  try {
    const env = fakeEngine({ minIdle: 2, poolSize: 2, poolRecycle: 100 }, {
      connect: () => delay(200),
    });
    const first = watch(env.engine.use(() => {}));
    await time.advance(2);
    assertEquals(first.state, "fulfilled");
    const { length } = env.adapter.dials;
    await time.advance(100);
    assertEquals([env.adapter.dials.length - length, env.engine.status().idle], [2, 2]);
    await closeAtRest(env);
  } finally {
    Math.random = random;
  }
});

Deno.test("minIdle with poolRecycle: a maximum age of a millisecond costs one connect a second, and no more", async () => {
  using time = fakeTime();
  const env = fakeEngine({ minIdle: 1, poolSize: 2, maxOverflow: 0, poolRecycle: 0.001 });
  await env.engine.use(() => {});
  const before = env.adapter.dials.length;
  await time.advance(10);
  const count = env.adapter.dials.length - before;
  assert(count >= 5 && count <= 11, `${count}`);
  await closeAtRest(env);
});

Deno.test("minIdle with poolRecycle: without room for a second connection, the first is closed ahead of its age", async () => {
  using time = fakeTime();
  const env = fakeEngine({ minIdle: 1, poolSize: 1, maxOverflow: 0, poolRecycle: 100 });
  await env.engine.use(() => {});
  await time.advance(99);
  assertEquals(env.adapter.dials.length, 2);
  await time.advance(90);
  assertEquals([env.adapter.dials.length, env.engine.status().idle], [2, 1]);
  await closeAtRest(env);
});

Deno.test("poolRecycle: an idle connection is closed at its maximum age, and no other is opened without minIdle", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolRecycle: 100.0625 });
  await env.engine.use(() => {});
  const lease = await env.engine.connect();
  await env.engine.use(() => {});
  await time.advance(97.5);
  assertEquals([env.adapter.dials.length, env.engine.status().idle], [2, 1]);
  await time.advance(2.563);
  assertEquals([env.adapter.dials.length, env.engine.status().idle], [2, 0]);
  assertEquals(env.engine.status().inUse, 1);
  await lease.release();
  await closeAtRest(env);
});

Deno.test("idleTimeout: an idle connection is closed when it is over, however long the time between two looks is", async () => {
  using time = fakeTime();
  const env = fakeEngine({ idleTimeout: 10 });
  await time.advance(0.4);
  await env.engine.use(() => {});
  await time.advance(9.999);
  assertEquals(env.engine.status().idle, 1);
  await time.advance(0.003);
  assertEquals(env.engine.status().idle, 0);
  await closeAtRest(env);
});

Deno.test("idleTimeout: a few milliseconds are kept as exactly", async () => {
  using time = fakeTime();
  for (const idleTimeout of [0.001, 0.005, 0.02]) {
    const env = fakeEngine({ idleTimeout });
    await env.engine.use(() => {});
    await time.advance(idleTimeout + 0.002);
    assertEquals([idleTimeout, env.engine.status().idle], [idleTimeout, 0]);
    await closeAtRest(env);
  }
});

Deno.test("a connect that fails rejects no caller that came after its begin", async () => {
  using time = fakeTime();
  let dials = 0;
  const env = fakeEngine({ poolSize: 1, maxOverflow: 0 }, {
    async connect() {
      if (++dials > 1) return;
      await delay(200);
      throw new Error("wrong password");
    },
  });
  const end = new AbortController();
  const early = watch(env.engine.connect({ signal: end.signal }));
  await time.advance(0.1);
  end.abort(new Error("not needed any more"));
  const late = watch(env.engine.connect());
  await time.advance(0.2);
  assertEquals([early.state, late.state, dials], ["rejected", "fulfilled", 2]);
  await late.value!.release();
  await closeAtRest(env);
});

Deno.test("connectConcurrency: after an outage four connections open at once, and one more with each that has opened", async () => {
  using time = fakeTime();
  let opening = 0;
  let down = false;
  const env = fakeEngine({ poolSize: 40, maxOverflow: 0, connectConcurrency: Infinity }, {
    async connect() {
      if (down) throw refused();
      opening++;
      await delay(100);
      opening--;
    },
  });
  const open = async () => {
    const leases = Promise.all(Array.from({ length: 40 }, () => env.engine.connect()));
    const steps: number[] = [];
    await time.settle();
    while (opening === 0) {
      down = false;
      await time.advance(0.01);
    }
    for (; opening > 0; await time.advance(0.1)) steps.push(opening);
    for (const lease of await leases) lease.invalidate();
    return steps;
  };
  assertEquals(await open(), [40]);
  down = true;
  assertEquals(await open(), [1, 4, 8, 16, 11]);
  await closeAtRest(env);
});

Deno.test("minIdle: after dispose(), the new pool is filled before its first use, if the engine was used", async () => {
  using time = fakeTime();
  const env = fakeEngine({ minIdle: 2 }, { connect: () => delay(100) });
  await env.engine.dispose();
  await time.advance(10);
  assertEquals(env.adapter.dials, []);
  const first = watch(env.engine.use(() => {}));
  await time.advance(1);
  assertEquals([first.state, env.engine.status().idle], ["fulfilled", 3]);
  const before = env.adapter.dials.length;
  await env.engine.dispose();
  assertEquals(env.engine.status().idle, 0);
  await time.advance(1);
  assertEquals([env.engine.status().idle, env.adapter.dials.length - before], [2, 2]);
  // Also if its server does not answer at first.
  env.adapter.behavior.connect = () => Promise.reject(refused());
  await env.engine.dispose();
  await time.advance(10);
  assertEquals(env.engine.status().idle, 0);
  env.adapter.behavior.connect = () => {};
  await time.advance(2);
  assertEquals(env.engine.status().idle, 2);
  await closeAtRest(env);
});

Deno.test("minSize: idleTimeout keeps that number of connections, idle or in use; none is opened for it", async () => {
  using time = fakeTime();
  const env = fakeEngine({ minSize: 2, idleTimeout: 60 });
  const [first, ...others] = await checkoutMany(env, 4);
  await releaseAll(others);
  assertEquals(env.adapter.dials.length, 4);
  await time.advance(600);
  // One in use and one idle.
  assertEquals([env.engine.status().idle, env.engine.status().inUse], [1, 1]);
  assertEquals(await idOfNext(env), 4);
  await first!.release();
  await time.advance(600);
  assertEquals(env.engine.status().idle, 2);
  assertEquals(env.adapter.dials.length, 4);
  await closeAtRest(env);
});

Deno.test("minIdle: while connects fail, prefill tries again every half second, and no checkout waits for it", async () => {
  using time = fakeTime();
  const env = fakeEngine({ minIdle: 2, connectRetry: false });
  await env.engine.use(() => {});
  await time.settle();
  env.adapter.behavior.connect = () => Promise.reject(refused());
  env.engine.pool.invalidate();
  await assertRejects(() => env.engine.connect(), ConnectError);
  const before = env.adapter.dials.length;
  await time.advance(10);
  const tries = env.adapter.dials.length - before;
  assertGreater(tries, 20);
  assertLess(tries, 45);
  env.adapter.behavior.connect = () => {};
  await time.advance(1);
  assertEquals(env.engine.status().idle, 2);
  await closeAtRest(env);
});

Deno.test("Engine.warm() opens connections before they are needed, minIdle of them by default", async () => {
  using time = fakeTime();
  const kept = { minIdle: 3 };
  for (
    const [options, count, idle] of [
      [{}, undefined, 1],
      [kept, undefined, 3],
      [{}, 4, 4],
      [{ poolClass: "static" as const }, undefined, 1],
    ] as const
  ) {
    const env = fakeEngine(options);
    await env.engine.warm(count);
    assertEquals([env.engine.status().idle, env.adapter.dials.length], [idle, idle]);
    await env.engine.warm(count);
    assertEquals(env.adapter.dials.length, idle);
    if (options === kept) {
      // They are kept afterwards.
      const leases = await checkoutMany(env, 3);
      await time.advance(2);
      assertEquals(env.engine.status().idle, 3);
      await releaseAll(leases);
    }
    await closeAtRest(env);
  }
});

Deno.test("Engine.warm() refuses a number above poolSize, and rejects with the error of a failed connect", async () => {
  using _time = fakeTime();
  const env = fakeEngine({ poolSize: 3 });
  for (const count of [0, -1, 4, 1.5, NaN, "2", null]) {
    const error = await assertRejects(() => env.engine.warm(count as number), RangeError);
    const shown = typeof count === "string" ? `"${count}"` : count;
    assertEquals(error.message, `"count" must be a whole number from 1 to 3, got ${shown}`);
  }
  env.adapter.behavior.connect = () => {
    if (env.adapter.dials.length === 2) throw new Error("no room");
  };
  await assertRejects(() => env.engine.warm(3), ConnectError, "no room");
  assertAtRest(env);
  assertEquals(env.engine.status().idle, 2);
  await closeAtRest(env);
});

Deno.test("connectTimeout: one attempt over all addresses; a connection that arrives later is terminated", async () => {
  using time = fakeTime();
  const env = fakeEngine({ connectTimeout: 4, poolSize: 1, maxOverflow: 0 }, {
    connect: (address) => delay(address === "10.0.0.1" ? 60_000 : 3000),
  });
  const wait = watch(env.engine.connect());
  await time.advance(3.999);
  assertEquals(wait.state, "pending");
  await time.advance(0.001);
  assertInstanceOf(wait.error, ConnectError);
  assertEquals(
    wait.error.message,
    'Cannot connect to "db.internal": 10.0.0.1:1 said: no connection within 4 seconds',
  );
  assertAtRest(env);
  await closeAtRest(env);

  const two = fakeEngine({ connectTimeout: 8 }, env.adapter.behavior);
  two.dns.addresses = ["10.0.0.1", "10.0.0.2"];
  const other = watch(two.engine.use(({ address }) => address));
  await time.advance(7);
  assertEquals(other.value, "10.0.0.2");
  await time.advance(60);
  assertEquals(two.adapter.open.map(({ address }) => address), ["10.0.0.2"]);
  await closeAtRest(two);
});

Deno.test("connectConcurrency: number of connections that open at once, by default 4", async () => {
  using time = fakeTime();
  for (const [options, most] of [[{}, 4], [{ connectConcurrency: 1 }, 1]] as const) {
    let running = 0;
    let seen = 0;
    const env = fakeEngine({ ...options, poolSize: 20 }, {
      async connect() {
        seen = Math.max(seen, ++running);
        await delay(10);
        running--;
      },
    });
    const waits = Array.from({ length: 20 }, () => env.engine.connect());
    await time.tick(10 * 20);
    await releaseAll(await Promise.all(waits));
    assertEquals([seen, env.adapter.dials.length], [most, 20]);
    // After an outage, during which one connect at a time is tried, that number opens at once again.
    const { connect } = env.adapter.behavior;
    env.adapter.behavior.connect = () => Promise.reject(refused());
    env.engine.pool.invalidate();
    const again = Array.from({ length: 20 }, () => env.engine.connect());
    await time.advance(1);
    seen = 0;
    env.adapter.behavior.connect = connect!;
    await time.advance(1);
    await releaseAll(await Promise.all(again));
    assertEquals(seen, most);
    await closeAtRest(env);
  }
});

Deno.test("connectRetry: an engine that has connected before waits for a server that is down; without it, or before, a checkout fails at once", async () => {
  using time = fakeTime();
  for (const connectRetry of [true, false]) {
    const env = fakeEngine({ connectRetry, poolTimeout: 5 });
    env.adapter.behavior.connect = () => Promise.reject(refused());
    await assertRejects(() => env.engine.connect(), ConnectError);
    env.adapter.behavior.connect = () => {};
    await env.engine.use((lease) => lease.invalidate());
    env.adapter.behavior.connect = () => Promise.reject(refused());
    const startMs = time.nowMs;
    const wait = watch(env.engine.connect());
    while (wait.state === "pending") await time.tick(10);
    assertInstanceOf(wait.error, ConnectError);
    assertInstanceOf(wait.error.cause, Error);
    assertEquals(wait.error.cause.message, "connection refused");
    assertEquals(Math.round((time.nowMs - startMs) / 100) / 10, connectRetry ? 5 : 0);
    if (connectRetry) {
      assertEquals(
        wait.error.message,
        'Cannot connect to "db.internal" within 5 seconds: ' +
          'Cannot connect to "db.internal": 10.0.0.1:1 said: connection refused',
      );
      const late = watch(env.engine.connect());
      await time.advance(1);
      env.adapter.behavior.connect = () => {};
      await time.advance(0.5);
      assertEquals(late.state, "fulfilled");
      await late.value!.release();
    }
    await closeAtRest(env);
  }
});

Deno.test("connectRetry: a wrong password fails at once", async () => {
  using time = fakeTime();
  const env = fakeEngine();
  await env.engine.use((lease) => lease.invalidate());
  env.adapter.behavior.connect = () =>
    Promise.reject(Object.assign(new Error("password authentication failed"), { code: "28P01" }));
  const wait = watch(env.engine.connect());
  await time.settle();
  assert(wait.error instanceof ConnectError, String(wait.error));
  await closeAtRest(env);
});

Deno.test("poolResetOnReturn: a connection is reset if the adapter does not know whether a transaction is open", async () => {
  using _time = fakeTime();
  const tells: (FakeAdapter["transactionStatus"] | undefined)[] = [
    undefined,
    () => undefined,
    () => {
      throw new Error("not today");
    },
    () => "open",
    () => "failed",
    () => "idle",
  ];
  const logs: string[][] = [];
  for (const transactionStatus of tells) {
    const { engine, adapter } = fakeEngine({ logger: { debug() {}, info() {}, warn() {} } });
    Object.assign(adapter, { transactionStatus });
    await engine.use(() => {});
    logs.push(adapter.clients[0]!.log);
    await engine.close();
  }
  const reset = ["rollback", "close"];
  const stillOpen = ["rollback", "terminate"];
  assertEquals(logs, [reset, reset, reset, stillOpen, stillOpen, ["close"]]);
});
