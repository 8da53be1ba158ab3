import { assertEquals, assertThrows } from "@std/assert";
import { DnsServer, type TtlRounding } from "@dnspool/dnspool/testing";
import { askUdp, data, fakeClock } from "../support/dns_client.ts";

const NAME = "db.internal";

/** Returns the address and the TTL of a caching server's answer after each wait; the record's TTL is 5. */
async function ageing(rounding: TtlRounding, startMs: number, waits: readonly number[]) {
  using clock = fakeClock(startMs);
  await using authority = await DnsServer.start();
  await using cache = await DnsServer.start({ cacheOf: authority, rounding });
  authority.set(NAME, ["127.0.0.2"], { ttl: 5 });
  const seen: [string, number][] = [];
  for (const wait of waits) {
    clock.advance(wait);
    const { answers } = await askUdp(cache, NAME);
    seen.push([answers[0]!.data, answers[0]!.ttl]);
    authority.set(NAME, ["127.0.0.3"], { ttl: 5 });
  }
  return seen;
}

const OLD = "127.0.0.2";
const NEW = "127.0.0.3";

Deno.test('a cache with rounding "floor" never reports more than the remaining TTL', async () => {
  assertEquals(await ageing("floor", 1_000_700, [0, 0.25, 0.75, 3.5, 0.49, 0.01, 0.25]), [
    [OLD, 5],
    [OLD, 4],
    [OLD, 4],
    [OLD, 0],
    [OLD, 0],
    [NEW, 5],
    [NEW, 4],
  ]);
});

Deno.test('a cache with rounding "ceil" reports up to a second too much', async () => {
  assertEquals(await ageing("ceil", 1_000_700, [0, 0.25, 0.75, 3.5, 0.49, 0.01]), [
    [OLD, 5],
    [OLD, 5],
    [OLD, 4],
    [OLD, 1],
    [OLD, 1],
    [NEW, 5],
  ]);
});

Deno.test('a cache with rounding "second-arithmetic" counts ticks of a clock of whole seconds', async () => {
  // Asked at 1000.75 s, which counts as 1000: the record ends at 1005.00 instead of 1005.75.
  assertEquals(await ageing("second-arithmetic", 1_000_750, [0, 0.24, 0.01, 3, 0.99, 0.01]), [
    [OLD, 5],
    [OLD, 5],
    [OLD, 4],
    [OLD, 1],
    [OLD, 1],
    [NEW, 5],
  ]);
});

Deno.test("a cache counts down the TTL of each record of a chain separately", async () => {
  using clock = fakeClock();
  await using authority = await DnsServer.start();
  await using cache = await DnsServer.start({ cacheOf: authority });
  authority.set("alias.internal", { cname: NAME }, { ttl: 5 });
  authority.set(NAME, ["127.0.0.2"], { ttl: 300 });
  const ttls = async () => (await askUdp(cache, "alias.internal")).answers.map(({ ttl }) => ttl);
  assertEquals(await ttls(), [5, 300]);
  clock.advance(1.25); // rounded down by default
  assertEquals(await ttls(), [3, 298]);
  clock.advance(3.75);
  assertEquals(await ttls(), [5, 295]);
});

Deno.test("a cache asks once per TTL, which the authority logs", async () => {
  using clock = fakeClock();
  await using authority = await DnsServer.start();
  await using cache = await DnsServer.start({ cacheOf: authority });
  authority.set(NAME, ["127.0.0.2", "::1"], { ttl: 5 });
  for (let second = 0; second < 10; second++) {
    await askUdp(cache, "DB.internal");
    await askUdp(cache, NAME, "AAAA");
    clock.advance(1);
  }
  assertEquals([cache.count(NAME), authority.count(NAME, "A"), authority.count(NAME)], [20, 2, 4]);
  assertEquals(authority.queries[0]!.protocol, "cache");
  assertEquals(authority.queries[0]!.from, cache.address);
});

Deno.test("a cache keeps a negative answer for its TTL", async () => {
  using clock = fakeClock();
  await using authority = await DnsServer.start({ negativeTtl: 4 });
  await using cache = await DnsServer.start({ cacheOf: authority });
  assertEquals((await askUdp(cache, NAME)).authorities[0]!.ttl, 4);
  authority.set(NAME, ["127.0.0.2"]);
  clock.advance(3);
  const still = await askUdp(cache, NAME);
  assertEquals([still.rcode, still.authorities[0]!.ttl], ["NXDOMAIN", 1]);
  clock.advance(1);
  assertEquals(data(await askUdp(cache, NAME)), ["127.0.0.2"]);
});

Deno.test("a cache keeps no record whose TTL is 0 or has the top bit set", async () => {
  using _clock = fakeClock();
  await using authority = await DnsServer.start();
  await using cache = await DnsServer.start({ cacheOf: authority });
  for (const ttl of [0, 2 ** 31, 2 ** 32 - 1]) {
    for (const address of ["127.0.0.2", "127.0.0.3"]) {
      authority.set(NAME, [address], { ttl });
      const { answers } = await askUdp(cache, NAME);
      assertEquals(answers.map((record) => [record.data, record.ttl]), [[address, 0]]);
    }
  }
});

Deno.test("a cache has its own faults, not the authority's, and answers without AA", async () => {
  await using authority = await DnsServer.start();
  await using cache = await DnsServer.start({ cacheOf: authority });
  authority.set(NAME, ["127.0.0.2"]);
  authority.fault(NAME, { rcode: "SERVFAIL" });
  const response = await askUdp(cache, NAME);
  assertEquals([response.flag_aa, ...data(response)], [false, "127.0.0.2"]);
  cache.fault(NAME, { rcode: "REFUSED" });
  assertEquals((await askUdp(cache, NAME)).rcode, "REFUSED");
});

Deno.test("a cache of a cache reports the remaining TTL", async () => {
  using clock = fakeClock();
  await using authority = await DnsServer.start();
  await using inner = await DnsServer.start({ cacheOf: authority });
  await using outer = await DnsServer.start({ cacheOf: inner });
  authority.set(NAME, ["127.0.0.2"], { ttl: 10 });
  await askUdp(inner, NAME);
  clock.advance(4);
  assertEquals((await askUdp(outer, NAME)).answers[0]!.ttl, 6);
});

Deno.test("a cache refuses to set and delete records", async () => {
  await using authority = await DnsServer.start();
  await using cache = await DnsServer.start({ cacheOf: authority });
  assertThrows(
    () => cache.set(NAME, []),
    TypeError,
    `Cannot set "db.internal" on "${cache.address}": it is a cache of "${authority.address}"`,
  );
  assertThrows(() => cache.delete(NAME), TypeError, 'Cannot delete "db.internal" on');
});
