/**
 * The option `connectRetry: "always"`: a program that starts before its database.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import {
  ConnectError,
  DriverUnavailableError,
  type EngineOptions,
  PoolTimeoutError,
  ResolveError,
} from "../../mod.ts";
import type { FakeBehavior, FakeClient } from "../../testing/mod.ts";
import { checkoutMany, closeAtRest, refused, releaseAll, watch } from "../support/checks.ts";
import { fakeEngine } from "../support/fake_engine.ts";
import { fakeTime, type TestTime } from "../support/time.ts";

function setup(options: EngineOptions<FakeClient> = {}, behavior: FakeBehavior = {}) {
  return fakeEngine({ connectRetry: "always", poolTimeout: 30, ...options }, behavior);
}

/** Waits for the end of a checkout; returns its error and the seconds that it took. */
async function failureOf(
  time: TestTime,
  checkout: Promise<unknown>,
): Promise<{ error: unknown; seconds: number }> {
  const startMs = time.nowMs;
  const wait = watch(checkout);
  await time.settle();
  while (wait.state === "pending" && time.nowMs - startMs < 200_000) await time.tick(50);
  assertEquals(wait.state, "rejected");
  return { error: wait.error, seconds: Math.round((time.nowMs - startMs) / 100) / 10 };
}

const passing: Readonly<Record<string, () => Error>> = {
  refused,
  "starting up": () =>
    Object.assign(new Error("the database system is starting up"), { verdict: "disconnect" }),
  unreachable: () => Object.assign(new Error("no route"), { code: "EHOSTUNREACH" }),
};

for (const [what, makeError] of Object.entries(passing)) {
  Deno.test(`connectRetry: "always": the first checkouts wait for a server that is ${what}`, async () => {
    using time = fakeTime();
    const env = setup({}, { connect: () => Promise.reject(makeError()) });
    const waits = [watch(env.engine.connect()), watch(env.engine.query("SELECT 1"))];
    await time.advance(20);
    assertEquals(waits.map(({ state }) => state), ["pending", "pending"]);
    // One at a time: after five shorter ones, the pauses are from 0.25 to 0.5 seconds.
    const { length } = env.adapter.dials;
    assert(length >= 20 / 0.5 && length <= 20 / 0.25 + 5, `${length} dials`);
    env.adapter.behavior.connect = () => {};
    await time.advance(1);
    assertEquals(waits.map(({ state }) => state), ["fulfilled", "fulfilled"]);
    await (waits[0]!.value as { release(): Promise<void> }).release();
    await closeAtRest(env);
  });
}

Deno.test('connectRetry: "always": poolTimeout ends the wait, with what the last connect failed with', async () => {
  using time = fakeTime();
  const env = setup({ poolTimeout: 7 }, { connect: () => Promise.reject(refused()) });
  const { error, seconds } = await failureOf(time, env.engine.connect());
  assertInstanceOf(error, ConnectError);
  assertEquals(
    error.message,
    'Cannot connect to "db.internal" within 7 seconds: ' +
      'Cannot connect to "db.internal": 10.0.0.1:1 said: connection refused',
  );
  assert(seconds >= 7 && seconds < 8, String(seconds));
  await closeAtRest(env);
});

Deno.test('connectRetry: "always": what waiting does not mend fails at once', async () => {
  using time = fakeTime();
  const failures: Record<string, unknown> = {
    "a wrong password": Object.assign(new Error("authentication failed"), { code: "28P01" }),
    "an unknown database": Object.assign(new Error("no such database"), { code: "3D000" }),
    "a certificate": Object.assign(new Error("unable to verify"), { code: "CERT_HAS_EXPIRED" }),
    "no driver": new DriverUnavailableError("no driver", { driver: "pg" }),
    "not an error": undefined,
  };
  for (const [what, failure] of Object.entries(failures)) {
    const env = setup({}, { connect: () => Promise.reject(failure) });
    const { seconds } = await failureOf(time, env.engine.connect());
    assertEquals([seconds, env.adapter.dials.length], [0, 1], what);
    await closeAtRest(env);
  }
  const credentials = () => Promise.reject(new Error("no token"));
  const env = setup({ credentials });
  assertEquals((await failureOf(time, env.engine.connect())).seconds, 0);
  await closeAtRest(env);
});

for (const kind of ["negative", "ambiguous", "transient"] as const) {
  Deno.test(`connectRetry: "always": a name that does not resolve yet is waited for (${kind})`, async () => {
    using time = fakeTime();
    const env = setup({ dnsTimeout: 2, dnsFallback: false });
    env.dns.failure = kind;
    env.dns.negativeTtl = 300;
    const waits = [watch(env.engine.connect()), watch(env.engine.connect())];
    await time.advance(20);
    assertEquals(waits.map(({ state }) => state), ["pending", "pending"]);
    const { length } = env.dns.questions;
    assert(length >= 10 && length < 150, String(length));
    env.dns.failure = undefined;
    await time.advance(3);
    assertEquals(waits.map(({ state }) => state), ["fulfilled", "fulfilled"]);
    for (const { value } of waits) await value!.release();
    await closeAtRest(env);
  });
}

Deno.test('connectRetry: "always": poolTimeout ends the wait for a name, with why it does not resolve', async () => {
  using time = fakeTime();
  const env = setup({ poolTimeout: 5 });
  env.dns.failure = "negative";
  const own = failureOf(time, env.engine.connect());
  const { error, seconds } = await own;
  assertInstanceOf(error, ConnectError);
  assertInstanceOf(error.cause, ResolveError);
  assert(
    error.message.startsWith('Cannot connect to "db.internal" within 5'),
    error.message,
  );
  assert(error.message.includes(error.cause.message), error.message);
  assert(seconds >= 5 && seconds < 6.5, String(seconds));
  const none = await failureOf(time, env.engine.connect({ timeout: 0 }));
  assertInstanceOf(none.error, ConnectError);
  assertEquals(none.seconds, 0);
  await closeAtRest(env);
  await time.advance(60);
  const { length } = env.dns.questions;
  await time.advance(60);
  assertEquals(env.dns.questions.length, length); // nothing goes on
});

Deno.test('connectRetry: "always": a lookup that is not configured fails at once; without it, a name that does not resolve', async () => {
  using time = fakeTime();
  for (const [kind, options] of [["config", {}], ["negative", { connectRetry: true }]] as const) {
    const env = setup(options);
    env.dns.failure = kind;
    const { error, seconds } = await failureOf(time, env.engine.connect());
    assertInstanceOf(error, ResolveError);
    assertEquals(seconds, 0, kind);
    await closeAtRest(env);
  }
});

Deno.test('connectRetry: "always": an abort and the end of the engine end the wait', async () => {
  using time = fakeTime();
  const controller = new AbortController();
  for (const failure of ["negative", undefined] as const) {
    const env = setup({}, { connect: () => Promise.reject(refused()) });
    env.dns.failure = failure;
    const aborted = watch(env.engine.connect({ signal: controller.signal }));
    const closed = watch(env.engine.connect());
    await time.advance(3.2);
    controller.abort(new Error("enough"));
    await time.settle();
    assertEquals((aborted.error as Error).message, "enough");
    assertEquals(closed.state, "pending");
    const closing = env.engine.close();
    await time.advance(0.1);
    await closing;
    assertEquals((closed.error as { code: string }).code, "POOL_CLOSED");
    const { length } = env.dns.questions;
    await time.advance(30);
    assertEquals(env.dns.questions.length, length);
  }
});

Deno.test('connectRetry: "always": with every pool class, and with leases that wait for a place', async () => {
  using time = fakeTime();
  for (const poolClass of ["queue", "null", "static", "assertion"] as const) {
    const env = setup({ poolClass });
    env.dns.failure = "negative";
    const wait = watch(env.engine.connect());
    await time.advance(3);
    assertEquals(wait.state, "pending", poolClass);
    env.dns.failure = undefined;
    env.adapter.behavior.connect = () => Promise.reject(refused());
    await time.advance(3);
    assertEquals(wait.state, "pending", poolClass);
    env.adapter.behavior.connect = () => {};
    await time.advance(2);
    assertEquals(wait.state, "fulfilled", poolClass);
    await wait.value!.release();
    await closeAtRest(env);
  }
  const env = setup({ poolSize: 1, maxOverflow: 0, poolTimeout: 2 });
  const [lease] = await checkoutMany(env, 1);
  const { error } = await failureOf(time, env.engine.connect());
  assertInstanceOf(error, PoolTimeoutError);
  await releaseAll([lease!]);
  await closeAtRest(env);
});

Deno.test('connectRetry: "always": a name that is lost later is waited for too', async () => {
  using time = fakeTime();
  const env = setup({ dnsGraceTtl: 0 });
  await env.engine.use(() => {});
  env.dns.failure = "negative";
  await time.advance(30);
  const wait = watch(env.engine.connect());
  await time.advance(10);
  assertEquals(wait.state, "pending");
  env.dns.failure = undefined;
  await time.advance(2);
  assertEquals(wait.state, "fulfilled");
  await wait.value!.release();
  await closeAtRest(env);
});

Deno.test('connectRetry: another value than true, false and "always" is refused', async () => {
  for (const wrong of ["Always", 1, null, "true"]) {
    await assertRejects(
      async () => void await setup({ connectRetry: wrong as never }),
      TypeError,
      '"connectRetry" must be one of true, false, "always"',
    );
  }
});
