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
import { assertAtRest, end, give, keepLines, take, watch } from "../support/checks.ts";
import { balanced, lab } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";
import { watchTimers } from "../stress/pool_timers.ts";

Deno.test("dispose() closes what is idle and goes on with a fresh pool; what is out is closed when it comes back", async () => {
  using _time = fakeTime();
  const it = lab({ poolSize: 2, maxOverflow: 0, poolTimeout: 0 });
  const [out, idle] = await take(it, 2);
  await idle!.release();
  await it.engine.dispose();
  assertEquals(it.adapter.clients.map(({ open }) => open), [true, false]);
  // The fresh pool has its own limits.
  const leases = await take(it, 2);
  assertEquals(it.engine.status().opened, 2);
  assertFalse(out!.released || out!.signal.aborted);
  await out!.release();
  assertFalse(it.adapter.clients[0]!.open);
  await give(leases);
  await end(it);
});

Deno.test("dispose() waits for the goodbyes of the idle connections, and for nothing else", async () => {
  using time = fakeTime();
  const it = lab({ hooks: { close: () => delay(50) } });
  const leases = await take(it, 3);
  await give(leases.slice(1));
  const dispose = watch(it.engine.dispose());
  await time.tick(49);
  assertEquals(dispose.state, "pending");
  await time.tick(1);
  assertEquals(dispose.state, "fulfilled");
  const release = watch(leases[0]!.release());
  await time.tick(50);
  assertEquals([release.state, it.adapter.open.length], ["fulfilled", 0]);
  await end(it);
});

Deno.test("dispose() rejects whoever waits: in the queue, for a dial, for an answer, for a ping", async () => {
  using time = fakeTime();
  const it = lab({ poolSize: 1, maxOverflow: 0, poolPrePing: true, dnsRefresh: "on-demand" });
  const ways: Record<string, () => Promise<void>> = {
    answer: () => Promise.resolve(void (it.dns.delayMs = 1000)),
    dial: async () => {
      it.dns.delayMs = 0;
      await it.engine.use((lease) => lease.invalidate());
      it.adapter.behavior.connect = () => delay(1000);
    },
    ping: async () => {
      it.adapter.behavior.connect = () => {};
      await it.engine.use(() => {});
      it.adapter.behavior.ping = () => delay(1000);
    },
  };
  for (const [name, prepare] of Object.entries(ways)) {
    await prepare();
    const waits = [1, 2].map(() => watch(it.engine.connect()));
    await time.tick(10);
    await it.engine.dispose();
    await time.tick(1);
    for (const wait of waits) {
      assertInstanceOf(wait.error, PoolClosedError, name);
      assertEquals(
        wait.error.message,
        'Cannot check out a connection to "db.internal": the pool was disposed',
      );
    }
    await time.advance(2);
    assertEquals(it.adapter.open, [], name);
  }
  await end(it);
});

Deno.test("close() waits for leases, then terminates them", async () => {
  using time = fakeTime();
  const cases = [[undefined, 10], [{ drain: 3 }, 3], [{ drain: 0 }, 0], [{}, 10]] as const;
  for (const [options, seconds] of cases) {
    const it = lab();
    const [quick, slow] = await take(it, 2);
    const work = watch(it.engine.use(() => delay(3_600_000)));
    await time.settle();
    const closing = watch(it.engine.close(options));
    if (seconds > 0) {
      await time.advance(seconds / 2);
      await quick!.release();
      assertFalse(it.adapter.clients[0]!.open);
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
    assertEquals(it.adapter.open, []);
    await slow!.release();
    assertAtRest(it);
    assert(balanced(it.engine.status()));
  }
  await time.advance(3600);
});

Deno.test("close({ drain: Infinity }) waits for leases as long as they take", async () => {
  using time = fakeTime();
  const it = lab({ dnsRefresh: "on-demand" });
  const [lease] = await take(it, 1);
  const closing = watch(it.engine.close({ drain: Infinity }));
  await time.advance(86_400);
  assertEquals([closing.state, lease!.released], ["pending", false]);
  await lease!.release();
  await time.settle();
  assertEquals([closing.state, it.adapter.clients[0]!.log], ["fulfilled", ["close"]]);
});

Deno.test("close() ends at once where nothing is out, and a second call waits for the first", async () => {
  using time = fakeTime();
  const it = lab();
  const [lease] = await take(it, 1);
  const first = watch(it.engine.close({ drain: 5 }));
  const second = watch(it.engine.close({ drain: 0 }));
  const third = watch(it.engine[Symbol.asyncDispose]());
  const fourth = watch(it.engine.dispose());
  await time.advance(4.9);
  assertEquals([first, second, third, fourth].map(({ state }) => state), Array(4).fill("pending"));
  await lease!.release();
  await time.settle();
  assertEquals(
    [first, second, third, fourth].map(({ state }) => state),
    Array(4).fill("fulfilled"),
  );
  await it.engine.close();
});

Deno.test("close() takes the leases of disposed pools with it", async () => {
  using time = fakeTime();
  const it = lab();
  const [first] = await take(it, 1);
  await it.engine.dispose();
  const [second] = await take(it, 1);
  await it.engine.dispose();
  const closing = watch(it.engine.close({ drain: 2 }));
  await time.advance(2);
  assertEquals(closing.state, "fulfilled");
  assert(first!.signal.aborted && second!.signal.aborted);
  assertEquals(it.adapter.open, []);
});

Deno.test("close() does not wait for a dial, a hook or a goodbye that hangs", async () => {
  using time = fakeTime();
  const hang = () => new Promise<void>(() => {});
  const dialling = lab({}, { connect: hang });
  const greeting = lab({ hooks: { connect: hang } });
  const checking = lab({ hooks: { checkout: hang } });
  const leaving = lab({ hooks: { close: hang }, logger: keepLines() });
  await leaving.engine.use(() => {});
  for (const it of [dialling, greeting, checking, leaving]) {
    const wait = watch(it.engine.connect());
    await time.settle();
    await wait.value?.release();
    const closing = watch(it.engine.close({ drain: 3 }));
    await time.advance(5);
    assertEquals(closing.state, "fulfilled");
    assert(wait.state !== "pending");
    await time.advance(60);
    assertEquals(it.adapter.open, []);
    assert(balanced(it.engine.status()));
  }
});

Deno.test("close() leaves no timer behind for a ping, a hook or a rollback that does not end", async () => {
  using time = fakeTime();
  const timers = watchTimers();
  let hangs = false;
  const hang = () => hangs ? new Promise<void>(() => {}) : Promise.resolve();
  const labs = [
    lab({ poolPrePing: true }, { ping: hang }),
    lab({ hooks: { checkout: hang } }),
    lab({ hooks: { reset: hang } }),
    lab({}, { reset: hang }),
  ];
  for (const it of labs) {
    hangs = false;
    await it.engine.use(() => {});
    hangs = true;
    const wait = watch(it.engine.connect());
    await time.settle();
    if (wait.value) wait.value.client.inTransaction = true;
    wait.value?.release();
    const closing = watch(it.engine.close({ drain: 0 }));
    await time.tick(0);
    assertEquals([closing.state, it.adapter.open], ["fulfilled", []]);
    assertEquals(timers.pending(), []);
  }
});

Deno.test("close() leaves no timer behind for an address that lingers", async () => {
  using time = fakeTime();
  const it = lab({ dnsAddressLinger: 60, dnsRefresh: "on-demand" });
  await it.engine.use(() => {});
  it.dns.addresses = ["10.0.0.2"];
  await time.advance(11);
  const timers = watchTimers();
  await it.engine.use(({ address }) => assertEquals(address, "10.0.0.1"));
  assertEquals(timers.pending().length > 0, true);
  await end(it);
  assertEquals(timers.pending(), []);
});

Deno.test("a goodbye that hangs or fails ends with the socket dropped", async () => {
  using time = fakeTime();
  const hang = () => new Promise<void>(() => {});
  const fail = () => Promise.reject(new Error("no"));
  for (const [goodbye, seconds] of [[hang, 2], [fail, 0]] as const) {
    const it = lab();
    it.adapter.close = goodbye;
    await it.engine.use(() => {});
    const closing = watch(it.engine.close());
    await time.advance(seconds);
    assertEquals(closing.state, "fulfilled");
    assertEquals(it.adapter.clients[0]!.log, ["terminate"]);
  }
});

Deno.test("after close() every use is a PoolClosedError, and asks and opens nothing", async () => {
  using _time = fakeTime();
  for (const poolClass of ["queue", "null", "static", "assertion"] as const) {
    const it = lab({ poolClass, poolLoggingName: "orders" });
    await it.engine.close();
    const sibling = it.engine.executionOptions({ isolationLevel: "serializable" });
    const uses: Record<string, () => Promise<unknown>> = {
      connect: () => it.engine.connect(),
      "connect with options": () => it.engine.connect({ timeout: Infinity }),
      use: () => it.engine.use(() => {}),
      begin: () => it.engine.begin(() => {}),
      query: () => it.engine.query("SELECT 1"),
      sibling: () => sibling.connect(),
    };
    if (poolClass === "queue") uses["warm"] = () => it.engine.warm();
    for (const [name, use] of Object.entries(uses)) {
      const error = await assertRejects(use, PoolClosedError, undefined, name);
      assertEquals(error.code, "POOL_CLOSED");
      assertEquals(
        error.message,
        'Cannot check out a connection to "orders": the engine is closed',
      );
    }
    await it.engine.dispose();
    await it.engine.close();
    assertEquals([it.dns.questions, it.adapter.dials], [[], []]);
    assertEquals(it.engine.status().waiting, 0);
  }
});

Deno.test("options of close() that cannot be meant are refused, and the engine goes on", async () => {
  using _time = fakeTime();
  const it = lab();
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
    const error = await assertRejects(() => it.engine.close(options as { drain: number }), kind);
    assert(error.message.includes(message), error.message);
    await it.engine.use(() => {});
  }
  await end(it);
});

Deno.test("options of executionOptions() that cannot be meant are refused", () => {
  const { engine } = lab();
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

Deno.test("nothing is written to a log by a quiet engine that is used and closed", async () => {
  using time = fakeTime();
  const logger = keepLines();
  const it = lab({ logger });
  const leases = await take(it, 2);
  await it.engine.dispose();
  await give(leases);
  const [out] = await take(it, 1);
  const closing = watch(it.engine.close({ drain: 0 }));
  await time.tick(0);
  await out!.release();
  assertEquals([closing.state, logger.lines], ["fulfilled", []]);
});
