import { assert, assertEquals, assertFalse, assertRejects } from "@std/assert";
import process from "node:process";
import { ResolveError } from "../../errors.ts";
import { type AddressChange, clearDnsCache, getIpWithTtl } from "../../resolver.ts";
import { fail, fakeLookup, viewBy } from "../support/fake_lookup.ts";
import { fakeTime } from "../support/time.ts";

Deno.test("a caller that aborts leaves the others alone, and the last one ends the query", async () => {
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

Deno.test("aborting twice, or after the answer, is harmless", async () => {
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

Deno.test("a question kept for upkeep goes on when the caller that waits for it aborts", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 1);
  const view = viewBy(dns);
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

Deno.test("callers that come between clearDnsCache() and the next question share it with those who waited before", async () => {
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

Deno.test("an answer that comes after clearDnsCache() is not kept, though its lookup ignores the abort", async () => {
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

Deno.test("clearDnsCache() at any moment between an answer's arrival and its callers is obeyed", async () => {
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

Deno.test("a failure that comes late, of a resolution that was given up, changes nothing", async () => {
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

Deno.test("one who has more patience than the query under way asks again when it fails, within his own time", async () => {
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

Deno.test("one who tries more often than the query under way does so when it fails", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 10);
  dns.delayMs = 100;
  dns.failure = "transient";
  const once = viewBy(dns, { dnsMaxRetries: 1 });
  const often = viewBy(dns, { dnsMaxRetries: 3 });
  const first = assertRejects(() => once.waitUntilFresh(), ResolveError);
  const second = often.waitUntilFresh();
  await time.advance(0.1);
  await first;
  dns.failure = undefined;
  await time.advance(0.5);
  await second;
  assertEquals([often.addresses, dns.mostAtOnce], [["10.0.0.1"], 1]);
});

Deno.test("one whose time is up leaves with an error that says so, and the query goes on for the others", async () => {
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

Deno.test("every caller of a failed resolution is told the lookup's own error", async () => {
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

Deno.test("a negative answer is remembered for its TTL, at most 5 s, or for 1 s where it says none", async () => {
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

Deno.test("an ambiguous no and a failing server are never remembered: the next caller asks again", async () => {
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

Deno.test("a negative answer is not remembered where there is a stale one: when grace is over DNS is asked", async () => {
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

Deno.test("addresses are compared as sets: a watcher hears of each real change once, before any caller goes on", async () => {
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

Deno.test("a watcher hears of every answer, after the change where it brought one", async () => {
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

Deno.test("all views of a name have the new answer before any watcher hears of it", async () => {
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

Deno.test("a watcher that clears the cache is obeyed: no view keeps the answer", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 10);
  const one = viewBy(dns);
  const two = viewBy(dns, { dnsMaxTtl: 5 });
  const unwatch = one.watch({ onChange: () => clearDnsCache() });
  await one.waitUntilFresh();
  assertEquals([one.isFresh(time.nowMs), two.isFresh(time.nowMs)], [false, false]);
  unwatch();
});

Deno.test("a watcher that throws is an uncaught error of its own: the others hear, and the callers are served", async () => {
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
