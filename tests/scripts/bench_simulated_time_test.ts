/**
 * The simulated clock of the fleet.
 */

import { assertEquals } from "@std/assert";
import { simulateTime } from "../../bench/simulated_time.ts";

Deno.test("simulateTime() runs timers in order, each at its time, with the microtasks between", async () => {
  const real = { setTimeout, now: performance.now };
  const time = simulateTime();
  const seen: [string, number][] = [];
  const note = (what: string) => () => void seen.push([what, performance.now()]);
  try {
    setTimeout(note("late"), 30);
    setTimeout(note("soon"), 9.5);
    setTimeout(note("now"));
    const cleared = setTimeout(note("never"), 5);
    clearTimeout(cleared);
    time.pause(10).then(() => setTimeout(note("chained"), 5));
    await time.advance(15);
    assertEquals(seen, [["now", 0], ["soon", 10], ["chained", 15]]);
    assertEquals(time.nowMs, 15);
    await time.advance(15);
    assertEquals(seen.at(-1), ["late", 30]);
  } finally {
    time.restore();
  }
  assertEquals(setTimeout, real.setTimeout);
  assertEquals(performance.now, real.now);
});
