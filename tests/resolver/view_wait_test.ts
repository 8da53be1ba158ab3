import { assert, assertEquals, assertFalse, assertMatch, assertRejects } from "@std/assert";
import process from "node:process";
import { ResolveError } from "../../errors.ts";
import { type AddressChange, clearDnsCache, getIpWithTtl } from "../../resolver.ts";
import { fail, fakeLookup, viewBy } from "../support/fake_lookup.ts";
import { fakeTime } from "../support/time.ts";

Deno.test("View.waitUntilFresh(): a caller that aborts does not end the query for others; the last one does", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 10);
  dns.delayMs = 1000;
  const view = viewBy(dns);
  const other = viewBy(dns, { dnsMaxTtl: 1 });
  const controllers = [1, 2, 3].map(() => new AbortController());
  const callers = controllers.map(({ signal }, i) =>
    (i === 1 ? other : view).waitUntilFresh(signal)
  );
  const outcomes = Promise.allSettled(callers);
  await time.settle();
  for (const [i, controller] of controllers.entries()) {
    assertEquals(dns.running, 1);
    controller.abort(new Error(`gone ${i}`));
    await time.settle();
  }
  assertEquals(dns.running, 0);
  const reasons = (await outcomes).map((one) => one.status === "rejected" && String(one.reason));
  assertEquals(reasons, ["Error: gone 0", "Error: gone 1", "Error: gone 2"]);
  assertEquals(dns.questions.length, 1);
});

Deno.test("View.waitUntilFresh(): aborting twice, or after the answer, is harmless", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 10);
  dns.delayMs = 1000;
  const view = viewBy(dns);
  const controller = new AbortController();
  const gone = view.waitUntilFresh(controller.signal);
  const stays = view.waitUntilFresh();
  const rejected = assertRejects(() => gone, Error, "gone");
  controller.abort(new Error("gone"));
  controller.abort(new Error("again"));
  await rejected;
  assertEquals(dns.running, 1);
  await time.advance(1);
  await stays;
  controller.abort();
  assert(view.isFresh(time.nowMs));
  await assertRejects(
    () => view.waitUntilFresh(AbortSignal.abort(new Error("early"))),
    Error,
    "early",
  );
});

Deno.test("View.waitUntilFresh(): a background query goes on when the caller that waits for it aborts", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 1);
  const view = viewBy(dns, { dnsGraceTtl: 0 });
  await view.waitUntilFresh();
  const leave = view.keepFresh();
  dns.delayMs = 1000;
  await time.advance(1);
  const controller = new AbortController();
  const caller = view.waitUntilFresh(controller.signal);
  const rejected = assertRejects(() => caller, Error, "gone");
  await time.settle();
  controller.abort(new Error("gone"));
  await rejected;
  assertEquals(dns.running, 1);
  leave();
  await time.settle();
  assertEquals(dns.running, 0);
});

Deno.test("clearDnsCache(): callers before and after it share the next query", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 100);
  dns.delayMs = 1000;
  const early = getIpWithTtl("db.internal", { dnsLookup: dns });
  await time.advance(0.5);
  dns.addresses = ["10.0.0.2"];
  clearDnsCache();
  const late = getIpWithTtl("db.internal", { dnsLookup: dns });
  await time.advance(1);
  assertEquals([await early, await late], [["10.0.0.2", 99], ["10.0.0.2", 99]]);
  assertEquals([dns.questions.length, dns.mostAtOnce], [2, 1]);
});

Deno.test("clearDnsCache(): a later answer of a lookup that ignores the abort is ignored", async () => {
  using time = fakeTime();
  const dns = fakeLookup([], 100);
  const answers: ((ip: string) => void)[] = [];
  dns.respond = () =>
    new Promise((resolve) => answers.push((ip) => resolve({ addresses: [ip], ttl: 100 })));
  const view = viewBy(dns);
  const early = view.waitUntilFresh();
  await time.settle();
  clearDnsCache();
  await time.settle();
  answers[0]!("10.0.0.1");
  await time.settle();
  assertEquals(view.addresses, []);
  assertFalse(view.isFresh(time.nowMs));
  answers[1]!("10.0.0.2");
  await early;
  assertEquals(view.addresses, ["10.0.0.2"]);
});

Deno.test("clearDnsCache() takes effect at any moment between the arrival of an answer and its callers", async () => {
  for (let turns = 0; turns < 12; turns++) {
    using _time = fakeTime();
    const dns = fakeLookup(["10.0.0.1"], 100);
    const view = viewBy(dns);
    let told = false;
    const caller = view.waitUntilFresh().then(() => told = true);
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    const before = told;
    dns.addresses = ["10.0.0.2"];
    const known = view.addresses.length > 0;
    clearDnsCache();
    await caller;
    assert(before || known || view.addresses[0] === "10.0.0.2");
    assertEquals(dns.questions.length, before || known ? 1 : 2, `after ${turns} turns`);
  }
});

Deno.test("CacheEntry: a late failure of a cancelled query changes nothing", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 10);
  const view = viewBy(dns);
  let failLate!: () => void;
  dns.respond = () => new Promise((_, reject) => failLate = () => reject(fail("negative", 5)));
  const controller = new AbortController();
  const gone = view.waitUntilFresh(controller.signal);
  const rejected = assertRejects(() => gone, Error, "gone");
  await time.settle();
  controller.abort(new Error("gone"));
  await rejected;
  dns.respond = undefined;
  await view.waitUntilFresh();
  const errors: unknown[] = [];
  const unwatch = view.watch({ onError: (error) => errors.push(error) });
  failLate();
  await time.settle();
  assertEquals([view.entry.failures, view.addresses, errors], [0, ["10.0.0.1"], []]);
  await time.advance(10);
  await view.waitUntilFresh();
  unwatch();
});

Deno.test("View.waitUntilFresh() asks again if the query failed with a shorter dnsTimeout", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 10);
  dns.delayMs = 3000;
  const hasty = viewBy(dns, { dnsMaxRetries: 1, dnsTimeout: 1 });
  const patient = viewBy(dns, { dnsMaxRetries: 1, dnsTimeout: 10 });
  const first = assertRejects(() => hasty.waitUntilFresh(), ResolveError);
  const second = patient.waitUntilFresh();
  await time.advance(1.1);
  await first;
  await time.advance(3);
  await second;
  assertEquals([dns.questions.length, dns.mostAtOnce], [2, 1]);
});

Deno.test("View.waitUntilFresh(): a query tries as often as the most demanding of its callers wants", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 10);
  dns.delayMs = 100;
  dns.failure = "transient";
  const once = viewBy(dns, { dnsMaxRetries: 1 });
  const often = viewBy(dns, { dnsMaxRetries: 3 });
  const callers = [once.waitUntilFresh(), often.waitUntilFresh()];
  await time.advance(0.1);
  dns.failure = undefined;
  await time.advance(0.5);
  await Promise.all(callers);
  assertEquals([once.addresses, often.addresses], [["10.0.0.1"], ["10.0.0.1"]]);
  assertEquals(dns.mostAtOnce, 1);
});

Deno.test("View.waitUntilFresh(): a caller with one attempt in a minute does not bind others to a question that was lost", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 1);
  const patient = viewBy(dns, { dnsMaxRetries: 1, dnsTimeout: 60, dnsGraceTtl: 0 });
  const usual = viewBy(dns);
  await usual.waitUntilFresh();
  await time.advance(1.2);
  dns.addresses = ["10.0.0.2"];
  dns.respond = () => dns.questions.length <= 3 ? new Promise(() => {}) : undefined;
  const first = patient.waitUntilFresh();
  await time.settle();
  const startMs = time.nowMs;
  while (usual.addresses[0] !== "10.0.0.2" && time.nowMs - startMs < 60_000) {
    if (!usual.isFresh()) {
      usual.waitUntilFresh();
      await time.settle();
    }
    await time.tick(50);
  }
  // Its own share of its own time: a seventh of 12 seconds.
  assert(time.nowMs - startMs < 2000, `${time.nowMs - startMs} ms`);
  await first;
  assertEquals(dns.mostAtOnce, 1);
});

Deno.test("View.waitUntilFresh() rejects when its dnsTimeout is over, and the query goes on for other views", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 10);
  dns.delayMs = 3000;
  const patient = viewBy(dns, { dnsMaxRetries: 1, dnsTimeout: 10 });
  const hasty = viewBy(dns, { dnsMaxRetries: 1, dnsTimeout: 1 });
  const second = patient.waitUntilFresh();
  const first = assertRejects(
    () => hasty.waitUntilFresh(),
    ResolveError,
    'Cannot resolve "db.internal": no answer within 1 seconds',
  );
  await time.advance(1.1);
  assertEquals((await first).kind, "transient");
  await time.advance(2);
  await second;
  assertEquals(dns.questions.length, 1);
});

Deno.test("View.waitUntilFresh(): time in which the event loop is blocked does not count for a caller either", async () => {
  // Blocked shortly before the time is over, as a whole, and again and again.
  for (const stallsMs of [[0, 290], [1000], [70, 70, 70, 70, 70], [30, 200, 200, 200]]) {
    for (const answers of [false, true]) {
      using time = fakeTime();
      const dns = fakeLookup(["10.0.0.1"], 10);
      dns.delayMs = 20;
      dns.respond = () => answers ? undefined : new Promise(() => {});
      const view = viewBy(dns, { dnsMaxRetries: 1, dnsTimeout: 0.3 });
      const waiting = Promise.allSettled([view.waitUntilFresh()]);
      for (const stallMs of stallsMs) {
        time.stall(stallMs / 1000);
        await time.tick(5);
      }
      await time.advance(0.5);
      const [outcome] = await waiting;
      const failure = outcome!.status === "rejected" ? String(outcome!.reason.cause) : "";
      if (answers) assertEquals(failure, "", `${stallsMs}`);
      else assertMatch(failure, /did not answer within 0.3 s/, `${stallsMs}`);
    }
    clearDnsCache();
  }
});

Deno.test("View.waitUntilFresh() rejects every waiting caller with the lookup's error as cause", async () => {
  using time = fakeTime();
  const dns = fakeLookup([], 10);
  dns.delayMs = 100;
  dns.failure = "config";
  const callers = Promise.allSettled([1, 2, 3].map(() => viewBy(dns).waitUntilFresh()));
  await time.advance(0.1);
  for (const outcome of await callers) {
    assert(outcome.status === "rejected");
    const error: unknown = outcome.reason;
    assert(error instanceof ResolveError && error.kind === "config");
    assertEquals([error.host, String(error.cause)], [
      "db.internal",
      "LookupError: Scripted: config",
    ]);
  }
  assertEquals(dns.questions.length, 1);
});

Deno.test("CacheEntry: a negative answer is cached for its TTL, at most 5 s, or for 1 s without a TTL", async () => {
  for (
    const [negativeTtl, seconds] of [[3, 3], [60, 5], [undefined, 1], [2 ** 31, 0], [
      NaN,
      1,
    ]] as const
  ) {
    using time = fakeTime();
    const dns = fakeLookup([], 10);
    dns.failure = "negative";
    dns.negativeTtl = negativeTtl;
    const view = viewBy(dns, { dnsFamily: 4 });
    await assertRejects(() => view.waitUntilFresh(), ResolveError);
    if (seconds > 0) {
      await time.advance(seconds - 0.001);
      await assertRejects(() => view.waitUntilFresh(), ResolveError, "Scripted: negative");
      assertEquals(dns.questions.length, 1);
      await time.advance(0.001);
    }
    await assertRejects(() => view.waitUntilFresh(), ResolveError);
    assertEquals(dns.questions.length, 2);
  }
});

Deno.test('CacheEntry: an ambiguous "not found" and other failures are not cached', async () => {
  for (const failure of ["ambiguous", "transient", "config"] as const) {
    using _time = fakeTime();
    const dns = fakeLookup([], 10);
    dns.failure = failure;
    dns.negativeTtl = 5;
    const view = viewBy(dns, { dnsMaxRetries: 1, dnsFamily: 4 });
    for (let n = 1; n <= 3; n++) {
      await assertRejects(() => view.waitUntilFresh(), ResolveError);
      assertEquals(dns.questions.length, n);
    }
  }
});

Deno.test("CacheEntry: a negative answer is not repeated while there is a stale answer: DNS is asked when grace is over", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 10);
  const view = viewBy(dns, { dnsGraceTtl: 2, dnsExtendGrace: false });
  await view.waitUntilFresh();
  dns.failure = "negative";
  dns.negativeTtl = 5;
  await time.advance(10);
  await view.waitUntilFresh();
  await time.advance(2);
  dns.failure = undefined;
  dns.addresses = ["10.0.0.2"];
  await view.waitUntilFresh();
  assertEquals(view.addresses, ["10.0.0.2"]);
});

Deno.test("clearDnsCache() forgets a negative answer", async () => {
  using _time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 10);
  dns.failure = "negative";
  const view = viewBy(dns);
  await assertRejects(() => view.waitUntilFresh(), ResolveError);
  dns.failure = undefined;
  clearDnsCache();
  await view.waitUntilFresh();
  assertEquals(view.addresses, ["10.0.0.1"]);
});

Deno.test("View.watch(): onChange is called once per change of the set of addresses, before any caller gets the answer", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1", "10.0.0.2"], 10);
  const view = viewBy(dns);
  const log: unknown[] = [];
  const unwatch = view.watch({ onChange: (change: AddressChange) => log.push(change) });
  const answers = [
    ["10.0.0.1", "10.0.0.2"],
    ["10.0.0.2", "10.0.0.1"],
    ["10.0.0.2", "10.0.0.3"],
    ["10.0.0.3", "10.0.0.3"],
  ];
  for (const addresses of answers) {
    dns.addresses = addresses;
    await view.waitUntilFresh().then(() => log.push("caller"));
    await time.advance(10);
  }
  const rest = { ttl: 10, source: "dns" };
  assertEquals(log, [
    { added: answers[0], removed: [], addresses: answers[0], ...rest },
    "caller",
    "caller",
    { added: ["10.0.0.3"], removed: ["10.0.0.1"], addresses: answers[2], ...rest },
    "caller",
    { added: [], removed: ["10.0.0.2"], addresses: ["10.0.0.3"], ...rest },
    "caller",
  ]);
  assertEquals(view.addresses, ["10.0.0.3"]);
  unwatch();
});

Deno.test("View.watch(): onAnswer is called for every answer, after onChange", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 10);
  const view = viewBy(dns, { dnsGraceTtl: 0, dnsMaxRetries: 1 });
  const heard: string[] = [];
  const unwatch = view.watch({
    onChange: () => heard.push("change"),
    onAnswer: () => heard.push("answer"),
    onError: () => heard.push("error"),
  });
  await view.waitUntilFresh();
  await time.advance(10);
  await view.waitUntilFresh();
  dns.failure = "transient";
  await time.advance(10);
  await assertRejects(() => view.waitUntilFresh(), ResolveError);
  dns.failure = undefined;
  await view.waitUntilFresh();
  assertEquals(heard, ["change", "answer", "answer", "error", "answer"]);
  unwatch();
});

Deno.test("CachedName updates all views before it calls the first watcher", async () => {
  using _time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 10);
  const one = viewBy(dns);
  const two = viewBy(dns, { dnsMaxTtl: 5 });
  const seen: unknown[] = [];
  const unwatch = [
    one.watch({ onChange: () => seen.push(two.addresses) }),
    two.watch({ onChange: () => seen.push(one.addresses) }),
  ];
  await one.waitUntilFresh();
  assertEquals(seen, [["10.0.0.1"], ["10.0.0.1"]]);
  for (const end of unwatch) end();
});

Deno.test("View.watch(): a watcher may call clearDnsCache(), which clears all views", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 10);
  const one = viewBy(dns);
  const two = viewBy(dns, { dnsMaxTtl: 5 });
  const unwatch = one.watch({ onChange: () => clearDnsCache() });
  await one.waitUntilFresh();
  assertEquals([one.isFresh(time.nowMs), two.isFresh(time.nowMs)], [false, false]);
  unwatch();
});

Deno.test("View.watch(): what a watcher throws is an uncaught error; other watchers and callers are not affected", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 10);
  const view = viewBy(dns, { dnsGraceTtl: 0, dnsMaxRetries: 1 });
  const uncaught: unknown[] = [];
  const onUncaught = (error: Error) => {
    uncaught.push(error.message);
  };
  process.on("uncaughtException", onUncaught);
  const heard: string[] = [];
  const throwing = (what: string) => () => {
    throw new Error(what);
  };
  const unwatch = [
    view.watch({ onChange: throwing("on change"), onError: throwing("on error") }),
    view.watch({ onChange: () => heard.push("change"), onError: () => heard.push("error") }),
  ];
  try {
    await view.waitUntilFresh();
    dns.failure = "transient";
    await time.advance(10);
    await assertRejects(() => view.waitUntilFresh(), ResolveError);
    await time.settle();
  } finally {
    process.off("uncaughtException", onUncaught);
  }
  assertEquals(heard, ["change", "error"]);
  assertEquals(uncaught, ["on change", "on error"]);
  for (const end of unwatch) end();
});
