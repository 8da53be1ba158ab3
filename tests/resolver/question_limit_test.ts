import { assert, assertEquals } from "@std/assert";
import { InFlightQuery } from "../../resolver/in_flight_query.ts";
import { MAX_UNDER_WAY, type Resolution, Turns } from "../../resolver/question_limit.ts";
import { clearDnsCache, getIpWithTtl } from "../../resolver.ts";
import { DnsServer } from "../../testing/mod.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { fakeTime } from "../support/time.ts";

/** Resolutions that a test ends, by the number under which they began. */
class Resolutions {
  readonly lookup = {};
  readonly ends: (() => void)[] = [];

  /** Takes a turn; the resolution ends when the test says so. */
  take({ servers = "", goesFirst = false } = {}): Resolution {
    const turns = Turns.at(this.lookup, servers);
    const resolution = {
      goesFirst,
      begin: () => void this.ends.push(() => turns.giveBack(true)),
    };
    turns.take(resolution);
    return resolution;
  }

  takeMany(count: number): void {
    for (let taken = 0; taken < count; taken++) this.take();
  }

  /** Ends all, and those that begin meanwhile. */
  endAll(from = 0): void {
    for (let ended = from; ended < this.ends.length; ended++) this.ends[ended]!();
  }
}

Deno.test("Turns.take() begins a resolution before it returns, and each further one when another ends", () => {
  const all = new Resolutions();
  all.takeMany(MAX_UNDER_WAY + 2);
  assertEquals(all.ends.length, MAX_UNDER_WAY);
  all.ends[0]!();
  assertEquals(all.ends.length, MAX_UNDER_WAY + 1);
  all.endAll(1);
  assertEquals(all.ends.length, MAX_UNDER_WAY + 2);
});

Deno.test("Turns.take() counts each lookup and each list of servers by itself", () => {
  const all = new Resolutions();
  all.takeMany(MAX_UNDER_WAY);
  all.take({ servers: "127.0.0.2 53" });
  assertEquals(all.ends.length, MAX_UNDER_WAY + 1);
  const other = new Resolutions();
  other.take();
  assertEquals(other.ends.length, 1);
  all.endAll();
  other.endAll();
});

Deno.test("Turns.take() begins one that goes first before the others", () => {
  const all = new Resolutions();
  all.takeMany(MAX_UNDER_WAY + 3);
  let hasBegun = false;
  const turns = Turns.at(all.lookup, "");
  turns.take({ goesFirst: true, begin: () => void (hasBegun = true) });
  all.ends[0]!();
  assertEquals(hasBegun, true);
  turns.giveBack(true);
  all.endAll(1);
});

Deno.test("getIpWithTtl() asks again for a known name before hundreds of unknown ones", async () => {
  using time = fakeTime();
  clearDnsCache();
  const slow = fakeLookup(["127.0.0.2"], 1);
  const options = { dnsLookup: slow, dnsFallback: false, dnsTimeout: 600 };
  await getIpWithTtl("known.internal", options);
  await time.advance(1.1);
  slow.delayMs = 80;
  const others = Array.from(
    { length: 500 },
    (_, index) => getIpWithTtl(`n${index}.internal`, options),
  );
  await time.settle();
  const known = getIpWithTtl("known.internal", options);
  const startMs = time.nowMs;
  const answered = known.then(() => time.nowMs - startMs);
  await time.advance(3);
  assertEquals(await answered, 160);
  await Promise.all(others);
});

Deno.test("Turns.leave() takes a resolution out of the queue, and the next one has its turn", () => {
  const all = new Resolutions();
  all.takeMany(MAX_UNDER_WAY);
  const first = all.take();
  all.take();
  const turns = Turns.at(all.lookup, "");
  assertEquals([turns.leave(first), turns.leave(first)], [true, false]);
  all.endAll();
  assertEquals(all.ends.length, MAX_UNDER_WAY + 1);
});

Deno.test("Turns double the number every 100 ms without an end, until the next end", async () => {
  using time = fakeTime();
  const all = new Resolutions();
  all.takeMany(8 * MAX_UNDER_WAY);
  await time.tick(99);
  assertEquals(all.ends.length, MAX_UNDER_WAY);
  await time.tick(1);
  assertEquals(all.ends.length, 2 * MAX_UNDER_WAY);
  await time.tick(100);
  assertEquals(all.ends.length, 4 * MAX_UNDER_WAY);
  all.ends[0]!();
  await time.tick(99);
  // The server answers again.
  assertEquals(all.ends.length, 4 * MAX_UNDER_WAY);
  all.endAll(1);
});

/** Starts queries whose lookup takes 80 ms. */
function startQueries(count: number, demand: { timeoutMs: number }) {
  const slow = fakeLookup(["127.0.0.2"], 60);
  slow.delayMs = 80;
  const results: Record<string, number> = {};
  const owner = {
    onResult: (_: InFlightQuery, { kind }: { kind: string }) => {
      results[kind] = (results[kind] ?? 0) + 1;
    },
    onLateHalf: () => {},
    onFinished: () => {},
  };
  const queries = Array.from({ length: count }, (_, index) =>
    new InFlightQuery(
      {
        ...{ name: `n${index}.internal`, family: 4, lookup: slow, servers: [] },
        ...{ previous: undefined, trustNegative: false, fallback: undefined },
      },
      { ...demand, maxRetries: 1, beforeFallbackMs: undefined },
      owner,
    ));
  for (const query of queries) query.retain();
  return { slow, queries, results };
}

Deno.test("InFlightQuery counts its time limits from its turn", async () => {
  using time = fakeTime();
  // Of 20 turns, one after the other, each takes 80 ms.
  const { slow, results } = startQueries(20 * MAX_UNDER_WAY, { timeoutMs: 1000 });
  await time.advance(3);
  assertEquals(results, { answered: 20 * MAX_UNDER_WAY });
  assertEquals(slow.mostAtOnce, MAX_UNDER_WAY);
});

Deno.test("InFlightQuery.release() by the last caller takes the query out of the queue; what a caller demands of one that waits counts in its turn", async () => {
  using time = fakeTime();
  const { slow, queries, results } = startQueries(MAX_UNDER_WAY + 2, { timeoutMs: 50 });
  queries[MAX_UNDER_WAY]!.release();
  assertEquals(await queries[MAX_UNDER_WAY]!.settled, { kind: "cancelled" });
  queries[MAX_UNDER_WAY + 1]!.demand({
    ...{ timeoutMs: 100, maxRetries: 1, beforeFallbackMs: undefined },
  });
  await time.advance(1);
  // The others gave up after 50 ms.
  assertEquals(results, { failed: MAX_UNDER_WAY, answered: 1 });
  assertEquals(slow.questions.length, MAX_UNDER_WAY + 1);
});

for (const dnsLookup of ["wire", "system"] as const) {
  Deno.test(`getIpWithTtl() resolves 5,000 names at once with "${dnsLookup}"`, async () => {
    await using dns = await DnsServer.start({ ttl: 60 });
    const names = Array.from({ length: 5000 }, (_, index) => `n${index}.internal`);
    for (const name of names) dns.set(name, ["127.0.0.2"]);
    // On a busy machine the whole takes its time, the first questions wait for the end of this turn of the loop, in which
    // the server's turn is as well, and Deno's own resolver waits 5 seconds.
    const patience = { dnsTimeout: 600, dnsMaxRetries: 10 };
    const options = { dnsLookup, dnsNameservers: [dns.address], ...patience };
    const answers = await Promise.all(names.map((name) => getIpWithTtl(name, options)));
    assertEquals(new Set(answers.map(([address]) => address)), new Set(["127.0.0.2"]));
    if (dnsLookup === "wire") {
      // At most eight questions a port; some ports come again by chance.
      const ports = new Set(dns.queries.map(({ from }) => from));
      assert(ports.size > names.length / 10, `${ports.size} ports`);
    }
    clearDnsCache();
  });
}
