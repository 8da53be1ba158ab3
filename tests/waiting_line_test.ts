import { assert, assertEquals, assertFalse } from "@std/assert";
import { type Waiter, WaitingLine, type Wish } from "../_waiting_line.ts";
import { fakeTime, type TestTime } from "./_time.ts";

/** A line of waiters with names, and what became of each. */
function setup(
  time: TestTime,
  cover: { covered: number; moreMs: number } = { covered: 0, moreMs: 0 },
) {
  const said: string[] = [];
  const line: WaitingLine<string> = new WaitingLine({
    onLate: () =>
      line.rejectLate(cover.covered, cover.moreMs, (waited) => new Error(`${waited} s`)),
    onEmpty: () => said.push("empty"),
  });
  const wish = (name: string, seconds: number, signal?: AbortSignal): Wish<string> => ({
    resolve: (value) => said.push(`${name} got ${value}`),
    reject: (error) => said.push(`${name}: ${(error as Error).message}`),
    sinceMs: time.nowMs,
    timeoutMs: seconds * 1000,
    signal,
    madeAt: undefined,
  });
  const join = (name: string, seconds: number, signal?: AbortSignal): Waiter<string> => {
    const waiter = line.welcome(wish(name, seconds, signal));
    line.push(waiter);
    return waiter;
  };
  return { line, said, join, wish };
}

Deno.test("WaitingLine rejects each waiter when its own time is up, and not before", async () => {
  using time = fakeTime();
  const { line, said, join } = setup(time);
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

Deno.test("WaitingLine rejects by the clock, however late its timer was", async () => {
  using time = fakeTime();
  const { said, join } = setup(time);
  join("a", 1);
  join("b", 5);
  time.stall(4);
  await time.advance(0);
  assertEquals(said, ["a: 4 s"]);
});

Deno.test("WaitingLine lets somebody wait for ever", async () => {
  using time = fakeTime();
  const { line, said, join } = setup(time);
  const waiter = join("patient", Infinity);
  await time.advance(3600 * 24 * 60);
  assertEquals(said, []);
  line.serve(waiter, "it");
  assertEquals(said, ["empty", "patient got it"]);
});

Deno.test("WaitingLine gives those for whom something is on its way more time, and only those", async () => {
  using time = fakeTime();
  const { said, join } = setup(time, { covered: 1, moreMs: 2000 });
  join("covered", 1);
  join("other", 1);
  await time.advance(1);
  assertEquals(said, ["other: 1 s"]);
  await time.advance(1.999);
  assertEquals(said.length, 1);
  await time.advance(0.001);
  assertEquals(said, ["other: 1 s", "empty", "covered: 3 s"]);
});

Deno.test("WaitingLine ends a wait by its signal, in the line or aside, and takes its listener back", () => {
  using time = fakeTime();
  const { line, said, join, wish } = setup(time);
  const controllers = Array.from({ length: 4 }, () => new AbortController());
  const listening = controllers.map(({ signal }) => countListeners(signal));
  join("queued", 9, controllers[0]!.signal);
  line.stepAside(join("aside", 9, controllers[1]!.signal));
  const served = join("served", 9, controllers[2]!.signal);
  const fresh = line.welcome(wish("fresh", 9, controllers[3]!.signal));
  assertEquals(listening.map((count) => count()), [1, 1, 1, 1]);
  line.serve(served, "it");
  for (const [i, controller] of controllers.entries()) controller.abort(new Error(`abort ${i}`));
  assertEquals(said, [
    "served got it",
    "empty",
    "queued: abort 0",
    "aside: abort 1",
    "fresh: abort 3",
  ]);
  assertEquals(listening.map((count) => count()), [0, 0, 0, 0]);
  assertFalse(fresh.waiting);
});

Deno.test("WaitingLine serves and rejects nobody twice", () => {
  using time = fakeTime();
  const { line, said, join } = setup(time);
  const waiter = join("a", 9);
  line.reject(waiter, new Error("no"));
  line.reject(waiter, new Error("no again"));
  line.rejectAll(new Error("nor this"));
  assertEquals(said, ["empty", "a: no"]);
});

Deno.test("WaitingLine puts back to the front whom it is told to, and rejects all", () => {
  using time = fakeTime();
  const { line, said, join } = setup(time);
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

/** How many listeners a signal has that were added from now on. */
function countListeners(signal: AbortSignal): () => number {
  let count = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    count++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    count--;
    removeEventListener.apply(signal, args);
  };
  return () => count;
}
