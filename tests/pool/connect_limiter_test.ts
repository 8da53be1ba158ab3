import { assert, assertEquals } from "@std/assert";
import { ConnectLimiter } from "../../pool/connect_limiter.ts";
import { fakeTime } from "../support/time.ts";

/** Creates a limiter whose connects fail, and a record of its events and timers. */
function setup(passes: boolean, awaitsRole = false) {
  const log: string[] = [];
  const limiter = new ConnectLimiter<never>(
    {
      open: () => Promise.reject(new Error("no")),
      isTransient: () => passes,
      awaitsRole: () => awaitsRole,
      keepFresh() {
        log.push("kept fresh");
        return () => log.push("let go");
      },
    },
    4,
    {
      onOpened() {},
      onFailed: (_, transient) => void log.push(transient ? "failed for now" : "failed"),
      dispatch: () => void log.push("retry"),
    },
  );
  const { setTimeout: set } = globalThis;
  globalThis.setTimeout = ((...args: Parameters<typeof setTimeout>) => {
    log.push("timer");
    const id = set(...args);
    return Object.assign(Object(id), { unref: () => void log.push("unref") });
  }) as typeof setTimeout;
  return { limiter, log };
}

Deno.test("ConnectLimiter: a pause for prefill does not keep the process alive, nor the answer fresh", async () => {
  using time = fakeTime();
  const { limiter, log } = setup(false);
  limiter.start({ waiting: 0, prefill: 1, capacity: 1, newest: 0 });
  await time.settle();
  limiter.start({ waiting: 0, prefill: 1, capacity: 1, newest: 0 });
  assertEquals(log, ["failed", "timer", "unref"]);
  limiter.clearPause();
});

Deno.test("ConnectLimiter: a pause that a caller waits for keeps the process alive and the answer fresh", async () => {
  using time = fakeTime();
  const { limiter, log } = setup(true);
  limiter.start({ waiting: 1, prefill: 0, capacity: 1, newest: 0 });
  await time.settle();
  limiter.start({ waiting: 1, prefill: 0, capacity: 1, newest: 0 });
  assertEquals(log, ["failed for now", "kept fresh", "timer"]);
  limiter.resetBackoff();
  assertEquals(log.slice(3), ["let go"]);
});

Deno.test("ConnectLimiter: the pauses grow to half a second, to a quarter while a role is waited for", async () => {
  for (const [awaitsRole, maxMs] of [[false, 500], [true, 250]] as const) {
    using time = fakeTime();
    const { limiter } = setup(true, awaitsRole);
    const need = { waiting: 1, prefill: 0, capacity: 1, newest: 0 };
    const pauses: number[] = [];
    for (let tries = 0; tries < 60; tries++) {
      const beganMs = time.nowMs;
      limiter.start(need);
      while (limiter.size === 0) {
        await time.advance(0.005);
        limiter.start(need);
      }
      if (tries > 6) pauses.push(time.nowMs - beganMs);
      await time.settle();
    }
    limiter.clearPause();
    const longest = Math.max(...pauses);
    assert(longest <= maxMs + 5 && longest > 0.8 * maxMs, `${longest} of ${maxMs} ms`);
    assert(Math.min(...pauses) >= maxMs / 2 - 5);
  }
});
