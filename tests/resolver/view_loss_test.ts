import { assert, assertEquals } from "@std/assert";
import type { Answer } from "../../lookups/lookup.ts";
import { fakeEngine } from "../support/fake_engine.ts";
import { fakeCache, fakeLookup, type Rounding, seeded, viewBy } from "../support/fake_lookup.ts";
import { fakeTime } from "../support/time.ts";

/** Returns the longest wait of a checkout in ten minutes in which one message in ten is lost. */
async function longestWait(ttl: number, rounding: Rounding, seed: number): Promise<number> {
  using time = fakeTime();
  const random = seeded(seed);
  const real = Math.random;
  Math.random = random;
  try {
    const cache = fakeCache({ ttl, address: () => "10.0.0.1" }, rounding, 20);
    const dns = fakeLookup([], ttl);
    let isWarm = false;
    Object.assign(dns, { repeats: true });
    dns.respond = async (): Promise<Answer> => {
      const queryLost = isWarm && random() < 0.05;
      if (queryLost) await new Promise(() => {});
      const { address, ttl, readyMs } = cache.ask(time.nowMs);
      if (isWarm && random() < 0.05) await new Promise(() => {});
      await new Promise((resolve) => setTimeout(resolve, readyMs - time.nowMs + 2));
      return { addresses: [address], ttl };
    };
    const view = viewBy(dns);
    const first = view.waitUntilFresh();
    await time.tick(50);
    await first;
    const leave = view.keepFresh();
    isWarm = true;
    let longestMs = 0;
    let waitingSinceMs: number | undefined;
    const untilMs = time.nowMs + 600_000;
    while (time.nowMs < untilMs) {
      if (!view.isFresh() && waitingSinceMs === undefined) {
        const sinceMs = waitingSinceMs = time.nowMs;
        view.waitUntilFresh().finally(() => {
          longestMs = Math.max(longestMs, time.nowMs - sinceMs);
          waitingSinceMs = undefined;
        });
      }
      await time.tick(50);
    }
    leave();
    return longestMs;
  } finally {
    Math.random = real;
  }
}

Deno.test("View.keepFresh(): if one message in ten is lost, no caller waits for more than 50 ms in ten minutes", async () => {
  for (const [ttl, rounding] of [[1, "none"], [5, "floor"], [5, "none"], [30, "ceil"]] as const) {
    const waitedMs = await longestWait(ttl, rounding, 7);
    assert(waitedMs <= 50, `TTL ${ttl}, ${rounding}: ${waitedMs} ms`);
  }
});

Deno.test('dnsFamily "both" and a server that never answers AAAA: no checkout waits, and `lookuperror` says so', async () => {
  using time = fakeTime();
  const { engine, dns } = fakeEngine({ dnsFamily: "both" });
  const errors: string[] = [];
  engine.addEventListener("lookuperror", ({ detail }) => errors.push(String(detail.error)));
  dns.respond = ({ family }) =>
    family === 4 ? { addresses: ["10.0.0.1"], ttl: 1 } : new Promise(() => {});
  const waits: number[] = [];
  for (let n = 0; n < 100; n++) {
    const startMs = time.nowMs;
    let isDone = false;
    const checkout = engine.use(() => {}).then(() => isDone = true);
    await time.settle();
    while (!isDone) await time.tick(1);
    await checkout;
    waits.push(time.nowMs - startMs);
    await time.tick(100);
  }
  assert(Math.max(...waits) <= 51, `${waits}`);
  assertEquals(waits.slice(1).filter((ms) => ms > 0), []);
  assert(errors.length > 0 && errors.every((error) => error.includes("AAAA")), `${errors}`);
  // One question for AAAA is open at a time.
  assertEquals(dns.mostAtOnce, 2);
  await engine.close();
  await time.settle();
  assertEquals(dns.running, 0);
});

Deno.test('dnsFamily "both": the addresses of a family that answers later join the answer, also if the TTL is over by then', async () => {
  using time = fakeTime();
  const { engine, dns } = fakeEngine({ dnsFamily: "both" });
  dns.respond = ({ family }) => {
    if (family === 4) return { addresses: ["10.0.0.1"], ttl: 1 };
    const answer = { addresses: ["fd00::1"], ttl: 60 };
    return new Promise((done) => setTimeout(() => done(answer), 1300));
  };
  const use = engine.use(() => {});
  await time.tick(60);
  await use;
  assertEquals(engine.status().answer.addresses, ["10.0.0.1"]);
  await time.advance(1.3);
  assertEquals(engine.status().answer.addresses, ["10.0.0.1", "fd00::1"]);
  await time.advance(5);
  assertEquals(engine.status().answer.addresses, ["10.0.0.1", "fd00::1"]);
  await engine.close();
});

Deno.test('dnsFamily "both": the family that answers later joins the answer, although a caller has left before the first', async () => {
  using time = fakeTime();
  const dns = fakeLookup([], 60);
  dns.respond = async ({ family }) => {
    await new Promise((done) => setTimeout(done, family === 4 ? 10 : 1300));
    return { addresses: [family === 4 ? "10.0.0.1" : "fd00::1"], ttl: 60 };
  };
  const view = viewBy(dns, { dnsFamily: "both" });
  const unwatch = view.watch({});
  const controller = new AbortController();
  const left = view.waitUntilFresh(controller.signal).catch(() => "left");
  const served = view.waitUntilFresh();
  controller.abort();
  assertEquals(await left, "left");
  await time.tick(100);
  await served;
  assertEquals(view.addresses, ["10.0.0.1"]);
  await time.advance(1.3);
  assertEquals(view.addresses, ["10.0.0.1", "fd00::1"]);
  unwatch();
});

Deno.test("View.refresh() is not bound to a query that has gone silent", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 300);
  const view = viewBy(dns);
  await view.waitUntilFresh();
  const leave = view.keepFresh();
  await time.advance(2);
  dns.respond = () => new Promise(() => {});
  view.refresh();
  await time.advance(1.2);
  dns.respond = undefined;
  dns.addresses = ["10.0.0.2"];
  await view.refresh();
  assertEquals(view.addresses, ["10.0.0.2"]);
  leave();
});

Deno.test("View: data that have expired at the server are used like an answer that has expired here, and reported", async () => {
  using time = fakeTime();
  const dns = fakeLookup([], 10);
  let answer: Answer = { addresses: ["10.0.0.1"], ttl: 10 };
  dns.respond = () => answer;
  const view = viewBy(dns, { dnsMaxRetries: 1, dnsMaxStale: 60 });
  const strict = viewBy(dns, { dnsMaxRetries: 1, dnsGraceTtl: 0 });
  const errors: string[] = [];
  const changes: unknown[] = [];
  const unwatch = view.watch({
    onError: (error) => errors.push(String(error)),
    onChange: ({ addresses }) => changes.push(addresses),
  });
  await view.waitUntilFresh();
  await time.advance(10);
  answer = { addresses: ["10.0.0.2"], ttl: 30, stale: true };
  await view.waitUntilFresh();
  assertEquals([view.addresses, changes.length], [["10.0.0.2"], 2]);
  assertEquals([view.status().inGrace, view.status().failures], [true, 1]);
  assert(errors[0]!.includes("have expired"));
  const outcome = await strict.waitUntilFresh().then(() => "served", String);
  assert(outcome.includes("have expired"), outcome);
  answer = { addresses: ["10.0.0.3"], ttl: 10 };
  await time.advance(1);
  view.isFresh();
  await time.settle();
  assertEquals([view.addresses, view.status().inGrace], [["10.0.0.3"], false]);
  unwatch();
});

Deno.test("View: without an answer before, data that have expired at the server serve, in grace", async () => {
  using _time = fakeTime();
  const dns = fakeLookup([], 10);
  dns.respond = () => ({ addresses: ["10.0.0.2"], ttl: 30, stale: true });
  const view = viewBy(dns, { dnsMaxRetries: 1 });
  await view.waitUntilFresh();
  assertEquals([view.addresses, view.status().inGrace], [["10.0.0.2"], true]);
});
