import { assert, assertEquals, assertFalse } from "@std/assert";
import { clearDnsCache } from "../../resolver.ts";
import { fakeCache, fakeLookup, type Rounding, seeded, viewBy } from "../support/fake_lookup.ts";
import { fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";

Deno.test('dnsRefresh "ahead": with a TTL of 1 s and a server that takes 200 ms, only the first checkout waits for DNS', async () => {
  using time = fakeTime();
  const { engine, dns } = fakeEngine();
  dns.ttl = 1;
  dns.delayMs = 200;
  let waits = 0;
  const untilMs = time.nowMs + 60_000;
  while (time.nowMs < untilMs) {
    let done = false;
    const checkout = engine.use(() => {}).then(() => done = true);
    await time.settle();
    if (!done) {
      waits++;
      await time.tick(200);
    }
    await checkout;
    await time.tick(7);
  }
  assertEquals(waits, 1);
  assertEquals(dns.mostAtOnce, 1);
  assert(dns.questions.length <= 60 * 2.2);
  await engine.close();
});

Deno.test('dnsRefresh "on-demand": one query per TTL, however many callers there are', async () => {
  using time = fakeTime();
  const { engine, dns } = fakeEngine({ dnsRefresh: "on-demand", poolSize: 20 });
  dns.ttl = 1;
  for (let i = 0; i < 600; i++) {
    await Promise.all([1, 2, 3].map(() => engine.use(() => {})));
    await time.tick(50);
  }
  assertEquals(dns.questions.length, 30);
  await engine.close();
});

Deno.test("View.waitUntilFresh() sends one query for 10,000 callers at expiry", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 1);
  const view = viewBy(dns);
  await view.waitUntilFresh();
  await time.advance(1);
  dns.delayMs = 100;
  const callers = Array.from({ length: 10_000 }, () => view.waitUntilFresh());
  await time.advance(0.1);
  await Promise.all(callers);
  assertEquals([dns.questions.length, dns.mostAtOnce], [2, 1]);
});

/** Measures the longest delay from a change to the new answer, less the TTL and the time of an uncached lookup. */
async function latest(ttl: number, rounding: Rounding, seed: number) {
  using time = fakeTime();
  const random = seeded(seed);
  const real = Math.random;
  Math.random = random;
  try {
    const [latencyMs, fetchMs] = [10, 40];
    await time.tick(Math.floor(random() * 1000));
    let address = "10.0.0.1";
    const authority = { ttl, address: () => address };
    const cache = fakeCache(authority, rounding, fetchMs);
    const dns = fakeLookup([], ttl);
    dns.respond = async () => {
      const { address, ttl, readyMs } = cache.ask(time.nowMs);
      await new Promise((resolve) => setTimeout(resolve, readyMs - time.nowMs + latencyMs));
      return { addresses: [address], ttl };
    };
    const view = viewBy(dns);
    const first = view.waitUntilFresh();
    await time.tick(latencyMs + fetchMs);
    await first;
    const leave = view.keepFresh();
    let changedMs = 0;
    let worstMs = -Infinity;
    const unwatch = view.watch({
      onChange: () => worstMs = Math.max(worstMs, time.nowMs - changedMs),
    });
    for (let n = 2; n < 10; n++) {
      await time.tick(Math.floor((1 + random()) * ttl * 1000));
      changedMs = time.nowMs;
      address = `10.0.0.${n}`;
      await time.tick(Math.ceil((ttl + 0.3) * 1000 + latencyMs + 2 * fetchMs));
      assertEquals(view.addresses, [address], `TTL ${ttl}, ${rounding}, seed ${seed}`);
    }
    leave();
    unwatch();
    const gaps = dns.askedAtMs.slice(1).map((atMs, index) => atMs - dns.askedAtMs[index]!);
    const ttls = (dns.askedAtMs.at(-1)! - dns.askedAtMs[0]!) / 1000 / ttl;
    return {
      lateMs: worstMs - ttl * 1000 - latencyMs - fetchMs,
      gapMs: Math.min(...gaps),
      perTtl: dns.askedAtMs.length / ttls,
    };
  } finally {
    Math.random = real;
  }
}

for (const ttl of [1, 2, 5, 30]) {
  for (const rounding of ["none", "floor", "ceil", "second-arithmetic"] as const) {
    Deno.test(`View.keepFresh() with TTL ${ttl} and a cache that rounds "${rounding}" notices a change within TTL + 0.3 s`, async () => {
      for (let seed = 1; seed <= 25; seed++) {
        const { lateMs, gapMs, perTtl } = await latest(ttl, rounding, seed);
        const where = `seed ${seed}: ${lateMs} ms late, gap ${gapMs} ms, ${perTtl} for each TTL`;
        assert(lateMs <= 300, where);
        assert(gapMs >= 250, where);
        assert(perTtl <= 9, where);
      }
    });
  }
}

Deno.test("View.keepFresh(): when the last caller ends it, no query is sent, and the answer expires", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 1);
  const view = viewBy(dns);
  await view.waitUntilFresh();
  const leave = view.keepFresh();
  const another = view.keepFresh();
  await time.advance(10);
  leave();
  leave();
  const asked = dns.questions.length;
  await time.advance(10);
  assert(dns.questions.length > asked);
  assert(view.isFresh(time.nowMs));
  another();
  const asked2 = dns.questions.length;
  await time.advance(10);
  assertEquals(dns.questions.length, asked2);
  assertFalse(view.isFresh(time.nowMs));
});

Deno.test("View.isFresh() goes by the clock, not by timers, after the event loop was blocked", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 1);
  const view = viewBy(dns);
  await view.waitUntilFresh();
  const leave = view.keepFresh();
  time.stall(0.999);
  assert(view.isFresh(time.nowMs));
  time.stall(0.001);
  assertFalse(view.isFresh(time.nowMs));
  await time.advance(0.01);
  assert(view.isFresh(time.nowMs));
  leave();
});

Deno.test("View: an answer expires while the machine sleeps, and no wall clock that is set back keeps it", async () => {
  for (const kept of [true, false]) {
    using time = fakeTime();
    const dns = fakeLookup(["10.0.0.1"], 10);
    const view = viewBy(dns, { dnsMaxTtl: 10 });
    await view.waitUntilFresh();
    const leave = kept ? view.keepFresh() : () => {};
    time.step(-7200);
    await time.advance(1);
    assert(view.isFresh());
    const asked = dns.questions.length;
    assertEquals(asked, 1);
    dns.addresses = ["10.0.0.2"];
    time.step(600);
    assertFalse(view.isFresh());
    await view.waitUntilFresh();
    assertEquals([view.addresses, dns.questions.length], [["10.0.0.2"], asked + 1]);
    assertEquals(view.status().age, 0);
    // A blocked loop, in which the clock was set back as well: no timer has run.
    time.step(-30);
    time.stall(20);
    assertFalse(view.isFresh());
    leave();
  }
});

Deno.test("View: an answer that was asked for before a sleep and comes after it has expired", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 10);
  dns.delayMs = 100;
  const view = viewBy(dns);
  const waiting = view.waitUntilFresh();
  await time.settle();
  time.step(600);
  await time.advance(0.1);
  await waiting;
  assertFalse(view.isFresh());
});

Deno.test("View.refresh() asks at once, but at most once a second per name", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 300);
  const view = viewBy(dns);
  const other = viewBy(dns, { dnsMaxTtl: 60 });
  await view.waitUntilFresh();
  const leaves = [view.keepFresh(), other.keepFresh()];
  await time.advance(1);
  await Promise.all([view.refresh(), other.refresh(), view.refresh()]);
  assertEquals(dns.questions.length, 2);
  for (let i = 0; i < 9; i++) {
    await time.advance(0.1);
    await Promise.all([view.refresh(), other.refresh()]);
  }
  assertEquals(dns.questions.length, 2);
  await time.advance(0.1);
  assertEquals(dns.questions.length, 3);
  await time.advance(10);
  assertEquals(dns.questions.length, 3);
  for (const leave of leaves) leave();
});

Deno.test("View.refresh() waits for the query under way, and starts no other", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 300);
  dns.delayMs = 500;
  const view = viewBy(dns);
  const caller = view.waitUntilFresh();
  await time.advance(0.1);
  let settled = false;
  const refreshed = view.refresh().then(() => settled = true);
  await time.advance(0.399);
  assertFalse(settled);
  await time.advance(0.001);
  await Promise.all([caller, refreshed]);
  await time.advance(10);
  assert(view.isFresh(time.nowMs));
  assertEquals(dns.questions.length, 1);
});

Deno.test("View.refresh() within a second of the last query lets an answer that is not kept fresh expire after that second", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 300);
  const view = viewBy(dns);
  await view.waitUntilFresh();
  await time.advance(0.4);
  dns.addresses = ["10.0.0.2"];
  await view.refresh();
  await time.advance(0.599);
  assert(view.isFresh(time.nowMs));
  await time.advance(0.001);
  assertFalse(view.isFresh(time.nowMs));
  assertEquals(dns.questions.length, 1);
  await view.waitUntilFresh();
  assertEquals(view.addresses, ["10.0.0.2"]);
  await time.advance(299);
  assert(view.isFresh(time.nowMs));
});

Deno.test("View.refresh(): a postponed call still has its effect after the last caller of keepFresh() has ended it", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 300);
  const view = viewBy(dns);
  await view.waitUntilFresh();
  await time.advance(0.4);
  const leave = view.keepFresh();
  await view.refresh();
  leave();
  await time.advance(0.6);
  assertFalse(view.isFresh(time.nowMs));
});

Deno.test("View.refresh() for a lost connection goes on if that was the last connection", async () => {
  using time = fakeTime();
  const { engine, adapter, dns } = fakeEngine();
  dns.ttl = 300;
  await engine.use(() => {});
  await time.advance(60);
  dns.addresses = ["10.0.0.2"];
  dns.delayMs = 100;
  adapter.kill(adapter.clients[0]!);
  assertEquals(adapter.open, []);
  await time.advance(0.1);
  assertEquals(viewBy(dns).addresses, ["10.0.0.2"]);
  await engine.close();
});

Deno.test("Engine.close() cancels a query that no caller waits for", async () => {
  using time = fakeTime();
  const { engine, dns } = fakeEngine();
  dns.ttl = 1;
  await engine.use(() => {});
  dns.delayMs = 60_000;
  await time.advance(2);
  assertEquals(dns.running, 1);
  await engine.close();
  await time.settle();
  assertEquals(dns.running, 0);
});

Deno.test("clearDnsCache(): an answer that is kept fresh is queried at once, and a change is reported as one", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 300);
  const view = viewBy(dns);
  await view.waitUntilFresh();
  const leave = view.keepFresh();
  const changes: unknown[] = [];
  const unwatch = view.watch({
    onChange: ({ added, removed }) => changes.push({ added, removed }),
  });
  dns.addresses = ["10.0.0.2"];
  clearDnsCache();
  assertFalse(view.isFresh(time.nowMs));
  await time.advance(0);
  assert(view.isFresh(time.nowMs));
  assertEquals(changes, [{ added: ["10.0.0.2"], removed: ["10.0.0.1"] }]);
  clearDnsCache();
  await time.advance(0);
  assertEquals(changes.length, 1);
  leave();
  unwatch();
});

Deno.test("View: an answer with a TTL and a dnsMinTtl of 0 is used by the callers that waited for it", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 0);
  dns.delayMs = 100;
  const view = viewBy(dns, { dnsMinTtl: 0 });
  const callers = [view.waitUntilFresh(), view.waitUntilFresh()];
  await time.advance(0.1);
  await Promise.all(callers);
  assertEquals(view.addresses, ["10.0.0.1"]);
  assertFalse(view.isFresh(time.nowMs));
  assertEquals(dns.questions.length, 1);
});
