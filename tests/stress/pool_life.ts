/**
 * The life of one engine: random actions, each followed by a check of all invariants, and at the end a check that
 * nothing was lost.
 *
 * @module
 */

import fc from "npm:fast-check@^4";
import type { Lease } from "../../pool/lease.ts";
import type { FakeClient } from "../../testing/mod.ts";
import { fakeTime, type TestTime } from "../support/time.ts";
import { type Action, type Again, anyAction, anyWorld, type PoolClass } from "./pool_actions.ts";
import { ALL_ADDRESSES, type Order } from "./pool_faults.ts";
import { World, type WorldPlan } from "./pool_world.ts";

/** What a run amounted to. */
export interface Totals {
  lives: number;
  actions: number;
  served: number;
  failed: number;
  opened: number;
}

/** Maximum number of actions per life. */
const MAX_ACTIONS = 300;
/** Maximum number of actions after the engine was closed. */
const MAX_ACTIONS_CLOSED = 20;
const LIVES_PER_SEED = 5;
/** Timeout of the search for a shorter list of actions that fails as well. */
const SHRINK_TIMEOUT_MS = 45_000;
/** Number of seconds without faults after which every waiter was served. */
const RECOVERY = 40;

/**
 * Runs lives of engines up to a number of actions. On failure, fast-check's error names the seed, which
 * `DNSPOOL_STRESS_SEED` repeats, and the shortest list of actions that it has found.
 *
 * @param seed The seed of a few lives; the next ones have the next number.
 * @param actions The number of actions.
 * @param poolClass The pool class of all engines. Default: each has its own.
 */
export async function stress(
  seed: number,
  actions: number,
  poolClass?: PoolClass,
): Promise<Totals> {
  const totals: Totals = { lives: 0, actions: 0, served: 0, failed: 0, opened: 0 };
  const life = fc.asyncProperty(
    anyWorld(poolClass),
    fc.array(anyAction, { minLength: 1, maxLength: MAX_ACTIONS, size: "max" }),
    fc.scheduler(),
    (plan, actions, order) => live(plan, actions, order, totals),
  );
  for (let round = 0; totals.actions < actions; round++) {
    await fc.assert(life, {
      seed: seed + round,
      numRuns: LIVES_PER_SEED,
      interruptAfterTimeLimit: SHRINK_TIMEOUT_MS,
    });
  }
  return totals;
}

async function live(
  plan: WorldPlan,
  actions: Action[],
  order: Order,
  totals: Totals,
): Promise<void> {
  const { random } = Math;
  await using time = fakeTime(0);
  const world = new World(time, order, plan);
  Math.random = world.random;
  try {
    let left = Infinity;
    for (const action of actions) {
      if (world.closed) left = Math.min(left, MAX_ACTIONS_CLOSED);
      if (left-- === 0) break;
      await perform(action, world, order, time);
      if (order.count() > 0 && world.random() < 0.5) await order.waitOne();
      await time.settle();
      world.check();
      totals.actions++;
    }
    // Some are closed while there are faults.
    if (world.random() < 0.6) await recover(world, order, time);
    await end(world, order, time);
    totals.lives++;
    totals.served += world.tally.served;
    totals.failed += world.tally.failed;
    totals.opened += world.faults.adapter.clients.length;
  } finally {
    Math.random = random;
  }
}

async function perform(action: Action, world: World, order: Order, time: TestTime): Promise<void> {
  const { engine, faults, leases, former } = world;
  const { servers, dns, adapter } = faults;
  switch (action.do) {
    case "checkout": {
      const controller = world.checkout(action.timeout);
      if (action.abortAfter === undefined) return;
      for (let i = 0; i < action.abortAfter; i++) await null;
      return controller.abort();
    }
    case "use":
      return world.use(action.ms, action.trouble);
    case "abort":
      return pick([...world.pending], action.which)?.abort();
    case "release": {
      const lease = give(leases, former, action.which);
      if (lease) world.follow(lease.release(world.trouble(action.trouble)));
      return;
    }
    case "invalidate": {
      const lease = action.soft ? pick(leases, action.which) : give(leases, former, action.which);
      return lease?.invalidate(world.trouble(action.trouble), { soft: action.soft });
    }
    case "detach": {
      const lease = give(leases, former, action.which);
      if (lease && !lease.released) world.detached.add(lease.detach());
      return;
    }
    case "again":
      return again(pick(former, action.which), action.how, world);
    case "kill": {
      const client = pick(adapter.open, action.which);
      return client && world.kill(client);
    }
    case "server":
      return servers.set(action.state, ALL_ADDRESSES[action.which % 3]!);
    case "role": {
      const address = ALL_ADDRESSES[action.which % 3]!;
      servers.roles.set(address, { standby: action.standby, readOnly: action.standby });
      if (!action.reports) return;
      // A server tells some of its connections, whether its role is another or not.
      const told = adapter.open.filter((client) =>
        client.address === address && client.id % 2 === 0
      );
      return told.forEach((client) => adapter.reportRole(client));
    }
    case "name":
      dns.addresses = action.addresses.map((index) => ALL_ADDRESSES[index]!);
      return;
    case "dns":
      dns.failure = action.failure;
      dns.delayMs = action.delayMs;
      return;
    case "advance":
      return await time.tick(action.ms);
    case "stall":
      return time.stall(action.seconds);
    case "finish":
      for (let i = 0; i < action.most && order.count() > 0; i++) await order.waitOne();
      return;
    case "warm":
      return world.warm(action.count);
    case "invalidate all":
      return engine.pool.invalidate();
    case "dispose":
      return world.follow(engine.dispose());
    case "close":
      return world.close(action.drain);
  }
}

/** Uses a released lease, which must change nothing. */
function again(
  lease: Lease<FakeClient> | undefined,
  how: Again,
  world: World,
): void {
  if (!lease) return;
  const before = JSON.stringify(world.core.pool.counts);
  if (how === "release") world.follow(lease.release());
  else if (how === "invalidate") lease.invalidate();
  else {
    try {
      lease.detach();
      world.problem("a released lease was detached");
    } catch {
      // As it must be.
    }
  }
  if (JSON.stringify(world.core.pool.counts) !== before) {
    world.problem(`${how} on a released lease changed the pool`);
  }
}

/** Ends the faults: every waiter must be served, and the pool must have its full capacity. */
async function recover(world: World, order: Order, time: TestTime): Promise<void> {
  const { engine, faults, leases } = world;
  faults.heal();
  await rest(world, order, time, RECOVERY);
  if (world.closed) return;
  if (world.pending.size > 0) world.problem(`${world.pending.size} checkouts were never served`);
  world.checkRest();
  const { poolSize, maxOverflow } = engine.pool.counts;
  const count = Math.min(6, poolSize + maxOverflow);
  for (let i = 0; i < count; i++) world.checkout(5);
  await time.tick(5000);
  if (leases.length !== count) {
    world.problem(`of ${count} checkouts without faults, ${leases.length} were served`);
  }
  world.check();
}

/** Closes the engine while connections are leased, and checks what is left. */
async function end(world: World, order: Order, time: TestTime): Promise<void> {
  const held = world.leases.splice(0);
  world.close(1);
  world.checkout();
  await time.tick(500);
  for (const lease of held.slice(1)) world.follow(lease.release());
  await rest(world, order, time, 20);
  if (held[0] && !held[0].released) world.problem("a lease outlived the engine");
  world.checkEnd();
}

/** Advances the time, releases all leases, and lets all work finish. */
async function rest(world: World, order: Order, time: TestTime, seconds: number): Promise<void> {
  world.resting = true;
  for (const lease of world.leases.splice(0)) world.follow(lease.release());
  for (let i = 0; i < seconds; i += 2) {
    while (order.count() > 0) await order.waitOne();
    await time.tick(2000);
    world.check();
  }
  world.resting = false;
}

function pick<T>(items: readonly T[], which: number): T | undefined {
  return items[which % items.length];
}

function give(
  leases: Lease<FakeClient>[],
  former: Lease<FakeClient>[],
  which: number,
): Lease<FakeClient> | undefined {
  const [lease] = leases.splice(which % Math.max(1, leases.length), 1);
  if (lease) former.push(lease);
  return lease;
}
