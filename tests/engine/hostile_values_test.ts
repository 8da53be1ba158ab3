/** Values that users change after they were handed over, and values that cannot be looked at. */

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { getDnsEngine } from "../../engine.ts";
import type { PoolHooks } from "../../pool/connection/hooks.ts";
import { fakeAdapter, type FakeClient } from "../../testing/mod.ts";
import { closeAtRest, verdict } from "../support/checks.ts";
import { balanced, fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";

/** Throws at whatever is done with it. */
function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

Deno.test("Engine.status() and events hand out addresses that cannot be changed", async () => {
  using time = fakeTime();
  const env = fakeEngine();
  const other = fakeEngine();
  const given = env.dns.addresses;
  const lists: (readonly string[])[] = [];
  env.engine.addEventListener("addresschange", ({ detail }) => {
    lists.push(detail.addresses, detail.added, detail.removed);
  });
  const lease = await env.engine.connect();
  lists.push(env.engine.status().answer.addresses);
  given.length = 0;
  assertEquals(env.engine.status().answer.addresses, ["10.0.0.1"]);
  env.dns.addresses = ["10.0.0.2", "10.0.0.3"];
  await time.advance(11);
  lists.push(
    getDnsEngine("fake://10.0.0.9/x", { adapter: fakeAdapter() }).status().answer.addresses,
  );
  assertEquals(lists.length, 5);
  for (const list of lists) {
    assertThrows(() => (list as string[]).push("10.6.6.6"), TypeError);
    assertThrows(() => (list as string[]).length = 0, TypeError);
  }
  await lease.release();
  await closeAtRest(env);
  await other.engine.close();
});

Deno.test("getDnsEngine() keeps the hooks that it was given, with their object", async () => {
  using _time = fakeTime();
  const called: string[] = [];
  const plain: PoolHooks<FakeClient> = {
    checkout() {
      called.push(this === plain ? "its object" : "another object");
    },
  };
  const env = fakeEngine({ hooks: plain });
  plain.checkout = () => void called.push("changed");
  (plain as Record<string, unknown>).close = "no function";
  await env.engine.use(() => {});
  assertEquals(called, ["its object"]);
  await closeAtRest(env);
});

Deno.test("Engine survives a revoked proxy that an adapter, a hook or a caller throws", async () => {
  using time = fakeTime();
  const thrown = revoked();
  let failing: string | undefined;
  const fail = (where: string) => {
    if (failing === where) throw thrown;
  };
  const env = fakeEngine({
    poolPrePing: true,
    connectRetry: false,
    targetSessionAttrs: "read-write",
    hideParameters: true,
    hooks: {
      connect: () => fail("connect hook"),
      checkout: () => fail("checkout"),
      checkin: () => fail("checkin"),
      reset: () => fail("reset"),
      close: () => fail("close"),
      invalidate: () => fail("invalidate"),
    },
  }, {
    connect: () => fail("connect"),
    ping: () => fail("ping"),
    query: () => {
      fail("query");
      return undefined!;
    },
    role: () => {
      fail("role");
      return { standby: false, readOnly: false };
    },
  });
  const { engine } = env;
  const ways = [
    "connect",
    "connect hook",
    "checkout",
    "checkin",
    "reset",
    "close",
    "invalidate",
    "ping",
    "query",
    "role",
  ];
  for (const way of ways) {
    failing = way;
    await engine.query("SELECT $1", [1]).catch(() => {});
    await engine.use((lease) => lease.invalidate(verdict("disconnect"))).catch(() => {});
    await engine.use(() => Promise.reject(verdict("read-only"))).catch(() => {});
    await engine.use(() => Promise.reject(thrown)).catch(() => {});
    await engine.begin(() => Promise.reject(thrown)).catch(() => {});
    failing = undefined;
    await time.advance(5);
    await engine.query("SELECT $1", [1]);
    assertEquals(balanced(engine.status()), true, way);
  }
  const [reason] = await engine.use(() => Promise.reject(thrown)).then(() => [], (e) => [e]);
  assertEquals(reason === thrown, true);
  assertEquals(engine.isDisconnect(thrown), false);
  await assertRejects(
    () => engine.connect({ signal: AbortSignal.abort(new Error("stop")) }),
    Error,
  );
  await closeAtRest(env);
});
