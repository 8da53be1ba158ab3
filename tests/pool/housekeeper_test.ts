import { assertEquals } from "@std/assert";
import { Slot } from "../../pool/slot.ts";
import { Upkeep, type UpkeepSettings } from "../../pool/housekeeper.ts";
import { watchTimers } from "../stress/pool_timers.ts";
import { fakeTime } from "../support/time.ts";

const OFF: UpkeepSettings = {
  idleTimeoutMs: Infinity,
  minIdle: 0,
  leaseWarnAfterMs: Infinity,
  leaseProbeAfterMs: Infinity,
};

/** A pool of so many connections, of which one has been out since now, and what becomes of it. */
function setup(settings: Partial<UpkeepSettings>) {
  const slot = new Slot({
    client: {},
    address: "10.0.0.1",
    openedAtMs: 0,
    expiresAtMs: Infinity,
    info: {},
  });
  slot.leasedAtMs = performance.now();
  const log: string[] = [];
  const pool = { size: 1, leased: [slot], tend: () => void log.push("tend") };
  const upkeep = new Upkeep(pool, { ...OFF, ...settings }, {
    onLongLease: (_, heldMs) => void log.push(`long lease: ${heldMs} ms`),
    onSuspect: (address) => void log.push(`suspect: ${address}`),
  });
  return { upkeep, pool, log };
}

Deno.test("Upkeep looks four times within the shortest term, and once a second at least", async () => {
  using time = fakeTime();
  for (
    const [settings, periodMs] of [[{ idleTimeoutMs: 400 }, 100], [{ minIdle: 1 }, 1000]] as const
  ) {
    const { upkeep, log } = setup(settings);
    upkeep.start();
    await time.tick(periodMs - 1);
    assertEquals(log, []);
    await time.tick(1 + 2 * periodMs);
    assertEquals(log, ["tend", "tend", "tend"]);
    upkeep.stop();
  }
});

Deno.test("Upkeep has no timer where nothing is ever due, once it is stopped, and while the pool is empty", async () => {
  using time = fakeTime();
  const timers = watchTimers();
  setup({}).upkeep.start();
  assertEquals(timers.pending(), []);
  const stopped = setup({ idleTimeoutMs: 400 }).upkeep;
  stopped.start();
  assertEquals(timers.pending().length, 1);
  stopped.stop();
  stopped.start();
  assertEquals(timers.pending(), []);
  const { upkeep, pool } = setup({ idleTimeoutMs: 400 });
  upkeep.start();
  pool.size = 0;
  await time.tick(100);
  assertEquals(timers.pending(), []);
  upkeep.start();
  assertEquals(timers.pending().length, 1);
  upkeep.stop();
});

Deno.test("Upkeep reports a long lease once, and has its server probed again and again", async () => {
  using time = fakeTime();
  const { upkeep, log } = setup({ leaseWarnAfterMs: 1000, leaseProbeAfterMs: 2000 });
  upkeep.start();
  await time.tick(6000);
  assertEquals(log.filter((entry) => entry !== "tend"), [
    "long lease: 1000 ms",
    "suspect: 10.0.0.1",
    "suspect: 10.0.0.1",
    "suspect: 10.0.0.1",
  ]);
  upkeep.stop();
});
