import { assert, assertEquals, assertFalse } from "@std/assert";
import { deadline, delay } from "../../internal/async.ts";
import { WallDeadline } from "../../internal/clock.ts";
import { fakeEngine } from "../support/fake_engine.ts";
import { countListeners, watchTimers } from "../stress/pool_timers.ts";
import { fakeTime } from "../support/time.ts";

Deno.test("WallDeadline.isAhead is true until the deadline, and may end two milliseconds early but never late", async () => {
  using time = fakeTime();
  for (const leftMs of [0.5, 1, 2.5, 10, 1000.7]) {
    const deadline = new WallDeadline();
    assertFalse(deadline.isAhead);
    const untilMs = time.nowMs + leftMs;
    deadline.set(untilMs);
    while (time.nowMs < untilMs - 3) {
      assert(deadline.isAhead, `${untilMs - time.nowMs} ms before its end`);
      await time.tick(Math.min(50, untilMs - 3 - time.nowMs + 0.1));
    }
    await time.tick(Math.max(0, untilMs - time.nowMs));
    assertFalse(deadline.isAhead);
  }
});

Deno.test("WallDeadline does not end later if the wall clock is set back, and ends earlier if it is set forward", async () => {
  using time = fakeTime();
  const back = new WallDeadline();
  back.set(time.nowMs + 1000);
  time.step(-3600);
  assert(back.isAhead);
  await time.tick(1000);
  assertFalse(back.isAhead);

  const forward = new WallDeadline();
  forward.set(time.nowMs + 1000);
  time.step(3600);
  assertFalse(forward.isAhead);
});

Deno.test("WallDeadline goes by the clock if a blocked event loop delays its timer", () => {
  using time = fakeTime();
  const deadline = new WallDeadline();
  deadline.set(time.nowMs + 1000);
  time.stall(2);
  assertFalse(deadline.isAhead);
});

Deno.test("WallDeadline.set() can be called again with a nearer, a later or no deadline", async () => {
  using time = fakeTime();
  const deadline = new WallDeadline();
  deadline.set(time.nowMs + 1000);
  deadline.set(time.nowMs + 5000);
  await time.tick(2000);
  assert(deadline.isAhead);
  deadline.set(time.nowMs + 100);
  await time.tick(100);
  assertFalse(deadline.isAhead);
  deadline.set(time.nowMs + 1000);
  deadline.set(-Infinity);
  assertFalse(deadline.isAhead);
});

Deno.test("WallDeadline in an engine: an answer expires in time after the wall clock was set back", async () => {
  using time = fakeTime();
  // Queries fail, so that the answer is not renewed ahead of expiry.
  const { engine, dns } = fakeEngine({ dnsGraceTtl: 0 });
  await engine.use(() => {});
  time.step(-3600);
  dns.delayMs = 1e6;
  await time.advance(9.9);
  assertEquals(await engine.use(({ address }) => address), "10.0.0.1");
  await time.advance(0.1);
  let served = false;
  const waiting = engine.connect().then((lease) => lease.release()).then(() => served = true);
  waiting.catch(() => {});
  await time.settle();
  assertFalse(served);
  await engine.close();
  await waiting.catch(() => {});
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
