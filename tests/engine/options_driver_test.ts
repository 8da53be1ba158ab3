/**
 * Options that reach the driver, and plugins.
 *
 * @module
 */

import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { delay } from "../../internal/async.ts";
import {
  ConnectError,
  type Engine,
  type EngineOptions,
  getDnsEngine,
  PoolTimeoutError,
} from "../../mod.ts";
import { fakeAdapter, type FakeClient, type Target } from "../../testing/mod.ts";
import { assertAtRest, checkoutMany, closeAtRest, releaseAll, watch } from "../support/checks.ts";
import { fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";

/** Returns the target that the adapter gets with these options. */
async function targetWith(options: EngineOptions<FakeClient>): Promise<Target> {
  let target: Target | undefined;
  const env = fakeEngine(options, { connect: (_, given) => void (target = given) });
  await env.engine.use(() => {});
  await closeAtRest(env);
  return target!;
}

Deno.test("connectArgs reaches the adapter unchanged, apart from the parts of the URL", async () => {
  using _time = fakeTime();
  const { connectArgs, user, password, database, host, port } = await targetWith({
    connectArgs: { application_name: "orders", user: "root" },
  });
  assertEquals(connectArgs, { application_name: "orders", user: "root" });
  assertEquals([user, password, database, host, port], [
    "app",
    "secret",
    "orders",
    "db.internal",
    1,
  ]);
  assertEquals((await targetWith({})).connectArgs, {});
});

Deno.test("keepAlive reaches the adapter; true by default", async () => {
  using _time = fakeTime();
  assertEquals((await targetWith({})).keepAlive, true);
  assertEquals((await targetWith({ keepAlive: false })).keepAlive, false);
});

Deno.test("isolationLevel is set on every new connection, before the hooks see it", async () => {
  using _time = fakeTime();
  const seen: (string | undefined)[] = [];
  const note = ({ client }: { client: FakeClient }) => void seen.push(client.isolationLevel);
  const env = fakeEngine({
    isolationLevel: "repeatable read",
    hooks: { firstConnect: note, connect: note },
  });
  await releaseAll(await checkoutMany(env, 2));
  await releaseAll(await checkoutMany(env, 2));
  assertEquals(seen, Array(3).fill("repeatable read"));
  assertEquals(env.adapter.clients.map(({ log }) => log), [
    ["isolation repeatable read"],
    ["isolation repeatable read"],
  ]);
  await closeAtRest(env);
  const plain = fakeEngine();
  await plain.engine.use(({ client }) => assertEquals(client.isolationLevel, undefined));
  await closeAtRest(plain);
});

Deno.test("isolationLevel: if it cannot be set, the connection is terminated, and the checkout fails", async () => {
  using _time = fakeTime();
  const env = fakeEngine({ isolationLevel: "no such level", poolSize: 1, maxOverflow: 0 }, {
    setIsolationLevel: () => Promise.reject(new Error("invalid value")),
  });
  await assertRejects(() => env.engine.connect(), ConnectError, "said: invalid value");
  assertEquals(env.adapter.open, []);
  assertAtRest(env);
  env.adapter.behavior.setIsolationLevel = () => {};
  await env.engine.use(() => {});
  await env.engine.close();
});

Deno.test("executionOptions({ isolationLevel }) sets it for each lease of the sibling, in the same pool", async () => {
  using _time = fakeTime();
  const env = fakeEngine({ isolationLevel: "read committed", poolSize: 1, maxOverflow: 0 });
  const sibling = env.engine.executionOptions({ isolationLevel: "serializable" });
  const level = ({ client }: { client: FakeClient }) => client.isolationLevel;
  assertEquals(await env.engine.use(level), "read committed");
  assertEquals(await sibling.use(level), "serializable");
  assertEquals(await sibling.begin(level), "serializable");
  assertEquals(await env.engine.use(level), "read committed");
  assertEquals(env.adapter.clients[0]!.log, [
    "isolation read committed",
    "isolation serializable",
    "isolation read committed",
    "isolation serializable",
    "BEGIN",
    "COMMIT",
    "isolation read committed",
  ]);
  assertEquals(env.adapter.dials.length, 1);
  assertEquals(sibling.status(), env.engine.status());
  let events = 0;
  sibling.addEventListener("retire", () => events++);
  env.engine.dispatchEvent(new CustomEvent("retire"));
  assertEquals(events, 1);
  await closeAtRest(env);
  await assertRejects(() => sibling.connect(), Error, "the engine is closed");
});

Deno.test("executionOptions({ isolationLevel }): if it cannot be set or reset, the connection is closed", async () => {
  using time = fakeTime();
  const env = fakeEngine({ connectTimeout: 2, logger: { debug() {}, info() {}, warn() {} } });
  const sibling = env.engine.executionOptions({ isolationLevel: "serializable" });
  env.adapter.behavior.setIsolationLevel = () => Promise.reject(new Error("not now"));
  await assertRejects(() => sibling.connect(), Error, "not now");
  assertAtRest(env);
  env.adapter.behavior.setIsolationLevel = (_, level) => {
    if (level === undefined) throw new Error("not any more");
  };
  await sibling.use(() => {});
  env.adapter.behavior.setIsolationLevel = () => new Promise(() => {});
  const hung = watch(sibling.connect());
  await time.advance(2);
  assertEquals(hung.state, "rejected");
  assertEquals(env.adapter.open, []);
  const controller = new AbortController();
  const aborted = watch(sibling.connect({ signal: controller.signal }));
  await time.settle();
  controller.abort(new Error("never mind"));
  await time.settle();
  assertEquals((aborted.error as Error).message, "never mind");
  assertEquals(env.adapter.open, []);
  await closeAtRest(env);
});

Deno.test("getDnsEngine() refuses options for which the adapter has no method", () => {
  const { ping: _ping, role: _role, setIsolationLevel: _set, query: _query, ...poor } =
    fakeAdapter();
  const asks: [EngineOptions<FakeClient>, string, string][] = [
    [{ poolPrePing: true }, "poolPrePing", "ping"],
    [{ targetSessionAttrs: "primary" }, "targetSessionAttrs", "role"],
    [{ isolationLevel: "serializable" }, "isolationLevel", "setIsolationLevel"],
  ];
  for (const [options, option, method] of asks) {
    const make = () => getDnsEngine("fake://127.0.0.1", { adapter: poor, ...options });
    assertEquals(
      assertThrows(make, TypeError).message,
      `"${option}" must not be given: the adapter "fake" has no method "${method}"`,
    );
  }
  const engine = getDnsEngine("fake://127.0.0.1", { adapter: poor });
  assertThrows(
    () => engine.executionOptions({ isolationLevel: "serializable" }),
    TypeError,
    'has no method "setIsolationLevel"',
  );
});

Deno.test("Engine.query() and begin() throw if the adapter has no query, before a checkout", async () => {
  const { query: _, ...poor } = fakeAdapter();
  const engine = getDnsEngine("fake://127.0.0.1", { adapter: poor });
  const query = await assertRejects(() => engine.query("SELECT 1"), TypeError);
  assertEquals(
    query.message,
    'Cannot run a query: the adapter "fake" has no method "query"',
  );
  const begin = await assertRejects(() => engine.begin(() => {}), TypeError);
  assertEquals(
    begin.message,
    'Cannot begin a transaction: the adapter "fake" has no method "query"',
  );
  assertEquals(engine.status().opened, 0);
  await engine.close();
});

Deno.test("an adapter with three members is enough for connect, use and release", async () => {
  const { name, defaultPort, connect } = fakeAdapter();
  const engine = getDnsEngine("fake://127.0.0.1", {
    adapter: { name, defaultPort, connect },
    poolSize: 1,
    maxOverflow: 0,
  });
  const first = await engine.use(({ client }) => client);
  const lease = await engine.connect();
  assertStrictEquals(lease.client, first);
  lease.invalidate();
  await engine.use(({ client }) => assert(client !== first));
  await engine.close();
  const { opened, closed } = engine.status();
  assertEquals({ opened, closed }, { opened: 2, closed: 2 });
});

Deno.test("plugins change URL and options in turn, and get the finished engine", async () => {
  using _time = fakeTime();
  const created: unknown[] = [];
  const adapter = fakeAdapter();
  const engine = getDnsEngine("fake://app:secret@db.internal/orders", {
    adapter,
    poolSize: 9,
    plugins: [
      () => {},
      ({ url, options }) => {
        assertEquals([url.host, options.poolSize], ["db.internal", 9]);
        return {
          url: url.with({ host: "127.0.0.1" }),
          options: { poolSize: 1, maxOverflow: 0, poolTimeout: 0 },
          created: (engine) => void created.push(engine),
        };
      },
      ({ url, options }) => {
        assertEquals([url.host, options.poolSize], ["127.0.0.1", 1]);
        return { created: () => void created.push("second") };
      },
    ],
  });
  assertEquals(created, [engine, "second"]);
  assertEquals(engine.url.host, "127.0.0.1");
  const lease: { release(): Promise<void> } = await engine.connect();
  await assertRejects(() => engine.connect(), PoolTimeoutError);
  await lease.release();
  assertEquals(adapter.dials, ["127.0.0.1"]);
  await engine.close();
});

Deno.test("plugins: what they change is checked", () => {
  const make = (change: { options: EngineOptions }) => () =>
    getDnsEngine("fake://127.0.0.1", { adapter: fakeAdapter(), plugins: [() => change] });
  assertThrows(
    make({ options: { poolSize: -1 } }),
    RangeError,
    '"poolSize" must be a whole number of at least 0, got -1',
  );
  for (const name of ["creator", "pool"]) {
    const options = { [name]: () => {} } as EngineOptions;
    assertThrows(make({ options }), TypeError, `"${name}" must not be given: it opens`);
  }
  const refused: [plugins: unknown, message: string][] = [
    [5, '"plugins" must be an array of functions, got 5'],
    ["x", '"plugins" must be an array of functions, got "x"'],
    [{}, '"plugins" must be an array of functions, got an object'],
    [null, '"plugins" must be an array of functions, got null'],
    [[5], '"plugins[0]" must be a function, got 5'],
    [[null], '"plugins[0]" must be a function, got null'],
  ];
  for (const [plugins, message] of refused) {
    const options = { adapter: fakeAdapter(), plugins } as unknown as EngineOptions<FakeClient>;
    const error = assertThrows(() => getDnsEngine("fake://127.0.0.1", options), TypeError);
    assertEquals(error.message, message);
  }
});

Deno.test("creator and pool are refused for any host", () => {
  for (
    const url of ["fake://db.internal", "fake://127.0.0.1", "fake://localhost", "fake://[::1]"]
  ) {
    for (const name of ["creator", "pool"]) {
      const options = { adapter: fakeAdapter(), [name]: () => {} };
      const error = assertThrows(() => getDnsEngine<FakeClient>(url, options), TypeError);
      assertEquals(
        error.message,
        `"${name}" must not be given: it opens connections by itself and would bypass DNS; write an adapter instead`,
      );
    }
  }
});

Deno.test("hooks may be methods of an object", async () => {
  using time = fakeTime();
  class Counter {
    readonly #calls: string[] = [];
    calls(): string {
      return this.#calls.join(" ");
    }
    #count(name: string) {
      this.#calls.push(name);
      return delay(1);
    }
    firstConnect() {
      return this.#count("firstConnect");
    }
    connect() {
      return this.#count("connect");
    }
    checkout() {
      return this.#count("checkout");
    }
    checkin() {
      return this.#count("checkin");
    }
    close() {
      return this.#count("close");
    }
  }
  const counter = new Counter();
  const env = fakeEngine({ hooks: counter });
  const used = watch(env.engine.use(() => {}));
  await time.tick(10);
  assertEquals(used.state, "fulfilled");
  const closed = watch((env.engine as Engine<FakeClient>).close());
  await time.tick(10);
  assertEquals(closed.state, "fulfilled");
  assertEquals(counter.calls(), "firstConnect connect checkout checkin close");
});
