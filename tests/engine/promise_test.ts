import { assert, assertEquals, assertFalse, assertRejects } from "@std/assert";
import { type AddressChange, getDnsEngine } from "../../mod.ts";
import { fakeAdapter } from "../../testing/mod.ts";
import { balanced, fakeEngine } from "../support/fake_engine.ts";
import { watch } from "../support/checks.ts";
import { fakeTime } from "../support/time.ts";

Deno.test("Lease.address is the address that was dialed, even if the name has moved meanwhile", async () => {
  using time = fakeTime();
  const { engine, adapter, dns } = fakeEngine({}, {
    // The name moves during the connect.
    connect: () => void (dns.addresses = ["10.0.0.2"]),
  });
  const lease = await engine.connect();
  assertEquals(lease.address, "10.0.0.1");
  assertEquals(lease.client.address, "10.0.0.1");
  await lease.release();
  await time.advance(10);
  assertEquals(await engine.use((lease) => [lease.address, lease.client.address]), [
    "10.0.0.2",
    "10.0.0.2",
  ]);
  assertEquals(adapter.dials, ["10.0.0.1", "10.0.0.2"]);
  await engine.close();
});

Deno.test("the next checkout after expiry goes to the new address, and the idle connection is closed", async () => {
  using time = fakeTime();
  const { engine, adapter, dns } = fakeEngine({ dnsRefresh: "on-demand" });
  const changes: AddressChange[] = [];
  engine.addEventListener("addresschange", ({ detail }) => changes.push(detail));
  await engine.use(() => {});
  dns.addresses = ["10.0.0.2"];
  await time.advance(9.999);
  assertEquals(await engine.use((lease) => lease.address), "10.0.0.1");
  await time.advance(0.001);
  assertEquals(await engine.use((lease) => lease.address), "10.0.0.2");
  assertEquals(adapter.clients[0]!.log, ["close"]);
  assertEquals(changes, [{
    added: ["10.0.0.2"],
    removed: ["10.0.0.1"],
    addresses: ["10.0.0.2"],
    ttl: 10,
    source: "dns",
  }]);
  assert(balanced(engine.status()));
  await engine.close();
});

Deno.test('dnsRefresh "ahead": idle connections are closed when the address departs, without a checkout', async () => {
  using time = fakeTime();
  const { engine, adapter, dns } = fakeEngine();
  await engine.use(() => {});
  dns.addresses = ["10.0.0.2"];
  await time.advance(10);
  assertEquals(adapter.open, []);
  assertEquals(engine.status().idle, 0);
  await engine.close();
});

Deno.test("connections in use on a departed address are retired: they go on, and are closed at checkin", async () => {
  using time = fakeTime();
  const { engine, adapter, dns } = fakeEngine({ poolSize: 1, maxOverflow: 0 });
  const retired: unknown[] = [];
  engine.addEventListener("retire", ({ detail }) => retired.push(detail));
  const lease = await engine.connect();
  dns.addresses = ["10.0.0.2"];
  await time.advance(10);
  assertEquals(retired, [{ address: "10.0.0.1", inUse: 1 }]);
  assert(lease.client.open);
  // A retired lease does not count against the limit of one.
  assertEquals(await engine.use((lease) => lease.address), "10.0.0.2");
  await lease.release();
  assertFalse(adapter.clients[0]!.open);
  assertEquals(engine.status().byAddress, { "10.0.0.2": { idle: 1, inUse: 0 } });
  assert(balanced(engine.status()));
  await engine.close();
});

Deno.test('dnsRefresh "on-demand": a checkout after expiry asks although all connections are in use, and waiters get the new address', async () => {
  using time = fakeTime();
  const { engine, dns } = fakeEngine({ dnsRefresh: "on-demand", poolSize: 1, maxOverflow: 0 });
  const lease = await engine.connect();
  const early = engine.use((lease) => lease.address);
  dns.addresses = ["10.0.0.2"];
  await time.advance(10);
  const late = engine.use((lease) => lease.address);
  await time.advance(0);
  assertEquals(await Promise.all([early, late]), ["10.0.0.2", "10.0.0.2"]);
  assertEquals(lease.address, "10.0.0.1");
  await lease.release();
  await engine.close();
});

Deno.test("an answer whose two addresses rotate closes no connection", async () => {
  using time = fakeTime();
  const { engine, adapter, dns } = fakeEngine();
  dns.addresses = ["10.0.0.1", "10.0.0.2"];
  dns.ttl = 1;
  const changes: unknown[] = [];
  engine.addEventListener("addresschange", ({ detail }) => changes.push(detail));
  for (let i = 0; i < 20; i++) {
    await engine.use(() => {});
    await time.advance(1);
    dns.addresses = dns.addresses.toReversed();
  }
  assertEquals(adapter.dials, ["10.0.0.1"]);
  assertEquals(changes, []);
  await engine.close();
});

Deno.test("checkouts after expiry share one query", async () => {
  using time = fakeTime();
  const { engine, dns } = fakeEngine({ dnsRefresh: "on-demand", poolSize: 100 });
  await engine.use(() => {});
  await time.advance(10);
  dns.delayMs = 200;
  const checkouts = Array.from({ length: 50 }, () => engine.connect());
  await time.advance(0.2);
  const leases = await Promise.all(checkouts);
  assertEquals(dns.questions.length, 2);
  for (const lease of leases) await lease.release();
  await engine.close();
});

Deno.test("a checkout asks again after the event loop was blocked past expiry", async () => {
  using time = fakeTime();
  const { engine, dns } = fakeEngine();
  await engine.use(() => {});
  dns.addresses = ["10.0.0.2"];
  time.stall(11);
  assertEquals(await engine.use((lease) => lease.address), "10.0.0.2");
  await engine.close();
});

Deno.test("a step of the wall clock changes nothing", async () => {
  using time = fakeTime();
  const { engine, dns } = fakeEngine({ dnsRefresh: "on-demand" });
  await engine.use(() => {});
  time.step(-3600);
  await time.advance(9.9);
  await engine.use(() => {});
  assertEquals(dns.questions.length, 1);
  await time.advance(0.1);
  await engine.use(() => {});
  assertEquals(dns.questions.length, 2);
  await engine.close();
});

Deno.test("the address is checked when a connection is handed to a waiter, which gets the new one", async () => {
  using time = fakeTime();
  const { engine, dns } = fakeEngine({ poolSize: 1, maxOverflow: 0, dnsRefresh: "on-demand" });
  const holder = await engine.connect();
  const waiter = engine.connect();
  dns.addresses = ["10.0.0.2"];
  await time.advance(10);
  await holder.release();
  const lease = await waiter;
  assertEquals(lease.address, "10.0.0.2");
  await lease.release();
  assert(balanced(engine.status()));
  await engine.close();
});

Deno.test("a connection that opens after its address departed is terminated", async () => {
  using time = fakeTime();
  let arrive!: () => void;
  const gate = new Promise<void>((resolve) => arrive = resolve);
  const { engine, adapter, dns } = fakeEngine({ dnsRefresh: "on-demand", connectTimeout: 60 }, {
    connect: (address) => address === "10.0.0.1" ? gate : undefined,
  });
  const early = engine.connect();
  await time.advance(9.9);
  dns.addresses = ["10.0.0.2"];
  await time.advance(0.1);
  // Another checkout causes the new answer during the first connect; the first checkout is served first.
  const late = engine.connect();
  const first = await early;
  assertEquals(first.address, "10.0.0.2");
  arrive();
  const second = await late;
  assertEquals(second.address, "10.0.0.2");
  await time.settle();
  assertEquals(adapter.dials.slice(0, 2), ["10.0.0.1", "10.0.0.2"]);
  assertEquals(adapter.open.filter(({ address }) => address === "10.0.0.1"), []);
  await Promise.all([first.release(), second.release()]);
  assert(balanced(engine.status()));
  await engine.close();
});

Deno.test("a failed connect frees its place, and the next waiter is served", async () => {
  using time = fakeTime();
  let fail = true;
  const { engine } = fakeEngine({ poolSize: 1, maxOverflow: 0, connectConcurrency: 1 }, {
    async connect() {
      await new Promise((resolve) => setTimeout(resolve, 100));
      if (fail) throw new Error("no room");
    },
  });
  const first = engine.connect();
  const second = engine.connect();
  first.catch(() => fail = false);
  await time.advance(0.2);
  const error = await assertRejects(() => first, Error, 'Cannot connect to "db.internal"');
  assert((error.cause as Error).message === "no room");
  await (await second).release();
  assertEquals(engine.status().idle, 1);
  assert(balanced(engine.status()));
  await engine.close();
});

Deno.test("getDnsEngine() opens no connection and sends no query", async () => {
  const { engine, adapter, dns } = fakeEngine();
  await engine.dispose();
  await engine.close();
  assertEquals(adapter.dials, []);
  assertEquals(dns.questions, []);
});

Deno.test("getDnsEngine() shares answers and queries between engines of one name", async () => {
  using _time = fakeTime();
  const { engine, dns } = fakeEngine();
  const other = fakeEngine({ dnsLookup: dns }).engine;
  await Promise.all([engine.use(() => {}), other.use(() => {})]);
  assertEquals(dns.questions.length, 1);
  await Promise.all([engine.close(), other.close()]);
});

Deno.test("localhost and IP addresses need no DNS; dnsFamily chooses the address of localhost", async () => {
  const hosts = [["LOCALHOST.", "auto", "127.0.0.1"], ["localhost", 6, "::1"], [
    "[::1]",
    4,
    "::1",
  ]] as const;
  for (const [host, dnsFamily, address] of hosts) {
    const adapter = fakeAdapter();
    const engine = getDnsEngine(`fake://${host}/orders`, { adapter, dnsFamily });
    await engine.use(() => {});
    assertEquals(adapter.dials, [address]);
    assertEquals(engine.status().answer.freshFor, Infinity);
    await engine.close();
  }
});

for (const poolClass of ["queue", "null", "static"] as const) {
  for (const [ttl, connectMs] of [[0, 1], [0, 400], [1, 1200]] as const) {
    Deno.test(`a name that alternates is connected to, though a connect takes longer than its TTL: "${poolClass}", TTL ${ttl} s, connect ${connectMs} ms`, async () => {
      using time = fakeTime();
      const connect = () => new Promise<void>((resolve) => setTimeout(resolve, connectMs));
      const env = fakeEngine({ poolClass, dnsMinTtl: connectMs === 1 ? 0 : 0.25 }, { connect });
      env.dns.delayMs = 2;
      env.dns.ttl = ttl;
      env.dns.respond = () => {
        env.dns.addresses = [`10.0.0.${1 + env.dns.questions.length % 2}`];
        return undefined;
      };
      const work = Promise.all(Array.from({ length: 5 }, () => env.engine.use(() => {})));
      const settled = watch(work);
      for (let second = 0; second < 20 && settled.state === "pending"; second++) {
        await time.advance(1);
      }
      assertEquals(settled.state, "fulfilled");
      const closing = env.engine.close();
      await time.advance(15);
      await closing;
    });
  }
}

Deno.test("a name that moves while connects hang: nothing goes to the address that departed, however long callers wait", async () => {
  using time = fakeTime();
  const env = fakeEngine({ poolTimeout: 60, connectTimeout: 20 }, {
    connect: (ip) => ip === "10.0.0.1" ? new Promise(() => {}) : undefined,
  });
  const waiting = watch(env.engine.use((lease) => lease.address));
  await time.advance(3);
  env.dns.addresses = ["10.0.0.2"];
  await time.advance(10);
  assertEquals(waiting.value, "10.0.0.2");
  await env.engine.close();
});
