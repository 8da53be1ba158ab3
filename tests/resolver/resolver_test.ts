import { assert, assertEquals, assertRejects } from "@std/assert";
import { ResolveError } from "../../errors.ts";
import { getDnsEngine } from "../../engine.ts";
import { clearDnsCache, type GetIpOptions, getIpWithTtl } from "../../resolver.ts";
import { fakeAdapter } from "../../testing/mod.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { fakeTime } from "../support/time.ts";

Deno.test("getIpWithTtl() counts the remaining seconds down, rounded up, and asks again at expiry", async () => {
  using time = fakeTime();
  const dnsLookup = fakeLookup(["10.0.0.1"], 120);
  assertEquals(await getIpWithTtl("a.internal", { dnsLookup }), ["10.0.0.1", 120]);
  await time.advance(30);
  assertEquals(await getIpWithTtl("a.internal", { dnsLookup }), ["10.0.0.1", 90]);
  await time.advance(89.5);
  assertEquals(await getIpWithTtl("a.internal", { dnsLookup }), ["10.0.0.1", 1]);
  assertEquals(dnsLookup.questions.length, 1);
  dnsLookup.addresses = ["10.0.0.2"];
  await time.advance(0.5);
  assertEquals(await getIpWithTtl("a.internal", { dnsLookup }), ["10.0.0.2", 120]);
  assertEquals(dnsLookup.questions.length, 2);
});

Deno.test("getIpWithTtl() limits the TTL to dnsMinTtl and dnsMaxTtl, and a TTL of 2^31 or more is 0", async () => {
  using _time = fakeTime();
  const ttls = [[0, 2, 300, 2], [100, 2, 50, 50], [2 ** 31, 2, 300, 2], [
    2 ** 31 - 1,
    2,
    300,
    300,
  ]] as const;
  for (const [ttl, dnsMinTtl, dnsMaxTtl, expected] of ttls) {
    const dnsLookup = fakeLookup(["10.0.0.1"], ttl);
    assertEquals(
      await getIpWithTtl("a.internal", { dnsLookup, dnsMinTtl, dnsMaxTtl }),
      ["10.0.0.1", expected],
    );
  }
});

Deno.test("getIpWithTtl() uses an answer of unknown TTL for 5 seconds", async () => {
  using _time = fakeTime();
  const dnsLookup = fakeLookup(["10.0.0.1"], undefined);
  assertEquals(await getIpWithTtl("a.internal", { dnsLookup }), ["10.0.0.1", 5]);
});

Deno.test("getIpWithTtl() counts the TTL from the time of the query", async () => {
  using time = fakeTime();
  const dnsLookup = fakeLookup(["10.0.0.1"], 10);
  dnsLookup.delayMs = 1000;
  const answer = getIpWithTtl("a.internal", { dnsLookup });
  await time.advance(1);
  assertEquals(await answer, ["10.0.0.1", 9]);
});

Deno.test("getIpWithTtl() sends one query for many callers at expiry", async () => {
  using time = fakeTime();
  const dnsLookup = fakeLookup(["10.0.0.1"], 1);
  await getIpWithTtl("a.internal", { dnsLookup });
  await time.advance(1);
  dnsLookup.delayMs = 100;
  const callers = Array.from({ length: 10_000 }, () => getIpWithTtl("a.internal", { dnsLookup }));
  await time.advance(0.1);
  await Promise.all(callers);
  assertEquals(dnsLookup.questions.length, 2);
  assertEquals(dnsLookup.mostAtOnce, 1);
});

Deno.test("getIpWithTtl() compares names in lower case, and asks for one with a trailing dot as absolute", async () => {
  using _time = fakeTime();
  const dnsLookup = fakeLookup(["10.0.0.1"], 10);
  for (const host of ["a.internal", "A.Internal.", "a.Internal", "a.internal."]) {
    await getIpWithTtl(host, { dnsLookup });
  }
  assertEquals(dnsLookup.questions.map(({ name, absolute }) => [name, absolute]), [
    ["a.internal", undefined],
    ["a.internal", true],
  ]);
});

Deno.test("getDnsEngine() asks for a name with its trailing dot, and gives the driver the name without it", async () => {
  const dnsLookup = fakeLookup(["10.0.0.1"], 10);
  const hosts: string[] = [];
  const adapter = fakeAdapter({ connect: (_ip, { host }) => void hosts.push(host) });
  const engine = getDnsEngine("fake://DB.internal./orders", { adapter, dnsLookup });
  await engine.use(() => {});
  await engine.close();
  const [question] = dnsLookup.questions;
  assertEquals([question!.name, question!.absolute, ...hosts], [
    "db.internal",
    true,
    "db.internal",
  ]);
});

Deno.test("getIpWithTtl() shares no answers between nameservers, families and lookups", async () => {
  using _time = fakeTime();
  const one = fakeLookup(["10.0.0.1", "fd00::1"], 10);
  const two = fakeLookup(["10.0.0.2"], 10);
  assertEquals((await getIpWithTtl("a.internal", { dnsLookup: one }))[0], "10.0.0.1");
  assertEquals((await getIpWithTtl("a.internal", { dnsLookup: two }))[0], "10.0.0.2");
  assertEquals((await getIpWithTtl("a.internal", { dnsLookup: one, dnsFamily: 6 }))[0], "fd00::1");
  await getIpWithTtl("a.internal", { dnsLookup: one, dnsNameservers: ["10.9.9.9"] });
  assertEquals(one.questions.length, 3);
  assertEquals(one.questions[2]!.server, { host: "10.9.9.9", port: 53 });
});

Deno.test("getIpWithTtl() returns IP addresses and localhost without a query", async () => {
  const dnsLookup = fakeLookup([], 10);
  assertEquals(await getIpWithTtl("10.1.2.3", { dnsLookup }), ["10.1.2.3", 300]);
  assertEquals(await getIpWithTtl("FD00:0::1", { dnsLookup }), ["fd00::1", 300]);
  assertEquals(await getIpWithTtl("LOCALHOST.", { dnsLookup }), ["127.0.0.1", 300]);
  assertEquals(await getIpWithTtl("localhost", { dnsLookup, dnsFamily: 6 }), ["::1", 300]);
  assertEquals(dnsLookup.questions.length, 0);
});

Deno.test("getIpWithTtl(): a caller that aborts does not end the query for others; the last one does", async () => {
  using time = fakeTime();
  const dnsLookup = fakeLookup(["10.0.0.1"], 10);
  dnsLookup.delayMs = 1000;
  const one = new AbortController();
  const two = new AbortController();
  const first = getIpWithTtl("a.internal", { dnsLookup, signal: one.signal });
  const second = getIpWithTtl("a.internal", { dnsLookup, signal: two.signal });
  await time.settle();
  one.abort(new Error("gone"));
  await assertRejects(() => first, Error, "gone");
  assertEquals(dnsLookup.running, 1);
  two.abort(new Error("gone too"));
  await assertRejects(() => second, Error, "gone too");
  await time.settle();
  assertEquals(dnsLookup.running, 0);
  dnsLookup.delayMs = 0;
  assertEquals((await getIpWithTtl("a.internal", { dnsLookup }))[0], "10.0.0.1");
});

Deno.test("clearDnsCache(): a resolution that began before does not fill the cache again", async () => {
  using time = fakeTime();
  const dnsLookup = fakeLookup(["10.0.0.1"], 100);
  dnsLookup.delayMs = 1000;
  const early = getIpWithTtl("a.internal", { dnsLookup });
  await time.advance(0.5);
  clearDnsCache();
  dnsLookup.addresses = ["10.0.0.2"];
  await time.advance(2);
  assertEquals((await early)[0], "10.0.0.2");
  assertEquals(dnsLookup.questions.length, 2);
  assertEquals(dnsLookup.mostAtOnce, 1);
});

Deno.test("getIpWithTtl() rejects with a ResolveError whose cause is the lookup's error", async () => {
  using time = fakeTime();
  const dnsLookup = fakeLookup([], 10);
  dnsLookup.failure = "transient";
  const failed = getIpWithTtl("a.internal", { dnsLookup, dnsFallback: false });
  failed.catch(() => {});
  await time.advance(12);
  const error = await assertRejects(() => failed, ResolveError, "a.internal");
  assertEquals(error.kind, "transient");
  assert(error.cause instanceof Error && error.cause.message.includes("Scripted"));
  assertEquals(dnsLookup.questions.length, 3);
});

Deno.test("getIpWithTtl() rejects after dnsTimeout if the server is silent, over all attempts", async () => {
  using time = fakeTime();
  const dnsLookup = fakeLookup(["10.0.0.1"], 10);
  dnsLookup.delayMs = 3_600_000;
  let settledMs: number | undefined;
  const startMs = time.nowMs;
  const failed = getIpWithTtl("a.internal", { dnsLookup, dnsFallback: false, dnsTimeout: 2 });
  failed.catch(() => settledMs = time.nowMs);
  for (let i = 0; i < 300 && settledMs === undefined; i++) await time.tick(10);
  assert(settledMs !== undefined && settledMs - startMs >= 1900 && settledMs - startMs <= 2060);
  await assertRejects(() => failed, ResolveError, "a.internal");
  assertEquals(dnsLookup.running, 0);
});

Deno.test("getIpWithTtl() asks the next server at once when one fails, and again in later rounds", async () => {
  using time = fakeTime();
  const dnsLookup = fakeLookup(["10.0.0.1"], 10);
  dnsLookup.failure = "transient";
  const failed = getIpWithTtl("a.internal", {
    dnsLookup,
    dnsFallback: false,
    dnsMaxRetries: 2,
    dnsNameservers: ["10.9.9.1", "10.9.9.2"],
  });
  failed.catch(() => {});
  await time.settle();
  assertEquals(dnsLookup.questions.map(({ server }) => server?.host), ["10.9.9.1", "10.9.9.2"]);
  await time.advance(1);
  await assertRejects(() => failed);
  assertEquals(dnsLookup.questions.length, 4);
});

Deno.test("getIpWithTtl() reads an options object again after a change", async () => {
  using _time = fakeTime();
  const one = fakeLookup(["10.0.0.1"], 100);
  const two = fakeLookup(["10.0.0.2"], 100);
  const options: GetIpOptions & { dnsNameservers: string[] } = {
    dnsLookup: one,
    dnsNameservers: ["10.9.9.1"],
  };
  assertEquals(await getIpWithTtl("a.internal", options), ["10.0.0.1", 100]);
  assertEquals(await getIpWithTtl("a.internal", options), ["10.0.0.1", 100]);
  assertEquals(one.questions.length, 1);
  options.dnsMaxTtl = 50;
  assertEquals(await getIpWithTtl("a.internal", options), ["10.0.0.1", 50]);
  delete options.dnsMaxTtl;
  assertEquals(await getIpWithTtl("a.internal", options), ["10.0.0.1", 100]);
  options.dnsNameservers.push("10.9.9.2");
  await getIpWithTtl("a.internal", options);
  assertEquals(one.questions.length, 2);
  options.dnsLookup = two;
  assertEquals(await getIpWithTtl("a.internal", options), ["10.0.0.2", 100]);
  assertEquals((await getIpWithTtl("b.internal", options))[0], "10.0.0.2");
  clearDnsCache();
  await getIpWithTtl("b.internal", options);
  assertEquals(two.questions.length, 3);
});
