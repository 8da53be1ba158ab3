import { assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { delay } from "../../internal/async.ts";
import { now, timer } from "../../internal/clock.ts";
import { fakeTime } from "./time.ts";

Deno.test("fakeTime() moves both clocks together, and only when told to", async () => {
  using time = fakeTime(1_000_000);
  const startMs = now();
  assertEquals(Number.isInteger(startMs), true);
  assertEquals(Date.now(), 1_000_000);
  await time.advance(1.005);
  await time.tick(500);
  assertEquals([now() - startMs, Date.now()], [1505, 1_001_505]);
  assertEquals([time.nowMs, time.wallMs], [now(), new Date().getTime()]);
});

Deno.test("fakeTime().advance() runs each timer at its own moment, and the promises after it", async () => {
  using time = fakeTime();
  const startMs = now();
  const log: [string, number][] = [];
  const note = (what: string) => log.push([what, now() - startMs]);
  timer(1000, () => note("timer"));
  const loop = (async () => {
    for (let i = 0; i < 3; i++) {
      await delay(400);
      note("delay");
    }
  })();
  await time.advance(1.2);
  await loop;
  assertEquals(log, [["delay", 400], ["delay", 800], ["timer", 1000], ["delay", 1200]]);
});

Deno.test("fakeTime().advance() runs what falls due at its last moment, and nothing later", async () => {
  using time = fakeTime();
  const log: string[] = [];
  const twoSleeps = delay(100).then(() => delay(0)).then(() => log.push("at once"));
  timer(101, () => log.push("later"));
  await time.advance(0.1);
  await twoSleeps;
  assertEquals(log, ["at once"]);
  await time.advance(0.001);
  assertEquals(log, ["at once", "later"]);
});

Deno.test("fakeTime().advance() forgets a timer that was cleared", async () => {
  using time = fakeTime();
  const log: string[] = [];
  const stopped = timer(10, () => log.push("stopped"));
  timer(5, () => stopped.clear());
  const every = setInterval(() => log.push("every 4 ms"), 4);
  timer(9, () => clearInterval(every));
  await time.advance(1);
  assertEquals(log, ["every 4 ms", "every 4 ms"]);
});

Deno.test("fakeTime().advance() rejects with what a timer throws, and goes on afterwards", async () => {
  using time = fakeTime();
  const log: string[] = [];
  timer(10, () => {
    throw new Error("Thrown by a timer");
  });
  timer(20, () => log.push("next"));
  await assertRejects(() => time.advance(1), Error, "Thrown by a timer");
  assertEquals(log, []);
  await time.advance(1);
  assertEquals(log, ["next"]);
});

Deno.test("fakeTime() runs no timer before its fraction of a millisecond is over", async () => {
  using time = fakeTime();
  const startMs = now();
  const log: number[] = [];
  timer(0.3, () => log.push(now() - startMs));
  timer(1.1 * 1000, () => log.push(now() - startMs));
  await time.advance(2);
  assertEquals(log, [1, 1100]);
});

Deno.test("fakeTime() refuses timers that set one another for ever", async () => {
  using time = fakeTime();
  const again = () => void timer(0, again);
  again();
  await assertRejects(() => time.advance(1), Error, "10000 were set at this moment");
});

Deno.test("fakeTime() refuses timers that promises set for ever", async () => {
  using time = fakeTime();
  const loop = (async () => {
    while (true) await delay(0);
  })();
  const refused = assertRejects(() => loop, Error, "10000 were set at this moment");
  await time.advance(0);
  await refused;
});

Deno.test("fakeTime().stall() moves both clocks and runs no timer", async () => {
  using time = fakeTime(0);
  const startMs = now();
  let ran = 0;
  timer(1000, () => ran++);
  time.stall(10);
  await time.settle();
  assertEquals([now() - startMs, Date.now(), ran], [10_000, 10_000, 0]);
});

Deno.test("fakeTime().stall() leaves its timers late: they run next, in their order, and count from there", async () => {
  using time = fakeTime();
  const startMs = now();
  const log: [string, number][] = [];
  const note = (what: string) => log.push([what, now() - startMs]);
  setTimeout(() => note("second"), 2000);
  setTimeout(() => {
    note("first");
    setTimeout(() => note("set late"), 500);
  }, 1000);
  setTimeout(() => note("on time"), 11_000);
  const every = setInterval(() => note("every 4 s"), 4000);
  time.stall(10);
  delay(700).then(() => note("set while late"));
  await time.advance(0);
  assertEquals(log.splice(0), [["first", 10_000], ["second", 10_000], ["every 4 s", 10_000]]);
  await time.advance(4);
  assertEquals(log, [
    ["set late", 10_500],
    ["set while late", 10_700],
    ["on time", 11_000],
    ["every 4 s", 14_000],
  ]);
  clearInterval(every);
});

Deno.test("fakeTime().stall() adds up, and advance() counts from its end", async () => {
  using time = fakeTime();
  const startMs = now();
  time.stall(3);
  time.stall(4);
  await time.advance(1);
  assertEquals(now() - startMs, 8000);
});

Deno.test("fakeTime().step() sets the wall clock, and neither the other clock nor a timer notices", async () => {
  using time = fakeTime(1_000_000_000);
  const startMs = now();
  let ran = 0;
  timer(1000, () => ran++);
  time.step(3600);
  await time.settle();
  assertEquals([Date.now(), now() - startMs, ran], [1_003_600_000, 0, 0]);
  time.step(-7200);
  assertEquals(new Date().getTime(), 996_400_000);
  await time.advance(1);
  assertEquals([Date.now(), ran], [996_401_000, 1]);
});

Deno.test("fakeTime() aborts the signal of AbortSignal.timeout() when it is due", async () => {
  using time = fakeTime();
  const signal = AbortSignal.timeout(1000);
  await time.advance(0.999);
  assertEquals(signal.aborted, false);
  await time.advance(0.001);
  assertInstanceOf(signal.reason, DOMException);
  assertEquals(signal.reason.name, "TimeoutError");
});

Deno.test("fakeTime() gives every clock and timer back, once", async () => {
  const clocks = () => [
    Date,
    setTimeout,
    clearTimeout,
    setInterval,
    clearInterval,
    AbortSignal.timeout,
    performance.now,
  ];
  const before = clocks();
  {
    await using time = fakeTime();
    assertEquals(clocks().filter((clock, i) => clock === before[i]), []);
    assertThrows(() => fakeTime(), Error, "already faked");
    time.restore();
    time.restore();
  }
  assertEquals(clocks().map((clock, i) => clock === before[i]), before.map(() => true));
});

Deno.test("fakeTime() refuses to go back or to an impossible time", async () => {
  using time = fakeTime();
  await assertRejects(() => time.advance(-1), RangeError, "-1000 ms");
  await assertRejects(() => time.tick(Infinity), RangeError, "Infinity");
  assertThrows(() => time.stall(NaN), RangeError, "NaN");
});
