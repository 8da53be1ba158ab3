/**
 * Options of logging, and what is never logged.
 *
 * @module
 */

import { assert, assertEquals, assertFalse, assertMatch, assertStringIncludes } from "@std/assert";
import { clearDnsCache, type EngineEventMap, type EngineOptions, getDnsEngine } from "../../mod.ts";
import { fakeAdapter, type FakeClient } from "../../testing/mod.ts";
import { checkoutMany, closeAtRest, keepLines, releaseAll, verdict } from "../support/checks.ts";
import { fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";

/** Returns the log lines of an engine that is used and closed. */
async function linesWith(options: EngineOptions<FakeClient>): Promise<string[]> {
  const logger = keepLines();
  const env = fakeEngine({ logger, ...options });
  await env.engine.query("SELECT $1", [7]);
  await env.engine.begin(({ client }) => env.adapter.query!(client, "UPDATE t SET x = 1"));
  await env.engine.use((lease) => lease.invalidate(new Error("no good")));
  const lease = await env.engine.connect();
  const client = lease.detach();
  await env.adapter.close!(client);
  await closeAtRest(env, [client]);
  return logger.lines;
}

Deno.test("echo: the engine's own statements are logged; by default nothing is", async () => {
  using _time = fakeTime();
  assertEquals(await linesWith({}), []);
  assertEquals(await linesWith({ echo: false, echoPool: false }), []);
  const statements = [
    "info [db.internal] SELECT $1 [7]",
    "info [db.internal] BEGIN",
    "info [db.internal] COMMIT",
  ];
  assertEquals(await linesWith({ echo: true }), statements);
  assertEquals(await linesWith({ echo: "debug" }), statements);
});

Deno.test('echoPool: connections are logged when they open and close; with "debug", each checkout and checkin', async () => {
  using _time = fakeTime();
  assertEquals(await linesWith({ echoPool: true }), [
    "info [db.internal] Opened a connection to 10.0.0.1",
    "info [db.internal] Closing a connection to 10.0.0.1: no good",
    "info [db.internal] Opened a connection to 10.0.0.1",
    "info [db.internal] Detached a connection to 10.0.0.1",
  ]);
  assertEquals(await linesWith({ echoPool: "debug" }), [
    "info [db.internal] Opened a connection to 10.0.0.1",
    "debug [db.internal] Checked out a connection to 10.0.0.1",
    "debug [db.internal] Checked in a connection to 10.0.0.1",
    "debug [db.internal] Checked out a connection to 10.0.0.1",
    "debug [db.internal] Checked in a connection to 10.0.0.1",
    "debug [db.internal] Checked out a connection to 10.0.0.1",
    "info [db.internal] Closing a connection to 10.0.0.1: no good",
    "info [db.internal] Opened a connection to 10.0.0.1",
    "debug [db.internal] Checked out a connection to 10.0.0.1",
    "info [db.internal] Detached a connection to 10.0.0.1",
  ]);
});

Deno.test("loggingName and poolLoggingName begin the lines; the latter is in errors as well", async () => {
  using _time = fakeTime();
  const lines = await linesWith({
    echo: true,
    echoPool: true,
    loggingName: "app",
    poolLoggingName: "pool 1",
  });
  assertEquals(lines.slice(0, 2), [
    "info [pool 1] Opened a connection to 10.0.0.1",
    "info [app] SELECT $1 [7]",
  ]);
  const env = fakeEngine({ poolLoggingName: "pool 1" });
  await closeAtRest(env);
  const error = await env.engine.connect().catch((error) => error);
  assertEquals(error.message, 'Cannot check out a connection to "pool 1": the engine is closed');
});

Deno.test("hideParameters: log lines have the number of bind values only", async () => {
  using _time = fakeTime();
  const lines = await linesWith({ echo: true, hideParameters: true });
  assertEquals(lines[0], "info [db.internal] SELECT $1 [1 values hidden]");
  assertFalse(lines.join().includes("7"));
});

Deno.test("echo: bind values without a JSON form do not fail the query", async () => {
  using _time = fakeTime();
  const logger = keepLines();
  const env = fakeEngine({ echo: true, logger });
  const circle: { self?: unknown } = {};
  circle.self = circle;
  for (const value of [circle, { toJSON: () => assert(false) }, 10n, undefined, () => 1]) {
    assertEquals(await env.engine.query("SELECT $1", [value]), [{ address: "10.0.0.1" }]);
  }
  assertEquals(logger.lines.slice(0, 3), [
    "info [db.internal] SELECT $1 [1 values]",
    "info [db.internal] SELECT $1 [1 values]",
    'info [db.internal] SELECT $1 ["10"]',
  ]);
  await closeAtRest(env);
});

Deno.test("no log line has the password, whatever the driver throws", async () => {
  using _time = fakeTime();
  const logger = keepLines();
  const env = fakeEngine({ echo: "debug", echoPool: "debug", logger });
  const failures = [
    verdict("disconnect", "lost fake://app:secret@db.internal"),
    new Error("secret"),
  ];
  for (const failure of failures) {
    await env.engine.use((lease) => lease.invalidate(failure));
    await env.engine.use(() => Promise.reject(failure)).catch(() => {});
  }
  env.adapter.behavior.reset = () => Promise.reject(new Error("secret"));
  await env.engine.use(({ client }) => {
    client.transactionStatus = "open";
  });
  await closeAtRest(env);
  assert(logger.lines.length > 10);
  assertFalse(logger.lines.join("\n").includes("secret"), logger.lines.join("\n"));
});

Deno.test("a rollback that is aborted because the address departed is not logged as a failed reset", async () => {
  using _time = fakeTime();
  const logger = keepLines();
  let cutShort: ((reason: unknown) => void) | undefined;
  const rollback = () => new Promise<void>((_, reject) => cutShort = reject);
  const env = fakeEngine({ logger, echoPool: true, dnsMinTtl: 0 }, { reset: rollback });
  const { terminate } = env.adapter;
  env.adapter.terminate = (client, reason) => {
    terminate!(client);
    cutShort?.(reason);
  };
  const [lease] = await checkoutMany(env, 1);
  lease!.client.transactionStatus = "open";
  const released = lease!.release();
  env.dns.addresses = ["10.0.0.2"];
  clearDnsCache();
  await env.engine.use(() => {});
  await released;
  assertEquals(logger.lines, [
    "info [db.internal] Opened a connection to 10.0.0.1",
    "info [db.internal] Closing a connection to 10.0.0.1: The address 10.0.0.1 departed",
    "info [db.internal] Opened a connection to 10.0.0.2",
  ]);
  await closeAtRest(env);
});

Deno.test("logger: what it throws fails no query, checkin or hook, and does not end the maintenance", async () => {
  using time = fakeTime();
  const fail = () => {
    throw new Error("no space left on device");
  };
  const hooks = { reset: fail, close: fail };
  const env = fakeEngine({
    logger: { debug: fail, info: fail, warn: fail },
    echo: true,
    echoPool: "debug",
    leaseWarnAfter: 20,
    hooks,
  });
  const reported: string[] = [];
  env.engine.addEventListener("longlease", ({ detail }) => reported.push(detail.address));
  assertEquals(await env.engine.query("SELECT 1"), [{ address: "10.0.0.1" }]);
  await env.engine.begin(({ client }) => env.adapter.query!(client, "UPDATE t SET x = 1"));
  const leases = await checkoutMany(env, 2);
  await time.advance(30);
  assertEquals(reported, ["10.0.0.1", "10.0.0.1"]);
  await releaseAll(leases);
  await closeAtRest(env);
});

Deno.test("logger: console by default", async () => {
  using _time = fakeTime();
  const lines: unknown[] = [];
  const { info } = console;
  console.info = (...args: unknown[]) => void lines.push(...args);
  try {
    const engine = getDnsEngine("fake://127.0.0.1", { adapter: fakeAdapter(), echo: true });
    await engine.query("SELECT 1");
    await engine.close();
  } finally {
    console.info = info;
  }
  assertEquals(lines, ["[127.0.0.1] SELECT 1"]);
});

Deno.test("executionOptions({ loggingToken }) begins the lines of the sibling's statements", async () => {
  using _time = fakeTime();
  const logger = keepLines();
  const env = fakeEngine({ echo: true, logger });
  const sibling = env.engine.executionOptions({ loggingToken: "job 5" });
  await sibling.query("SELECT 1");
  await sibling.executionOptions({ isolationLevel: "serializable" }).query("SELECT 2");
  await env.engine.query("SELECT 3");
  assertEquals(logger.lines, [
    "info [db.internal] [job 5] SELECT 1",
    "info [db.internal] [job 5] SELECT 2",
    "info [db.internal] SELECT 3",
  ]);
  await closeAtRest(env);
});

Deno.test("leaseWarnAfter: a long lease is reported once, with the stack of its checkout", async () => {
  using time = fakeTime();
  const logger = keepLines();
  const events: EngineEventMap["longlease"]["detail"][] = [];
  const env = fakeEngine({
    leaseWarnAfter: 20,
    logger,
    poolSize: 1,
    maxOverflow: 0,
    poolTimeout: 300,
  });
  env.engine.addEventListener("longlease", ({ detail }) => events.push(detail));
  const lease = await takeLease(env);
  // The stack of a checkout that waited is where it began, not where the connection was released.
  const waiter = waitForLease(env);
  await time.advance(19.9);
  assertEquals(events, []);
  await time.advance(40);
  assertEquals(events.length, 1);
  const [{ address, seconds, takenAt }] = events as [typeof events[0] & object];
  assertEquals(address, "10.0.0.1");
  assert(seconds >= 20 && seconds <= 21, `${seconds}`);
  assertStringIncludes(takenAt!, "takeLease");
  assertMatch(
    logger.lines[0]!,
    /^warn \[db\.internal\] A connection to 10\.0\.0\.1 has been in use for 2\d seconds, taken here:\n/,
  );
  assertStringIncludes(logger.lines[0]!, "takeLease");
  await lease.release();
  const second = await waiter;
  await time.advance(30);
  assertEquals(events.length, 2);
  assertStringIncludes(events[1]!.takenAt!, "waitForLease");
  await second.release();
  await time.advance(60);
  assertEquals([events.length, logger.lines.length], [2, 2]);
  await closeAtRest(env);
});

// Not `return engine.connect()`: on Bun, a call in tail position has no frame of its caller.
async function takeLease({ engine }: ReturnType<typeof fakeEngine>) {
  return await engine.connect();
}

async function waitForLease({ engine }: ReturnType<typeof fakeEngine>) {
  return await engine.connect();
}

Deno.test("leaseWarnAfter is off by default, and includes leases of a disposed pool", async () => {
  using time = fakeTime();
  for (const [options, count] of [[{}, 0], [{ leaseWarnAfter: 20 }, 2]] as const) {
    const logger = keepLines();
    const env = fakeEngine({ ...options, logger });
    const leases = await checkoutMany(env, 2);
    await env.engine.dispose();
    await time.advance(3600);
    assertEquals(logger.lines.length, count);
    await releaseAll(leases);
    await closeAtRest(env);
  }
});
