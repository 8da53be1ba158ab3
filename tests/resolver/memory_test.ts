import { assert, assertEquals, assertFalse } from "@std/assert";
import { now } from "../../internal/clock.ts";
import { readDnsOptions } from "../../engine/options.ts";
import { clearDnsCache, getIpWithTtl, viewOf } from "../../resolver.ts";
import { fakeLookup, viewBy } from "../support/fake_lookup.ts";
import { fakeTime } from "../support/time.ts";

Deno.test("names that nobody is interested in are forgotten beyond a thousand, the oldest first", async () => {
  using _time = fakeTime();
  clearDnsCache();
  const dns = fakeLookup(["10.0.0.1"], 300);
  const ask = (n: number) => getIpWithTtl(`n${n}.internal`, { dnsLookup: dns });
  for (let n = 0; n < 1000; n++) await ask(n);
  await ask(0);
  assertEquals(dns.questions.length, 1000);
  await ask(1000);
  await ask(999);
  assertEquals(dns.questions.length, 1001);
  await ask(0);
  assertEquals(dns.questions.length, 1002);
  clearDnsCache();
});

Deno.test("a name that is watched, waited for or asked about is not forgotten, however many come", async () => {
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

Deno.test("many sets of options on one name are forgotten again, but not those in use", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 300);
  dns.delayMs = 1000;
  const watched = viewBy(dns, { dnsGraceTtl: 7 });
  const unwatch = watched.watch({});
  const callers = Array.from(
    { length: 200 },
    (_, n) => getIpWithTtl("db.internal", { dnsLookup: dns, dnsFallback: false, dnsMaxTtl: n + 1 }),
  );
  await time.advance(1);
  // All of them waited for the one query, each with its own clamp.
  const answers = await Promise.all(callers);
  assertEquals(answers.map(([ip]) => ip), answers.map(() => "10.0.0.1"));
  assertEquals([answers[0]![1], answers[199]![1]], [0, 199]);
  assertEquals(dns.questions.length, 1);
  for (let n = 0; n < 500; n++) viewBy(dns, { dnsMaxTtl: n + 0.5 });
  assert(watched.entry.readers.size <= 51);
  assert(viewBy(dns, { dnsGraceTtl: 7 }) === watched);
  unwatch();
});

Deno.test("a name is free to be forgotten when the question in its background is over, and after clearDnsCache()", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 300);
  dns.delayMs = 100;
  const view = viewBy(dns);
  const asked = view.refresh();
  assertFalse(view.entry.disposable);
  await time.advance(0.1);
  await asked;
  assert(view.entry.disposable);
  clearDnsCache();
  assert(viewBy(dns) !== view);
});

Deno.test("a fresh answer is one comparison: no clock, no promise, no question", async () => {
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
