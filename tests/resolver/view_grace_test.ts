import { assert, assertEquals, assertFalse, assertRejects } from "@std/assert";
import { ResolveError } from "../../errors.ts";
import { clearDnsCache, type View } from "../../resolver.ts";
import { type FakeLookup, fakeLookup, viewBy } from "../support/fake_lookup.ts";
import { fakeTime, type TestTime } from "../support/time.ts";

/** Waits for an answer; returns the number of seconds, and the address if there is one. */
async function call(
  time: TestTime,
  view: View,
): Promise<{ seconds: number; address: string | undefined }> {
  const startMs = time.nowMs;
  let settled = view.isFresh(startMs);
  let ok = settled;
  if (!settled) {
    view.waitUntilFresh().then(() => ok = true, () => {}).finally(() => settled = true);
    await time.settle();
    while (!settled) await time.tick(5);
  }
  const seconds = Math.round((time.nowMs - startMs) / 100) / 10;
  return { seconds, address: ok ? view.addresses[0] : undefined };
}

/** A view with the fresh answer 10.0.0.1 for 10 seconds, whose server fails from now on. */
async function failing(
  options: Parameters<typeof viewBy>[1] = {},
  kind: FakeLookup["failure"] = "transient",
): Promise<{ dns: FakeLookup; view: View }> {
  const dns = fakeLookup(["10.0.0.1"], 10);
  const view = viewBy(dns, { dnsMaxRetries: 1, ...options });
  await view.waitUntilFresh();
  dns.failure = kind;
  return { dns, view };
}

for (const kind of ["transient", "ambiguous", "negative", "config"] as const) {
  Deno.test(`View: if resolution fails (${kind}), the stale answer is used for dnsGraceTtl without a wait`, async () => {
    using time = fakeTime();
    const { view } = await failing({}, kind);
    await time.advance(10);
    assertEquals(await call(time, view), { seconds: 0, address: "10.0.0.1" });
    await time.advance(29.9);
    assert(view.isFresh(time.nowMs));
    await time.advance(0.1);
    assertFalse(view.isFresh(time.nowMs));
  });
}

Deno.test("View: grace begins when a slow failure is known, not before", async () => {
  using time = fakeTime();
  const { dns, view } = await failing({ dnsTimeout: 1.5 });
  dns.delayMs = 3_600_000;
  await time.advance(10);
  assertEquals(await call(time, view), { seconds: 1.5, address: "10.0.0.1" });
  await time.advance(29.9);
  assert(view.isFresh(time.nowMs));
  await time.advance(0.1);
  assertFalse(view.isFresh(time.nowMs));
});

Deno.test("View: while DNS is silent, the stale answer is used after 1.8 seconds, and the query goes on until dnsTimeout", async () => {
  for (const kept of [true, false]) {
    using time = fakeTime();
    const { dns, view } = await failing({ dnsTimeout: 8 });
    const leave = kept ? view.keepFresh() : () => {};
    const errors: unknown[] = [];
    const unwatch = view.watch({ onError: (error) => errors.push(error) });
    dns.delayMs = 3_600_000;
    await time.advance(10);
    const askedMs = kept ? dns.askedAtMs.at(-1)! : time.nowMs;
    // A query was sent ahead of expiry: until it may be lost, no caller waits for it.
    if (kept) assertEquals(await call(time, view), { seconds: 0, address: "10.0.0.1" });
    if (kept) await time.advance(1.005);
    const late = (time.nowMs - askedMs) / 1000;
    const { seconds, address } = await call(time, view);
    assert(Math.abs(seconds - Math.max(0, 1.8 - late)) < 0.06, `${seconds} s after ${late} s`);
    assertEquals(address, "10.0.0.1");
    assert(Math.abs(view.graceUntilMs - time.nowMs - 30_000) <= 5);
    assertEquals(await call(time, view), { seconds: 0, address: "10.0.0.1" });
    await time.tick(askedMs + 7900 - time.nowMs);
    assertEquals([dns.running, errors.length], [1, 0]);
    await time.advance(0.2);
    assertEquals(errors.length, 1);
    assertEquals([dns.questions.length, view.entry.failures], [2, 1]);
    leave();
    unwatch();
  }
});

Deno.test("View: an answer that comes after 1.8 seconds is used at once, and ends grace", async () => {
  using time = fakeTime();
  const { dns, view } = await failing({ dnsTimeout: 8 });
  dns.failure = undefined;
  dns.addresses = ["10.0.0.2"];
  dns.delayMs = 3000;
  await time.advance(10);
  assertEquals(await call(time, view), { seconds: 1.8, address: "10.0.0.1" });
  await time.advance(1.1);
  assertEquals(view.addresses, ["10.0.0.1"]);
  await time.advance(0.1);
  assertEquals(view.addresses, ["10.0.0.2"]);
  assertEquals([view.graceUntilMs, dns.questions.length], [-Infinity, 2]);
});

Deno.test("View.waitUntilFresh() waits until dnsTimeout if there is no stale answer that may be used", async () => {
  using time = fakeTime();
  const { dns, view } = await failing({ dnsTimeout: 8 });
  const strict = viewBy(dns, { dnsMaxRetries: 1, dnsTimeout: 8, dnsGraceTtl: 0 });
  const brief = viewBy(dns, { dnsMaxRetries: 1, dnsTimeout: 8, dnsMaxStale: 1 });
  dns.delayMs = 3_600_000;
  await time.advance(10);
  const startMs = time.nowMs;
  const told: [boolean, number][] = [];
  for (const one of [view, strict, brief]) {
    const tell = (ok: boolean) => told.push([ok, Math.round((time.nowMs - startMs) / 100) / 10]);
    one.waitUntilFresh().then(() => tell(true), () => tell(false));
  }
  await time.advance(9);
  assertEquals(told, [[true, 1.8], [false, 8], [false, 8]]);
});

Deno.test("View: after a failure ahead of expiry, no caller waits at expiry, and grace begins then", async () => {
  using time = fakeTime();
  const { view } = await failing();
  const leave = view.keepFresh();
  await time.advance(10);
  assert(view.isFresh(time.nowMs));
  assertEquals(Math.round(view.graceUntilMs - view.freshUntilMs), 30_000);
  leave();
});

Deno.test("View: after a failure long before expiry of an answer that is not kept fresh, the next caller at expiry asks", async () => {
  using time = fakeTime();
  const { dns, view } = await failing();
  await time.advance(2);
  await view.refresh();
  assertEquals(dns.questions.length, 2);
  dns.failure = undefined;
  dns.addresses = ["10.0.0.2"];
  await time.advance(8);
  assertEquals(await call(time, view), { seconds: 0, address: "10.0.0.2" });
  assertEquals(dns.questions.length, 3);
});

Deno.test("View: when grace runs out, the next caller waits for one query, and the next grace is twice as long", async () => {
  using time = fakeTime();
  const { dns, view } = await failing({ dnsTimeout: 2 });
  dns.failure = undefined;
  dns.delayMs = 3_600_000;
  await time.advance(10);
  const lengths: number[] = [];
  for (let i = 0; i < 6; i++) {
    // The background query may be under way already.
    assertFalse(view.isFresh(time.nowMs));
    const { seconds, address } = await call(time, view);
    assert(seconds <= 2, `${seconds}`);
    assertEquals(address, "10.0.0.1");
    const { graceUntilMs } = view;
    lengths.push(Math.round((graceUntilMs - time.nowMs) / 1000));
    while (view.isFresh(time.nowMs)) {
      // Not a multiple of dnsTimeout: a query that fails just when grace ends would begin the next grace.
      await time.tick(Math.max(1, Math.min(487, graceUntilMs - time.nowMs)));
    }
  }
  assertEquals(lengths, [30, 60, 120, 240, 300, 300]);
});

Deno.test("View: without dnsExtendGrace, every grace is as long as the first", async () => {
  using time = fakeTime();
  const { view } = await failing({ dnsExtendGrace: false, dnsGraceTtl: 5 });
  await time.advance(10);
  for (let i = 0; i < 3; i++) {
    await call(time, view);
    assertEquals(Math.round(view.graceUntilMs - time.nowMs), 5000);
    await time.advance(10);
  }
});

Deno.test("View: in grace, one query at a time is sent in the background, at least every 5 seconds, by timer or by callers", async () => {
  for (const kept of [true, false]) {
    using time = fakeTime();
    const { dns, view } = await failing({ dnsGraceTtl: 600 });
    const leave = kept ? view.keepFresh() : () => {};
    await time.advance(10);
    await call(time, view);
    const first = dns.questions.length;
    for (let i = 0; i < 600; i++) {
      if (!kept) assert(view.isFresh(time.nowMs));
      await time.tick(100);
    }
    const asked = dns.askedAtMs.slice(first - 1);
    const gaps = asked.slice(1).map((atMs, index) => atMs - asked[index]!);
    assert(Math.max(...gaps) <= 5100 && Math.min(...gaps) >= 400, `${gaps}`);
    assert(gaps.length >= 12 && gaps.length <= 22);
    assertEquals(dns.mostAtOnce, 1);
    leave();
  }
});

Deno.test("View: an answer ends grace, and the next grace is as long as the first", async () => {
  using time = fakeTime();
  const { dns, view } = await failing();
  await time.advance(10);
  await call(time, view);
  await time.advance(30);
  await call(time, view);
  assertEquals(Math.round(view.graceUntilMs - time.nowMs), 60_000);
  dns.failure = undefined;
  dns.addresses = ["10.0.0.2"];
  await time.advance(5);
  assert(view.isFresh(time.nowMs));
  await time.settle();
  assertEquals(view.addresses, ["10.0.0.2"]);
  assertEquals(view.entry.failures, 0);
  dns.failure = "transient";
  await time.advance(10);
  await call(time, view);
  assertEquals(Math.round(view.graceUntilMs - time.nowMs), 30_000);
});

Deno.test("View: when dnsMaxStale is over, a failure is an error", async () => {
  using time = fakeTime();
  const { view } = await failing({ dnsMaxStale: 20 });
  await time.advance(10);
  await call(time, view);
  await time.advance(19.9);
  assert(view.isFresh(time.nowMs));
  await time.advance(0.1);
  assertFalse(view.isFresh(time.nowMs));
  await assertRejects(() => view.waitUntilFresh(), ResolveError, "Scripted: transient");
});

Deno.test("View: with dnsGraceTtl 0, a failure at expiry is an error at once", async () => {
  using time = fakeTime();
  const { view } = await failing({ dnsGraceTtl: 0 });
  await time.advance(10);
  await assertRejects(() => view.waitUntilFresh(), ResolveError);
});

Deno.test("View: each view of an answer has its own grace", async () => {
  using time = fakeTime();
  const { dns, view } = await failing({ dnsGraceTtl: 5 });
  const patient = viewBy(dns, { dnsMaxRetries: 1, dnsGraceTtl: 50 });
  const none = viewBy(dns, { dnsMaxRetries: 1, dnsGraceTtl: 0 });
  await time.advance(10);
  await call(time, view);
  assertEquals([view, patient, none].map((one) => one.isFresh(time.nowMs)), [true, true, false]);
  await time.advance(6);
  assertEquals([view, patient, none].map((one) => one.isFresh(time.nowMs)), [false, true, false]);
});

Deno.test("View: a failed resolution is reported once to each watcher, however many callers wait", async () => {
  using time = fakeTime();
  const { dns, view } = await failing({ dnsTimeout: 2 });
  const errors: unknown[] = [];
  const unwatch = view.watch({ onError: (error) => errors.push(error) });
  await time.advance(10);
  dns.delayMs = 100;
  const callers = Array.from({ length: 20 }, () => view.waitUntilFresh());
  await time.advance(0.1);
  await Promise.all(callers);
  assertEquals(errors.map(String), ["LookupError: Scripted: transient"]);
  unwatch();
});

Deno.test("clearDnsCache() ends grace and resets the number of failures", async () => {
  using time = fakeTime();
  const { dns, view } = await failing();
  await time.advance(10);
  await call(time, view);
  assertEquals(view.entry.failures, 1);
  clearDnsCache();
  assertEquals(view.entry.failures, 0);
  assertFalse(view.isFresh(time.nowMs));
  dns.failure = "negative";
  await assertRejects(() => view.waitUntilFresh(), ResolveError);
});

Deno.test("View.waitUntilFresh() uses the stale answer when its dnsTimeout is over, while the query goes on for other views", async () => {
  using time = fakeTime();
  const { dns, view } = await failing({ dnsTimeout: 10 });
  const hasty = viewBy(dns, { dnsMaxRetries: 1, dnsTimeout: 1 });
  dns.failure = undefined;
  dns.delayMs = 5000;
  dns.addresses = ["10.0.0.2"];
  await time.advance(10);
  const patient = view.waitUntilFresh();
  await time.advance(0.5);
  assertEquals(await call(time, hasty), { seconds: 1.1, address: "10.0.0.1" });
  assertEquals(dns.running, 1);
  await time.advance(4);
  await patient;
  assertEquals([view.addresses, hasty.addresses], [["10.0.0.2"], ["10.0.0.2"]]);
  assertEquals(dns.questions.length, 2);
});

Deno.test("View.waitUntilFresh() does not take the failure of a query with a shorter dnsTimeout for its own", async () => {
  using time = fakeTime();
  const { dns, view } = await failing({ dnsTimeout: 10 });
  const hasty = viewBy(dns, { dnsMaxRetries: 1, dnsTimeout: 0.5 });
  dns.failure = undefined;
  dns.delayMs = 700;
  dns.addresses = ["10.0.0.2"];
  await time.advance(10);
  const early = call(time, hasty);
  await time.settle();
  let done = false;
  const patient = view.waitUntilFresh().then(() => done = true);
  assertEquals(await early, { seconds: 0.6, address: "10.0.0.1" });
  assertFalse(view.isFresh(time.nowMs));
  await time.advance(0.1);
  assertFalse(done);
  await time.advance(0.1);
  await patient;
  assertEquals(view.addresses, ["10.0.0.2"]);
  assertEquals([dns.questions.length, dns.mostAtOnce], [3, 1]);
});
