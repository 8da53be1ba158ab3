import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { HOOK_NAMES, type PoolHooks } from "../../pool/connection/hooks.ts";
import { delay } from "../../internal/async.ts";
import { DisconnectionError, type EngineOptions } from "../../mod.ts";
import type { FakeClient } from "../../testing/mod.ts";
import {
  assertAtRest,
  checkoutMany,
  closeAtRest,
  keepLines,
  noted,
  verdict,
  watch,
} from "../support/checks.ts";
import { type FakeEngine, fakeEngine } from "../support/fake_engine.ts";
import { fakeTime, type TestTime } from "../support/time.ts";

/** An engine whose hooks, pings and resets are recorded. */
function noting(options: EngineOptions<FakeClient> = {}): FakeEngine & { log: string[] } {
  const log: string[] = [];
  const env = fakeEngine({ hooks: noted(log), ...options }, {
    ping: ({ id }) => void log.push(`(ping ${id})`),
    reset: ({ id }, how) => void log.push(`(${how} ${id})`),
  });
  return { ...env, log };
}

/** Returns what was recorded since the last call. */
function since({ log }: { log: string[] }): string[] {
  return log.splice(0);
}

Deno.test("hooks of a new connection: firstConnect, connect, checkout; of the next one: connect, checkout", async () => {
  using _time = fakeTime();
  const env = noting();
  const [first] = await checkoutMany(env, 1);
  assertEquals(since(env), ["firstConnect 1", "connect 1", "checkout 1"]);
  const [second] = await checkoutMany(env, 1);
  assertEquals(since(env), ["connect 2", "checkout 2"]);
  await second!.release();
  since(env);
  const [again] = await checkoutMany(env, 1);
  assertEquals(since(env), ["checkout 2"]);
  await first!.release();
  await again!.release();
  await closeAtRest(env);
});

Deno.test("hooks of a checkin: reset and checkin after the rollback, and close if the connection is above poolSize", async () => {
  using _time = fakeTime();
  const env = noting({ poolSize: 1 });
  const [kept, overflowing] = await checkoutMany(env, 2);
  since(env);
  await kept!.release();
  assertEquals(since(env), ["reset 1", "checkin 1"]);
  overflowing!.client.transactionStatus = "open";
  await overflowing!.release();
  assertEquals(since(env), ["(rollback 2)", "reset 2", "checkin 2", "close 2"]);
  await closeAtRest(env);
  assertEquals(since(env), ["close 1"]);
});

Deno.test("hooks of a failed ping: invalidate, close, connect, checkout", async () => {
  using _time = fakeTime();
  const env = noting({ poolPrePing: true });
  await env.engine.use(() => {});
  env.adapter.behavior.ping = () => Promise.reject(verdict("disconnect"));
  since(env);
  const [lease] = await checkoutMany(env, 1);
  assertEquals(since(env), ["invalidate 1", "close 1", "connect 2", "checkout 2"]);
  await lease!.release();
  await closeAtRest(env);
});

Deno.test("hooks of a lease that is invalidated, hard and softly, with an error, detached", async () => {
  using time = fakeTime();
  const env = noting();
  const [hard, soft, failed, given] = await checkoutMany(env, 4);
  since(env);
  hard!.invalidate();
  await time.settle();
  assertEquals(since(env), ["invalidate 1", "close 1"]);
  soft!.invalidate(undefined, { soft: true });
  assertEquals(since(env), []);
  await soft!.release();
  assertEquals(since(env), ["reset 2", "checkin 2", "close 2"]);
  await failed!.release(verdict("disconnect"));
  await time.settle();
  assertEquals(since(env), ["invalidate 3", "close 3"]);
  const client = given!.detach();
  await time.settle();
  assertEquals(since(env), ["detach 4"]);
  await env.adapter.close!(client);
  await closeAtRest(env, [client]);
});

Deno.test("hooks of a connection that is too old, or whose address departed: close, without invalidate", async () => {
  using time = fakeTime();
  const env = noting({ poolRecycle: 60 });
  await env.engine.use(() => {});
  since(env);
  await time.advance(60);
  assertEquals(since(env), ["close 1"]);
  await env.engine.use(() => {});
  assertEquals(since(env), ["connect 2", "checkout 2", "reset 2", "checkin 2"]);
  env.dns.addresses = ["10.0.0.2"];
  await time.advance(10);
  assertEquals(since(env), ["close 2"]);
  await closeAtRest(env);
});

Deno.test("hooks get client, address and info; invalidate gets the reason as well", async () => {
  using _time = fakeTime();
  const reason = verdict("disconnect", "gone");
  const seen: unknown[] = [];
  const env = fakeEngine({
    hooks: {
      connect({ client, address, info }) {
        info["from"] = "connect";
        seen.push([client.id, address]);
      },
      invalidate: (_, error) => void seen.push(error),
      close: ({ info }) => void seen.push(info),
    },
  });
  await env.engine.use((lease) => {
    assertEquals(lease.info, { from: "connect" });
    lease.invalidate(reason);
  });
  await closeAtRest(env);
  assertEquals(seen, [[1, "10.0.0.1"], reason, { from: "connect" }]);
});

Deno.test("the hook firstConnect is called once per pool, and again if it throws", async () => {
  using _time = fakeTime();
  let failures = 2;
  const env = noting({});
  const log: string[] = [];
  const other = fakeEngine({
    hooks: {
      firstConnect({ client }) {
        log.push(`firstConnect ${client.id}`);
        if (failures-- > 0) throw new Error("not yet");
      },
    },
  });
  for (let i = 0; i < 2; i++) await assertRejects(() => other.engine.connect(), Error, "not yet");
  await other.engine.use(() => {});
  assertEquals(log, ["firstConnect 1", "firstConnect 2", "firstConnect 3"]);
  await closeAtRest(other);

  await env.engine.use(() => {});
  await env.engine.dispose();
  since(env);
  await env.engine.use((lease) => lease.invalidate());
  await env.engine.use(() => {});
  assertEquals(since(env).filter((entry) => entry.startsWith("firstConnect")), ["firstConnect 2"]);
  await closeAtRest(env);
});

Deno.test("when the hook firstConnect fails, connections that waited for it call it again", async () => {
  using time = fakeTime();
  const first: number[] = [];
  const env = fakeEngine({
    hooks: {
      async firstConnect({ client }) {
        first.push(client.id);
        await delay(100);
        if (client.id === 1) throw new Error("not this one");
      },
    },
  });
  const waits = [1, 2, 3].map(() => watch(env.engine.connect()));
  await time.tick(300);
  assertEquals(waits.map(({ state }) => state).sort(), ["fulfilled", "fulfilled", "rejected"]);
  assertEquals(first, [1, 2]);
  for (const { value } of waits) await value?.release();
  await closeAtRest(env);
});

/** Ways in which a hook may fail. */
const misdeeds: Readonly<Record<string, () => void | Promise<void>>> = {
  "throws": () => {
    throw new Error("misbehaved");
  },
  "throws nothing": () => {
    throw undefined;
  },
  "rejects": () => Promise.reject(new Error("misbehaved")),
  "rejects late": () => delay(50).then(() => Promise.reject(new Error("misbehaved"))),
  "says that the connection is no good": () => {
    throw new DisconnectionError("misbehaved");
  },
  "never ends": () => new Promise(() => {}),
};

/** Occasions for each hook. */
const occasions: Readonly<Record<string, (env: FakeEngine) => Promise<unknown>>> = {
  connect: ({ engine }) => engine.connect().then((lease) => lease.release()),
  overflow: async ({ engine }) => {
    const leases = await Promise.allSettled([engine.connect(), engine.connect()]);
    for (const lease of leases) if (lease.status === "fulfilled") await lease.value.release();
  },
  transaction: ({ engine }) => engine.begin(() => engine.query("SELECT 1")),
  rollback: ({ engine }) => engine.begin(() => Promise.reject(new Error("mine"))),
  invalidate: ({ engine }) => engine.use((lease) => lease.invalidate()),
  "soft invalidate": ({ engine }) =>
    engine.use((lease) => lease.invalidate(undefined, { soft: true })),
  error: ({ engine }) => engine.use(() => Promise.reject(verdict("disconnect"))),
  detach: ({ engine, adapter }) =>
    engine.use((lease) => adapter.close!(lease.detach() as FakeClient)),
};

/** Lets time pass until a promise is settled. */
async function settled(time: TestTime, promise: Promise<unknown>): Promise<void> {
  const watched = watch(promise);
  for (let i = 0; watched.state === "pending"; i++) {
    assert(i < 600, "it never ends");
    await time.tick(100);
  }
}

for (const name of HOOK_NAMES) {
  Deno.test(`a hook ${name} that fails or hangs does not reduce the pool's capacity`, async () => {
    using time = fakeTime();
    for (const misdeed of Object.values(misdeeds)) {
      for (const occasion of Object.values(occasions)) {
        let bad = false;
        const hooks: PoolHooks<FakeClient> = { [name]: () => bad ? misdeed() : undefined };
        const options = { poolSize: 1, maxOverflow: 1, connectTimeout: 2, poolTimeout: 8 };
        const env = fakeEngine({ hooks, logger: keepLines(), dnsRefresh: "on-demand", ...options });
        if (name !== "firstConnect") await env.engine.use(() => {});
        bad = true;
        await settled(time, occasion(env));
        // Lets everything in the background end.
        await time.advance(10);
        assertAtRest(env);
        bad = false;
        const leases = await checkoutMany(env, 2);
        await assertRejects(() => env.engine.connect({ timeout: 0 }));
        for (const lease of leases) await lease.release();
        bad = true;
        const detached = env.adapter.clients.filter(() => env.engine.status().detached > 0);
        await settled(time, closeAtRest(env, detached));
        assertEquals(env.adapter.open, []);
      }
    }
  });
}

Deno.test("what a hook throws rejects the checkout; at checkin it is logged", async () => {
  using _time = fakeTime();
  const failure = new Error("misbehaved");
  for (const name of ["firstConnect", "connect", "checkout"]) {
    const env = fakeEngine({ hooks: { [name]: () => Promise.reject(failure) } });
    assertStrictEquals(await assertRejects(() => env.engine.connect()), failure);
    await closeAtRest(env);
  }
  for (const name of ["reset", "checkin"]) {
    const logger = keepLines();
    const env = fakeEngine({ logger, hooks: { [name]: () => Promise.reject(failure) } });
    await env.engine.use(() => {});
    assertEquals(logger.lines, [
      "warn [db.internal] Closing a connection to 10.0.0.1 that cannot be reset: misbehaved",
    ]);
    assertEquals(env.adapter.open, []);
    await closeAtRest(env);
  }
  for (const name of ["invalidate", "close", "detach"]) {
    const logger = keepLines();
    const env = fakeEngine({ logger, hooks: { [name]: () => Promise.reject(failure) } });
    const [lease, other] = await checkoutMany(env, 2);
    lease!.invalidate();
    const client = other!.detach();
    await env.adapter.close!(client);
    await closeAtRest(env, [client]);
    assertEquals(logger.lines, [`warn [db.internal] The hook "${name}" failed: misbehaved`]);
  }
});

Deno.test("a connect hook that hangs is aborted after connectTimeout, and its connection terminated", async () => {
  using time = fakeTime();
  const env = fakeEngine({
    connectTimeout: 3,
    poolSize: 1,
    maxOverflow: 0,
    hooks: { connect: ({ client }) => client.id === 1 ? new Promise(() => {}) : undefined },
  });
  const wait = watch(env.engine.connect());
  await time.advance(2.999);
  assertEquals(wait.state, "pending");
  await time.advance(0.001);
  assertEquals((wait.error as Error).message, 'no end of the hook "connect" within 3 seconds');
  assertEquals(env.adapter.clients[0]!.log, ["terminate"]);
  await env.engine.use(({ client }) => assertEquals(client.id, 2));
  await closeAtRest(env);
});
