import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { ConnectionLostError, PoolTimeoutError } from "../../mod.ts";
import type { FakeBehavior } from "../../testing/mod.ts";
import { closeAtRest, watch } from "../support/checks.ts";
import { fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";
import { resolvable } from "../support/waiting.ts";

/** A statement that never ends by itself. */
const HANGS: FakeBehavior = {
  query: (_, text) => text === "slow" ? new Promise(() => {}) : [],
};
const SINGLE = { poolSize: 1, maxOverflow: 0 };

Deno.test("CallLimit: the timeout is for the wait and the statement together", async () => {
  using time = fakeTime();
  const env = fakeEngine(SINGLE, HANGS);
  const lease = await env.engine.connect();
  const waits = watch(env.engine.query("slow", [], { timeout: 1 }));
  const late = watch(env.engine.query("slow", [], { timeout: 0.5 }));
  await time.advance(0.7);
  assertInstanceOf(late.error, PoolTimeoutError);
  await lease.release();
  await time.advance(0.29);
  assertEquals(waits.state, "pending");
  await time.advance(0.02);
  assertInstanceOf(waits.error, DOMException);
  assertEquals([waits.error.name, waits.error.message], [
    "TimeoutError",
    "no end of the query within 1 seconds",
  ]);
  assertEquals(env.adapter.clients[0]!.log, ["slow", "cancel"]);
  await closeAtRest(env);
});

Deno.test("CallLimit: a query that has ended gives its result, although it was to be cancelled", async () => {
  using time = fakeTime();
  const answer = resolvable<unknown[]>();
  const env = fakeEngine(SINGLE, {
    query: () => answer.promise,
    cancel: () => new Promise(() => {}),
  });
  const controller = new AbortController();
  const query = watch(env.engine.query("slow", [], { signal: controller.signal }));
  await time.settle();
  controller.abort(new Error("enough"));
  answer.resolve([{ n: 1 }]);
  await time.settle();
  assertEquals(query.state, "pending", "while the cancel may still hit the next statement");
  await time.advance(1.5);
  assertInstanceOf(query.error, ConnectionLostError);
  assertEquals(env.adapter.open, []);
  await env.engine.close();
});

Deno.test("CallLimit: the connection is handed on once the cancel is over, and not before, even if it was released", async () => {
  using time = fakeTime();
  const cancelled = resolvable<void>();
  const env = fakeEngine(SINGLE, { ...HANGS, cancel: () => cancelled.promise });
  const controller = new AbortController();
  const { signal } = controller;
  const reason = new Error("enough");
  const begun = watch(env.engine.begin(async (lease) => {
    const slow = env.adapter.query!(lease.client, "slow");
    signal.addEventListener("abort", () => void lease.release());
    await slow;
  }, { signal }));
  await time.settle();
  controller.abort(reason);
  const next = watch(env.engine.use(({ client }) => client.id));
  await time.advance(1);
  assertEquals(next.state, "pending");
  cancelled.resolve();
  await time.advance(0);
  assertEquals([begun.error, next.value], [reason, 1]);
  await closeAtRest(env);
});

Deno.test("CallLimit: a cancel that fails or is not possible terminates the connection, with the reason as the cause", async () => {
  using time = fakeTime();
  for (const how of ["fails", "hangs", "has no effect", "is not possible"]) {
    const env = fakeEngine(SINGLE, {
      ...HANGS,
      cancel: () =>
        how === "fails" ? Promise.reject(new Error("too many connections")) : new Promise(() => {}),
    });
    if (how === "has no effect") env.adapter.cancel = () => Promise.resolve();
    if (how === "is not possible") delete env.adapter.cancel;
    const query = watch(env.engine.query("slow", [], { timeout: 1 }));
    await time.advance(1);
    await time.advance(how === "hangs" || how === "has no effect" ? 1.5 : 0);
    assertInstanceOf(query.error, ConnectionLostError, how);
    assertEquals((query.error.cause as Error).name, "TimeoutError");
    assert(env.engine.isDisconnect(query.error));
    assertEquals(env.adapter.open, []);
    assertEquals(env.engine.status().inUse, 0);
    await env.engine.close();
  }
});

Deno.test("CallLimit: a timeout in the wait for a connection has what the last connect failed with as its cause", async () => {
  using time = fakeTime();
  for (const method of ["query", "begin"] as const) {
    let tries = 0;
    const env = fakeEngine({ targetSessionAttrs: "read-write" }, {
      // The first connect finds a standby; the next one is under way when the timeout is over.
      connect: () => ++tries > 1 ? new Promise(() => {}) : undefined,
      role: () => ({ standby: true, readOnly: true }),
    });
    const { engine } = env;
    const options = { timeout: 1 };
    const call = watch<unknown>(
      method === "query" ? engine.query("SELECT 1", [], options) : engine.begin(() => {}, options),
    );
    await time.advance(1.1);
    assertEquals((call.error as Error).name, "TimeoutError");
    assertStringIncludes(String((call.error as Error).cause), "it is a standby");
    await engine.close();
  }
});

Deno.test("CallLimit: a result whose COMMIT only the cancel let through is not taken for done", async () => {
  using time = fakeTime();
  for (const warned of [true, false]) {
    const answer = resolvable<unknown[]>();
    const env = fakeEngine(SINGLE, { query: () => answer.promise });
    const query = watch(env.engine.query("INSERT", [], { timeout: 1 }));
    await time.settle();
    const [client] = env.adapter.clients;
    env.adapter.report(client!, new Error("an earlier one"));
    env.adapter.cancel = () => {
      if (warned) env.adapter.report(client!, new Error("canceling wait for the replica"));
      answer.resolve([]);
      return Promise.resolve();
    };
    await time.advance(1.1);
    if (warned) {
      assertInstanceOf(query.error, ConnectionLostError);
      assertStringIncludes(query.error.message, "did not wait until its replica had the work");
      assertEquals((query.error.cause as Error).name, "TimeoutError");
    } else {
      assertEquals(query.value, []);
    }
    assertEquals(env.engine.status().closed, warned ? 1 : 0);
    await closeAtRest(env);
  }
});

Deno.test("CallLimit: a cancel that came before its statement is sent again", async () => {
  using time = fakeTime();
  const env = fakeEngine(SINGLE, HANGS);
  const { cancel } = env.adapter;
  let cancels = 0;
  env.adapter.cancel = async (client, options) => {
    if (++cancels > 2) await cancel!(client, options);
  };
  const query = watch(env.engine.query("slow", [], { timeout: 1 }));
  await time.advance(1.15);
  assertEquals(query.state, "pending");
  await time.advance(0.1);
  assertEquals((query.error as Error).name, "TimeoutError");
  assertEquals(cancels, 3);
  await closeAtRest(env);
});

Deno.test("CallLimit: begin() rolls back after its timeout, whatever the function returns, and never cancels a COMMIT", async () => {
  using time = fakeTime();
  const env = fakeEngine(SINGLE, {
    query: (_, text) =>
      /slow|COMMIT/.test(text) ? new Promise((resolve) => setTimeout(() => resolve([]), 300)) : [],
  });
  const { engine, adapter } = env;
  const swallowed = watch(engine.begin(async ({ client }) => {
    await adapter.query!(client, "slow").catch(() => {});
    return "done";
  }, { timeout: 0.1 }));
  await time.advance(0.1);
  assertEquals((swallowed.error as Error).name, "TimeoutError");
  assertEquals(adapter.clients[0]!.log.splice(0), ["BEGIN", "slow", "cancel", "ROLLBACK"]);
  const committed = watch(engine.begin(() => "done", { timeout: 0.1 }));
  await time.advance(0.3);
  assertEquals(committed.value, "done");
  assertEquals(adapter.clients[0]!.log.splice(0), ["BEGIN", "COMMIT"]);
  const outer = watch(engine.begin(async (lease) => {
    const slow = () => adapter.query!(lease.client, "slow");
    const inner = engine.begin(slow, { within: lease, timeout: 0.1 });
    return await inner.catch((error) => error.name);
  }));
  await time.advance(1);
  assertEquals(outer.value, "TimeoutError");
  const [, savepoint, ...log] = adapter.clients[0]!.log;
  const name = savepoint!.replace("SAVEPOINT ", "");
  assertEquals(log, ["slow", "cancel", `ROLLBACK TO SAVEPOINT ${name}`, "COMMIT"]);
  await closeAtRest(env);
});

Deno.test("CallLimit: begin() terminates the connection of a function that goes on for probeTimeout after the signal", async () => {
  using time = fakeTime();
  const env = fakeEngine(SINGLE);
  const controller = new AbortController();
  const begun = watch(env.engine.begin(() => new Promise(() => {}), { signal: controller.signal }));
  await time.settle();
  controller.abort();
  await time.advance(1.49);
  assertEquals(begun.state, "pending");
  await time.advance(0.01);
  assertInstanceOf(begun.error, ConnectionLostError);
  assertStrictEquals(begun.error.cause, controller.signal.reason);
  assertEquals(env.adapter.clients[0]!.log, ["BEGIN", "terminate"]);
  await env.engine.close();
});

Deno.test("CallLimit: on a connection that is shared, the wait ends and the statement goes on", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolClass: "static" }, HANGS);
  const query = watch(env.engine.query("slow", [], { timeout: 1 }));
  await time.advance(1);
  assertEquals((query.error as Error).name, "TimeoutError");
  assertEquals(env.adapter.clients[0]!.log, ["slow", "rollback"]);
  await env.engine.close();
});

Deno.test("CallLimit: a signal that is aborted already rejects without a connection, and no listener or timer is left", async () => {
  using time = fakeTime();
  const env = fakeEngine(SINGLE);
  const reason = new Error("before");
  const query = watch(env.engine.query("SELECT 1", [], { signal: AbortSignal.abort(reason) }));
  await time.settle();
  assertStrictEquals(query.error, reason);
  assertEquals(env.adapter.dials, []);
  await env.engine.query("SELECT 1", [], { timeout: 3600, signal: new AbortController().signal });
  await closeAtRest(env);
});

Deno.test("EngineCore cancels what was running once it has terminated the connection, only if its server is alive", async () => {
  using time = fakeTime();
  const env = fakeEngine({ retireGrace: 5, dnsRefresh: "ahead" }, HANGS);
  const running = watch(env.engine.query("slow"));
  const idle = watch(env.engine.use(() => new Promise(() => {})));
  await time.settle();
  env.dns.addresses = ["10.0.0.2"];
  await time.advance(20);
  assertInstanceOf(running.error, ConnectionLostError);
  assertInstanceOf(idle.error, ConnectionLostError);
  const [first, second] = env.adapter.clients;
  assertEquals([first!.log, second!.log], [["slow", "terminate", "cancel"], ["terminate"]]);
  await closeAtRest(env);
});
