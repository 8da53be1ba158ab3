import { assert, assertEquals, assertFalse, assertInstanceOf, assertRejects } from "@std/assert";
import { PoolClosedError } from "../../errors.ts";
import type { ConnectionEvents, Connections, PoolSettings } from "../../pool/contract.ts";
import type { Lease } from "../../pool/lease.ts";
import { SafeObserver } from "../../pool/observer.ts";
import { Pool } from "../../pool/pool.ts";
import { watch } from "../support/checks.ts";
import { fakeTime } from "../support/time.ts";
import { resolvable } from "../support/waiting.ts";

const ADDRESS = "10.0.0.1";
const SETTINGS: PoolSettings = {
  name: "orders",
  poolSize: 2,
  maxIdle: Infinity,
  minOpen: 0,
  maxOverflow: 0,
  poolTimeoutMs: 30_000,
  useLifo: false,
  connectConcurrency: 4,
  maxUses: Infinity,
  idleTimeoutMs: Infinity,
  timesIdle: false,
  minIdle: 0,
  recycleMs: Infinity,
  minSize: 0,
  maxOpenMs: 10_000,
  traces: false,
  observer: undefined,
  single: false,
};

/** Creates a pool whose clients are numbers, with an answer and connections that a test controls. */
function setup(settings: Partial<PoolSettings> = {}) {
  const env = {
    /** The closed connections: `"1"`, or `"1: reason"`. */
    closed: [] as string[],
    events: new Map<number, ConnectionEvents>(),
    refreshes: 0,
    isFresh: true,
    isCurrent: true,
    check: undefined as (() => ReturnType<Connections<number>["check"]>) | undefined,
    awaitAnswer: () => Promise.resolve(),
  };
  let opened = 0;
  const connections: Connections<number> = {
    hasConnected: true,
    open() {
      const client = ++opened;
      return Promise.resolve({
        client,
        address: ADDRESS,
        endpoint: { address: ADDRESS, port: 5432, host: "db.internal" },
        role: "any",
        openedAtMs: performance.now(),
        expiresAtMs: Infinity,
        info: {},
        watch: (events) => void env.events.set(client, events),
      });
    },
    isTransient: () => false,
    awaitsRole: () => false,
    keepFresh: () => () => {},
    timeoutError: (lastError) => lastError as Error,
    isCurrent: () => env.isCurrent,
    needsCheck: () => env.check !== undefined,
    check: () => env.check?.(),
    reset: () => undefined,
    onTaken() {},
    onIdle() {},
    classifyError: (error) => ({ error: error as Error, sameServer: true }),
    onExplained() {},
    detach() {},
    hasWantedRole: () => Promise.resolve(true),
    onOutage() {},
    close({ client }, reason) {
      env.closed.push(
        reason === undefined ? `${client}` : `${client}: ${(reason as Error).message}`,
      );
      return undefined;
    },
  };
  const answer = {
    isFresh: () => env.isFresh,
    waitUntilFresh: () => env.awaitAnswer(),
    refresh: () => Promise.resolve(void env.refreshes++),
  };
  return Object.assign(env, {
    pool: new Pool({ answer, connections }, { ...SETTINGS, ...settings }),
  });
}

Deno.test("Pool.checkout() hands a freed connection to the oldest waiter", async () => {
  using time = fakeTime();
  const { pool } = setup({ poolSize: 1 });
  const first = await pool.checkout();
  const waits = [watch(pool.checkout()), watch(pool.checkout())];
  await first.release();
  await time.settle();
  assertEquals(waits.map(({ state }) => state), ["fulfilled", "pending"]);
  await waits[0]!.value!.release();
  await time.settle();
  assertEquals(waits[1]!.value!.client, 1);
  assertEquals(pool.slots.opened, 1);
  await waits[1]!.value!.release();
});

Deno.test("Pool.checkout() delivers a connection in the call that gives it back, and does not nest", async () => {
  using time = fakeTime();
  const { pool } = setup({ poolSize: 1 });
  const held = await pool.checkout();
  const served: number[] = [];
  const wait = (number: number) => {
    const deliver = (lease: Lease<number>) => {
      served.push(number);
      lease.release();
    };
    pool.checkout(undefined, deliver).then(deliver);
  };
  for (let number = 0; number < 20_000; number++) wait(number);
  assertEquals(served, []);
  held.release();
  assertEquals(served, [0]);
  await time.settle();
  assertEquals(served, Array.from({ length: 20_000 }, (_, number) => number));
  // One that is idle is not delivered within the call.
  const idle = pool.checkout(undefined, () => served.push(-1));
  await (await idle).release();
  assertEquals([served.length, pool.counts.idle, pool.counts.waiting], [20_000, 1, 0]);
});

Deno.test("Pool.checkout() rejects by the promise, also what would be delivered", async () => {
  using time = fakeTime();
  const { pool } = setup({ poolSize: 1 });
  const held = await pool.checkout();
  const served: number[] = [];
  const waits = [1, 2].map((number) =>
    watch(pool.checkout({ timeoutMs: number * 1000 }, () => served.push(number)))
  );
  await time.advance(1);
  assertEquals(waits.map(({ state }) => state), ["rejected", "pending"]);
  pool.close("the pool is closed");
  await time.settle();
  assertInstanceOf(waits[1]!.error, PoolClosedError);
  await held.release();
  assertEquals(served, []);
});

Deno.test("Lease.untilLost() begins the work of a driver's own kind of promise at once", async () => {
  const { pool } = setup();
  const lease = await pool.checkout();
  let began = false;
  class Query extends Promise<string> {
    static override readonly [Symbol.species] = Promise;
    override then<A, B>(
      onDone?: ((value: string) => A | PromiseLike<A>) | null,
      onFailed?: ((reason: unknown) => B | PromiseLike<B>) | null,
    ): Promise<A | B> {
      began = true;
      return super.then(onDone, onFailed);
    }
  }
  const work = lease.untilLost(new Query((resolve) => resolve("done")));
  assertEquals([began, await work], [true, "done"]);
  await lease.release();
});

Deno.test("Pool.tryCheckout() does not overtake a waiter that is about to be served", async () => {
  using time = fakeTime();
  const env = setup({ poolSize: 1 });
  await (await env.pool.checkout()).release();
  const answered = resolvable<void>();
  env.isFresh = false;
  env.awaitAnswer = () => answered.promise;
  const waiting = watch(env.pool.checkout());
  await time.settle();
  env.isFresh = true;
  assertEquals([env.pool.tryCheckout(), env.pool.counts.idle], [undefined, 1]);
  answered.resolve();
  await time.settle();
  assertEquals([waiting.value?.client, env.pool.tryCheckout()], [1, undefined]);
  await waiting.value!.release();
  assertEquals(env.pool.tryCheckout()?.client, 1);
});

Deno.test("Pool.checkout() replaces a connection that fails its check once, then fails itself", async () => {
  using _time = fakeTime();
  const env = setup();
  await (await env.pool.checkout()).release();
  const bad = new Error("no answer to a ping");
  let checks = 0;
  env.check = () => Promise.resolve(checks++ === 0 ? { error: bad, sameServer: false } : undefined);
  const lease = await env.pool.checkout();
  assertEquals([lease.client, env.closed], [2, ["1: no answer to a ping"]]);
  await lease.release();
  env.check = () => Promise.resolve({ error: bad, sameServer: false });
  assert(await assertRejects(() => env.pool.checkout()) === bad);
  assertEquals(env.closed.length, 3);
  assertEquals(env.pool.counts.waiting, 0);
});

Deno.test("Pool.checkout() evicts all connections to a server of which one fails its check", async () => {
  using _time = fakeTime();
  const env = setup();
  const leases = [await env.pool.checkout(), await env.pool.checkout()];
  for (const lease of leases) await lease.release();
  let checks = 0;
  env.check = () =>
    Promise.resolve(checks++ === 0 ? { error: new Error("gone"), sameServer: true } : undefined);
  assertEquals((await env.pool.checkout()).client, 3);
  assertEquals(env.closed, ["1: gone", "2"]);
});

Deno.test("Pool.checkout() is rejected with what its check throws, and the connection is put back", async () => {
  using _time = fakeTime();
  const env = setup();
  await (await env.pool.checkout()).release();
  const error = new Error("thrown by a hook");
  env.check = () => Promise.reject(error);
  assert(await assertRejects(() => env.pool.checkout()) === error);
  assertEquals([env.pool.counts.idle, env.closed], [1, []]);
});

Deno.test("Pool.checkout() puts a connection back whose waiter has left during the check", async () => {
  using time = fakeTime();
  const env = setup();
  await (await env.pool.checkout()).release();
  const check = resolvable<undefined>();
  env.check = () => check.promise;
  const controller = new AbortController();
  const wait = watch(env.pool.checkout({ signal: controller.signal }));
  await time.settle();
  controller.abort(new Error("never mind"));
  await time.settle();
  assertEquals([wait.state, env.pool.counts.inUse], ["rejected", 1]);
  check.resolve(undefined);
  await time.settle();
  assertEquals([env.pool.counts.idle, env.closed], [1, []]);
});

Deno.test("Pool.checkout() takes another connection if the checked one was closed or departed meanwhile", async () => {
  using time = fakeTime();
  const changes: Record<string, (env: ReturnType<typeof setup>) => void> = {
    "closed by the server": (env) => env.events.get(1)!.onClosed(new Error("reset by peer")),
    "evicted": ({ pool }) => pool.evictAll(),
    "retired": ({ pool }) => void pool.retireAddress(ADDRESS),
  };
  for (const [what, change] of Object.entries(changes)) {
    const env = setup();
    await (await env.pool.checkout()).release();
    const check = resolvable<undefined>();
    env.check = () => check.promise;
    const wait = watch(env.pool.checkout());
    await time.settle();
    change(env);
    env.check = undefined;
    check.resolve(undefined);
    await time.settle();
    assertEquals([wait.state, wait.value?.client, env.closed.length], ["fulfilled", 2, 1], what);
  }
});

Deno.test("Pool.checkout() waits for a fresh answer after a check that took long, and only once", async () => {
  using time = fakeTime();
  const env = setup();
  await (await env.pool.checkout()).release();
  let waits = 0;
  const answered = resolvable<void>();
  env.awaitAnswer = () => {
    waits++;
    return answered.promise;
  };
  env.check = () => {
    env.isFresh = false;
    return Promise.resolve(undefined);
  };
  const wait = watch(env.pool.checkout());
  await time.settle();
  assertEquals([wait.state, waits], ["pending", 1]);
  answered.resolve(); // and the answer expires at once
  await time.settle();
  assertEquals([wait.state, waits], ["fulfilled", 1]);
});

Deno.test("Pool.close() rejects a waiter whose connection is being checked, and closes the connection after that", async () => {
  using time = fakeTime();
  const env = setup();
  await (await env.pool.checkout()).release();
  const check = resolvable<undefined>();
  env.check = () => check.promise;
  const wait = watch(env.pool.checkout());
  await time.settle();
  env.pool.close("closed for the test");
  await time.settle();
  assertInstanceOf(wait.error, PoolClosedError);
  const drained = watch(env.pool.pendingCloses.drained());
  await time.settle();
  assertEquals([drained.state, env.closed], ["pending", []]);
  check.resolve(undefined);
  await time.settle();
  assertEquals([drained.state, env.closed], ["fulfilled", ["1"]]);
});

for (const outcome of ["good", "invalid", "thrown"]) {
  Deno.test(`Pool.checkout() is rejected if its check closes the pool at once, and the connection is closed: ${outcome}`, async () => {
    using time = fakeTime();
    const env = setup({ poolTimeoutMs: Infinity });
    await (await env.pool.checkout()).release();
    env.check = () => {
      env.pool.close("closed by a hook");
      const error = new Error("not usable");
      if (outcome === "thrown") return Promise.reject(error);
      return Promise.resolve(outcome === "good" ? undefined : { error, sameServer: false });
    };
    const wait = watch(env.pool.checkout());
    await time.settle();
    assertInstanceOf(wait.error, PoolClosedError);
    assertEquals(env.closed, [outcome === "invalid" ? "1: not usable" : "1"]);
    assertFalse(env.pool.isWaitedFor);
  });
}

Deno.test("Pool.checkout() is rejected if its observer closes the pool as the wait begins", async () => {
  using time = fakeTime();
  const observer = new SafeObserver({
    waiting() {
      env.pool.close("closed by the observer");
      return () => {};
    },
  });
  const env = setup({ poolTimeoutMs: Infinity, observer });
  const wait = watch(env.pool.checkout());
  await time.settle();
  assertInstanceOf(wait.error, PoolClosedError);
  assertFalse(env.pool.isWaitedFor);
});

Deno.test("Pool opens no connection for minIdle after the check for a waiter has closed it", async () => {
  using time = fakeTime();
  const env = setup({ poolSize: 3, minIdle: 1 });
  await (await env.pool.checkout()).release();
  assertEquals(env.pool.counts.idle, 2);
  env.awaitAnswer = () => new Promise(() => {});
  env.isFresh = false;
  const wait = watch(env.pool.checkout());
  env.isFresh = true;
  env.check = () => {
    env.pool.close("closed by a hook");
    return Promise.resolve(undefined);
  };
  const { opened } = env.pool.slots;
  env.pool.maintain();
  await time.settle();
  assertInstanceOf(wait.error, PoolClosedError);
  assertEquals([env.pool.slots.opened, env.pool.counts.connecting], [opened, 0]);
});

Deno.test("Pool asks DNS again when the server closes a connection, and frees the place of a leased one at once", async () => {
  using _time = fakeTime();
  const env = setup();
  const leases = [await env.pool.checkout(), await env.pool.checkout()];
  await leases[0]!.release();
  for (const client of [1, 2]) env.events.get(client)!.onClosed(undefined);
  env.events.get(1)!.onClosed(undefined);
  assertEquals(env.refreshes, 2);
  const lost =
    "Lost the connection to 10.0.0.1: it was closed; work under way may or may not have been done";
  assertEquals(env.closed, ["1: The connection was closed by the server", `2: ${lost}`]);
  assertEquals([leases[1]!.released, leases[1]!.signal.reason.message], [true, lost]);
  assertEquals(env.pool.counts.inUse, 0);
  await leases[1]!.release();
  assertEquals(env.closed.length, 2);
});

Deno.test("Pool.warm() opens connections, for which minIdle opens no others", async () => {
  using time = fakeTime();
  const { pool } = setup({ poolSize: 4, minIdle: 2 });
  await pool.warm(2, () => pool.checkout());
  await time.settle();
  assertEquals([pool.slots.opened, pool.counts.idle], [2, 2]);
});
