import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import type { Role } from "../../adapters/adapter.ts";
import type { Balance } from "../../pool/connection/address_order.ts";
import type { WantedRole } from "../../pool/connection/server_role.ts";
import { ConnectError, ConnectionLostError, PoolClosedError, ResolveError } from "../../errors.ts";
import { getDnsEngine } from "../../engine.ts";
import type { EngineOptions } from "../../engine/options.ts";
import type { Lease } from "../../pool/lease.ts";
import type { FakeClient } from "../../testing/mod.ts";
import { balanced, type FakeEngine, fakeEngine } from "../support/fake_engine.ts";
import { fakeTime, type TestTime } from "../support/time.ts";
import { resolvable } from "../support/waiting.ts";
import { driverError, FakeServers } from "../stress/pool_servers.ts";
import { countListeners } from "../stress/pool_timers.ts";

const [A, B, C] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];

/** An engine with fake servers that can be changed. */
function setup(options: EngineOptions<FakeClient> = {}): FakeEngine & { servers: FakeServers } {
  const servers = new FakeServers();
  return { ...fakeEngine(options, servers.behaviour), servers };
}

/** Checks out a number of connections at once, and releases them all. */
async function open({ engine }: FakeEngine, count: number): Promise<string[]> {
  const leases = await Promise.all(Array.from({ length: count }, () => engine.connect()));
  const addresses = leases.map(({ address }) => address);
  for (const lease of leases) await lease.release();
  return addresses;
}

/** Moves the name while connections are open, waits until the engine has noticed, and returns that time. */
async function move(at: FakeEngine, time: TestTime, ...addresses: string[]): Promise<number> {
  const { engine, dns } = at;
  let changedMs: number | undefined;
  engine.addEventListener("addresschange", () => changedMs ??= time.nowMs, { once: true });
  dns.addresses = addresses;
  while (changedMs === undefined) await time.tick(50);
  return changedMs;
}

/** Closes the engine although connections are in use. */
async function abandon({ engine }: FakeEngine, time: TestTime): Promise<void> {
  const closing = engine.close({ drain: 0 });
  await time.advance(0);
  await closing;
}

/** Records how a promise is settled, and when. */
function watch<T>(time: TestTime, promise: Promise<T>) {
  const startMs = time.nowMs;
  const seen = {
    after: undefined as number | undefined,
    endedMs: undefined as number | undefined,
    value: undefined as T | undefined,
    error: undefined as unknown,
  };
  const note = (what: Partial<typeof seen>) =>
    void Object.assign(seen, what, {
      after: (time.nowMs - startMs) / 1000,
      endedMs: time.nowMs,
    });
  promise.then((value) => note({ value }), (error) => note({ error }));
  return seen;
}

// The check of the address

Deno.test("a connection to a departed address is closed without a ping at the next checkout", async () => {
  using time = fakeTime();
  const at = setup({ dnsRefresh: "on-demand", poolPrePing: true, poolSize: 1, maxOverflow: 0 });
  const { engine, adapter, dns } = at;
  await open(at, 1);
  await engine.use(() => {});
  assertEquals(adapter.clients[0]!.log, ["ping"]);
  dns.addresses = [B];
  await time.advance(10);
  // Two at once: the second waits in the queue.
  const [first, second] = [engine.connect(), engine.connect()];
  const lease = await first;
  assertEquals(lease.address, B);
  await lease.release();
  await (await second).release();
  assertEquals(adapter.clients[0]!.log, ["ping", "close"]);
  assertEquals(adapter.clients.map(({ address }) => address), [A, B]);
  await engine.close();
});

Deno.test("an address that departs during a ping costs the waiter no more than a new connect", async () => {
  using time = fakeTime();
  const at = setup({ poolPrePing: true });
  const { engine, adapter, servers } = at;
  await open(at, 1);
  await time.advance(8);
  servers.set("frozen", A);
  const waiting = watch(time, engine.connect());
  const movedMs = await move(at, time, B);
  assertEquals(waiting.value?.address, B);
  assertLess(movedMs - time.nowMs, 3000);
  assertFalse(adapter.clients[0]!.open);
  await waiting.value!.release();
  assert(balanced(engine.status()));
  await engine.close();
});

Deno.test("when one of several addresses departs, only idle connections to it are closed at once", async () => {
  using time = fakeTime();
  const at = setup({ loadBalance: "round-robin" });
  const { engine, adapter, dns } = at;
  dns.addresses = [A, B, C];
  await open(at, 5);
  dns.addresses = [C, A];
  await time.advance(10);
  assertEquals(adapter.open.map(({ address }) => address), [A, C, A]);
  assertEquals(engine.status().byAddress, {
    [A]: { idle: 2, inUse: 0 },
    [C]: { idle: 1, inUse: 0 },
  });
  assert(balanced(engine.status()));
  await engine.close();
});

Deno.test("a waiter gets a connection to the new address as soon as the old one departs, while its leases are still in use", async () => {
  using time = fakeTime();
  const { engine, dns } = setup({ poolSize: 1, maxOverflow: 0 });
  const holder = await engine.connect();
  const waiting = watch(time, engine.connect());
  await time.advance(5);
  assertEquals(waiting.after, undefined);
  dns.addresses = [B];
  await time.advance(5);
  assertEquals(waiting.value?.address, B);
  // The retired lease does not count against the limit, the new one does.
  const third = watch(time, engine.connect());
  await holder.release();
  await time.settle();
  assertEquals(third.after, undefined);
  await waiting.value!.release();
  await time.settle();
  assertEquals(third.value?.address, B);
  await third.value!.release();
  assert(balanced(engine.status()));
  await engine.close();
});

// Lingering

Deno.test("dnsAddressLinger: nothing is closed with an endpoint that answers with one of three addresses in turn", async () => {
  using time = fakeTime();
  const at = setup({ dnsAddressLinger: 30 });
  const { engine, adapter, dns } = at;
  dns.ttl = 1;
  for (let i = 0; i < 60; i++) {
    dns.addresses = [[A, B, C][i % 3]!];
    // From the third round on, there is a connection to all three.
    if (i < 3) {
      await Promise.all(Array.from({ length: i + 1 }, () => engine.use(() => time.settle())));
    } else await engine.use(() => {});
    await time.advance(1);
  }
  assert(adapter.clients.length >= 3);
  assertEquals(adapter.open.length, adapter.clients.length);
  assertEquals(engine.status().closed, 0);
  await engine.close();
});

Deno.test("dnsAddressLinger: an address that does not return departs when its time is over, and is not dialed before", async () => {
  using time = fakeTime();
  const at = setup({ dnsAddressLinger: 30 });
  const { engine, adapter } = at;
  const lease = await engine.connect();
  await open(at, 1);
  const retired: unknown[] = [];
  engine.addEventListener("retire", ({ detail }) => retired.push(detail));
  const movedMs = await move(at, time, B);
  // A, which lingers, has an idle connection; a further one goes to B.
  assertEquals(await open(at, 2), [A, B]);
  await time.tick(movedMs + 29_999 - time.nowMs);
  assertEquals(retired, []);
  assertEquals(engine.status().byAddress[A], { idle: 1, inUse: 1 });
  await time.tick(1);
  assertEquals(retired, [{ address: A, inUse: 1 }]);
  assertEquals(engine.status().byAddress[A], { idle: 0, inUse: 1 });
  assertEquals(adapter.dials, [A, A, B, A], "the last is the probe of the departed server");
  await lease.release();
  assertEquals(adapter.open.map(({ address }) => address), [B]);
  await engine.close();
});

Deno.test("dnsAddressLinger: an address departs when its time is over, even if the timers are late", async () => {
  using time = fakeTime();
  const at = setup({ dnsAddressLinger: 30, dnsRefresh: "on-demand" });
  const { engine, adapter, dns } = at;
  await open(at, 1);
  dns.addresses = [B];
  dns.ttl = 300;
  await time.advance(10);
  assertEquals(await open(at, 1), [A]);
  time.stall(30);
  assertEquals(await open(at, 1), [B]);
  assertFalse(adapter.clients[0]!.open);
  await engine.close();
});

// Several addresses, and roles

Deno.test("loadBalance chooses the address of a new connection", async () => {
  const expected: [Balance, (addresses: string[]) => boolean][] = [
    ["ordered", (addresses) => addresses.every((address) => address === A)],
    ["random", (addresses) => [A, B, C].every((address) => addresses.includes(address))],
    ["round-robin", (addresses) => addresses.join() === [A, B, C, A, B, C].join()],
    ["least-connections", (addresses) => addresses.join() === [A, B, C, A, B, C].join()],
  ];
  for (const [loadBalance, holds] of expected) {
    using _time = fakeTime();
    const at = setup({ loadBalance, poolSize: 100 });
    at.dns.addresses = [A, B, C];
    const addresses = await open(at, loadBalance === "random" ? 60 : 6);
    assert(holds(addresses), `${loadBalance}: ${addresses}`);
    await at.engine.close();
  }
});

Deno.test('loadBalance "least-connections" counts open connections only', async () => {
  using _time = fakeTime();
  const { engine, dns } = setup({ loadBalance: "least-connections" });
  dns.addresses = [A, B];
  const [a, b, c, d] = await Promise.all([0, 1, 2, 3].map(() => engine.connect()));
  assertEquals([a, b, c, d].map((lease) => lease!.address), [A, B, A, B]);
  b!.invalidate();
  d!.detach();
  const more = [await engine.connect(), await engine.connect()];
  assertEquals(more.map(({ address }) => address), [B, B]);
  for (const lease of [a!, c!, ...more]) await lease.release();
  await engine.close();
});

const PRIMARY: Role = { standby: false, readOnly: false };
const LOCKED: Role = { standby: false, readOnly: true };
const STANDBY: Role = { standby: true, readOnly: true };

Deno.test("targetSessionAttrs chooses the server of a new connection", async () => {
  const expected: [WantedRole, string][] = [
    ["any", A],
    ["read-write", C],
    ["read-only", A],
    ["primary", B],
    ["standby", A],
    ["prefer-standby", A],
  ];
  for (const [targetSessionAttrs, address] of expected) {
    using _time = fakeTime();
    const at = setup({ targetSessionAttrs });
    at.dns.addresses = [A, B, C];
    at.servers.roles.set(A, STANDBY).set(B, LOCKED).set(C, PRIMARY);
    assertEquals(await open(at, 2), [address, address], targetSessionAttrs);
    assertEquals(at.adapter.open.map((client) => client.address), [address, address]);
    await at.engine.close();
  }
});

Deno.test("targetSessionAttrs: the search tries all addresses, asks DNS again, backs off, and ends at poolTimeout", async () => {
  using time = fakeTime();
  const at = setup({ targetSessionAttrs: "read-write", poolTimeout: 4 });
  const { engine, adapter, dns, servers } = at;
  dns.addresses = [A, B];
  dns.ttl = 300;
  servers.roles.set(A, STANDBY).set(B, LOCKED);
  const search = watch(time, engine.connect());
  await time.advance(3.999);
  assertEquals(search.after, undefined);
  await time.advance(0.001);
  assertInstanceOf(search.error, ConnectError);
  const { message, attempts } = search.error;
  assertEquals(
    message,
    'Cannot connect to "db.internal" within 4 seconds: Cannot connect to "db.internal": ' +
      '10.0.0.1:1 said: it is a standby, read-only, and "read-write" is wanted; ' +
      '10.0.0.2:1 said: it is a primary, read-only, and "read-write" is wanted',
  );
  assertEquals(attempts.map(({ address }) => address), [A, B]);
  assertEquals(adapter.open, []);
  // One query at the start, then one for each second of the search.
  assertEquals(dns.questions.length, 1 + 3);
  const begunMs = servers.dials.filter(({ address }) => address === A).map(({ atMs }) => atMs);
  const pauses = begunMs.slice(1).map((ms, i) => ms - begunMs[i]!);
  for (const [i, pauseMs] of pauses.entries()) {
    const mostMs = Math.min(50 * 2 ** i, 250);
    assert(pauseMs >= mostMs / 2 && pauseMs <= mostMs + 1, `pause ${i + 1}: ${pauseMs} ms`);
  }
  assertGreater(pauses.length, 6);
  await engine.close();
});

Deno.test("targetSessionAttrs: the search ends when a server is promoted, or when the name moves to one with the role", async () => {
  using time = fakeTime();
  const at = setup({ targetSessionAttrs: "primary" });
  const { engine, dns, servers } = at;
  servers.roles.set(A, STANDBY).set(B, STANDBY);
  const first = watch(time, engine.connect());
  await time.advance(2);
  servers.roles.set(A, PRIMARY);
  await time.advance(0.501);
  assertEquals(first.value?.address, A);
  servers.roles.set(A, STANDBY);
  const second = watch(time, engine.connect());
  await time.advance(1.5);
  assertEquals(second.after, undefined);
  dns.addresses = [C];
  await time.advance(1);
  assertEquals(second.value?.address, C);
  assertEquals(second.endedMs, dns.askedAtMs.at(-1), "not a moment later than the answer");
  await first.value!.release();
  await second.value!.release();
  await engine.close();
});

Deno.test("targetSessionAttrs: without connectRetry, the search is one round over the addresses", async () => {
  using _time = fakeTime();
  const at = setup({ targetSessionAttrs: "primary", connectRetry: false });
  at.dns.addresses = [A, B];
  at.servers.roles.set(A, STANDBY).set(B, STANDBY);
  const error = await assertRejects(() => at.engine.connect(), ConnectError);
  assertEquals(error.attempts.map(({ address }) => address), [A, B]);
  assertEquals(at.adapter.dials, [A, B]);
  await at.engine.close();
});

// What causes a query before expiry

Deno.test("a broken, refused or read-only connection causes a query at once, whatever the TTL is", async () => {
  const ways: [
    what: string,
    EngineOptions<FakeClient>,
    (at: ReturnType<typeof setup>) => unknown,
  ][] = [
    ["an idle connection dies", {}, ({ adapter }) => adapter.kill(adapter.open[0]!)],
    [
      "a statement fails",
      {},
      ({ engine }) =>
        assertRejects(() =>
          engine.use(() => Promise.reject(driverError("gone", { verdict: "disconnect" })))
        ),
    ],
    [
      "a server is read-only",
      {},
      ({ engine }) =>
        assertRejects(() =>
          engine.use(() => Promise.reject(driverError("25006", { verdict: "read-only" })))
        ),
    ],
    ["a connect is refused", { connectRetry: false, poolRecycle: 5 }, ({ servers, engine }) => {
      servers.set("refusing", A);
      return assertRejects(() => engine.connect(), ConnectError);
    }],
    ["a ping fails", { poolPrePing: true, connectTimeout: 0.1 }, ({ servers, engine }) => {
      servers.set("frozen", A);
      engine.connect({ timeout: 0 }).catch(() => {});
    }],
  ];
  for (const [what, options, happen] of ways) {
    using time = fakeTime();
    const at = setup(options);
    at.dns.ttl = 300;
    await open(at, 1);
    await time.advance(6);
    assertEquals(at.dns.questions.length, 1, what);
    await happen(at);
    await time.advance(0.1);
    assertEquals(at.dns.questions.length, 2, what);
    await abandon(at, time);
  }
});

Deno.test("a broken connection causes a query whose answer is used, although no connection is left", async () => {
  using time = fakeTime();
  const at = setup();
  const { engine, adapter, dns } = at;
  dns.ttl = 300;
  await open(at, 1);
  await time.advance(2);
  dns.addresses = [B];
  dns.delayMs = 20;
  adapter.kill(adapter.open[0]!);
  await time.advance(0.02);
  assertEquals(await open(at, 1), [B]);
  await engine.close();
});

Deno.test("failures cause at most one query per second", async () => {
  using time = fakeTime();
  const at = setup({ poolSize: 50 });
  const { engine, dns } = at;
  dns.ttl = 300;
  await open(at, 1);
  const startMs = time.nowMs;
  for (let i = 0; i < 90; i++) {
    const failing = () => Promise.reject(driverError("gone", { verdict: "disconnect" }));
    await assertRejects(() => engine.use(failing));
    await time.advance(0.05);
  }
  const askedAt = dns.askedAtMs.map((ms) => (ms - startMs) / 1000);
  assertEquals(askedAt, [0, 1, 2, 3, 4]);
  await engine.close();
});

// A departed server and its leases

/** Three calls and a lease on a server at A, which is frozen when the name moves to B. */
async function frozen(time: TestTime, options: EngineOptions<FakeClient> = {}) {
  const at = setup(options);
  const { engine, servers } = at;
  await open(at, 4);
  servers.set("frozen", A);
  const calls = {
    query: watch(time, engine.query("SELECT 1")),
    use: watch(time, engine.use(() => new Promise(() => {}))),
    begin: watch(time, engine.begin(() => new Promise(() => {}))),
  };
  const lease = await engine.connect();
  return { ...at, calls, lease, departed: await move(at, time, B) };
}

Deno.test("a departed server that is silent: its leases are terminated after probeTimeout, calls rejected, signals aborted", async () => {
  using time = fakeTime();
  const terminated: unknown[] = [];
  const { engine, adapter, calls, lease, departed } = await frozen(time, { probeTimeout: 3 });
  engine.addEventListener("terminate", ({ detail }) => terminated.push(detail));
  let abortedMs = 0;
  lease.signal.addEventListener("abort", () => abortedMs = time.nowMs);
  await time.tick(departed + 2999 - time.nowMs);
  assertEquals([calls.query.after, abortedMs], [undefined, 0]);
  await time.advance(0.001);
  assertEquals(abortedMs, departed + 3000);
  const reason = "its address departed, and the server no longer answers";
  for (const { error, after } of Object.values(calls)) {
    assertEquals(after, calls.query.after);
    assertInstanceOf(error, ConnectionLostError);
    assertEquals([error.code, error.address], ["CONNECTION_LOST", A]);
    assertEquals(
      error.message,
      `Lost the connection to ${A}: ${reason}; work under way may or may not have been done`,
    );
  }
  assertInstanceOf(lease.signal.reason, ConnectionLostError);
  assert(lease.released);
  assertEquals(terminated, [{ address: A, reason }]);
  assertEquals(adapter.open, []);
  await lease.release();
  assertEquals(engine.status().inUse, 0);
  assert(balanced(engine.status()));
  await engine.close();
});

Deno.test("hung leases on a departed server do not block new checkouts, even with a poolSize of 1, up to twice the limit", async () => {
  using time = fakeTime();
  const at = setup({ poolSize: 1, maxOverflow: 0, probeTimeout: 60 });
  const { engine, dns, servers } = at;
  servers.set("frozen", B);
  const hung: Lease<unknown>[] = [];
  for (const address of [A, B]) {
    servers.set("up", address);
    dns.addresses = [address];
    await time.advance(10);
    const lease = await engine.connect();
    assertEquals(lease.address, address);
    servers.set("frozen", address);
    hung.push(lease);
  }
  const { inUse, retired } = engine.status();
  assertEquals([inUse, retired], [2, 1]);
  assertEquals(engine.status().byAddress[A], { idle: 0, inUse: 1 });
  servers.set("up", C);
  dns.addresses = [C];
  await time.advance(10);
  const waiting = watch(time, engine.connect());
  await time.advance(5);
  assertEquals([waiting.after, engine.status().size], [undefined, 2]);
  await hung[0]!.release();
  await time.advance(0.1);
  assertEquals(waiting.value?.address, C);
  await abandon(at, time);
});

Deno.test("leases whose address came back count again, and are used on", async () => {
  using time = fakeTime();
  const at = setup({ poolSize: 2, maxOverflow: 1 });
  const { engine, dns, adapter } = at;
  const most = { open: 0 };
  const leases: Lease<unknown>[] = [];
  for (let move = 0; move < 20; move++) {
    dns.addresses = [move % 2 ? B : A];
    await time.advance(10);
    for (let i = 0; i < 3; i++) {
      engine.connect({ timeout: 1 }).then((lease) => leases.push(lease), () => {});
    }
    await time.advance(1);
    most.open = Math.max(most.open, adapter.open.length);
  }
  assertEquals([most.open, leases.length, engine.status().retired], [6, 6, 3]);
  for (const lease of leases) await lease.release();
  const { opened, byAddress } = engine.status();
  assertEquals([opened, byAddress], [6, { [B]: { idle: 2, inUse: 0 } }]);
  await engine.close();
});

Deno.test("a departed server that answers in any way: its leases go on", async () => {
  for (const state of ["up", "refusing", "full"] as const) {
    using time = fakeTime();
    const at = setup();
    const { engine, dns, servers } = at;
    const lease = await engine.connect();
    const used = watch(
      time,
      engine.use(() => new Promise((resolve) => setTimeout(resolve, 60_000))),
    );
    dns.addresses = [B];
    servers.set(state, A);
    await time.advance(60);
    assertFalse(lease.signal.aborted, state);
    assertEquals([used.after, used.error], [60, undefined], state);
    await lease.release();
    assertGreater(servers.dials.filter(({ address }) => address === A).length, 10, "probes go on");
    assertEquals(engine.status().byAddress, {});
    assert(balanced(engine.status()));
    await engine.close();
  }
});

Deno.test("a departed server that becomes silent or unreachable later: its leases are terminated", async () => {
  for (const [state, within] of [["frozen", 7], ["unreachable", 5]] as const) {
    using time = fakeTime();
    const { engine, dns, servers } = setup();
    const lease = await engine.connect();
    dns.addresses = [B];
    await time.advance(20);
    assertFalse(lease.signal.aborted);
    servers.set(state, A);
    await time.advance(within);
    assert(lease.signal.aborted, state);
    await engine.close();
  }
});

Deno.test("retireGrace terminates leases on a live departed server, and no others", async () => {
  using time = fakeTime();
  const at = setup({ retireGrace: 5 });
  const { engine } = at;
  const old = await engine.connect();
  const call = watch(time, engine.use(() => new Promise(() => {})));
  const departed = await move(at, time, B);
  const fresh = await engine.connect();
  await time.tick(departed + 4999 - time.nowMs);
  assertFalse(old.signal.aborted);
  await time.advance(0.001);
  assertInstanceOf(old.signal.reason, ConnectionLostError);
  assertStringIncludes(old.signal.reason.message, "its address departed 5 seconds ago");
  assertEquals(call.error?.constructor, ConnectionLostError);
  await time.advance(60);
  assertFalse(fresh.signal.aborted);
  await fresh.release();
  assert(balanced(engine.status()));
  await engine.close();
});

Deno.test("retireGrace is half a second by default where the server must take writes, and has no limit elsewhere", async () => {
  using time = fakeTime();
  const limited = ["read-write", "primary"];
  for (const targetSessionAttrs of [...limited, "any", "read-only", "prefer-standby"] as const) {
    const at = setup({ targetSessionAttrs } as EngineOptions<FakeClient>);
    const role = { standby: false, readOnly: targetSessionAttrs === "read-only" };
    at.adapter.behavior.role = () => role;
    const lease = await at.engine.connect();
    const departed = await move(at, time, B);
    await time.tick(departed + 499 - time.nowMs);
    assertFalse(lease.signal.aborted);
    await time.advance(0.001);
    assertEquals(lease.signal.aborted, limited.includes(targetSessionAttrs), targetSessionAttrs);
    await time.advance(600);
    assertEquals(lease.signal.aborted, limited.includes(targetSessionAttrs), targetSessionAttrs);
    await lease.release();
    await at.engine.close();
  }
});

Deno.test("leases of a disposed pool are terminated if their departed server is silent", async () => {
  using time = fakeTime();
  const { engine, dns, servers } = setup({ leaseProbeAfter: 3 });
  const departs = await engine.connect();
  await engine.dispose();
  dns.addresses = [B];
  servers.set("frozen", A);
  await time.advance(12);
  assert(departs.signal.aborted);
  const hangs = await engine.connect();
  await engine.dispose();
  servers.set("frozen", B);
  await time.advance(6);
  assert(hangs.signal.aborted);
  await engine.close();
});

Deno.test("leaseProbeAfter: long leases and idle connections of a silent server are terminated although no address departed", async () => {
  using time = fakeTime();
  const at = setup({ leaseProbeAfter: 4, poolTimeout: 1 });
  const { engine, adapter, dns, servers } = at;
  dns.ttl = 300;
  await open(at, 3);
  const lease = await engine.connect();
  const call = watch(time, engine.query("SELECT 1"));
  await time.advance(30);
  assertEquals(call.value, [{ address: A }]);
  assertFalse(lease.signal.aborted, "a server that answers is left alone");
  servers.set("frozen", A);
  const hung = watch(time, engine.query("SELECT 1"));
  await time.advance(7);
  assertInstanceOf(lease.signal.reason, ConnectionLostError);
  assertStringIncludes(lease.signal.reason.message, "the server no longer answers");
  assertInstanceOf(hung.error, ConnectionLostError);
  assertEquals(adapter.open, []);
  assertEquals(dns.questions.length, 2, "and DNS is asked");
  assert(balanced(engine.status()));
  await engine.close();
});

Deno.test("leaseProbeAfter: a ping that a silent server does not answer takes no longer than a lease", async () => {
  using time = fakeTime();
  const at = setup({ leaseProbeAfter: 4, connectTimeout: 60, poolPrePing: true });
  const { engine, dns, servers } = at;
  dns.addresses = [A, B];
  await open(at, 2);
  servers.set("frozen", A);
  const calls = [1, 2].map(() => watch(time, engine.query("SELECT 1")));
  await time.advance(7);
  assertEquals(calls.map(({ value }) => value), [[{ address: B }], [{ address: B }]]);
  assertEquals(engine.status().byAddress[A], undefined);
  assert(balanced(engine.status()));
  await engine.close();
});

Deno.test("leaseProbeAfter is off by default", async () => {
  using time = fakeTime();
  const at = setup();
  const { engine, servers } = at;
  const lease = await engine.connect();
  servers.set("frozen", A);
  await time.advance(600);
  assertFalse(lease.signal.aborted);
  assertEquals(servers.dials.length, 1);
  await abandon(at, time);
});

Deno.test("Engine.close() aborts a probe, and terminates a connection that it opens later", async () => {
  using time = fakeTime();
  const at = setup({ probeTimeout: 30 });
  const { engine, adapter, servers } = at;
  const lease = await engine.connect();
  servers.connectMs = 5000;
  await move(at, time, B);
  assertEquals(servers.connecting, 1);
  await Promise.all([engine.close(), lease.release()]);
  await time.settle();
  assertEquals([servers.connecting, adapter.open.length], [0, 0]);
});

// Between the connect and the checkout

Deno.test("a server that closes connections while their hooks run is retried with pauses, and none of them is handed out", async () => {
  using time = fakeTime();
  let closes = false;
  const at = setup({
    hooks: {
      async connect({ client }) {
        if (closes) at.adapter.kill(client);
        await new Promise((resolve) => setTimeout(resolve, 10));
      },
    },
  });
  const { engine, adapter, dns } = at;
  const first = watch(time, engine.connect());
  await time.advance(2);
  const asked = dns.questions.length;
  closes = true;
  const second = watch(time, engine.connect());
  await time.advance(1);
  assertEquals(second.after, undefined);
  assertEquals(adapter.open.map(({ id }) => id), [1]);
  assertLess(adapter.dials.length, 10, "no storm");
  assertGreater(dns.questions.length, asked, "and DNS is asked");
  closes = false;
  await time.advance(0.6);
  assertEquals(second.value?.client.open, true);
  await Promise.all([first.value!.release(), second.value!.release()]);
  assert(balanced(engine.status()));
  await engine.close();
});

Deno.test("a checkout ends although each resolution takes longer than its TTL", async () => {
  using time = fakeTime();
  const at = setup({ poolPrePing: true });
  const { engine, adapter, dns } = at;
  dns.ttl = 0;
  dns.delayMs = 400;
  const first = watch(time, engine.connect());
  await time.advance(1);
  await first.value!.release();
  await time.advance(60);
  const second = watch(time, engine.connect());
  await time.advance(1);
  assertEquals(second.value?.client.log, ["ping"]);
  assertEquals(adapter.clients.length, 1);
  await second.value!.release();
  await engine.close();
});

Deno.test("a checkout that is aborted while it waits for an answer after the ping gives the connection back at once", async () => {
  using time = fakeTime();
  const at = setup({ poolPrePing: true, dnsRefresh: "on-demand" });
  const { engine, dns, servers } = at;
  await open(at, 1);
  await time.advance(9.9);
  servers.queryMs = 200;
  dns.delayMs = 5000;
  const controller = new AbortController();
  const checkout = watch(time, engine.connect({ signal: controller.signal }));
  await time.advance(1);
  assertEquals([checkout.after, dns.running], [undefined, 1]);
  controller.abort(new Error("enough"));
  await time.settle();
  assertEquals((checkout.error as Error).message, "enough");
  assertEquals([engine.status().idle, dns.running], [1, 0]);
  await engine.close();
});

Deno.test("a ping that takes longer than the TTL is followed by a new answer before the checkout", async () => {
  using time = fakeTime();
  const at = setup({ poolPrePing: true, dnsRefresh: "on-demand" });
  const { engine, dns, servers } = at;
  await open(at, 1);
  await time.advance(9.9);
  servers.queryMs = 200;
  dns.addresses = [B];
  const { signal } = new AbortController();
  const listeners = countListeners(signal);
  const checkout = watch(time, engine.connect({ signal }));
  await time.advance(0.1);
  assertEquals(listeners(), 1);
  await time.advance(0.1);
  assertEquals([checkout.value?.address, listeners()], [B, 0]);
  await checkout.value!.release();
  await engine.close();
});

Deno.test("a checkout that begins when another one stops waiting for an answer is served", async () => {
  using time = fakeTime();
  const at = setup();
  const { engine, dns } = at;
  dns.delayMs = 1000;
  const controller = new AbortController();
  const first = watch(time, engine.connect({ signal: controller.signal }));
  await time.advance(0.5);
  controller.abort();
  const second = watch(time, engine.connect());
  await time.advance(1);
  assertInstanceOf(first.error, DOMException);
  assertEquals(second.value?.address, A);
  await second.value!.release();
  await engine.close();
});

Deno.test("connections above poolSize for which there is no waiter without an answer are closed", async () => {
  using time = fakeTime();
  const at = setup({ poolSize: 1, maxOverflow: 1, dnsRefresh: "on-demand", dnsGraceTtl: 0 });
  const { engine, dns } = at;
  const [a, b] = [await engine.connect(), await engine.connect()];
  await time.advance(10);
  dns.delayMs = 1000;
  dns.failure = "negative";
  const waiter = watch(time, engine.connect());
  await Promise.all([a.release(), b.release()]);
  assertEquals(engine.status().idle, 2);
  await time.advance(12);
  assertInstanceOf(waiter.error, ResolveError);
  assertEquals(engine.status().idle, 1);
  assert(balanced(engine.status()));
  await engine.close();
});

Deno.test("a ping that fails after Engine.close() causes no query", async () => {
  using time = fakeTime();
  const at = setup({ poolPrePing: true });
  const { engine, dns, servers } = at;
  await open(at, 1);
  servers.set("frozen", A);
  const checkout = watch(time, engine.connect());
  await time.advance(2);
  await abandon(at, time);
  assertInstanceOf(checkout.error, PoolClosedError);
  await time.advance(30);
  assertEquals(dns.questions.length, 1);
});

Deno.test("a hook that calls Engine.dispose() during Engine.close() does not create a new pool", async () => {
  using _time = fakeTime();
  let again: Promise<void> | undefined;
  const at = setup({ hooks: { close: () => void (again ??= at.engine.dispose()) } });
  await open(at, 1);
  await at.engine.close();
  await again;
  await assertRejects(() => at.engine.connect(), PoolClosedError, "the engine is closed");
  assertEquals(at.adapter.dials, [A]);
});

// Many checkouts at once, and an outage

Deno.test("many checkouts at once open connectConcurrency connections at a time", async () => {
  for (const [connectConcurrency, most] of [[undefined, 4], [1, 1], [7, 7]] as const) {
    using time = fakeTime();
    const at = setup({
      poolSize: 20,
      maxOverflow: 0,
      ...(connectConcurrency && { connectConcurrency }),
    });
    at.servers.connectMs = 100;
    const calls = Array.from(
      { length: 50 },
      () => watch(time, at.engine.use(() => new Promise((resolve) => setTimeout(resolve, 1000)))),
    );
    let mostConnecting = 0;
    for (let i = 0; i < 300; i++) {
      mostConnecting = Math.max(mostConnecting, at.engine.status().connecting);
      await time.advance(0.05);
    }
    assertEquals([at.servers.maxConnecting, mostConnecting], [most, most]);
    assert(calls.every(({ after, error }) => after !== undefined && error === undefined));
    await at.engine.close();
  }
});

Deno.test("in a spike, released connections serve the oldest waiters while others open, so that few are opened", async () => {
  using time = fakeTime();
  const at = setup({ poolSize: 50, maxOverflow: 0 });
  const { engine, servers } = at;
  servers.connectMs = 150;
  servers.queryMs = 2;
  const order: number[] = [];
  const calls = Array.from(
    { length: 50 },
    (_, i) => watch(time, engine.query("SELECT 1").then(() => order.push(i))),
  );
  await time.advance(1);
  assert(calls.every(({ error }) => error === undefined));
  assertEquals(order, calls.map((_, i) => i));
  // HikariCP's spike test: the first four serve all fifty in 26 ms, when four more were being opened.
  assertEquals(engine.status().opened, 8);
  assertLess(Math.max(...calls.map(({ after }) => after!)), 0.2);
  await engine.close();
});

/** Workers that make one call after the other, with a pause in between. */
function busy(time: TestTime, { engine }: FakeEngine, count: number) {
  const seen = {
    failed: [] as { atMs: number; error: unknown }[],
    /** Time and address of each worker's last successful call. */
    lastMs: new Array<number>(count).fill(-1),
    addresses: new Set<unknown>(),
    stop: false,
    ended: undefined as unknown as Promise<unknown>,
  };
  const work = async (worker: number) => {
    while (!seen.stop) {
      try {
        const [row] = await engine.query("SELECT 1");
        seen.lastMs[worker] = time.nowMs;
        seen.addresses.add((row as { address: string }).address);
      } catch (error) {
        seen.failed.push({ atMs: time.nowMs, error });
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  seen.ended = Promise.all(Array.from({ length: count }, (_, worker) => work(worker)));
  return seen;
}

Deno.test("an outage of 5 seconds fails the calls under way of 64 workers, and the other calls wait", async () => {
  using time = fakeTime();
  const at = setup();
  const { engine, adapter, servers } = at;
  servers.connectMs = 7;
  servers.queryMs = 20;
  const seen = busy(time, at, 64);
  await time.advance(2);
  const { inFlight } = servers;
  assertEquals(inFlight, 15);
  servers.maxConnecting = servers.dials.length = 0;
  servers.kill(adapter, A);
  const killedMs = time.nowMs;
  await time.advance(5);
  assertEquals(seen.failed.length, inFlight);
  assert(seen.failed.every(({ atMs }) => atMs === killedMs));
  assertEquals(servers.maxConnecting, 1);
  const begun = servers.dials.map(({ atMs }) => atMs);
  const pauses = begun.slice(1).map((ms, i) => ms - begun[i]! - servers.connectMs);
  for (const [i, pauseMs] of pauses.entries()) {
    const mostMs = Math.min(50 * 2 ** i, 500);
    assert(pauseMs >= mostMs / 2 && pauseMs <= mostMs + 1, `pause ${i + 1}: ${pauseMs} ms`);
  }
  assertGreater(new Set(pauses).size, pauses.length / 2, "they are jittered");
  servers.set("up", A);
  const backMs = time.nowMs;
  await time.advance(1);
  assertEquals(seen.failed.length, inFlight);
  assert(seen.lastMs.every((ms) => ms > backMs), "every worker is served within a second");
  seen.stop = true;
  await time.advance(1);
  await seen.ended;
  assert(balanced(engine.status()));
  await engine.close();
});

Deno.test("an outage ends at once when the address changes, also for a connect that hangs on the old one", async () => {
  for (const state of ["refusing", "frozen"] as const) {
    using time = fakeTime();
    const at = setup();
    const { adapter, dns, engine, servers } = at;
    dns.ttl = 1;
    servers.connectMs = 7;
    servers.queryMs = 2;
    const seen = busy(time, at, 64);
    await time.advance(2);
    servers.kill(adapter, A);
    servers.set(state, A);
    await time.settle();
    const failed = seen.failed.length;
    await time.advance(4.3);
    let changedMs = 0;
    engine.addEventListener("addresschange", () => changedMs = time.nowMs);
    dns.addresses = [B];
    await time.advance(1);
    assertGreater(changedMs, 0);
    await time.advance(Math.max(0, (changedMs + 300 - time.nowMs) / 1000));
    const firstOnB = servers.dials.find(({ address }) => address === B)!.atMs;
    assertEquals(firstOnB, changedMs, `${state}: dialed at once`);
    assert(seen.lastMs.every((ms) => ms >= changedMs), `${state}: every worker is served`);
    assertEquals(seen.failed.length, failed);
    seen.stop = true;
    await time.advance(1);
    await seen.ended;
    await engine.close();
  }
});

Deno.test("while a connect hangs and no connection is open, the answer is kept fresh, and the connect goes to the new address", async () => {
  using time = fakeTime();
  const at = setup();
  at.dns.ttl = 1;
  at.servers.set("frozen", A);
  const checkout = watch(time, at.engine.connect());
  await time.advance(2);
  const movedMs = await move(at, time, B);
  assertEquals(checkout.endedMs, movedMs);
  assertEquals(checkout.value?.address, B);
  await checkout.value!.release();
  await at.engine.close();
});

Deno.test("during an outage of DNS, no checkout fails in grace", async () => {
  for (const dnsRefresh of ["ahead", "on-demand"] as const) {
    for (const delayMs of [0, 60_000]) {
      using time = fakeTime();
      const at = setup({ dnsRefresh, dnsTimeout: 2, poolSize: 8 });
      const { engine, dns } = at;
      dns.ttl = 5;
      const errors: unknown[] = [];
      engine.addEventListener("lookuperror", ({ detail }) => errors.push(detail.error));
      const seen = busy(time, at, 8);
      await time.advance(7);
      dns.failure = "transient";
      dns.delayMs = delayMs;
      await time.advance(60);
      assertEquals(seen.failed.slice(0, 2), [], `${dnsRefresh}, ${delayMs} ms`);
      assert(seen.lastMs.every((ms) => ms > time.nowMs - 3000), "and no checkout waits for long");
      assertGreater(errors.length, 0, "it is reported");
      assertEquals(engine.status().closed, 0);
      dns.failure = undefined;
      dns.delayMs = 0;
      dns.addresses = [B];
      await time.advance(6);
      await time.advance(3);
      seen.addresses.clear();
      await time.advance(1);
      assertEquals([...seen.addresses], [B]);
      seen.stop = true;
      await time.advance(1);
      await seen.ended;
      await engine.close();
    }
  }
});

Deno.test("Engine.status() returns the state of the answer: none, fresh, expired, in grace, fresh again", async () => {
  using time = fakeTime();
  const { engine, dns } = setup({ dnsRefresh: "on-demand", dnsTimeout: 2, dnsGraceTtl: 30 });
  const states: unknown[] = [];
  const note = () => states.push(engine.status().answer);
  const use = () => engine.use(() => {});
  note();
  await use();
  await time.advance(4);
  note();
  await time.advance(8);
  note();
  dns.failure = "transient";
  const used = use();
  await time.advance(2);
  await used;
  note();
  await time.advance(40);
  dns.failure = undefined;
  await use();
  note();
  const [ok, failed] = [{ inGrace: false, failures: 0 }, { inGrace: true, failures: 1 }];
  assertEquals(states, [
    { addresses: [], age: undefined, freshFor: -Infinity, ...ok },
    { addresses: [A], age: 4, freshFor: 6, ...ok },
    { addresses: [A], age: 12, freshFor: -2, ...ok },
    { addresses: [A], age: 14, freshFor: -4, ...failed },
    { addresses: [A], age: 0, freshFor: 1, ...ok },
  ]);
  await engine.close();
});

Deno.test("Engine.status() rounds ages to milliseconds", async () => {
  using time = fakeTime();
  const { engine } = setup({ dnsRefresh: "on-demand" });
  await engine.use(() => {});
  await time.tick(1234.4);
  const { age, freshFor } = engine.status().answer;
  assertEquals([age, freshFor], [1.234, 8.766]);
  await engine.close();
});

Deno.test("a checkout without an answer rejects with the error of DNS, and the next one asks again", async () => {
  using time = fakeTime();
  const at = setup();
  const { engine, dns } = at;
  dns.failure = "transient";
  const failing = watch(time, engine.connect());
  await time.advance(12);
  assertInstanceOf(failing.error, ResolveError);
  dns.failure = undefined;
  assertEquals(await open(at, 1), [A]);
  assert(balanced(engine.status()));
  await engine.close();
});

Deno.test("a connection whose address departs during its connect hook is terminated", async () => {
  using time = fakeTime();
  let slow = 0;
  const at = setup({
    hooks: {
      connect: () => slow ? new Promise<void>((resolve) => setTimeout(resolve, slow)) : undefined,
    },
  });
  const { engine, adapter } = at;
  const holder = await engine.connect();
  await time.advance(8);
  slow = 5000;
  const waiting = watch(time, engine.connect());
  await move(at, time, B);
  slow = 0;
  await time.advance(5);
  assertEquals(waiting.value?.address, B);
  // The connection that came too late, and the probes of the departed server.
  const gone = adapter.clients.filter(({ address, open }) => address === A && !open);
  assertEquals(new Set(gone.map(({ log }) => log.join())), new Set(["terminate", "close"]));
  await waiting.value!.release();
  await holder.release();
  assert(balanced(engine.status()));
  await engine.close();
});

Deno.test("while a server is failing, one connect at a time is tried, with pauses; when it is back, all at once", async () => {
  using time = fakeTime();
  let [down, running, most] = [false, 0, 0];
  const { engine } = fakeEngine({
    poolSize: 4,
    connectConcurrency: 4,
    poolTimeout: 20,
    dnsMaxTtl: 60,
  }, {
    async connect() {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 100));
      running--;
      if (down) throw Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
    },
  });
  const held = engine.connect();
  await time.advance(0.1);
  down = true;
  const waiting = Array.from({ length: 4 }, () => engine.connect());
  await time.advance(0.1);
  assertEquals(most, 4);
  most = 0;
  await time.advance(10);
  assertEquals(most, 1);
  down = false;
  await time.advance(2);
  assertEquals(most, 4 - 1);
  for (const lease of [held, ...waiting]) await (await lease).release();
  await engine.close();
});

Deno.test("a new address ends the pause between connects, although none was removed", async () => {
  using time = fakeTime();
  const at = setup({ poolTimeout: 20 });
  const { engine, servers, dns, adapter } = at;
  const holder = await engine.connect();
  servers.set("refusing", A);
  const waiting = engine.connect();
  await time.advance(1);
  dns.addresses = [A, B];
  let dialedMs: number | undefined;
  let changedMs: number | undefined;
  engine.addEventListener("addresschange", () => changedMs = time.nowMs);
  while (dialedMs === undefined) {
    await time.tick(1);
    if (adapter.dials.includes(B)) dialedMs = time.nowMs;
  }
  assertEquals(dialedMs, changedMs);
  for (const lease of [holder, await waiting]) await lease.release();
  await engine.close();
});

Deno.test("Engine.close() ends the watch of the name, while other engines go on", async () => {
  using time = fakeTime();
  const at = setup();
  const other = getDnsEngine("fake://app@db.internal/orders", {
    adapter: at.adapter,
    dnsLookup: at.dns,
    dnsFallback: false,
  });
  await open(at, 1);
  await other.use(() => {});
  const heard: string[] = [];
  at.engine.addEventListener("addresschange", () => heard.push("closed"));
  other.addEventListener("addresschange", () => heard.push("open"));
  await at.engine.close();
  at.dns.addresses = [B];
  await time.advance(10);
  assertEquals(heard, ["open"]);
  await other.close();
});

Deno.test("retireGrace counts for each lease from when its address departed last", async () => {
  using time = fakeTime();
  const at = setup({ retireGrace: 30 });
  const { engine } = at;
  const first = await engine.connect();
  await move(at, time, B);
  const other = await engine.connect();
  await time.advance(20);
  const otherMs = await move(at, time, A);
  await time.advance(15);
  assertFalse(first.signal.aborted, "its address is current again");
  const firstMs = await move(at, time, C);
  while (!other.signal.aborted) await time.tick(50);
  assertLess(Math.abs(time.nowMs - otherMs - 30_000), 100);
  assertFalse(first.signal.aborted);
  while (!first.signal.aborted) await time.tick(50);
  assertLess(Math.abs(time.nowMs - firstMs - 30_000), 100);
  await engine.close();
});

Deno.test("the driver is loaded while the name is resolved for the first time; if that fails, connect() is called all the same", async () => {
  using _time = fakeTime();
  for (const fails of [false, true]) {
    const { promise: asked, resolve: onAsked } = resolvable<void>();
    const { promise: loaded, resolve: onLoaded } = resolvable<void>();
    let loads = 0;
    const env = fakeEngine();
    const engine = getDnsEngine("fake://other.internal/db", {
      dnsFallback: false,
      dnsLookup: {
        name: "fake",
        async lookup() {
          onAsked();
          await loaded; // for ever if nothing is loaded before the answer
          return { addresses: [A], ttl: 10 };
        },
      },
      adapter: {
        ...env.adapter,
        async load() {
          loads++;
          await asked;
          onLoaded();
          if (fails) throw new Error("not installed");
        },
      },
    });
    assertEquals(loads, 0);
    assertEquals(await engine.use(({ address }) => address), A);
    await engine.dispose();
    assertEquals(await engine.use(({ address }) => address), A);
    assertEquals(loads, 1);
    await engine.close();
  }
});
