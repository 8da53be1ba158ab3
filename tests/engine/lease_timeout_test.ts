import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  ConnectionLostError,
  type Engine,
  type EngineEventMap,
  getDnsEngine,
  type Lease,
  LeaseTimeoutError,
} from "../../mod.ts";
import { fakeAdapter, type FakeClient } from "../../testing/mod.ts";
import { fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";

/** An engine with one place, whose leases may take 20 seconds. */
function impatient(options: Parameters<typeof fakeEngine>[0] = {}) {
  const lines: string[] = [];
  const logger = { debug() {}, info() {}, warn: (line: string) => void lines.push(line) };
  const env = fakeEngine({
    leaseTimeout: 20,
    poolSize: 1,
    maxOverflow: 0,
    poolTimeout: 300,
    logger,
    ...options,
  });
  const events: EngineEventMap["leasetimeout"]["detail"][] = [];
  env.engine.addEventListener("leasetimeout", ({ detail }) => void events.push(detail));
  return { ...env, events, lines };
}

/** Takes a lease; its name is in the stack. */
async function takeForEver(engine: Engine<FakeClient>): Promise<Lease<FakeClient>> {
  return await engine.connect();
}

Deno.test("leaseTimeout: a lease that is not released is terminated, its holder told where it was taken, and its place given on", async () => {
  using time = fakeTime();
  const { engine, adapter, events, lines } = impatient();
  const lease = await takeForEver(engine);
  const running = lease.untilLost(new Promise(() => {})).catch((error) => error);
  let served = 0;
  const next = engine.use(({ client }) => {
    served = client.id;
  });
  await time.advance(19.9);
  assertEquals([events, served], [[], 0]);
  await time.advance(1.2);
  await next;
  assertEquals(served, 2);
  const error = await running;
  assertInstanceOf(error, LeaseTimeoutError);
  assertInstanceOf(error, ConnectionLostError);
  assertEquals([error.code, error.address], ["LEASE_TIMEOUT", "10.0.0.1"]);
  assert(error.seconds >= 20 && error.seconds <= 21, `${error.seconds}`);
  for (const text of [error.takenAt!, error.message, events[0]!.takenAt!, lines.join()]) {
    assertStringIncludes(text, "takeForEver");
  }
  assertEquals(events.length, 1);
  assertEquals(engine.isDisconnect(error), true);
  assertEquals(lease.signal.reason, error);
  assertThrows(() => lease.client, LeaseTimeoutError);
  await lease.release(); // which has no effect
  assertEquals(adapter.clients[0]!.log, ["terminate"]);
  const { opened, closed, idle } = engine.status();
  assertEquals({ opened, closed, idle }, { opened: 2, closed: 1, idle: 1 });
  await engine.close();
});

Deno.test("leaseTimeout: what is running is cancelled on the server, in use(), begin() and query()", async () => {
  using time = fakeTime();
  const { engine, adapter } = impatient();
  adapter.behavior.query = (_, text) => text === "SLOW" ? new Promise(() => {}) : [];
  const calls: (() => Promise<unknown>)[] = [
    () => engine.use(({ client }) => adapter.query!(client, "SLOW")),
    () => engine.begin(({ client }) => adapter.query!(client, "SLOW")),
    () => engine.begin(({ client }) => adapter.query!(client, "SLOW"), { timeout: 600 }),
    () => engine.query("SLOW"),
    () => engine.query("SLOW", [], { timeout: 600 }),
  ];
  for (const call of calls) {
    const failed = assertRejects(call, LeaseTimeoutError, 'longer than "leaseTimeout"');
    await time.advance(22);
    await failed;
    assertEquals(adapter.clients.at(-1)!.log.slice(-2), ["terminate", "cancel"]);
  }
  await engine.query("SELECT 1");
  await engine.close();
});

Deno.test("leaseTimeout: leases that are released or detached in time, and other waits, are left alone", async () => {
  using time = fakeTime();
  const { engine, adapter, events } = impatient({ poolSize: 3, minIdle: 1 });
  const detached = (await engine.connect()).detach();
  for (let turn = 0; turn < 10; turn++) await engine.use(() => time.advance(15));
  const listener = await engine.listen("orders", () => {});
  await time.advance(100);
  assertEquals([events, detached.open, adapter.open.length > 1], [[], true, true]);
  await listener.close();
  await engine.close();
  await adapter.close!(detached);
});

Deno.test("leaseTimeout: a lease that is terminated is not reported, and its server not probed, as one that goes on", async () => {
  using time = fakeTime();
  const { engine, adapter, events } = impatient({ leaseWarnAfter: 20, leaseProbeAfter: 20 });
  let others = 0;
  engine.addEventListener("longlease", () => void others++);
  await engine.connect();
  await time.advance(22);
  assertEquals([events.length, others, adapter.dials.length], [1, 0, 1]);
  await engine.close();
});

Deno.test("leaseTimeout: a lease on a departed address, and one of a disposed pool, are terminated too", async () => {
  using time = fakeTime();
  const { engine, adapter, dns, events } = impatient({ probeTimeout: 1 });
  const first = await engine.connect();
  dns.addresses = ["10.0.0.2"];
  await time.advance(11);
  const second = await engine.connect();
  await engine.dispose();
  await time.advance(21);
  assertEquals(events.map(({ address }) => address), ["10.0.0.1", "10.0.0.2"]);
  assertEquals([first.released, second.released, adapter.open], [true, true, []]);
  await engine.close();
});

Deno.test("leaseTimeout: wrong values, and engines that cannot have it", async () => {
  const make = (options: object, url = "fake://127.0.0.1/orders") => () =>
    getDnsEngine(url, { adapter: fakeAdapter(), ...options });
  for (const leaseTimeout of [0, -1, NaN, "5", null]) {
    assertThrows(
      make({ leaseTimeout }),
      Error,
      '"leaseTimeout" must be a number of seconds above 0',
    );
  }
  assertThrows(
    make({ leaseTimeout: 5, poolClass: "static" }),
    TypeError,
    '"leaseTimeout" must not be given: leases of the pool class "static"',
  );
  assertThrows(
    () => getDnsEngine("sqlite::memory:", { leaseTimeout: 5 }),
    TypeError,
    '"leaseTimeout" must not be given: the data of a database in memory',
  );
  for (const leaseTimeout of [undefined, Infinity, 0.5]) {
    await make({ leaseTimeout })().close();
  }
});
