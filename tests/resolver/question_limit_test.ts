import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { inTurn, MAX_UNDER_WAY } from "../../resolver/question_limit.ts";
import { resolveName, type ResolveRequest } from "../../resolver/resolution.ts";
import { clearDnsCache, getIpWithTtl } from "../../resolver.ts";
import { DnsServer } from "../../testing/mod.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { fakeTime } from "../support/time.ts";

/** Resolutions that a test ends, by the number under which they began. */
class Resolutions {
  readonly lookup = {};
  readonly ends: (() => void)[] = [];
  readonly #controller = new AbortController();

  begin(
    { servers = "", signal = this.#controller.signal, goesFirst = false } = {},
  ): Promise<void> {
    const resolve = () => new Promise<void>((end) => this.ends.push(end));
    return inTurn(this.lookup, servers, { signal, goesFirst }, resolve);
  }

  beginMany(count: number): Promise<void>[] {
    return Array.from({ length: count }, () => this.begin());
  }

  async endAll(): Promise<void> {
    for (let ended = 0; ended < this.ends.length; ended++) {
      this.ends[ended]!();
      await turn();
    }
  }
}

/** Runs the microtasks of an end. */
async function turn(): Promise<void> {
  for (let count = 0; count < 5; count++) await Promise.resolve();
}

Deno.test("inTurn() begins a resolution before it returns, and each further one when another ends", async () => {
  const all = new Resolutions();
  const asked = all.beginMany(MAX_UNDER_WAY + 2);
  assertEquals(all.ends.length, MAX_UNDER_WAY);
  all.ends[5]!();
  await asked[5];
  await turn();
  assertEquals(all.ends.length, MAX_UNDER_WAY + 1);
  await all.endAll();
  await Promise.all(asked);
  assertEquals(all.ends.length, MAX_UNDER_WAY + 2);
});

Deno.test("inTurn() counts each lookup and each list of servers by itself", async () => {
  const all = new Resolutions();
  const asked = all.beginMany(MAX_UNDER_WAY);
  asked.push(all.begin({ servers: "127.0.0.2 53" }));
  assertEquals(all.ends.length, MAX_UNDER_WAY + 1);
  const other = new Resolutions();
  asked.push(other.begin());
  assertEquals(other.ends.length, 1);
  await all.endAll();
  await other.endAll();
  await Promise.all(asked);
});

Deno.test("inTurn() begins one that goes first before the others", async () => {
  const all = new Resolutions();
  const asked = all.beginMany(MAX_UNDER_WAY + 3);
  let hasBegun = false;
  const first = inTurn(
    all.lookup,
    "",
    { signal: new AbortController().signal, goesFirst: true },
    () => Promise.resolve(void (hasBegun = true)),
  );
  all.ends[0]!();
  await first;
  assertEquals(hasBegun, true);
  await all.endAll();
  await Promise.all(asked);
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

Deno.test("inTurn() lets an aborted resolution leave the queue, and gives its turn to the next", async () => {
  const all = new Resolutions();
  const asked = all.beginMany(MAX_UNDER_WAY);
  const controller = new AbortController();
  const left = all.begin({ signal: controller.signal });
  asked.push(all.begin());
  const reason = new Error("The caller has left");
  controller.abort(reason);
  assertStrictEquals(await assertRejects(() => left, Error), reason);
  await all.endAll();
  await Promise.all(asked);
  assertEquals(all.ends.length, MAX_UNDER_WAY + 1);
});

Deno.test("inTurn() doubles the number every 100 ms without an end, until the next end", async () => {
  using time = fakeTime();
  const all = new Resolutions();
  const asked = all.beginMany(8 * MAX_UNDER_WAY);
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
  await all.endAll();
  await Promise.all(asked);
});

Deno.test("resolveName() counts its time limits from its turn", async () => {
  using time = fakeTime();
  const slow = fakeLookup(["127.0.0.2"], 60);
  slow.delayMs = 80;
  const request: Omit<ResolveRequest, "name"> = {
    ...{ family: 4, lookup: slow, servers: [], rounds: 1, timeoutMs: 1000, dnsTimeoutMs: 1000 },
    ...{ previous: undefined, trustNegative: false, fallback: undefined },
    signal: new AbortController().signal,
  };
  // Of 20 turns, one after the other, each takes 80 ms.
  const names = Array.from({ length: 20 * MAX_UNDER_WAY }, (_, index) => `n${index}.internal`);
  const asked = Promise.all(names.map((name) => resolveName({ ...request, name })));
  await time.advance(3);
  await asked;
  assertEquals(slow.mostAtOnce, MAX_UNDER_WAY);
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
