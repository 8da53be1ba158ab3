import { assert, assertEquals, assertFalse, assertRejects } from "@std/assert";
import { CachedName } from "../../resolver/cached_name.ts";
import type { View, ViewSettings } from "../../resolver/view.ts";
import type { Family } from "../../resolver/question.ts";
import { ResolveError } from "../../errors.ts";
import { type FakeLookup, fakeLookup, viewBy } from "../support/fake_lookup.ts";
import { fakeTime } from "../support/time.ts";

const SETTINGS: ViewSettings = {
  timeoutMs: 12_000,
  maxRetries: 1,
  graceMs: 30_000,
  extendGrace: true,
  maxStaleMs: 60_000,
  minTtlMs: 250,
  maxTtlMs: 300_000,
};

/** A name with a fallback: DNS answers 10.0.0.1 for 10 s, the operating system 10.1.1.1 for 5 s. */
function name(settings: Partial<ViewSettings> = {}, family: Family = 4): {
  dns: FakeLookup;
  os: FakeLookup;
  cached: CachedName;
  view: View;
} {
  const dns = fakeLookup(["10.0.0.1"], 10);
  const os = fakeLookup(["10.1.1.1"], 5);
  const cached = new CachedName({ name: "db", family, lookup: dns, servers: [], fallback: os });
  return { dns, os, cached, view: cached.viewWith({ ...SETTINGS, ...settings }) };
}

Deno.test("dnsFallback: the operating system is asked if DNS has no answer and nothing is cached; its TTL is 5 s", async () => {
  using time = fakeTime();
  const { dns, os, view } = name();
  dns.failure = "negative";
  const sources: string[] = [];
  const unwatch = view.watch({ onChange: ({ source }) => sources.push(source) });
  await view.waitUntilFresh();
  assertEquals([view.addresses, view.freshUntilMs - time.nowMs], [["10.1.1.1"], 5000]);
  assertEquals([dns.questions.length, os.questions.length, sources], [1, 1, ["os"]]);
  unwatch();
});

Deno.test("dnsFallback: the operating system is not asked while DNS answers, nor while a stale answer may be used", async () => {
  using time = fakeTime();
  const { dns, os, view } = name();
  await view.waitUntilFresh();
  dns.failure = "transient";
  await time.advance(10);
  await view.waitUntilFresh();
  assertEquals([view.addresses, os.questions.length], [["10.0.0.1"], 0]);
  for (let i = 0; i < 40; i++) {
    await time.advance(1);
    if (!view.isFresh(time.nowMs)) await view.waitUntilFresh();
  }
  assertEquals([view.addresses, os.questions.length], [["10.0.0.1"], 0]);
});

Deno.test("dnsFallback: the operating system is asked when dnsMaxStale is over", async () => {
  using time = fakeTime();
  const { dns, os, view } = name();
  await view.waitUntilFresh();
  dns.failure = "transient";
  await time.advance(70);
  await view.waitUntilFresh();
  assertEquals([view.addresses, os.questions.length], [["10.1.1.1"], 1]);
});

Deno.test("dnsFallback: the operating system is asked if the stale answer dies while DNS is asked", async () => {
  using time = fakeTime();
  const { dns, os, view } = name();
  await view.waitUntilFresh();
  await time.advance(69);
  dns.failure = "transient";
  dns.delayMs = 2000;
  const caller = view.waitUntilFresh();
  await time.advance(2);
  assertEquals(os.questions.length, 0);
  await time.advance(2);
  await caller;
  assertEquals([view.addresses, os.questions.length], [["10.1.1.1"], 1]);
});

Deno.test("dnsFallback: the operating system is asked at expiry if dnsGraceTtl is 0", async () => {
  using time = fakeTime();
  const { dns, view } = name({ graceMs: 0 });
  await view.waitUntilFresh();
  dns.failure = "transient";
  await time.advance(10);
  await view.waitUntilFresh();
  assertEquals(view.addresses, ["10.1.1.1"]);
});

Deno.test("dnsFallback: a failed query ahead of expiry does not replace a fresh answer by the operating system's", async () => {
  using time = fakeTime();
  const { dns, os, view } = name({ graceMs: 0 });
  await view.waitUntilFresh();
  dns.failure = "transient";
  const leave = view.keepFresh();
  await time.advance(9.99);
  assert(dns.questions.length > 1);
  assertEquals([view.addresses, os.questions.length], [["10.0.0.1"], 0]);
  leave();
});

Deno.test("dnsFallback: an expired answer of the operating system is renewed by DNS or by the operating system, without grace", async () => {
  using time = fakeTime();
  const { dns, os, view } = name();
  dns.failure = "negative";
  await view.waitUntilFresh();
  os.addresses = ["10.1.1.2"];
  await time.advance(5);
  assertFalse(view.isFresh(time.nowMs));
  await view.waitUntilFresh();
  assertEquals(view.addresses, ["10.1.1.2"]);
  assertEquals([dns.questions.length, os.questions.length], [2, 2]);
  dns.failure = undefined;
  await time.advance(5);
  await view.waitUntilFresh();
  assertEquals(view.addresses, ["10.0.0.1"]);
  assertEquals(os.questions.length, 2);
});

Deno.test("dnsFallback: DNS gets at most 1.5 s and one round before the operating system's answer is renewed", async () => {
  using time = fakeTime();
  const { dns, os, view } = name({ maxRetries: 3 });
  dns.failure = "negative";
  await view.waitUntilFresh();
  dns.failure = undefined;
  dns.delayMs = 3_600_000;
  await time.advance(5);
  os.addresses = ["192.0.2.9"];
  const caller = view.waitUntilFresh();
  await time.advance(1.4);
  assertEquals(os.questions.length, 1);
  await time.advance(0.2);
  await caller;
  assertEquals(view.addresses, ["192.0.2.9"]);
  assertEquals([dns.questions.length, os.questions.length], [2, 2]);
});

Deno.test("dnsFallback: View.keepFresh() renews an answer of the operating system early enough for a silent DNS server", async () => {
  using time = fakeTime();
  const { dns, os, view } = name();
  dns.failure = "negative";
  await view.waitUntilFresh();
  const leave = view.keepFresh();
  dns.failure = undefined;
  dns.delayMs = 3_600_000;
  await time.advance(20);
  for (let i = 0; i < 200; i++) {
    assert(view.isFresh(time.nowMs));
    await time.tick(100);
  }
  assert(os.questions.length > 8);
  leave();
});

Deno.test("dnsFallback: if DNS and the operating system fail, the operating system's stale answer is used in grace", async () => {
  using time = fakeTime();
  const { dns, os, view } = name();
  dns.failure = "negative";
  await view.waitUntilFresh();
  os.failure = "ambiguous";
  await time.advance(5);
  await view.waitUntilFresh();
  assertEquals(view.addresses, ["10.1.1.1"]);
  await time.advance(29.9);
  assert(view.isFresh(time.nowMs));
});

Deno.test("dnsFallback: if both fail, the error is that of DNS, and a negative answer is cached for both", async () => {
  using time = fakeTime();
  const { dns, os, view } = name();
  dns.failure = "negative";
  dns.negativeTtl = 3;
  os.failure = "ambiguous";
  for (let i = 0; i < 2; i++) {
    await assertRejects(() => view.waitUntilFresh(), ResolveError, "Scripted: negative");
  }
  assertEquals([dns.questions.length, os.questions.length], [1, 1]);
  await time.advance(3);
  await assertRejects(() => view.waitUntilFresh(), ResolveError);
  assertEquals([dns.questions.length, os.questions.length], [2, 2]);
});

Deno.test("dnsFallback: a negative answer to a view with a stale answer is not final for a view without one", async () => {
  using time = fakeTime();
  const { dns, os, cached, view } = name();
  const graceless = cached.viewWith({ ...SETTINGS, graceMs: 0 });
  await view.waitUntilFresh();
  dns.failure = "negative";
  dns.negativeTtl = 5;
  await time.advance(10);
  await view.waitUntilFresh();
  assertEquals(os.questions.length, 0);
  await graceless.waitUntilFresh();
  assertEquals([graceless.addresses, os.questions.length], [["10.1.1.1"], 1]);
});

Deno.test("dnsFallback: a view without a stale answer that shared the query of another view asks the operating system next", async () => {
  using time = fakeTime();
  const { dns, os, cached, view } = name();
  const graceless = cached.viewWith({ ...SETTINGS, graceMs: 0 });
  await view.waitUntilFresh();
  dns.failure = "transient";
  dns.delayMs = 100;
  await time.advance(10);
  const callers = [view.waitUntilFresh(), graceless.waitUntilFresh()];
  await time.advance(0.2);
  await Promise.all(callers);
  assertEquals([graceless.addresses, os.questions.length, dns.mostAtOnce], [["10.1.1.1"], 1, 1]);
});

Deno.test('dnsFamily "both": the addresses of a failing family are carried over until dnsMaxStale is over', async () => {
  using time = fakeTime();
  const { dns, view } = name({}, "both");
  dns.addresses = ["10.0.0.1", "fd00::1"];
  await view.waitUntilFresh();
  dns.respond = ({ family }) => {
    if (family === 6) throw Object.assign(new Error("SERVFAIL"), { kind: "transient" });
    return undefined;
  };
  for (let i = 0; i < 13; i++) {
    await time.advance(5);
    await view.waitUntilFresh();
  }
  assertEquals(view.addresses, ["10.0.0.1", "fd00::1"]);
  await time.advance(5);
  await view.waitUntilFresh();
  assertEquals(view.addresses, ["10.0.0.1"]);
});

Deno.test('dnsFamily "auto": a name with an A record moves to IPv6 after the second ambiguous "not found"', async () => {
  using time = fakeTime();
  const { dns, view } = name({}, "auto");
  await view.waitUntilFresh();
  dns.respond = ({ family }) => {
    if (family === 4) throw Object.assign(new Error("not found"), { kind: "ambiguous" });
    return { addresses: ["fd00::1"], ttl: 10 };
  };
  await time.advance(10);
  await view.waitUntilFresh();
  assertEquals(view.addresses, ["10.0.0.1"]);
  await time.advance(0.5);
  assert(view.isFresh(time.nowMs));
  await time.settle();
  assertEquals(view.addresses, ["fd00::1"]);
});

Deno.test("dnsFallback: callers with and without it do not share answers", async () => {
  const dns = fakeLookup(["10.0.0.1"], 10);
  const plain = viewBy(dns);
  const helped = viewBy(dns, { dnsFallback: true });
  assert(plain.entry !== helped.entry);
  await plain.waitUntilFresh();
  await helped.waitUntilFresh();
  assertEquals(dns.questions.length, 2);
});

Deno.test("dnsFallback: an answer that another caller's dnsGraceTtl of 0 asks of the operating system is not used by those in grace", async () => {
  using time = fakeTime();
  const { dns, os, cached, view } = name();
  const strict = cached.viewWith({ ...SETTINGS, graceMs: 0 });
  await view.waitUntilFresh();
  const changes: unknown[] = [];
  const errors: unknown[] = [];
  const unwatch = view.watch({
    onChange: ({ addresses }) => changes.push(addresses),
    onError: (error) => errors.push(error),
  });
  await time.advance(10);
  dns.failure = "transient";
  await Promise.all([strict.waitUntilFresh(), view.waitUntilFresh()]);
  assertEquals([strict.addresses, view.addresses], [["10.1.1.1"], ["10.0.0.1"]]);
  assertEquals([view.status().inGrace, changes.length, errors.length], [true, 0, 1]);
  assertEquals(os.questions.length, 1);
  // A caller with the same options that comes later has the stale answer of DNS as well.
  const later = cached.viewWith({ ...SETTINGS, maxTtlMs: 200_000 });
  await later.waitUntilFresh();
  assertEquals(later.addresses, ["10.0.0.1"]);
  unwatch();
});
