import { setImmediate } from "node:timers";
import { assert, assertEquals, assertFalse } from "@std/assert";
import { deadline, delay } from "../../internal/async.ts";
import { ageClock, awakeTimer, maintenanceTimer, timeAsleep, timer } from "../../internal/clock.ts";
import { countListeners, watchTimers } from "../stress/pool_timers.ts";
import { fakeTime } from "../support/time.ts";

Deno.test("awakeTimer() fires after its delay, and does not count the time in which the event loop is blocked", async () => {
  for (const [delayMs, beforeMs, blockedMs] of [[1000, 0, 0], [1000, 990, 5000], [30, 0, 60_000]]) {
    using time = fakeTime();
    let fired = false;
    awakeTimer(delayMs!, () => fired = true);
    await time.tick(beforeMs!);
    time.stall(blockedMs! / 1000);
    // What is due runs first, and what arrived meanwhile is read afterwards.
    await time.tick(0);
    assertFalse(fired, `blocked for ${blockedMs} ms`);
    await time.tick(delayMs! - beforeMs! - 1);
    if (blockedMs === 0) assertFalse(fired);
    await time.tick(100);
    assert(fired, `blocked for ${blockedMs} ms`);
  }
});

Deno.test("awakeTimer() fires in the end though the event loop is blocked again and again, and not after clear()", async () => {
  using time = fakeTime();
  let fired = 0;
  awakeTimer(1000, () => fired++);
  const cleared = awakeTimer(1000, () => fired += 100);
  for (let i = 0; i < 60; i++) {
    if (i === 10) cleared.clear();
    time.stall(1.6);
    await time.tick(1);
  }
  assertEquals(fired, 1);
});

Deno.test("ageClock() goes with the monotonic clock, up to a millisecond late and never early", async () => {
  using time = fakeTime();
  for (const ms of [0.3, 0.3, 1, 2.5, 0.1, 1000.7, 0]) {
    await time.tick(ms);
    const lateMs = time.nowMs - ageClock();
    assert(lateMs >= 0 && lateMs <= 1, `${lateMs} ms late`);
  }
  assertEquals(timeAsleep(), 0);
});

Deno.test("ageClock() goes on while the machine sleeps: the wall clock runs ahead of the monotonic one by more than a second", async () => {
  using time = fakeTime();
  const startMs = ageClock();
  await time.tick(500);
  time.step(600);
  assertEquals(Math.round(ageClock() - startMs), 600_500);
  await time.tick(1000);
  time.step(1);
  await time.tick(1000);
  assertEquals(Math.round(ageClock() - startMs), 602_500);
  assertEquals(Math.round(timeAsleep()), 600_000);
});

Deno.test("ageClock() does not go back, nor stand still, when the wall clock is set back", async () => {
  using time = fakeTime();
  const startMs = ageClock();
  for (let n = 1; n <= 3; n++) {
    time.step(-3600);
    time.stall(10);
    assertEquals(ageClock() - startMs, n * 10_000);
  }
  time.step(-0.005);
  await time.tick(5);
  assert(ageClock() >= startMs + 30_000);
});

Deno.test("ageClock() goes on in a program that holds the wall clock", async () => {
  using time = fakeTime();
  const startMs = ageClock();
  const wallMs = time.wallMs;
  const real = Date.now;
  Date.now = () => wallMs;
  try {
    await time.tick(10_000);
    for (let reading = 0; reading < 1000; reading++) ageClock();
    assertEquals(ageClock() - startMs, 10_000);
  } finally {
    Date.now = real;
  }
});

Deno.test("timer() and maintenanceTimer(): after a blocked event loop, what a socket received in time counts first", async () => {
  for (const start of [timer, maintenanceTimer]) {
    using time = fakeTime();
    let heard = "";
    start(100, () => heard ||= "the timer");
    time.stall(0.2);
    // The event loop runs timers first, and then reads sockets.
    setImmediate(() => heard ||= "the socket");
    await time.tick(20);
    assertEquals(heard, "the socket");
    const late = start(100, () => heard = "cleared");
    time.stall(0.2);
    await time.tick(0);
    late.clear();
    await time.tick(20);
    assertEquals(heard, "the socket");
  }
});

Deno.test("timer() runs a callback at its time if the event loop is free, and a late one 10 ms later", async () => {
  using time = fakeTime();
  const startMs = time.nowMs;
  const ranMs: number[] = [];
  timer(100, () => ranMs.push(time.nowMs - startMs));
  await time.tick(100);
  timer(100, () => ranMs.push(time.nowMs - startMs));
  time.stall(1);
  await time.tick(100);
  assertEquals(ranMs, [100, 1110]);
});

Deno.test("delay() and deadline() remove their timers and listeners, however they end", async () => {
  using time = fakeTime();
  const timers = watchTimers();
  const fail = () => Promise.reject(new Error("no"));
  for (const aborts of [false, true]) {
    const controller = new AbortController();
    const { signal } = controller;
    const listeners = countListeners(signal);
    const options = { signal, what: "no end" };
    await deadline(1000, () => {}, options);
    await deadline(1000, fail, options).catch(() => {});
    assertEquals([timers.pending(), listeners()], [[], 0]);
    const long = deadline(1000, () => new Promise(() => {}), options).catch(() => {});
    const slept = delay(1000, signal).catch(() => {});
    if (aborts) controller.abort(new Error("no"));
    else await time.tick(1000);
    await Promise.all([long, slept]);
    assertEquals([timers.pending(), listeners()], [[], 0]);
  }
});

Deno.test("awakeTimer() leaves no timer of the runtime behind when the last one is cleared", async () => {
  // The leak sanitizer of the runner looks for it.
  const timers = [1000, 2000].map((delayMs) => awakeTimer(delayMs, () => {}));
  await new Promise((resolve) => setTimeout(resolve, 1));
  for (const timer of timers) timer.clear();
});
