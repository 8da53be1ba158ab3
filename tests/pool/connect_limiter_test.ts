import { assertEquals } from "@std/assert";
import { ConnectLimiter } from "../../pool/connect_limiter.ts";
import { fakeTime } from "../support/time.ts";

/** ConnectLimiter that fail, and what becomes of them: whether each timer set meanwhile holds the process up. */
function setup(passes: boolean) {
  const log: string[] = [];
  const limiter = new ConnectLimiter<never>(
    {
      open: () => Promise.reject(new Error("no")),
      isTransient: () => passes,
      keepFresh() {
        log.push("watched");
        return () => log.push("unwatched");
      },
    },
    4,
    {
      onOpened() {},
      onFailed: (_, transient) => void log.push(transient ? "failed in passing" : "failed"),
      onRetry: () => void log.push("retry"),
    },
  );
  const { setTimeout: set } = globalThis;
  globalThis.setTimeout = ((...args: Parameters<typeof setTimeout>) => {
    log.push("timer");
    const id = set(...args);
    return Object.assign(Object(id), { unref: () => void log.push("that holds nobody up") });
  }) as typeof setTimeout;
  return { limiter, log };
}

Deno.test("ConnectLimiter: a pause that nobody waits for holds no process up, and no name is watched for it", async () => {
  using time = fakeTime();
  const { limiter, log } = setup(false);
  limiter.start({ waiting: 0, prefill: 1, capacity: 1 });
  await time.settle();
  limiter.start({ waiting: 0, prefill: 1, capacity: 1 });
  assertEquals(log, ["failed", "timer", "that holds nobody up"]);
  limiter.clearPause();
});

Deno.test("ConnectLimiter: a pause that somebody waits for holds the process up, and the name is watched meanwhile", async () => {
  using time = fakeTime();
  const { limiter, log } = setup(true);
  limiter.start({ waiting: 1, prefill: 0, capacity: 1 });
  await time.settle();
  limiter.start({ waiting: 1, prefill: 0, capacity: 1 });
  assertEquals(log, ["failed in passing", "watched", "timer"]);
  limiter.resetBackoff();
  assertEquals(log.slice(3), ["unwatched"]);
});
