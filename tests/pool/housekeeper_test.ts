import { assertEquals } from "@std/assert";
import { Slot } from "../../pool/slot.ts";
import { Housekeeper, type HousekeeperSettings } from "../../pool/housekeeper.ts";
import { watchTimers } from "../stress/pool_timers.ts";
import { fakeTime } from "../support/time.ts";

const OFF: HousekeeperSettings = {
  idleTimeoutMs: Infinity,
  minIdle: 0,
  recycleMs: Infinity,
  leaseWarnAfterMs: Infinity,
  leaseProbeAfterMs: Infinity,
  leaseTimeoutMs: Infinity,
};

/** Creates a housekeeper for a pool with one connection, leased now, and a record of what it does. */
function setup(settings: Partial<HousekeeperSettings>) {
  const slot = new Slot({
    client: {},
    address: "10.0.0.1",
    endpoint: { address: "10.0.0.1", port: 5432, host: "db.internal" },
    role: "any",
    openedAtMs: 0,
    expiresAtMs: Infinity,
    info: {},
  });
  slot.leasedAtMs = performance.now();
  slot.holder = { released: false };
  const log: string[] = [];
  const slots = { size: 1, inUse: { toArray: () => [slot] }, idle: { first: undefined } };
  const pool = { slots, maintain: () => void log.push("maintain") };
  const housekeeper = new Housekeeper(pool, { ...OFF, ...settings }, {
    onExpiredLease: () => {},
    onLongLease: (_, heldMs) => void log.push(`long lease: ${heldMs} ms`),
    onSuspect: (address) => void log.push(`suspect: ${address}`),
  });
  return { housekeeper, slot, slots, log };
}

Deno.test("Housekeeper runs four times within the shortest duration, and at least once a second", async () => {
  using time = fakeTime();
  for (
    const [settings, periodMs] of [
      [{ idleTimeoutMs: 400 }, 100],
      [{ minIdle: 1 }, 1000],
      [{ minIdle: 1, recycleMs: 800 }, 200],
    ] as const
  ) {
    const { housekeeper, log } = setup(settings);
    housekeeper.start();
    await time.tick(periodMs - 1);
    assertEquals(log, []);
    await time.tick(1 + 2 * periodMs);
    assertEquals(log, ["maintain", "maintain", "maintain"]);
    housekeeper.stop();
  }
});

Deno.test("Housekeeper has no timer if nothing is ever due, once it is stopped, and while the pool is empty", async () => {
  using time = fakeTime();
  const timers = watchTimers();
  setup({}).housekeeper.start();
  assertEquals(timers.pending(), []);
  const stopped = setup({ idleTimeoutMs: 400 }).housekeeper;
  stopped.start();
  assertEquals(timers.pending().length, 1);
  stopped.stop();
  stopped.start();
  assertEquals(timers.pending(), []);
  const { housekeeper, slots } = setup({ idleTimeoutMs: 400 });
  housekeeper.start();
  slots.size = 0;
  await time.tick(100);
  assertEquals(timers.pending(), []);
  housekeeper.start();
  assertEquals(timers.pending().length, 1);
  housekeeper.stop();
});

Deno.test("Housekeeper has the server of a check probed that takes long, and reports no lease", async () => {
  using time = fakeTime();
  const { housekeeper, slot, log } = setup({
    leaseWarnAfterMs: 1000,
    leaseTimeoutMs: 1000,
    leaseProbeAfterMs: 2000,
  });
  slot.holder = undefined;
  housekeeper.start();
  await time.tick(3000);
  slot.checkedSinceMs = performance.now();
  await time.tick(1900);
  assertEquals(log.filter((entry) => entry !== "maintain"), []);
  await time.tick(300);
  assertEquals(log.filter((entry) => entry !== "maintain"), ["suspect: 10.0.0.1"]);
  housekeeper.stop();
});

Deno.test("Housekeeper reports a long lease once, and has its server probed repeatedly", async () => {
  using time = fakeTime();
  const { housekeeper, log } = setup({ leaseWarnAfterMs: 1000, leaseProbeAfterMs: 2000 });
  housekeeper.start();
  await time.tick(6000);
  assertEquals(log.filter((entry) => entry !== "maintain"), [
    "long lease: 1000 ms",
    "suspect: 10.0.0.1",
    "suspect: 10.0.0.1",
    "suspect: 10.0.0.1",
  ]);
  housekeeper.stop();
});
