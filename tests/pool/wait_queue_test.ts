import { assert, assertEquals, assertFalse, assertRejects } from "@std/assert";
import { Rejection, Waiter, WaitQueue } from "../../pool/wait_queue.ts";
import { countListeners } from "../stress/pool_timers.ts";
import { fakeTime } from "../support/time.ts";

/** A line of waiters with names, and what became of each. */
function setup(cover: { covered: number; moreMs: number } = { covered: 0, moreMs: 0 }) {
  const said: string[] = [];
  const line: WaitQueue<string> = new WaitQueue({
    onLate: () =>
      line.rejectLate(cover.covered, cover.moreMs, (waited) => new Error(`${waited} s`)),
    onEmpty: () => said.push("empty"),
  });
  const waiter = (name: string, seconds: number, signal?: AbortSignal): Waiter<string> => {
    const waiter = new Waiter<string>(seconds * 1000);
    waiter.resolve = (outcome) =>
      said.push(
        outcome instanceof Rejection
          ? `${name}: ${(outcome.error as Error).message}`
          : `${name} got ${outcome}`,
      );
    if (signal) line.heed(waiter, signal);
    return waiter;
  };
  const join = (name: string, seconds: number, signal?: AbortSignal): Waiter<string> => {
    const newcomer = waiter(name, seconds, signal);
    line.push(newcomer);
    return newcomer;
  };
  return { line, said, join, waiter };
}

Deno.test("WaitQueue rejects each waiter when its own time is up, and not before", async () => {
  using time = fakeTime();
  const { line, said, join } = setup();
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
  assertEquals(line.size, 0);
});

Deno.test("WaitQueue rejects by the clock, however late its timer was", async () => {
  using time = fakeTime();
  const { said, join } = setup();
  join("a", 1);
  join("b", 5);
  time.stall(4);
  await time.advance(0);
  assertEquals(said, ["a: 4 s"]);
});

Deno.test("WaitQueue: many who come in one turn cost three readings of the clock, and each has its time", async () => {
  await using time = fakeTime();
  const { line, said, join } = setup();
  const readings = countReadings();
  for (let i = 0; i < 1000; i++) join(`${i}`, 1);
  await time.settle();
  // The first needs one for its moment and one for the timer; the second, who came later, one for all the others.
  assertEquals(readings.count, 3);
  readings.end();
  await time.advance(0.999);
  assertEquals(said, []);
  await time.advance(0.001);
  assertEquals(said.length, 1001);
  assertEquals(line.size, 0);
});

Deno.test("WaitQueue: who comes while the program blocks the event loop has its whole time after that", async () => {
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

Deno.test("WaitQueue: whoever may wait less than those before is rejected before them, in one turn or later", async () => {
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
  // The timer is set for the minute by now, and goes off in less than that.
  join("58.833", 58.833);
  join("58.832", 58.832);
  await time.advance(58.832);
  assertEquals(said.slice(3), ["58.832: 58.832 s"]);
  await time.advance(0.001);
  assertEquals(said.slice(4), ["minute: 60 s", "58.833: 58.833 s"]);
});

Deno.test("WaitQueue.rejectLate() rejects at once who may not wait at all, although the clock goes on", () => {
  using _time = fakeTime();
  const { line, said, join } = setup();
  const readings = countReadings(0.001);
  join("patient", 9);
  join("impatient", 0);
  join("as impatient", 0);
  line.rejectLate(0, 0, (waited) => new Error(waited.toFixed(3)));
  readings.end();
  assertEquals(said, ["impatient: 0.000", "as impatient: 0.000"]);
  line.rejectAll(new Error("over"));
});

Deno.test("WaitQueue lets somebody wait for ever", async () => {
  using time = fakeTime();
  const { line, said, join } = setup();
  const waiter = join("patient", Infinity);
  await time.advance(3600 * 24 * 60);
  assertEquals(said, []);
  line.serve(waiter, "it");
  assertEquals(said, ["empty", "patient got it"]);
});

Deno.test("WaitQueue gives those for whom something is on its way more time, and only those", async () => {
  using time = fakeTime();
  const { said, join } = setup({ covered: 1, moreMs: 2000 });
  join("covered", 1);
  join("other", 1);
  await time.advance(1);
  assertEquals(said, ["other: 1 s"]);
  await time.advance(1.999);
  assertEquals(said.length, 1);
  await time.advance(0.001);
  assertEquals(said, ["other: 1 s", "empty", "covered: 3 s"]);
});

Deno.test("WaitQueue ends a wait by its signal, in the line or aside, and takes its listener back", () => {
  using _time = fakeTime();
  const { line, said, join, waiter } = setup();
  const controllers = Array.from({ length: 4 }, () => new AbortController());
  const listening = controllers.map(({ signal }) => countListeners(signal));
  join("queued", 9, controllers[0]!.signal);
  line.stepAside(join("aside", 9, controllers[1]!.signal));
  const served = join("served", 9, controllers[2]!.signal);
  const fresh = waiter("fresh", 9, controllers[3]!.signal);
  assertEquals(listening.map((count) => count()), [1, 1, 1, 1]);
  line.serve(served, "it");
  assertEquals(listening.map((count) => count()), [1, 1, 0, 1]);
  for (const [i, controller] of controllers.entries()) controller.abort(new Error(`abort ${i}`));
  assertEquals(said, [
    "served got it",
    "empty",
    "queued: abort 0",
    "aside: abort 1",
    "fresh: abort 3",
  ]);
  assertFalse(fresh.waiting);
});

Deno.test("WaitQueue serves and rejects nobody twice", () => {
  using _time = fakeTime();
  const { line, said, join } = setup();
  const waiter = join("a", 9);
  line.reject(waiter, new Error("no"));
  line.reject(waiter, new Error("no again"));
  line.rejectAll(new Error("nor this"));
  assertEquals(said, ["empty", "a: no"]);
});

Deno.test("Waiter.promise gives what its waiter was served, or the very error that it was refused with", async () => {
  using _time = fakeTime();
  const { line } = setup();
  const [served, refused] = [new Waiter<string>(9000), new Waiter<string>(9000)];
  line.push(served);
  line.push(refused);
  line.serve(served, "it");
  const error = new Error("no");
  line.reject(refused, error);
  assertEquals(await served.promise, "it");
  assert(await assertRejects(() => refused.promise) === error);
});

Deno.test("WaitQueue knows when the one who came last began to wait, as long as anybody waits", async () => {
  await using time = fakeTime();
  const { line, join } = setup();
  assertEquals(line.newest, undefined);
  const first = join("first", 9);
  const second = join("second", 9);
  await time.advance(1);
  const third = join("third", 9);
  assert(line.newest === third.since);
  assert(line.newest !== second.since);
  for (const waiter of [third, second]) line.serve(waiter, "it");
  assert(line.newest === third.since);
  line.serve(first, "it");
  assertEquals(line.newest, undefined);
});

Deno.test("WaitQueue puts back to the front whom it is told to, and rejects all", () => {
  using _time = fakeTime();
  const { line, said, join } = setup();
  const first = join("first", 9);
  join("second", 9);
  line.stepAside(first);
  line.stepAside(first);
  assertEquals([line.size, line.first?.queued], [1, true]);
  line.unshift(first);
  assert(line.first === first);
  line.rejectAll(new Error("closed"));
  assertEquals(said, ["first: closed", "empty", "second: closed"]);
});

/** Counts how often the clock is read until `end()`; each reading may take a little while. */
function countReadings(eachMs = 0): { count: number; end(): void } {
  const { now } = performance;
  const readings = {
    count: 0,
    end: () => void (performance.now = now),
  };
  performance.now = () => now.call(performance) + eachMs * readings.count++;
  return readings;
}
