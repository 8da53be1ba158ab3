import { assert, assertEquals, assertRejects } from "@std/assert";
import { LookupError, type ResolveError } from "../../errors.ts";
import { SeveralHosts } from "../../resolver/several_hosts.ts";
import { FakeAnswer } from "../support/fake_answer.ts";
import { fakeTime } from "../support/time.ts";

const [A, B] = ["10.0.0.1", "10.0.0.2"];
const NAME_A = `${A}:1 (a)`;
const NAME_B = `${B}:2 (b)`;

function setup(a: FakeAnswer = new FakeAnswer([A]), b: FakeAnswer = new FakeAnswer([B])) {
  const host = (host: string, port: number, answer: FakeAnswer) => ({ host, port, answer });
  const all = [host("a", 1, a), host("b", 2, b)];
  return { a, b, host, all, several: new SeveralHosts(all) };
}

/** Watches; returns what was told. */
function listen(several: SeveralHosts) {
  const told: unknown[] = [];
  const unwatch = several.watch({
    onChange: ({ added, removed, addresses, host }, isFirst) => {
      told.push({ added, removed, addresses, host, isFirst });
    },
    onAnswer: (askedAtMs) => told.push(askedAtMs),
    onError: (error) => told.push(error),
  });
  return { told, unwatch };
}

/** Waits as a caller does; returns how long it took, in milliseconds. */
function wait(several: SeveralHosts, time: { nowMs: number }, signal?: AbortSignal) {
  const beganMs = time.nowMs;
  const result: { tookMs?: number; error?: unknown } = {};
  several.waitUntilFresh(signal).catch((error) => result.error = error)
    .finally(() => result.tookMs = time.nowMs - beganMs);
  return result;
}

for (
  const [what, addresses, limitMs] of [
    ["that has no answer yet", [], 50],
    ["whose answer expired", [A], 250],
  ] as const
) {
  Deno.test(`SeveralHosts.waitUntilFresh(): a host ${what} is waited for ${limitMs} ms beside one that can be used, then no more`, async () => {
    using time = fakeTime();
    const { several, a } = setup(new FakeAnswer(addresses, false));
    const first = wait(several, time);
    await time.tick(limitMs - 1);
    assertEquals([several.isFresh(), first.tookMs], [false, undefined]);
    await time.tick(1);
    assertEquals([several.isFresh(), first.tookMs], [true, limitMs]);
    assertEquals(several.addresses, [NAME_B]);
    const second = wait(several, time);
    await time.settle();
    assertEquals(second.tookMs, 0);
    assertEquals([a.kept, a.refreshes, a.watchers.size], [0, 0, 0], "it is not watched");
    // It comes back with its next answer, and is waited for again.
    a.answer([A]);
    assertEquals([several.isFresh(), several.addresses], [true, [NAME_A, NAME_B]]);
    a.fresh = false;
    assertEquals(several.isFresh(), false);
  });
}

Deno.test("SeveralHosts.waitUntilFresh(): what it left behind holds for hosts that expire meanwhile as well", async () => {
  using time = fakeTime();
  const { several, b, all, host } = setup(new FakeAnswer([], false));
  const c = new FakeAnswer(["10.0.0.3"]);
  several.update([...all, host("c", 3, c)]);
  const first = wait(several, time);
  await time.tick(40);
  b.fresh = false;
  await time.tick(210);
  assertEquals([first.tookMs, several.addresses], [250, ["10.0.0.3:3 (c)"]]);
});

Deno.test("SeveralHosts.waitUntilFresh() waits for no host that failed before, beside one that can be used", async () => {
  using time = fakeTime();
  const { several, a, all, host } = setup(new FakeAnswer());
  const c = new FakeAnswer();
  c.failures = 1;
  several.update([...all, host("c", 3, c)]);
  const first = wait(several, time);
  await time.settle();
  assertEquals([a.waiting, c.waiting], [1, 0]);
  a.answer([A]);
  await time.settle();
  assertEquals(first.tookMs, 0);
});

Deno.test("SeveralHosts.waitUntilFresh() leaves no host behind while none can be used; after that, one that has no answer yet", async () => {
  using time = fakeTime();
  const { several, b, all, host } = setup(new FakeAnswer([A], false));
  listen(several);
  const first = wait(several, time);
  await time.tick(100);
  b.fresh = false;
  await time.tick(1000);
  assertEquals([several.isFresh(), first.tookMs, b.waiting], [false, undefined, 1]);
  // The time to wait beside a host that can be used is over.
  several.update([...all, host("c", 3, new FakeAnswer())]);
  b.answer([B]);
  await time.settle();
  assertEquals([first.tookMs, several.addresses], [1100, [NAME_B]]);
  const none = setup(new FakeAnswer(), new FakeAnswer());
  listen(none.several);
  wait(none.several, time);
  await time.tick(1000);
  assertEquals([none.a, none.b].map(({ refreshes, waiting }) => [refreshes, waiting]), [[0, 1], [
    0,
    1,
  ]]);
  none.a.answer([A]);
  none.b.answer([B]);
});

Deno.test("SeveralHosts.waitUntilFresh(): a host that failed, answered and expired during the wait is not an error", async () => {
  using time = fakeTime();
  const { several, a, b } = setup(new FakeAnswer(), new FakeAnswer());
  listen(several);
  const first = wait(several, time);
  await time.settle();
  a.fail(new Error("SERVFAIL"));
  await time.settle();
  a.answer([A]);
  a.fresh = false;
  b.answer([B]);
  await time.settle();
  assertEquals(first, { tookMs: 0 });
});

Deno.test("SeveralHosts.waitUntilFresh() fails once all hosts did, and asks all again at the next call", async () => {
  using time = fakeTime();
  const { several, a, b } = setup(new FakeAnswer(), new FakeAnswer());
  const first = wait(several, time);
  await time.settle();
  a.fail(new LookupError("NXDOMAIN", { kind: "negative" }));
  await time.settle();
  assertEquals([first.tookMs, a.waiting, b.waiting], [undefined, 0, 1]);
  b.fail(new LookupError("SERVFAIL", { kind: "transient" }));
  await time.settle();
  const error = first.error as ResolveError;
  assertEquals(error.message, 'Cannot resolve any of the hosts "a,b": NXDOMAIN; SERVFAIL');
  assertEquals([error.host, error.kind], ["a,b", "negative"]);
  const second = wait(several, time);
  await time.settle();
  assertEquals([a.waiting, b.waiting], [1, 1]);
  b.answer([B]);
  await time.settle();
  // The other one failed before.
  assertEquals([second.tookMs, several.addresses], [0, [NAME_B]]);
});

Deno.test("SeveralHosts.waitUntilFresh(): a caller that leaves says nothing about the hosts", async () => {
  using time = fakeTime();
  const { several, a } = setup(new FakeAnswer());
  const caller = new AbortController();
  const first = wait(several, time, caller.signal);
  await time.settle();
  caller.abort(new Error("changed its mind"));
  await time.settle();
  assertEquals([(first.error as Error).message, a.waiting], ["changed its mind", 0]);
  await time.tick(1000);
  assertEquals(several.isFresh(), false, "the next caller waits for it");
  a.answer([A]);
  a.fresh = false;
  await assertRejects(
    () => several.waitUntilFresh(AbortSignal.abort(new Error("at once"))),
    Error,
    "at once",
  );
});

Deno.test("SeveralHosts: a host that callers go on without is asked for until it answers, while it is watched", async () => {
  using time = fakeTime();
  const { several, a, b } = setup(new FakeAnswer());
  const { unwatch } = listen(several);
  assertEquals([a.kept, b.kept], [0, 0]);
  wait(several, time);
  await time.tick(50);
  assertEquals([a.kept, a.refreshes, b.kept, b.refreshes], [1, 1, 0, 0]);
  a.fail(new Error("SERVFAIL"));
  assertEquals(a.kept, 1);
  a.answer([A]);
  assertEquals(a.kept, 0);
  a.fresh = false;
  a.fail(new Error("SERVFAIL"));
  assertEquals(a.kept, 1);
  const stop = several.keepFresh();
  assertEquals([a.kept, b.kept], [1, 1]);
  a.answer([A]);
  assertEquals([a.kept, b.kept], [1, 1]);
  stop();
  stop();
  assertEquals([a.kept, b.kept], [0, 0]);
  const again = several.keepFresh();
  assertEquals([a.kept, b.kept], [1, 1], "an end that is called twice ends one");
  a.fresh = false;
  a.fail(new Error("SERVFAIL"));
  again();
  assertEquals([a.kept, b.kept], [1, 0]);
  unwatch();
  assertEquals([a.kept, a.watchers.size], [0, 0]);
});

Deno.test("SeveralHosts.watch() begins to ask for a host that fails already, and ends the waits with the last watcher", async () => {
  using time = fakeTime();
  const { several, a } = setup(new FakeAnswer());
  a.failures = 1;
  const first = listen(several);
  const second = listen(several);
  assertEquals([a.kept, a.watchers.size], [1, 1]);
  a.failures = 0;
  const waiting = wait(several, time);
  await time.settle();
  first.unwatch();
  await time.settle();
  assertEquals([a.kept, waiting.error], [1, undefined]);
  second.unwatch();
  await time.settle();
  assertEquals((waiting.error as Error).message, "the answer is needed no more");
  a.answer([A]);
  const next = wait(several, time);
  await time.settle();
  assertEquals(next, { tookMs: 0 }, "it may be used again");
});

Deno.test("SeveralHosts.watch() tells each change by the names of endpoints, each answer, and each outage once", () => {
  const { several, a, b, all, host } = setup(new FakeAnswer(), new FakeAnswer([B]));
  const other = new FakeAnswer();
  several.update([...all, host("a", 7, other)]);
  const { told } = listen(several);
  const error = new Error("SERVFAIL");
  a.fail(error);
  a.fail(error);
  other.fail(error);
  assertEquals(told.splice(0), [error], "a host with two ports has one outage");
  a.answer([A]);
  other.answer([A]);
  const seventh = `${A}:7 (a)`;
  assertEquals(told.splice(0), [
    { added: [NAME_A], removed: [], addresses: [NAME_A, NAME_B], host: "a", isFirst: true },
    1,
    {
      added: [seventh],
      removed: [],
      addresses: [NAME_A, NAME_B, seventh],
      host: "a",
      isFirst: true,
    },
    1,
  ]);
  a.fail(error);
  b.fail(error);
  assertEquals(told.splice(0), [error, error]);
  a.answer([A]);
  assertEquals(told, [1]);
  // A watcher that wants nothing.
  several.watch({});
  a.fail(error);
});

Deno.test("SeveralHosts.update() tells the source and the time for which the endpoints may be used, and whether they are the first", () => {
  const { several, a, all } = setup();
  const told: unknown[] = [];
  several.watch({ onChange: ({ ttl, source }, isFirst) => told.push([ttl, source, isFirst]) });
  a.freshFor = 3;
  several.update([]);
  several.update(all);
  a.freshFor = -1;
  several.update([all[0]!]);
  assertEquals(told, [[Infinity, "dns", false], [3, "dns", true], [0, "dns", false]]);
});

Deno.test("SeveralHosts.addresses is the same array until an endpoint comes or goes", () => {
  const { several, a } = setup();
  const { addresses } = several;
  assert(several.addresses === addresses);
  a.answer([A, B]);
  assert(several.addresses !== addresses);
});

Deno.test("SeveralHosts.update() keeps what it knows of hosts that stay, and tells what comes and goes, also of hosts that cannot be used", () => {
  const { several, a, b, all, host } = setup();
  const { told } = listen(several);
  assertEquals(several.addresses, [NAME_A, NAME_B]);
  several.update([all[0]!]);
  assertEquals(several.addresses, [NAME_A], "the last one is gone");
  assertEquals([a.watchers.size, b.watchers.size], [1, 0]);
  const change = { host: undefined, isFirst: false };
  assertEquals(told.splice(0), [{ ...change, added: [], removed: [NAME_B], addresses: [NAME_A] }]);
  const [watcher] = a.watchers;
  several.update([all[0]!]);
  assert(a.watchers.has(watcher!), "it is watched on");
  assertEquals(told, []);
  several.update(all);
  assertEquals(told.splice(0), [
    { ...change, added: [NAME_B], removed: [], addresses: [NAME_A, NAME_B] },
  ]);
  // Another port of a host that fails: the same outage.
  b.fresh = false;
  const error = new Error("SERVFAIL");
  b.fail(error);
  assertEquals(several.addresses, [NAME_A]);
  several.update([all[0]!, host("b", 9, b)]);
  b.fail(error);
  assertEquals(told.splice(0), [
    error,
    { ...change, added: [`${B}:9 (b)`], removed: [NAME_B], addresses: [NAME_A] },
  ]);
  several.update([]);
  assertEquals([several.addresses, several.isFresh()], [[], false]);
});

Deno.test("SeveralHosts.update(): a host that was removed while callers waited for it is not asked for any more", async () => {
  using time = fakeTime();
  const { several, a, all } = setup(new FakeAnswer());
  listen(several);
  several.keepFresh();
  wait(several, time);
  await time.settle();
  several.update([all[1]!]);
  a.fail(new Error("SERVFAIL"));
  await time.settle();
  assertEquals([a.kept, a.refreshes, a.watchers.size], [0, 0, 0]);
});

Deno.test("SeveralHosts: a wait that is over leaves no host behind later", async () => {
  using time = fakeTime();
  const { several, a } = setup(new FakeAnswer([A], false));
  const first = wait(several, time);
  await time.tick(10);
  a.answer([A]);
  await time.settle();
  assertEquals(first.tookMs, 10);
  a.fresh = false;
  await time.tick(1000);
  assertEquals(several.isFresh(), false, "the next caller waits for it");
});

Deno.test("SeveralHosts: two hosts with the same endpoint list it once", () => {
  const { several, all, host } = setup();
  several.update([...all, host("a", 1, new FakeAnswer([A]))]);
  assertEquals(several.addresses, [NAME_A, NAME_B]);
});

Deno.test("SeveralHosts.status() is that of the worst host", () => {
  const { several, a, b } = setup();
  Object.assign(a, { age: 3, freshFor: 2, failures: 1 });
  Object.assign(b, { age: undefined, freshFor: 9, inGrace: true });
  assertEquals(several.status(), {
    addresses: [NAME_A, NAME_B],
    age: 3,
    freshFor: 2,
    inGrace: true,
    failures: 1,
    hosts: [
      { host: "a", port: 1, addresses: [A], age: 3, freshFor: 2, inGrace: false, failures: 1 },
      {
        host: "b",
        port: 2,
        addresses: [B],
        age: undefined,
        freshFor: 9,
        inGrace: true,
        failures: 0,
      },
    ],
  });
  b.age = 1;
  assertEquals(several.status().age, 3);
  a.age = b.age = undefined;
  assertEquals(several.status().age, undefined);
});

Deno.test("SeveralHosts.refresh() and switchFamily() reach every host", async () => {
  const { several, a, b } = setup();
  await several.refresh();
  assertEquals([a.refreshes, b.refreshes], [1, 1]);
  const { signal } = new AbortController();
  b.switched = [6];
  assertEquals(await several.switchFamily(4, true, signal), true);
  assertEquals(await several.switchFamily(6, true, signal), false);
  assertEquals([a.switched, b.switched], [[4, 6], [6, 4, 6]]);
  // An answer of one family.
  Object.assign(b, { switchFamily: undefined });
  assertEquals(await several.switchFamily(6, true, signal), false);
});
