import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { delay } from "../../internal/async.ts";
import { ConnectionLostError, PoolClosedError } from "../../mod.ts";
import {
  assertAtRest,
  checkoutMany,
  closeAtRest,
  keepLines,
  releaseAll,
  watch,
} from "../support/checks.ts";
import { balanced, fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";
import { watchTimers } from "../stress/pool_timers.ts";

Deno.test("Engine.dispose() closes idle connections and goes on with a new pool; connections in use are closed at checkin", async () => {
  using _time = fakeTime();
  const env = fakeEngine({ poolSize: 2, maxOverflow: 0, poolTimeout: 0 });
  const [out, idle] = await checkoutMany(env, 2);
  await idle!.release();
  await env.engine.dispose();
  assertEquals(env.adapter.clients.map(({ open }) => open), [true, false]);
  // The new pool has its own limits.
  const leases = await checkoutMany(env, 2);
  assertEquals(env.engine.status().opened, 2);
  assertFalse(out!.released || out!.signal.aborted);
  await out!.release();
  assertFalse(env.adapter.clients[0]!.open);
  await releaseAll(leases);
  await closeAtRest(env);
});

Deno.test("Engine.dispose() waits until the idle connections are closed, and for nothing else", async () => {
  using time = fakeTime();
  const env = fakeEngine({ hooks: { close: () => delay(50) } });
  const leases = await checkoutMany(env, 3);
  await releaseAll(leases.slice(1));
  const dispose = watch(env.engine.dispose());
  await time.tick(49);
  assertEquals(dispose.state, "pending");
  await time.tick(1);
  assertEquals(dispose.state, "fulfilled");
  const release = watch(leases[0]!.release());
  await time.tick(50);
  assertEquals([release.state, env.adapter.open.length], ["fulfilled", 0]);
  await closeAtRest(env);
});

Deno.test("Engine.dispose() rejects checkouts that wait in the queue, for a connect, for an answer, or for a ping", async () => {
  using time = fakeTime();
  const env = fakeEngine({
    poolSize: 1,
    maxOverflow: 0,
    poolPrePing: true,
    dnsRefresh: "on-demand",
  });
  const ways: Record<string, () => Promise<void>> = {
    answer: () => Promise.resolve(void (env.dns.delayMs = 1000)),
    dial: async () => {
      env.dns.delayMs = 0;
      await env.engine.use((lease) => lease.invalidate());
      env.adapter.behavior.connect = () => delay(1000);
    },
    ping: async () => {
      env.adapter.behavior.connect = () => {};
      await env.engine.use(() => {});
      env.adapter.behavior.ping = () => delay(1000);
    },
  };
  for (const [name, prepare] of Object.entries(ways)) {
    await prepare();
    const waits = [1, 2].map(() => watch(env.engine.connect()));
    await time.tick(10);
    await env.engine.dispose();
    await time.tick(1);
    for (const wait of waits) {
      assertInstanceOf(wait.error, PoolClosedError, name);
      assertEquals(
        wait.error.message,
        'Cannot check out a connection to "db.internal": the pool was disposed',
      );
    }
    await time.advance(2);
    assertEquals(env.adapter.open, [], name);
  }
  await closeAtRest(env);
});

Deno.test("Engine.close() waits for leases, then terminates them", async () => {
  using time = fakeTime();
  const cases = [[undefined, 10], [{ drain: 3 }, 3], [{ drain: 0 }, 0], [{}, 10]] as const;
  for (const [options, seconds] of cases) {
    const env = fakeEngine();
    const [quick, slow] = await checkoutMany(env, 2);
    const work = watch(env.engine.use(() => delay(3_600_000)));
    await time.settle();
    const closing = watch(env.engine.close(options));
    if (seconds > 0) {
      await time.advance(seconds / 2);
      await quick!.release();
      assertFalse(env.adapter.clients[0]!.open);
      await time.advance(seconds / 2 - 0.001);
      assertEquals([closing.state, work.state, slow!.signal.aborted], [
        "pending",
        "pending",
        false,
      ]);
    }
    await time.advance(0.001);
    assertEquals(closing.state, "fulfilled");
    assertInstanceOf(work.error, ConnectionLostError);
    assertInstanceOf(slow!.signal.reason, ConnectionLostError);
    assertEquals(
      slow!.signal.reason.message,
      "Lost the connection to 10.0.0.1: the engine was closed; work under way may or may not have been done",
    );
    assertEquals(env.adapter.open, []);
    await slow!.release();
    assertAtRest(env);
    assert(balanced(env.engine.status()));
  }
  await time.advance(3600);
});

Deno.test("Engine.close() ends all questions to DNS: a lease that is released with an error later asks no more", async () => {
  using time = fakeTime();
  const env = fakeEngine();
  const [lease] = await checkoutMany(env, 1);
  const error = Object.assign(new Error("reset by peer"), { verdict: "disconnect" });
  env.adapter.kill(env.adapter.clients[0]!, error);
  await time.settle();
  assert(lease!.released);
  await env.engine.close();
  await time.advance(2);
  const asked = env.dns.questions.length;
  await lease!.release(error);
  await time.advance(60);
  assertEquals(env.dns.questions.length, asked);
});

Deno.test("Engine.close({ drain: Infinity }) waits for leases without a limit", async () => {
  using time = fakeTime();
  const env = fakeEngine({ dnsRefresh: "on-demand" });
  const [lease] = await checkoutMany(env, 1);
  const closing = watch(env.engine.close({ drain: Infinity }));
  await time.advance(86_400);
  assertEquals([closing.state, lease!.released], ["pending", false]);
  await lease!.release();
  await time.settle();
  assertEquals([closing.state, env.adapter.clients[0]!.log], ["fulfilled", ["close"]]);
});

Deno.test("Engine.close() goes on to probe the servers of leases, also of disposed pools, and ends if they are silent", async () => {
  using time = fakeTime();
  const env = fakeEngine({ leaseProbeAfter: 2, probeTimeout: 1, dnsRefresh: "on-demand" });
  const leases = await checkoutMany(env, 1);
  await env.engine.dispose();
  leases.push(...await checkoutMany(env, 1));
  env.adapter.behavior.connect = () => new Promise<void>(() => {});
  const closing = watch(env.engine.close({ drain: Infinity }));
  await time.advance(1.5);
  assertEquals(closing.state, "pending");
  await time.advance(3);
  assertEquals(closing.state, "fulfilled");
  for (const lease of leases) assertInstanceOf(lease.signal.reason, ConnectionLostError);
  assertAtRest(env);
});

Deno.test("Engine.close() ends at once if nothing is in use, and a second call waits for the first", async () => {
  using time = fakeTime();
  const env = fakeEngine();
  const [lease] = await checkoutMany(env, 1);
  const first = watch(env.engine.close({ drain: 5 }));
  const second = watch(env.engine.close({ drain: 0 }));
  const third = watch(env.engine[Symbol.asyncDispose]());
  const fourth = watch(env.engine.dispose());
  await time.advance(4.9);
  assertEquals([first, second, third, fourth].map(({ state }) => state), Array(4).fill("pending"));
  await lease!.release();
  await time.settle();
  assertEquals(
    [first, second, third, fourth].map(({ state }) => state),
    Array(4).fill("fulfilled"),
  );
  await env.engine.close();
});

Deno.test("Engine.close() terminates the leases of disposed pools as well", async () => {
  using time = fakeTime();
  const env = fakeEngine();
  const [first] = await checkoutMany(env, 1);
  await env.engine.dispose();
  const [second] = await checkoutMany(env, 1);
  await env.engine.dispose();
  const closing = watch(env.engine.close({ drain: 2 }));
  await time.advance(2);
  assertEquals(closing.state, "fulfilled");
  assert(first!.signal.aborted && second!.signal.aborted);
  assertEquals(env.adapter.open, []);
});

Deno.test("Engine.close() does not wait for a connect, a hook or an adapter's close that hangs", async () => {
  using time = fakeTime();
  const hang = () => new Promise<void>(() => {});
  const dialling = fakeEngine({}, { connect: hang });
  const greeting = fakeEngine({ hooks: { connect: hang } });
  const checking = fakeEngine({ hooks: { checkout: hang } });
  const leaving = fakeEngine({ hooks: { close: hang }, logger: keepLines() });
  await leaving.engine.use(() => {});
  for (const env of [dialling, greeting, checking, leaving]) {
    const wait = watch(env.engine.connect());
    await time.settle();
    await wait.value?.release();
    const closing = watch(env.engine.close({ drain: 3 }));
    await time.advance(5);
    assertEquals(closing.state, "fulfilled");
    assert(wait.state !== "pending");
    await time.advance(60);
    assertEquals(env.adapter.open, []);
    assert(balanced(env.engine.status()));
  }
});

Deno.test("Engine.close() leaves no timer for a ping, a hook or a rollback that does not end", async () => {
  using time = fakeTime();
  const timers = watchTimers();
  let hangs = false;
  const hang = () => hangs ? new Promise<void>(() => {}) : Promise.resolve();
  const labs = [
    fakeEngine({ poolPrePing: true }, { ping: hang }),
    fakeEngine({ hooks: { checkout: hang } }),
    fakeEngine({ hooks: { reset: hang } }),
    fakeEngine({}, { reset: hang }),
  ];
  for (const env of labs) {
    hangs = false;
    await env.engine.use(() => {});
    hangs = true;
    const wait = watch(env.engine.connect());
    await time.settle();
    if (wait.value) wait.value.client.transactionStatus = "open";
    wait.value?.release();
    const closing = watch(env.engine.close({ drain: 0 }));
    await time.tick(0);
    assertEquals([closing.state, env.adapter.open], ["fulfilled", []]);
    assertEquals(timers.pending(), []);
  }
});

Deno.test("Engine.close() leaves no timer for an address that lingers", async () => {
  using time = fakeTime();
  const env = fakeEngine({ dnsAddressLinger: 60, dnsRefresh: "on-demand" });
  await env.engine.use(() => {});
  env.dns.addresses = ["10.0.0.2"];
  await time.advance(11);
  const timers = watchTimers();
  await env.engine.use(({ address }) => assertEquals(address, "10.0.0.1"));
  assertEquals(timers.pending().length > 0, true);
  await closeAtRest(env);
  assertEquals(timers.pending(), []);
});

Deno.test("a connection is terminated if the adapter's close hangs or fails", async () => {
  using time = fakeTime();
  const hang = () => new Promise<void>(() => {});
  const fail = () => Promise.reject(new Error("no"));
  for (const [close, seconds] of [[hang, 2], [fail, 0]] as const) {
    const env = fakeEngine();
    env.adapter.close = close;
    await env.engine.use(() => {});
    const closing = watch(env.engine.close());
    await time.advance(seconds);
    assertEquals(closing.state, "fulfilled");
    assertEquals(env.adapter.clients[0]!.log, ["terminate"]);
  }
});

Deno.test("after Engine.close(), every use is a PoolClosedError, without a query or a connection", async () => {
  using _time = fakeTime();
  for (const poolClass of ["queue", "null", "static", "assertion"] as const) {
    const env = fakeEngine({ poolClass, poolLoggingName: "orders" });
    await env.engine.close();
    const sibling = env.engine.executionOptions({ isolationLevel: "serializable" });
    const uses: Record<string, () => Promise<unknown>> = {
      connect: () => env.engine.connect(),
      "connect with options": () => env.engine.connect({ timeout: Infinity }),
      use: () => env.engine.use(() => {}),
      begin: () => env.engine.begin(() => {}),
      query: () => env.engine.query("SELECT 1"),
      sibling: () => sibling.connect(),
    };
    if (poolClass === "queue") uses["warm"] = () => env.engine.warm();
    for (const [name, use] of Object.entries(uses)) {
      const error = await assertRejects(use, PoolClosedError, undefined, name);
      assertEquals(error.code, "POOL_CLOSED");
      assertEquals(
        error.message,
        'Cannot check out a connection to "orders": the engine is closed',
      );
    }
    await env.engine.dispose();
    await env.engine.close();
    assertEquals([env.dns.questions, env.adapter.dials], [[], []]);
    assertEquals(env.engine.status().waiting, 0);
  }
});

Deno.test("Engine.close() refuses invalid options, and the engine goes on", async () => {
  using _time = fakeTime();
  const env = fakeEngine();
  const seconds = '"drain" must be a number of seconds from 0 to 3600 or Infinity, got ';
  const refused: [unknown, typeof TypeError | typeof RangeError, string][] = [
    [null, TypeError, '"options of close()" must be an object, got null'],
    [5, TypeError, '"options of close()" must be an object, got 5'],
    [[], TypeError, '"options of close()" must be an object, got an array'],
    [{ drain: "5" }, TypeError, `${seconds}"5"`],
    [{ drain: null }, TypeError, `${seconds}null`],
    [{ drain: NaN }, TypeError, `${seconds}NaN`],
    [{ drain: -0.001 }, RangeError, `${seconds}-0.001`],
    [
      { drain: 10_000 },
      RangeError,
      `${seconds}10000, did you mean 10?`,
    ],
    [{ timeout: 5 }, TypeError, '"timeout" is not an option of close(); there are drain'],
  ];
  for (const [options, kind, message] of refused) {
    const error = await assertRejects(() => env.engine.close(options as { drain: number }), kind);
    assert(error.message.includes(message), error.message);
    await env.engine.use(() => {});
  }
  await closeAtRest(env);
});

Deno.test("Engine.executionOptions() refuses invalid options", () => {
  const { engine } = fakeEngine();
  const refused: [unknown, string][] = [
    [null, '"options of executionOptions()" must be an object, got null'],
    [5, '"options of executionOptions()" must be an object, got 5'],
    [{ isolationLevel: 5 }, '"isolationLevel" must be a non-empty string, got 5'],
    [{ isolationLevel: "" }, '"isolationLevel" must be a non-empty string, got ""'],
    [{ loggingToken: {} }, '"loggingToken" must be a non-empty string, got an object'],
    [{ isolation_level: "x" }, 'did you mean "isolationLevel"?'],
  ];
  for (const [options, message] of refused) {
    assertThrows(() => engine.executionOptions(options as object), TypeError, message);
  }
});

Deno.test("an engine without echo logs nothing while it is used and closed", async () => {
  using time = fakeTime();
  const logger = keepLines();
  const env = fakeEngine({ logger });
  const leases = await checkoutMany(env, 2);
  await env.engine.dispose();
  await releaseAll(leases);
  const [out] = await checkoutMany(env, 1);
  const closing = watch(env.engine.close({ drain: 0 }));
  await time.tick(0);
  await out!.release();
  assertEquals([closing.state, logger.lines], ["fulfilled", []]);
});
