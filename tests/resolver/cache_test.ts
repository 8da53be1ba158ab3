import { assert, assertEquals, assertFalse } from "@std/assert";
import { now } from "../../internal/clock.ts";
import { CachedName } from "../../resolver/cached_name.ts";
import type { ViewSettings } from "../../resolver/view.ts";
import { readDnsOptions } from "../../engine/options.ts";
import { clearDnsCache, getIpWithTtl, viewOf } from "../../resolver.ts";
import { fakeLookup, viewBy } from "../support/fake_lookup.ts";
import { fakeTime } from "../support/time.ts";

const KEY = { name: "db.internal", family: "auto" as const, servers: [], fallback: undefined };
const SETTINGS: ViewSettings = {
  timeoutMs: 12_000,
  maxRetries: 3,
  graceMs: 30_000,
  extendGrace: true,
  maxStaleMs: 86_400_000,
  minTtlMs: 250,
  maxTtlMs: 300_000,
};

Deno.test("viewOf() removes names beyond a thousand that are not in use, those first that were not used for longest", async () => {
  using _time = fakeTime();
  clearDnsCache();
  const dns = fakeLookup(["10.0.0.1"], 300);
  const ask = (n: number) => getIpWithTtl(`n${n}.internal`, { dnsLookup: dns });
  for (let n = 0; n < 1000; n++) await ask(n);
  await ask(0);
  assertEquals(dns.questions.length, 1000);
  await ask(1000);
  assertEquals(dns.questions.length, 1001);
  // The first was used since, so the second was removed.
  await ask(0);
  assertEquals(dns.questions.length, 1001);
  await ask(1);
  assertEquals(dns.questions.length, 1002);
  clearDnsCache();
});

Deno.test("getIpWithTtl() with the same options again counts as a use of the name", async () => {
  using _time = fakeTime();
  clearDnsCache();
  const dns = fakeLookup(["10.0.0.1"], 300);
  const options = { dnsLookup: dns };
  await getIpWithTtl("n0.internal", options);
  for (let n = 1; n < 1000; n++) await getIpWithTtl(`n${n}.internal`, { dnsLookup: dns });
  await getIpWithTtl("n0.internal", options);
  await getIpWithTtl("another.internal", { dnsLookup: dns });
  await getIpWithTtl("n0.internal", { dnsLookup: dns });
  assertEquals(dns.questions.length, 1001);
  clearDnsCache();
});

Deno.test("viewOf(): names in use do not count: beside 5,000 of them, a thousand others stay", async () => {
  using _time = fakeTime();
  clearDnsCache();
  const dns = fakeLookup(["10.0.0.1"], 300);
  const { settings } = readDnsOptions({ dnsLookup: dns, dnsFallback: false }, "the test");
  const watch = (n: number) => viewOf(`w${n}.internal`, settings).watch({});
  const unwatch = Array.from({ length: 5000 }, (_, n) => watch(n));
  const ask = (n: number) => getIpWithTtl(`n${n}.internal`, { dnsLookup: dns });
  for (let turn = 0; turn < 2; turn++) for (let n = 0; n < 900; n++) await ask(n);
  assertEquals(dns.questions.length, 900);
  const first = viewOf("w0.internal", settings);
  for (const end of unwatch) end();
  // Now they count, and the oldest are removed while others come.
  for (let n = 900; n < 8000; n++) await ask(n);
  assert(viewOf("w0.internal", settings) !== first);
  clearDnsCache();
});

Deno.test("viewOf(): of a burst of 5,000 names that were in use, a thousand are left a minute after", async () => {
  using time = fakeTime();
  clearDnsCache();
  const dns = fakeLookup(["10.0.0.1"], 300);
  const { settings } = readDnsOptions({ dnsLookup: dns }, "the test");
  dns.delayMs = 10;
  const names = Array.from({ length: 5000 }, (_, n) => `b${n}.internal`);
  const burst = Promise.all(names.map((name) => getIpWithTtl(name, { dnsLookup: dns })));
  const kept = viewOf("kept.internal", settings);
  const leave = kept.watch({});
  const views = names.map((name) => viewOf(name, settings));
  await time.advance(2);
  await burst;
  assertEquals(dns.questions.length, 5000);
  await time.advance(61);
  // A view that is removed is cleared.
  const left = views.filter((view) => view.isFresh());
  assertEquals(left.length, 1000);
  assert(viewOf("kept.internal", settings) === kept);
  leave();
  clearDnsCache();
});

Deno.test("viewOf() does not remove names that are watched, waited for or queried", async () => {
  using time = fakeTime();
  clearDnsCache();
  const dns = fakeLookup(["10.0.0.1"], 300);
  const slow = fakeLookup(["10.0.0.2"], 300);
  slow.delayMs = 60_000;
  const { settings } = readDnsOptions({ dnsLookup: dns, dnsFallback: false }, "the test");
  const unwatch = Array.from(
    { length: 1100 },
    (_, n) => viewOf(`w${n}.internal`, settings).watch({}),
  );
  const patience = { dnsTimeout: 100, dnsMaxRetries: 1, dnsFallback: false };
  const ask = () => getIpWithTtl("slow.internal", { dnsLookup: slow, ...patience });
  const caller = ask();
  const background = viewBy(slow, patience);
  const refreshed = background.refresh();
  for (let n = 0; n < 300; n++) await getIpWithTtl(`n${n}.internal`, { dnsLookup: dns });
  assert(viewOf("w0.internal", settings) === viewOf("w0.internal", settings));
  const late = ask();
  assert(viewBy(slow, patience) === background);
  await time.advance(60);
  await refreshed;
  assertEquals([(await caller)[0], (await late)[0]], ["10.0.0.2", "10.0.0.2"]);
  assertEquals([slow.questions.length, background.addresses], [2, ["10.0.0.2"]]);
  for (const end of unwatch) end();
  clearDnsCache();
});

Deno.test("CachedName.viewWith() removes views beyond 50, but not those in use", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 300);
  dns.delayMs = 1000;
  const cached = new CachedName({ ...KEY, lookup: dns });
  const watched = cached.viewWith({ ...SETTINGS, graceMs: 7000 });
  const unwatch = watched.watch({});
  const waiting = Array.from({ length: 200 }, (_, n) => {
    const view = cached.viewWith({ ...SETTINGS, maxTtlMs: (n + 1) * 1000 });
    return view.waitUntilFresh().then(() => view);
  });
  await time.advance(1);
  // All of them waited for the one query, each with its own maximum TTL; one that is over by then counts from the answer.
  const views = await Promise.all(waiting);
  const remainingMs = views.map((view) => view.remainingMs(time.nowMs));
  assertEquals([remainingMs[0], remainingMs[199]], [1000, 199_000]);
  assertEquals(dns.questions.length, 1);
  for (let n = 0; n < 500; n++) cached.viewWith({ ...SETTINGS, maxTtlMs: n * 1000 + 500 });
  assert(cached.views.length <= 51);
  assert(cached.viewWith({ ...SETTINGS, graceMs: 7000 }) === watched);
  assertFalse(views[0] === cached.viewWith(views[0]!.settings));
  unwatch();
});

Deno.test("CachedName.viewWith() clears a view that it removes; the view that replaces it is fresh without a query", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 300);
  const cached = new CachedName({ ...KEY, lookup: dns });
  const removed = cached.viewWith(SETTINGS);
  await removed.waitUntilFresh();
  for (let n = 0; n < 60; n++) cached.viewWith({ ...SETTINGS, graceMs: n });
  assertFalse(removed.isFresh(time.nowMs));
  assert(cached.viewWith(SETTINGS).isFresh(time.nowMs));
  assertEquals(dns.questions.length, 1);
});

Deno.test("CachedName.isDisposable is false while a background query is under way", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 300);
  dns.delayMs = 100;
  const cached = new CachedName({ ...KEY, lookup: dns });
  const refreshed = cached.viewWith(SETTINGS).refresh();
  assertFalse(cached.isDisposable);
  await time.advance(0.1);
  await refreshed;
  assert(cached.isDisposable);
});

Deno.test("clearDnsCache() removes a name that is not in use", async () => {
  using _time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 300);
  const view = viewBy(dns);
  await view.waitUntilFresh();
  assert(viewBy(dns) === view);
  clearDnsCache();
  assert(viewBy(dns) !== view);
});

Deno.test("View.isFresh() is one comparison for a fresh answer: no clock, no promise, no query", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 300);
  const view = viewBy(dns);
  await view.waitUntilFresh();
  const real = performance.now;
  let reads = 0;
  const nowMs = time.nowMs;
  performance.now = () => (reads++, nowMs);
  try {
    assert(view.isFresh(nowMs));
    assertEquals(reads, 0);
    now();
    assertEquals(reads, 1);
  } finally {
    performance.now = real;
  }
});
