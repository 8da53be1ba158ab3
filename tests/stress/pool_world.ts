/**
 * One engine among random faults, the leases that workers hold, and the invariants. Random numbers are seeded, and time
 * is fake.
 *
 * @module
 */

import { EngineCore } from "../../engine/core.ts";
import type { Lease } from "../../pool/lease.ts";
import type { Slot } from "../../pool/slot.ts";
import { DnsEngine } from "../../engine/dns_engine.ts";
import type { Engine } from "../../engine.ts";
import { DnsPoolError } from "../../errors.ts";
import type { Question } from "../../lookups/lookup.ts";
import type { EngineOptions } from "../../engine/options.ts";
import { setUp } from "../../engine/setup.ts";
import type { Pool } from "../../pool/pool.ts";
import type { FakeClient } from "../../testing/mod.ts";
import { DatabaseUrl } from "../../engine/url.ts";
import { seeded } from "../support/fake_lookup.ts";
import type { TestTime } from "../support/time.ts";
import { Faults, type Order } from "./pool_faults.ts";
import { driverError } from "./pool_servers.ts";
import { countListeners, watchTimers } from "./pool_timers.ts";

/** Number of departures without a served caller after which a departed address lingers, and for how long at most. */
const MAX_UNSERVED = 3;
const STARVING_LINGER_MS = 4000;

/** The parameters of a world. */
export interface WorldPlan {
  /** Seed of the random numbers. */
  readonly seed: number;
  readonly options: EngineOptions<FakeClient>;
  /** Probability of a fault. */
  readonly faults: number;
  /** The hooks that there are: a bit for each. */
  readonly hooks: number;
  /** TTL of the name's record, in seconds. */
  readonly ttl: number;
}

/** The kind of error that a worker releases a lease with. */
export type Trouble = "none" | "disconnect" | "read-only" | "harmless" | "odd";

/** An engine, everything around it, and what is known about it. */
export class World {
  readonly engine: Engine<FakeClient>;
  readonly core: EngineCore<FakeClient>;
  readonly faults: Faults;
  readonly random: () => number;
  /** Leases that workers hold. */
  readonly leases: Lease<FakeClient>[] = [];
  /** Leases that were released, invalidated or detached. */
  readonly former: Lease<FakeClient>[] = [];
  /** Checkouts under way. */
  readonly pending: Set<AbortController> = new Set();
  readonly detached: Set<FakeClient> = new Set();
  /** Number of checkouts that were served, and that failed. */
  readonly tally = { served: 0, failed: 0 };
  closed = false;
  /** Whether workers release each lease at once. */
  resting = false;

  readonly #time: TestTime;
  readonly #plan: WorldPlan;
  readonly #holders: Map<FakeClient, Lease<FakeClient>> = new Map();
  readonly #slots: Map<Slot<FakeClient>, Pool<FakeClient>> = new Map();
  readonly #departedAtMs: Map<string, number> = new Map();
  readonly #currentUntilMs: Map<string, number> = new Map();
  /** Number of departures since a caller was served, and how many callers had been served at the last one. */
  #unserved = 0;
  #servedBefore = 0;
  readonly #diedAtMs: Map<FakeClient, number> = new Map();
  readonly #problems: string[] = [];
  readonly #timers = watchTimers();
  readonly #underway: Set<Promise<unknown>> = new Set();
  #answeredAtMs = -Infinity;

  /**
   * @param time The fake clock.
   * @param order Decides on the order in which work finishes.
   * @param plan The parameters.
   */
  constructor(time: TestTime, order: Order, plan: WorldPlan) {
    this.#time = time;
    this.#plan = plan;
    this.random = seeded(plan.seed);
    this.faults = new Faults(order, this.random, { rate: plan.faults, hooks: plan.hooks });
    const { adapter, dns, hooks, logger, observer } = this.faults;
    dns.ttl = plan.ttl;
    const url = DatabaseUrl.parse("fake://app:secret@db.internal/orders");
    const setup = setUp<FakeClient>(url, {
      ...plan.options,
      adapter,
      hooks,
      logger,
      ...(plan.hooks > 0 && { observer }),
      echoPool: "debug",
      dnsFallback: false,
      dnsLookup: {
        name: "noted",
        lookup: (question: Question) =>
          dns.lookup(question).finally(() => this.#answeredAtMs = time.nowMs),
      },
    });
    this.core = new EngineCore(setup);
    this.engine = new DnsEngine(setup, this.core);
    this.engine.addEventListener("addresschange", ({ detail: { removed } }) => {
      if (removed.length === 0) return;
      const lingerMs = this.#lingerMs();
      for (const address of removed) {
        this.#departedAtMs.set(address, time.nowMs);
        this.#currentUntilMs.set(address, time.nowMs + lingerMs);
      }
    });
    this.faults.meddle = () => {
      const way = this.random();
      if (way < 0.02) this.close(1);
      else if (way < 0.5) this.follow(this.engine.dispose());
      else this.engine.pool.invalidate();
    };
  }

  /** Follows a promise that must be fulfilled in the end. */
  follow(promise: Promise<unknown>): void {
    this.#underway.add(promise);
    promise.then(
      () => this.#underway.delete(promise),
      (error) => this.problem(`something rejected that must not: ${error}`),
    );
  }

  /** Closes the engine: once that is done, no checkout is pending. */
  close(drain: number): void {
    this.closed = true;
    const closing = this.engine.close({ drain }).then(() => this.#time.settle()).then(() => {
      if (this.pending.size > 0) this.problem(`${this.pending.size} checkouts outlived the engine`);
      for (const where of this.#timers.ofEngine()) this.problem(`a timer outlived it: ${where}`);
    });
    this.follow(closing);
  }

  /** Notes that an invariant does not hold. */
  problem(text: string): void {
    this.#problems.push(text);
  }

  /** Checks out a connection, and checks the result. */
  checkout(timeout?: number): AbortController {
    const controller = new AbortController();
    const sinceMs = this.#time.nowMs;
    this.pending.add(controller);
    const listeners = countListeners(controller.signal);
    // A call without options has a fast path.
    const plain = timeout === undefined && this.random() < 0.3;
    const options = { signal: controller.signal, ...(timeout !== undefined && { timeout }) };
    this.engine.connect(plain ? undefined : options).then((lease) => {
      this.take(lease, sinceMs);
      if (this.resting) this.follow(lease.release());
      else this.leases.push(lease);
    }, (error) => this.#onFailed(error, controller.signal)).finally(() => {
      this.pending.delete(controller);
      if (listeners() > 0) this.problem("a listener is left on a checkout's signal");
    });
    return controller;
  }

  /** Runs a function with a connection, as most callers do. */
  use(ms: number, trouble: Trouble): void {
    const controller = new AbortController();
    this.pending.add(controller);
    const sinceMs = this.#time.nowMs;
    this.engine.use(async (lease) => {
      this.take(lease, sinceMs);
      await new Promise((resolve) => setTimeout(resolve, ms));
      if (trouble !== "none") throw this.trouble(trouble);
    }, { signal: controller.signal })
      .catch((error) => {
        if (trouble !== "odd") this.#onFailed(error, controller.signal);
      })
      .finally(() => this.pending.delete(controller));
  }

  /** Opens connections ahead of need. */
  warm(count: number): void {
    const { poolSize } = this.core.pool.counts;
    if (poolSize === 0) return;
    const controller = new AbortController();
    this.pending.add(controller);
    this.engine.warm(Math.min(count, poolSize))
      .catch((error) => this.#onFailed(error, controller.signal))
      .finally(() => this.pending.delete(controller));
  }

  /** Notes the holder of a connection, and checks that it may be handed out. */
  take(lease: Lease<FakeClient>, sinceMs: number): void {
    this.tally.served++;
    if (lease.released) return;
    const { client, address } = lease;
    const { nowMs } = this.#time;
    const holder = this.#holders.get(client);
    const shares = this.#plan.options.poolClass === "static";
    if (holder && !holder.released && !shares) {
      this.problem(`connection ${client.id} has two holders`);
    }
    this.#holders.set(client, lease);
    this.#noteSlots();
    if (client.address !== address) this.problem("a lease and its client have two addresses");
    if (!client.open && this.#diedAtMs.get(client) !== nowMs) {
      this.problem(`connection ${client.id} was handed out though it is closed`);
    }
    const { freshFor, inGrace } = this.engine.status().answer;
    // In the same millisecond, it may have been current when it was handed over, and departed since.
    if (!this.#isCurrent(address) && this.#departedAtMs.get(address) !== nowMs) {
      this.problem(`a connection to ${address} was handed out, which had departed`);
    }
    // An answer whose successor is asked for in time may serve for a second more.
    const mayBeLate = freshFor > -1 && this.#plan.options.dnsRefresh === "ahead";
    if (freshFor <= 0 && !inGrace && !mayBeLate && this.#answeredAtMs < sinceMs) {
      this.problem("a connection was handed out by an answer that had expired");
    }
  }

  /** Returns the error that a worker releases its lease with. */
  trouble(kind: Trouble): unknown {
    if (kind === "none") return undefined;
    if (kind === "odd") {
      return [null, "text", 0, Object.create(null)][Math.floor(this.random() * 4)];
    }
    const facts = kind === "harmless" ? {} : { verdict: kind };
    return this.faults.inject(driverError(`a worker's ${kind}`, facts));
  }

  /** Lets a connection die. */
  kill(client: FakeClient): void {
    this.#diedAtMs.set(client, this.#time.nowMs);
    const error = driverError("reset by peer", { verdict: "disconnect" });
    this.faults.adapter.kill(client, this.faults.inject(error));
  }

  /** Checks the invariants; throws if one does not hold. */
  check(): void {
    this.#noteSlots();
    const { pool } = this.core;
    const { idle, inUse, connecting, waiting, poolSize, maxOverflow } = pool.counts;
    const { opened, closed, detached } = pool.slots;
    if (opened !== closed + idle + inUse + detached) this.problem(`unbalanced: ${this.#state()}`);
    let retired = 0;
    let restored = 0;
    for (const [slot, of] of this.#slots) {
      if (slot.state === "closed" || slot.state === "detached") this.#slots.delete(slot);
      else if (of === pool && slot.retired && slot.state === "inUse") retired++;
      else if (of === pool && slot.retiredAtMs < Infinity) restored++;
    }
    if (pool.counts.retired !== retired) this.problem(`${retired} are retired: ${this.#state()}`);
    if (idle + inUse - retired - restored + connecting > poolSize + maxOverflow) {
      this.problem(`over the limit, with ${retired} retired: ${this.#state()}`);
    }
    if (idle + inUse + connecting > 2 * (poolSize + maxOverflow)) {
      this.problem(`over twice the limit: ${this.#state()}`);
    }
    if (connecting > (this.#plan.options.connectConcurrency ?? 4)) {
      this.problem(`too many are connecting: ${this.#state()}`);
    }
    if (idle > poolSize && waiting === 0) this.problem(`too many are kept: ${this.#state()}`);
    if (this.closed && waiting > 0) {
      this.problem(`a checkout waits after close(): ${this.#state()}`);
    }
    const departed = Object.entries(this.core.pool.slots.byAddress)
      .filter(([address, { idle }]) => idle > 0 && !this.#isCurrent(address));
    // After a stall, the timer that ends lingering is late.
    if (departed.length > 0 && !this.#plan.options.dnsAddressLinger) {
      this.problem(`idle connections on a departed address: ${JSON.stringify(departed)}`);
    }
    // While the answer is stale, a checked connection may wait for a new one.
    const notLeased = inUse - pool.slots.leased.length;
    if (notLeased > this.faults.attending && this.engine.status().answer.freshFor > 0) {
      this.problem(`${notLeased} connections in use are not leased: ${this.#state()}`);
    }
    if (this.#open().length < idle) this.problem(`a closed connection is idle: ${this.#state()}`);
    if (this.#problems.length > 0) throw new Error(this.#problems.join("; "));
  }

  /** Checks what must hold once no caller has a lease or waits for one, and no work is under way. */
  checkRest(): void {
    const { inUse } = this.core.pool.counts;
    const isStatic = this.#plan.options.poolClass === "static";
    const isAtRest = this.leases.length === 0 && this.pending.size === 0;
    if (isStatic && isAtRest && this.faults.attending === 0 && inUse > 0) {
      this.problem(`a connection is in use and no caller has it: ${this.#state()}`);
    }
  }

  /** Checks what must hold once the engine is closed and all work has finished. */
  checkEnd(): void {
    const { pool } = this.core;
    const { counts } = pool;
    const { opened, closed, detached } = pool.slots;
    if (opened !== closed + detached) this.problem(`not all closed: ${JSON.stringify(counts)}`);
    const open = this.#open().map(({ id }) => id);
    if (open.length > 0) this.problem(`connections ${open} are left open`);
    if (this.pending.size > 0) this.problem(`${this.pending.size} checkouts never ended`);
    if (this.#underway.size > 0) this.problem(`${this.#underway.size} promises are pending`);
    for (const where of this.#timers.pending()) this.problem(`a timer is left: ${where}`);
    this.check();
  }

  #state(): string {
    const { counts } = this.core.pool;
    const { opened, closed, detached } = this.core.pool.slots;
    return JSON.stringify({ ...counts, opened, closed, detached });
  }

  #isCurrent(address: string): boolean {
    if (this.core.answer.addresses.includes(address)) return true;
    return this.#time.nowMs < (this.#currentUntilMs.get(address) ?? -Infinity);
  }

  /** Returns for how long an address that departs now may be used: longer, if the name changes faster than callers are served. */
  #lingerMs(): number {
    const { served } = this.tally;
    const isStarving = served === this.#servedBefore && this.pending.size > 0;
    this.#unserved = isStarving ? this.#unserved + 1 : 0;
    this.#servedBefore = served;
    const lingerMs = (this.#plan.options.dnsAddressLinger ?? 0) * 1000;
    return this.#unserved < MAX_UNSERVED ? lingerMs : Math.max(lingerMs, STARVING_LINGER_MS);
  }

  /** Returns the open connections that were not detached. */
  #open(): FakeClient[] {
    return this.faults.adapter.open.filter((client) => !this.detached.has(client));
  }

  /** Notes the leased connections of the current pool, to know later which ones are retired. */
  #noteSlots(): void {
    const { pool } = this.core;
    for (const slot of pool.slots.leased) if (!this.#slots.has(slot)) this.#slots.set(slot, pool);
  }

  #onFailed(error: unknown, signal: AbortSignal): void {
    this.tally.failed++;
    const known = error instanceof DnsPoolError || this.faults.isInjected(error) ||
      signal.aborted && error === signal.reason ||
      error instanceof DOMException && error.name === "TimeoutError";
    if (!known) {
      this.problem(`a checkout failed with ${error instanceof Error ? error.stack : error}`);
    }
  }
}
