/**
 * What happens to a connection between two holders, on made-up connections: the real drivers are in
 * `contracts/handover.ts`.
 */

import { assert, assertEquals } from "@std/assert";
import { AsyncLocalStorage } from "node:async_hooks";
import { type Activity, type Adapter, ConnectionLostError, getDnsEngine } from "../../mod.ts";
import { assertAtRest, closeAtRest, watch } from "../support/checks.ts";
import { fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";

Deno.test("Engine.query() sends the next statement in the driver's callback for the last one, in its caller's context", async () => {
  const callers = new AsyncLocalStorage<string>();
  const said: string[] = [];
  const running: (() => void)[] = [];
  const adapter: Adapter<object> = {
    name: "callback",
    defaultPort: 1,
    connect: () => Promise.resolve({}),
    close: () => Promise.resolve(),
    query: (_client, text, _values, onDone) => {
      said.push(`${callers.getStore()} sends ${text}`);
      return new Promise((resolve) =>
        running.push(() => {
          resolve([text]);
          onDone!();
          said.push(`end of the callback for ${text}`);
        })
      );
    },
  };
  const engine = getDnsEngine("callback://127.0.0.1/orders", {
    adapter,
    poolSize: 1,
    maxOverflow: 0,
  });
  await engine.warm();
  const first = engine.query("SELECT 1"); // shows that the driver has callbacks
  running.shift()!();
  await first;
  said.length = 0;
  const query = async (caller: string) => {
    const rows = await callers.run(caller, () => engine.query(`statement of ${caller}`));
    said.push(`${caller} got ${rows}`);
  };
  const queries = Promise.all(["A", "B"].map(query));
  running.shift()!();
  running.shift()!();
  await queries;
  assertEquals(said, [
    "A sends statement of A",
    "B sends statement of B",
    "end of the callback for statement of A",
    "end of the callback for statement of B",
    "A got statement of A",
    "B got statement of B",
  ]);
  assertEquals([engine.status().idle, engine.status().inUse], [1, 0]);
  await engine.close();
});

/** A logger that keeps its warnings. */
function keepWarnings() {
  const warnings: string[] = [];
  return {
    warnings,
    logger: { debug() {}, info() {}, warn: (line: string) => void warnings.push(line) },
  };
}

Deno.test("Lease.release(): a connection whose statements are running is handed out after their end", async () => {
  using time = fakeTime();
  let activity: Activity = "running";
  let answer!: () => void;
  const answered = new Promise<void>((resolve) => answer = resolve);
  const env = fakeEngine({ poolSize: 1, maxOverflow: 0 }, {
    activity: () => activity,
    ping: () => answered,
  });
  const lease = await env.engine.connect();
  const release = watch(lease.release());
  const next = watch(env.engine.connect());
  await time.advance(5);
  assertEquals([release.state, next.state], ["pending", "pending"]);
  activity = "none";
  answer();
  await time.settle();
  assertEquals([release.state, next.state], ["fulfilled", "fulfilled"]);
  assertEquals(next.value!.client.id, 1);
  await next.value!.release();
  await closeAtRest(env);
});

Deno.test("Lease.release(): a connection whose statements run for longer than connectTimeout is closed", async () => {
  using time = fakeTime();
  const { warnings, logger } = keepWarnings();
  const env = fakeEngine({ poolSize: 1, connectTimeout: 3, logger }, {
    activity: () => "running",
    ping: () => new Promise(() => {}),
  });
  const lease = await env.engine.connect();
  const release = watch(lease.release());
  await time.advance(3);
  assertEquals(release.state, "fulfilled");
  assertEquals(env.adapter.clients[0]!.open, false);
  assertEquals(warnings.length, 1);
  await closeAtRest(env);
});

Deno.test("Lease.release(): a connection that is stuck, at once or later, is terminated, and the release does not wait", async () => {
  using time = fakeTime();
  const { warnings, logger } = keepWarnings();
  for (const activities of [["stuck"], ["running", "running", "stuck"]] as Activity[][]) {
    const env = fakeEngine({ poolSize: 1, logger }, {
      activity: () => activities.length > 1 ? activities.shift() : activities[0],
      ping: () => new Promise(() => {}),
    });
    const lease = await env.engine.connect();
    const release = watch(lease.release());
    await time.tick(100);
    assertEquals(release.state, "fulfilled");
    assertEquals(env.adapter.clients[0]!.log.at(-1), "terminate");
    await closeAtRest(env);
  }
  assertEquals(warnings.length, 2);
});

Deno.test("Lease.release(): a connection that is stuck for less than a turn of the event loop is kept", async () => {
  using time = fakeTime();
  const activities: Activity[] = ["stuck", "none"];
  const env = fakeEngine({ poolSize: 1 }, { activity: () => activities.shift() ?? "none" });
  const lease = await env.engine.connect();
  const release = watch(lease.release());
  await time.tick(1);
  assertEquals([release.state, env.engine.status().idle], ["fulfilled", 1]);
  await closeAtRest(env);
});

Deno.test("Lease.release(): a connection is reset again if a statement behind the reset has failed", async () => {
  using time = fakeTime();
  const { warnings, logger } = keepWarnings();
  for (const then of ["idle", undefined, "open"] as const) {
    let resets = 0;
    const env = fakeEngine({ poolSize: 1, logger }, {
      activity: () => resets === 0 ? "running" : "none",
      reset: () => Promise.resolve(void resets++),
    });
    env.adapter.transactionStatus = () => resets < 2 ? undefined : then;
    const lease = await env.engine.connect();
    const release = watch(lease.release());
    await time.settle();
    assertEquals([release.state, resets], ["fulfilled", 2]);
    assertEquals(env.adapter.clients[0]!.open, then !== "open");
    await closeAtRest(env);
  }
  assertEquals(warnings.length, 1);
});

Deno.test("Lease.release(): a connection that its holder closed is not handed out again", async () => {
  using _time = fakeTime();
  const { warnings, logger } = keepWarnings();
  for (const poolResetOnReturn of ["rollback", null] as const) {
    const env = fakeEngine({ poolSize: 1, logger, poolResetOnReturn }, { activity: () => "ended" });
    await env.engine.use(() => {});
    assertEquals(env.engine.status().closed, 1);
    await closeAtRest(env);
  }
  assert(warnings.every((line) => line.includes("its holder closed it")), String(warnings));
});

Deno.test('poolResetOnReturn "reset": rollback, session, isolationLevel and the hook connect, in this order', async () => {
  using _time = fakeTime();
  const env = fakeEngine({
    poolResetOnReturn: "reset",
    isolationLevel: "serializable",
    hooks: {
      connect: ({ client }) => void client.log.push("connect"),
      reset: ({ client }) => void client.log.push("hook reset"),
    },
  });
  const lease = await env.engine.connect();
  const { client } = lease;
  assertEquals(client.log.splice(0), ["isolation serializable", "connect"]);
  client.transactionStatus = "open";
  await lease.release();
  const after = ["hook reset", "reset session", "isolation serializable", "connect"];
  assertEquals(client.log.splice(0), ["rollback", ...after]);
  await env.engine.use(() => {});
  assertEquals(client.log.splice(0), after);
  await closeAtRest(env);
});

Deno.test('poolResetOnReturn "reset": a connection that is closed at its return only ends its transaction', async () => {
  using _time = fakeTime();
  const env = fakeEngine({ poolResetOnReturn: "reset" });
  const lease = await env.engine.connect();
  const { client } = lease;
  client.transactionStatus = "open";
  lease.invalidate(undefined, { soft: true });
  await lease.release();
  assertEquals(client.log, ["rollback", "close"]);
  await closeAtRest(env);
});

Deno.test('poolResetOnReturn "reset": a reset that fails closes the connection', async () => {
  using _time = fakeTime();
  const { warnings, logger } = keepWarnings();
  const env = fakeEngine({ poolResetOnReturn: "reset", logger }, {
    resetSession: () => Promise.reject(new Error("not today")),
  });
  await env.engine.use(() => {});
  assertEquals([env.engine.status().idle, warnings.length], [0, 1]);
  await closeAtRest(env);
});

Deno.test("hooks.reset and hooks.checkin may drop the isolation level: it is set again", async () => {
  using _time = fakeTime();
  for (const hook of ["reset", "checkin"] as const) {
    const env = fakeEngine({
      isolationLevel: "serializable",
      hooks: {
        [hook]: ({ client }: { client: { isolationLevel?: string } }) =>
          void delete client.isolationLevel,
      },
    });
    await env.engine.use(() => {});
    assertEquals(env.adapter.clients[0]!.isolationLevel, "serializable", hook);
    await closeAtRest(env);
  }
});

Deno.test("Lease.signal: is aborted when the server closes the connection, and the connection's place is free", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolSize: 1, maxOverflow: 0 });
  const lease = await env.engine.connect();
  const used = watch(lease.untilLost(new Promise(() => {})));
  const next = watch(env.engine.connect());
  const cause = new Error("terminating connection due to idle-in-transaction timeout");
  env.adapter.kill(lease.client, cause);
  await time.tick(1);
  assert(lease.signal.aborted);
  assert(lease.signal.reason instanceof ConnectionLostError);
  assertEquals(lease.signal.reason.cause, cause);
  assertEquals([used.state, next.state], ["pending", "fulfilled"]);
  await time.advance(0.05);
  assertEquals(used.error, lease.signal.reason);
  await lease.release();
  await next.value!.release();
  assertAtRest(env);
  await env.engine.close();
});
