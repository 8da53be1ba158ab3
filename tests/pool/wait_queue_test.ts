import { assert, assertEquals, assertFalse, assertRejects } from "@std/assert";
import fc from "npm:fast-check@^4";
import { Rejection } from "../../pool/deferred.ts";
import { SafeObserver } from "../../pool/observer.ts";
import { Waiter, WaitQueue } from "../../pool/wait_queue.ts";
import { countListeners } from "../stress/pool_timers.ts";
import { fakeTime } from "../support/time.ts";

/** What the waiters wait for. */
interface Served {
  readonly address: string;
}

const A: Served = { address: "10.0.0.1" };

/** Creates a queue of waiters with names, and a record of what became of each. */
function setup(extra: { count: number; ms: number } = { count: 0, ms: 0 }) {
  const said: string[] = [];
  const queue: WaitQueue<Served> = new WaitQueue({
    rejectLate: () => queue.rejectLate((waited) => new Error(`${waited} s`), extra),
    onEmpty: () => said.push("empty"),
  });
  const waiter = (name: string, seconds: number, signal?: AbortSignal): Waiter<Served> => {
    const waiter = queue.create(seconds * 1000, signal);
    waiter.onSettled((outcome) => {
      said.push(
        outcome instanceof Rejection
          ? `${name}: ${(outcome.error as Error).message}`
          : `${name} got ${outcome.address}`,
      );
    });
    waiter.promise.catch(() => {});
    return waiter;
  };
  const join = (name: string, seconds: number, signal?: AbortSignal): Waiter<Served> => {
    const newcomer = waiter(name, seconds, signal);
    queue.push(newcomer);
    return newcomer;
  };
  return { queue, said, join, waiter };
}

Deno.test("WaitQueue rejects each waiter when its own timeout is over, and not before", async () => {
  using time = fakeTime();
  const { queue, said, join } = setup();
  join("slow", 3);
  join("quick", 1);
  await time.advance(0.5);
  join("late", 1);
  await time.advance(0.499);
  assertEquals(said, []);
  await time.advance(0.001);
  assertEquals(said, ["quick: 1 s"]);
  await time.advance(0.5);
  assertEquals(said, ["quick: 1 s", "late: 1 s"]);
  await time.advance(1.5);
  assertEquals(said, ["quick: 1 s", "late: 1 s", "empty", "slow: 3 s"]);
  assertEquals(queue.size, 0);
});

Deno.test("WaitQueue rejects by the clock, however late its timer was", async () => {
  using time = fakeTime();
  const { said, join } = setup();
  join("a", 1);
  join("b", 5);
  time.stall(4);
  await time.advance(0.01);
  assertEquals(said, ["a: 4.01 s"]);
});

Deno.test("WaitQueue reads the clock four times for any number of waiters of one tick, and each has its full timeout", async () => {
  await using time = fakeTime();
  const { queue, said, join } = setup();
  const readings = countReadings();
  for (let i = 0; i < 1000; i++) join(`${i}`, 1);
  await time.settle();
  // The first waiter needs one for its tick and two for the timer; the second, added later, one for all the others.
  assertEquals(readings.count, 4);
  readings.end();
  await time.advance(0.999);
  assertEquals(said, []);
  await time.advance(0.001);
  assertEquals(said.length, 1001);
  assertEquals(queue.size, 0);
});

Deno.test("WaitQueue gives a waiter added while the event loop is blocked its full timeout after that", async () => {
  await using time = fakeTime();
  const { said, join } = setup();
  join("before", 1);
  join("between", 1);
  time.stall(0.6);
  join("after", 1);
  await time.advance(0.399);
  assertEquals(said, []);
  await time.advance(0.001);
  assertEquals(said, ["before: 1 s"]);
  await time.advance(0.599);
  assertEquals(said.length, 1);
  await time.advance(0.001);
  assertEquals(said, ["before: 1 s", "between: 1 s", "empty", "after: 1 s"]);
});

Deno.test("WaitQueue rejects a waiter with a smaller timeout before earlier waiters, in the same tick or later", async () => {
  await using time = fakeTime();
  const { said, join } = setup();
  join("hour", 3600);
  join("minute", 60);
  join("second", 1);
  await time.advance(0.5);
  join("half a second", 0.5);
  join("two thirds", 0.667);
  await time.advance(0.5);
  assertEquals(said, ["second: 1 s", "half a second: 0.5 s"]);
  await time.advance(0.167);
  assertEquals(said.slice(2), ["two thirds: 0.667 s"]);
  // By now the timer is set for the minute, and fires in less than that.
  join("58.833", 58.833);
  join("58.832", 58.832);
  await time.advance(58.832);
  assertEquals(said.slice(3), ["58.832: 58.832 s"]);
  await time.advance(0.001);
  assertEquals(said.slice(4), ["minute: 60 s", "58.833: 58.833 s"]);
});

Deno.test("WaitQueue.rejectLate() rejects waiters with a timeout of 0 at once, although the clock goes on", () => {
  using _time = fakeTime();
  const { queue, said, join } = setup();
  const readings = countReadings(0.001);
  join("patient", 9);
  join("impatient", 0);
  join("as impatient", 0);
  queue.rejectLate((waited) => new Error(waited.toFixed(3)), { count: 0, ms: 0 });
  readings.end();
  assertEquals(said, ["impatient: 0.000", "as impatient: 0.000"]);
  queue.close(new Error("over"));
});

Deno.test("WaitQueue never rejects a waiter with an infinite timeout", async () => {
  using time = fakeTime();
  const { queue, said, join } = setup();
  const waiter = join("patient", Infinity);
  await time.advance(3600 * 24 * 60);
  assertEquals(said, []);
  queue.serve(waiter, A);
  assertEquals(said, ["empty", "patient got 10.0.0.1"]);
});

Deno.test("WaitQueue.rejectLate() gives extra time to the first waiters only", async () => {
  using time = fakeTime();
  const { said, join } = setup({ count: 1, ms: 2000 });
  join("first", 1);
  join("second", 1);
  await time.advance(1);
  assertEquals(said, ["second: 1 s"]);
  await time.advance(1.999);
  assertEquals(said.length, 1);
  await time.advance(0.001);
  assertEquals(said, ["second: 1 s", "empty", "first: 3 s"]);
});

Deno.test("WaitQueue ends a wait by its signal, in the queue or outside, and removes its listener", () => {
  using _time = fakeTime();
  const { queue, said, join, waiter } = setup();
  const controllers = Array.from({ length: 4 }, () => new AbortController());
  const listening = controllers.map(({ signal }) => countListeners(signal));
  join("queued", 9, controllers[0]!.signal);
  queue.setAside(join("outside", 9, controllers[1]!.signal));
  const served = join("served", 9, controllers[2]!.signal);
  const fresh = waiter("fresh", 9, controllers[3]!.signal);
  assertEquals(listening.map((count) => count()), [1, 1, 1, 1]);
  queue.serve(served, A);
  assertEquals(listening.map((count) => count()), [1, 1, 0, 1]);
  for (const [i, controller] of controllers.entries()) controller.abort(new Error(`abort ${i}`));
  assertEquals(said, [
    "served got 10.0.0.1",
    "empty",
    "queued: abort 0",
    "outside: abort 1",
    "fresh: abort 3",
  ]);
  assertFalse(fresh.waiting);
});

Deno.test("WaitQueue serves or rejects a waiter once", () => {
  using _time = fakeTime();
  const { queue, said, join } = setup();
  const waiter = join("a", 9);
  queue.reject(waiter, new Error("no"));
  queue.reject(waiter, new Error("no again"));
  queue.close(new Error("nor this"));
  assertEquals(said, ["empty", "a: no"]);
});

Deno.test("Waiter.promise is fulfilled with what the waiter was served, or rejected with that very error", async () => {
  using _time = fakeTime();
  const { queue } = setup();
  const [served, rejected] = [queue.create(9000), queue.create(9000)];
  queue.push(served);
  queue.push(rejected);
  queue.serve(served, A);
  const error = new Error("no");
  queue.reject(rejected, error);
  assert(await served.promise === A);
  assert(await assertRejects(() => rejected.promise) === error);
});

Deno.test("Waiter.onSettled() calls the listeners in their order", () => {
  using _time = fakeTime();
  const { queue, said, join } = setup();
  const waiter = join("a", 9);
  waiter.onSettled(() => said.push("second"));
  waiter.onSettled(() => said.push("third"));
  queue.serve(waiter, A);
  assertEquals(said, ["empty", "a got 10.0.0.1", "second", "third"]);
});

Deno.test("WaitQueue tells its observer of each wait and of its end", async () => {
  using time = fakeTime();
  const heard: unknown[] = [];
  const observer = new SafeObserver({
    waiting: () => {
      heard.push("waiting");
      return (ended) => heard.push(ended);
    },
  });
  const queue: WaitQueue<Served> = new WaitQueue({ rejectLate() {}, onEmpty() {} }, observer);
  const [served, rejected] = [queue.create(9000), queue.create(9000)];
  for (const waiter of [served, rejected]) queue.push(waiter);
  await time.advance(0.5);
  queue.serve(served, A);
  await time.advance(1);
  const error = new Error("no");
  queue.reject(rejected, error);
  await assertRejects(() => rejected.promise);
  assertEquals(heard, [
    "waiting",
    "waiting",
    { seconds: 0.5, address: "10.0.0.1" },
    { seconds: 1.5, error },
  ]);
});

Deno.test("WaitQueue.newest is the tick of the waiter added last, as long as the queue is not empty", async () => {
  await using time = fakeTime();
  const { queue, join } = setup();
  assertEquals(queue.newest, undefined);
  const first = join("first", 9);
  const second = join("second", 9);
  await time.advance(1);
  const third = join("third", 9);
  assert(queue.newest === third.since);
  assert(queue.newest !== second.since);
  for (const waiter of [third, second]) queue.serve(waiter, A);
  assert(queue.newest === third.since);
  queue.serve(first, A);
  assertEquals(queue.newest, undefined);
});

Deno.test("WaitQueue.putBack() puts a waiter back to the beginning, and close() rejects all", () => {
  using _time = fakeTime();
  const { queue, said, join } = setup();
  const first = join("first", 9);
  join("second", 9);
  queue.setAside(first);
  queue.setAside(first);
  assertEquals(queue.size, 1);
  queue.putBack(first);
  assert(queue.first === first);
  queue.close(new Error("closed"));
  assertEquals(said, ["first: closed", "empty", "second: closed"]);
});

Deno.test("WaitQueue.putBack() keeps the order of arrival, in whatever order waiters come back", () => {
  using _time = fakeTime();
  const { queue, said, join } = setup();
  const waiters = ["first", "second", "third", "fourth"].map((name) => join(name, 9));
  const [first, second, third] = waiters;
  for (const waiter of [first!, second!, third!]) queue.setAside(waiter);
  assertEquals([queue.size, queue.waiting], [1, 4]);
  for (const waiter of [second!, third!, first!]) queue.putBack(waiter);
  assertEquals([queue.size, queue.waiting], [4, 4]);
  while (queue.first) queue.serve(queue.first, A);
  const served = said.filter((line) => line !== "empty");
  assertEquals(served.map((line) => line.split(" ")[0]), ["first", "second", "third", "fourth"]);
});

Deno.test("WaitQueue.putBack() keeps every deadline: a waiter with a longer timeout stands before one with a shorter", async () => {
  await using time = fakeTime();
  const { queue, said, join } = setup();
  const slow = join("slow", 10);
  queue.setAside(slow);
  join("quick", 1);
  queue.putBack(slow);
  await time.advance(1);
  assertEquals(said, ["empty", "quick: 1 s"]);
  await time.advance(9);
  assertEquals(said.slice(2), ["empty", "slow: 10 s"]);
});

Deno.test("WaitQueue.rejectFirst() rejects the first waiter alone, and only if it came no later", () => {
  using _time = fakeTime();
  const { queue, said, join } = setup();
  queue.rejectFirst(new Error("empty"), 9);
  const first = join("first", 9);
  join("second", 9);
  queue.rejectFirst(new Error("earlier"), first.order - 1);
  assertEquals(said, []);
  queue.rejectFirst(new Error("refused"), first.order);
  assertEquals(said, ["first: refused"]);
  queue.close(new Error("closed"));
});

Deno.test("WaitQueue.close() rejects waiters that were set aside as well, rejectQueued() does not", () => {
  using _time = fakeTime();
  const { queue, said, join, waiter } = setup();
  queue.setAside(join("first", 9));
  queue.setAside(waiter("never queued", 9));
  join("queued", 9);
  const served = join("served", 9);
  queue.setAside(served);
  queue.serve(served, A);
  queue.rejectQueued(new Error("no answer"));
  assertEquals(said, ["empty", "served got 10.0.0.1", "empty", "queued: no answer"]);
  queue.close(new Error("closed"));
  assertEquals(said.slice(4), ["first: closed", "never queued: closed"]);
});

Deno.test("WaitQueue.close() rejects waiters that come later, queued or set aside; one whose wait has ended is not kept", () => {
  using _time = fakeTime();
  const { queue, said, join, waiter } = setup();
  const first = join("first", 9);
  queue.close(new Error("closed"));
  queue.setAside(first);
  queue.setAside(waiter("aside", 9));
  join("queued", Infinity);
  assertEquals(said, ["empty", "first: closed", "aside: closed", "queued: closed"]);
  assertEquals([queue.size, queue.waiting], [0, 0]);
});

/** Counts how often the clock is read until `end()`; each reading may take `eachMs`. */
function countReadings(eachMs = 0): { count: number; end(): void } {
  const { now } = performance;
  const readings = {
    count: 0,
    end: () => void (performance.now = now),
  };
  performance.now = () => now.call(performance) + eachMs * readings.count++;
  return readings;
}

/** Counts the waiters whose deadline is looked at. */
function countLooks(): { readonly count: number; end(): void } {
  const { prototype } = Waiter;
  const original = Object.getOwnPropertyDescriptor(prototype, "deadlineMs")!;
  let count = 0;
  Object.defineProperty(prototype, "deadlineMs", {
    configurable: true,
    get(this: Waiter<unknown>) {
      count++;
      return original.get!.call(this);
    },
  });
  return {
    get count() {
      return count;
    },
    end: () => Object.defineProperty(prototype, "deadlineMs", original),
  };
}

Deno.test("WaitQueue.rejectLate() looks at no waiter before a timeout is over, and then at those that are late", async () => {
  await using time = fakeTime();
  const { queue, said, join } = setup();
  const late = (count = 4) =>
    queue.rejectLate((waited) => new Error(`${waited} s`), { count, ms: 500 });
  for (let i = 0; i < 1000; i++) join(`early ${i}`, 1);
  await time.advance(0.5);
  for (let i = 0; i < 20_000; i++) join(`late ${i}`, 1);
  const looks = countLooks();
  try {
    for (let i = 0; i < 100; i++) late();
    assertEquals(looks.count, 0);
    await time.advance(0.5);
    assertEquals(said.length, 1000);
    assert(looks.count < 2100, `${looks.count}`);
    const before = looks.count;
    for (let i = 0; i < 100; i++) late();
    assertEquals(looks.count, before);
  } finally {
    looks.end();
  }
  queue.close(new Error("the end"));
});

Deno.test("WaitQueue.rejectLate() looks at the late ones alone, also after a waiter was put back, and after others had different timeouts", async () => {
  await using time = fakeTime();
  const { queue, said, join } = setup();
  for (const seconds of [9, 1, 5]) join("different", seconds);
  while (queue.first) queue.serve(queue.first, A);
  said.length = 0;
  join("early", 1);
  await time.advance(0.5);
  const second = join("second", 1);
  for (let i = 0; i < 1000; i++) join(`late ${i}`, 1);
  queue.setAside(second);
  queue.putBack(second);
  const looks = countLooks();
  try {
    await time.advance(0.5);
    assertEquals(said, ["early: 1 s"]);
    assert(looks.count < 10, `${looks.count}`);
  } finally {
    looks.end();
  }
  queue.close(new Error("the end"));
});

Deno.test("WaitQueue.rejectLate() rejects those with extra time as soon as they have lost it", async () => {
  await using time = fakeTime();
  const { queue, said, join } = setup({ count: 2, ms: 1000 });
  for (const name of ["a", "b", "c"]) join(name, 1);
  join("d", 9);
  await time.advance(1);
  assertEquals(said, ["c: 1 s"]);
  await time.advance(0.2);
  queue.rejectLate((waited) => new Error(`${waited} s`), { count: 1, ms: 1000 });
  assertEquals(said, ["c: 1 s", "b: 1.2 s"]);
  await time.advance(0.8);
  assertEquals(said, ["c: 1 s", "b: 1.2 s", "a: 2 s"]);
  queue.close(new Error("the end"));
});

Deno.test("WaitQueue with many waiters of different timeouts rejects each at most one millisecond per thousand late", async () => {
  await using time = fakeTime();
  const count = 20_000;
  const startMs = time.nowMs;
  let latestMs = 0;
  const queue: WaitQueue<Served> = new WaitQueue({
    rejectLate: () => queue.rejectLate(() => new Error("late"), { count: 0, ms: 0 }),
    onEmpty: () => {},
  });
  for (let i = 0; i < count; i++) {
    const ms = 1000 + (i * 7919) % 1000;
    const waiter = queue.create(ms);
    waiter.promise.catch(() => latestMs = Math.max(latestMs, time.nowMs - startMs - ms));
    queue.push(waiter);
  }
  const looks = countLooks();
  try {
    await time.advance(2.1);
    assertEquals(queue.size, 0);
    assert(latestMs <= count / 1000, `${latestMs}`);
    assert(looks.count < 3_000_000, `${looks.count}`);
  } finally {
    looks.end();
  }
});

Deno.test("WaitQueue rejects what a list without shortcuts rejects, whatever is done with it", () => {
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant("push"),
        seconds: fc.constantFrom(1, 1, 1, 2, 3, 0.5),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant("wait"),
        seconds: fc.constantFrom(0, 0.1, 0.5, 1, 2),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant("look"), seconds: fc.constantFrom(0, 1, 2, 5) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("serve"), seconds: fc.constant(0) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("aside"), seconds: fc.constant(0) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("back"), seconds: fc.constant(0) }) },
  );
  return fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      await using time = fakeTime();
      const EXTRA_MS = 700;
      let allowed = 1;
      const rejected: number[] = [];
      const expected: number[] = [];
      const model: { id: number; endMs: number; waiter: Waiter<Served> }[] = [];
      const aside: typeof model = [];
      const look = () => {
        const nowMs = time.nowMs;
        const late = model.filter(({ endMs }, index) =>
          endMs + (index < allowed ? EXTRA_MS : 0) <= nowMs
        );
        for (const one of late) {
          model.splice(model.indexOf(one), 1);
          expected.push(one.id);
        }
        queue.rejectLate(() => new Error("late"), { count: allowed, ms: EXTRA_MS });
      };
      const queue: WaitQueue<Served> = new WaitQueue({ rejectLate: look, onEmpty: () => {} });
      let id = 0;
      for (const { do: what, seconds } of steps) {
        await time.advance(0);
        if (what === "push") {
          const own = id++;
          const waiter = queue.create(seconds * 1000);
          waiter.promise.catch(() => rejected.push(own));
          model.push({ id: own, endMs: time.nowMs + seconds * 1000, waiter });
          queue.push(waiter);
        } else if (what === "wait") {
          await time.advance(seconds);
        } else if (what === "look") {
          allowed = seconds;
          look();
        } else if (what === "serve" && model.length > 0) {
          queue.serve(model.shift()!.waiter, A);
        } else if (what === "aside" && model.length > 0) {
          const one = model.shift()!;
          queue.setAside(one.waiter);
          aside.push(one);
        } else if (what === "back" && aside.length > 0) {
          const one = aside.pop()!;
          model.push(one);
          model.sort((a, b) => a.id - b.id);
          queue.putBack(one.waiter);
        }
        await time.advance(0);
        assertEquals(rejected, expected);
      }
      allowed = 0;
      await time.advance(20);
      assertEquals(rejected, expected);
      assertEquals(queue.size, 0);
    }),
    { numRuns: 300 },
  );
});
