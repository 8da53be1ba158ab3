import { assert, assertEquals, assertRejects } from "@std/assert";
import { LookupError, ResolveError } from "../../errors.ts";
import { lookupByName } from "../../lookups/system.ts";
import { clearDnsCache, getIpWithTtl, viewOf } from "../../resolver.ts";
import { readDnsOptions } from "../../resolver/options.ts";
import { fakeLookup, viewBy } from "../support/fake_lookup.ts";
import { fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";

Deno.test("getIpWithTtl() and an engine of the same settings share answers", async () => {
  using time = fakeTime();
  const { engine, dns } = fakeEngine();
  const options = { dnsLookup: dns, dnsFallback: false };
  assertEquals(await getIpWithTtl("db.internal", options), ["10.0.0.1", 10]);
  await engine.use(() => {});
  assertEquals(dns.questions.length, 1);
  dns.addresses = ["10.0.0.2"];
  await time.advance(10);
  await engine.use(() => {});
  const asked = dns.questions.length;
  assertEquals((await getIpWithTtl("DB.internal", options))[0], "10.0.0.2");
  assertEquals(dns.questions.length, asked);
  await engine.close();
});

Deno.test("getIpWithTtl() shares an answer between callers with different limits on the TTL, and returns each its own seconds", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 100);
  const ask = (rest: object) => getIpWithTtl("db.internal", { dnsLookup: dns, ...rest });
  assertEquals(await ask({}), ["10.0.0.1", 100]);
  assertEquals(await ask({ dnsMaxTtl: 20, dnsTimeout: 1 }), ["10.0.0.1", 20]);
  assertEquals(await ask({ dnsMinTtl: 200, dnsMaxRetries: 9 }), ["10.0.0.1", 200]);
  assertEquals(dns.questions.length, 1);
  await time.advance(20);
  dns.addresses = ["10.0.0.2"];
  assertEquals(await ask({ dnsMinTtl: 200 }), ["10.0.0.1", 180]);
  assertEquals(await ask({ dnsMaxTtl: 20 }), ["10.0.0.2", 20]);
  assertEquals(await ask({ dnsMinTtl: 200 }), ["10.0.0.2", 200]);
  assertEquals(dns.questions.length, 2);
});

Deno.test("getIpWithTtl() returns the rest of the TTL, or the rest of grace", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 10);
  const options = { dnsLookup: dns, dnsFallback: false, dnsMaxRetries: 1 };
  const ask = () => getIpWithTtl("db.internal", options);
  await ask();
  dns.failure = "negative";
  const leave = viewBy(dns, { dnsMaxRetries: 1 }).keepFresh();
  await time.advance(9.7);
  assert(dns.questions.length > 1);
  assertEquals(await ask(), ["10.0.0.1", 1]);
  await time.advance(0.3);
  assertEquals(await ask(), ["10.0.0.1", 30]);
  await time.advance(10.5);
  assertEquals(await ask(), ["10.0.0.1", 20]);
  leave();
});

Deno.test("getIpWithTtl() rejects with the lookup's error as cause if nothing is cached, and a later call asks again", async () => {
  using _time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 10);
  dns.failure = "config";
  const options = { dnsLookup: dns, dnsFallback: false };
  const error = await assertRejects(() => getIpWithTtl("db.internal", options), ResolveError);
  assert(error.cause instanceof LookupError);
  dns.failure = undefined;
  assertEquals(await getIpWithTtl("db.internal", options), ["10.0.0.1", 10]);
});

Deno.test("getIpWithTtl() counts a TTL that is over when the answer comes from there", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 1);
  dns.delayMs = 1500;
  const caller = getIpWithTtl("db.internal", { dnsLookup: dns, dnsMaxRetries: 1 });
  await time.advance(1.5);
  assertEquals(await caller, ["10.0.0.1", 1]);
});

Deno.test("getIpWithTtl() returns an IP address whatever dnsFamily is, and localhost by family", async () => {
  const dnsLookup = fakeLookup([], 10);
  const ask = (host: string, dnsFamily: 4 | 6) => getIpWithTtl(host, { dnsLookup, dnsFamily });
  assertEquals(await ask("10.1.2.3", 6), ["10.1.2.3", 300]);
  assertEquals(await ask("fd00::1", 4), ["fd00::1", 300]);
  assertEquals(await ask("localhost", 6), ["::1", 300]);
  assertEquals(await ask("localhost", 4), ["127.0.0.1", 300]);
  assertEquals(dnsLookup.questions.length, 0);
});

Deno.test("getIpWithTtl() refuses an invalid host with a TypeError", async () => {
  for (const host of ["", "a b", 7, undefined, null]) {
    await assertRejects(() => getIpWithTtl(host as string), TypeError);
  }
});

Deno.test("clearDnsCache() makes the next caller ask again", async () => {
  using _time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 300);
  const ask = () => getIpWithTtl("db.internal", { dnsLookup: dns });
  await ask();
  clearDnsCache();
  dns.addresses = ["10.0.0.2"];
  assertEquals(await ask(), ["10.0.0.2", 300]);
  assertEquals(dns.questions.length, 2);
});

Deno.test("getIpWithTtl() rejects with the signal's reason when the signal is aborted", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 300);
  dns.delayMs = 1000;
  const controller = new AbortController();
  const caller = getIpWithTtl("db.internal", { dnsLookup: dns, signal: controller.signal });
  const rejected = assertRejects(() => caller, Error, "enough");
  await time.tick(10);
  controller.abort(new Error("enough"));
  await rejected;
  assertEquals(dns.running, 0);
});

Deno.test("getIpWithTtl() without options asks the system's lookup once per TTL, for any spelling of the host", async () => {
  using time = fakeTime();
  clearDnsCache();
  const system = lookupByName("system");
  const dns = fakeLookup(["10.0.0.1"], 4);
  const real = system.lookup;
  system.lookup = dns.lookup;
  try {
    assertEquals(await getIpWithTtl("db.internal"), ["10.0.0.1", 4]);
    await time.advance(1.5);
    for (const host of ["db.internal", "DB.internal", "db.internal"]) {
      assertEquals(await getIpWithTtl(host), ["10.0.0.1", 3]);
    }
    assertEquals(await getIpWithTtl("db.internal", {}), ["10.0.0.1", 3]);
    assertEquals(dns.questions.length, 1);
    dns.addresses = ["10.0.0.2"];
    await time.advance(2.5);
    assertEquals(await getIpWithTtl("DB.internal"), ["10.0.0.2", 4]);
    assertEquals(await getIpWithTtl("db.internal"), ["10.0.0.2", 4]);
    assertEquals(dns.questions.length, 2);
    dns.addresses = ["10.0.0.3"];
    clearDnsCache();
    assertEquals(await getIpWithTtl("db.internal"), ["10.0.0.3", 4]);
    assertEquals(dns.questions.length, 3);
  } finally {
    system.lookup = real;
    clearDnsCache();
  }
});

Deno.test("getIpWithTtl() reads the options of a followed name once, with more than a thousand names too", async () => {
  clearDnsCache();
  let reads = 0;
  const options = {
    dnsLookup: fakeLookup(["127.0.0.2"], 60),
    dnsFallback: false,
    get dnsTimeout() {
      reads++;
      return 12;
    },
  };
  const { settings } = readDnsOptions(options, "test");
  const names = Array.from({ length: 1500 }, (_, index) => `n${index}.internal`);
  const ends = names.map((name) => viewOf(name, settings).keepFresh());
  for (const name of names) await getIpWithTtl(name, options);
  reads = 0;
  for (const name of names) await getIpWithTtl(name, options);
  // A look at whether it has changed.
  assertEquals(reads, names.length);
  for (const end of ends) end();
  clearDnsCache();
});
