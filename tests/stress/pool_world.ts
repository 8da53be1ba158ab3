/**
 * One engine in a made-up world for random actions: its servers, name and hooks misbehave by chance, and after
 * each step everything that must hold is looked at. Chance is seeded, and time is fake.
 *
 * @module
 */

import { sleep } from "../../_clock.ts";
import { EngineCore } from "../../_engine_core.ts";
import { HOOK_NAMES } from "../../_hooks.ts";
import type { Lease, Slot } from "../../_lease.ts";
import { Engine } from "../../engine.ts";
import { DisconnectionError, DnsPoolError } from "../../errors.ts";
import { type EngineOptions, readEngineOptions } from "../../options.ts";
import { type FakeAdapter, fakeAdapter, type FakeClient } from "../../testing/mod.ts";
import { DatabaseUrl } from "../../url.ts";
import { type FakeLookup, fakeLookup, seeded } from "../_fake_lookup.ts";
import type { TestTime } from "../_time.ts";
import { driverError, FakeServers } from "./pool_servers.ts";
import { watchTimers } from "./pool_timers.ts";

/** Hands the completion of something to whoever decides on the order: fast-check's scheduler. */
export interface Order {
  /** Fulfilled when its turn has come. */
  schedule(promise: Promise<unknown>, label: string): Promise<unknown>;
  /** How many wait for their turn. */
  count(): number;
  /** Picks one. */
  waitOne(): Promise<void>;
}

/** How a world is made. */
export interface WorldPlan {
  /** For chance within the run. */
  readonly seed: number;
  readonly options: EngineOptions<FakeClient>;
  /** How often, of 1, something that can go wrong does. */
  readonly faults: number;
  /** Which hooks there are: a bit for each. */
  readonly hooks: number;
}

/** A checkout under way. */
export interface Pending {
  readonly controller: AbortController;
  readonly sinceMs: number;
}

/** The longest that anything of the world's takes by itself, in milliseconds. */
const SLOWEST_MS = 3000;
const ALL_ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];

/** The engine, everything around it, and what is known about it. */
export class World {
  readonly engine: Engine<FakeClient>;
  readonly core: EngineCore<FakeClient>;
  readonly adapter: FakeAdapter;
  readonly dns: FakeLookup = fakeLookup([ALL_ADDRESSES[0]!], 2);
  readonly servers = new FakeServers();
  readonly random: () => number;
  /** Leases in the hands of workers. */
  readonly leases: Lease<FakeClient>[] = [];
  /** Leases that were given back, one way or another, and may be given back again. */
  readonly former: Lease<FakeClient>[] = [];
  readonly pending: Set<Pending> = new Set();
  readonly detached: Set<FakeClient> = new Set();
  /** How many checkouts were served, and how many failed. */
  readonly tally = { served: 0, failed: 0 };
  /** While true, nothing goes wrong any more. */
  healed = false;
  closed = false;

  readonly #time: TestTime;
  readonly #order: Order;
  readonly #plan: WorldPlan;
  readonly #lingerMs: number;
  readonly #holders: Map<FakeClient, Lease<FakeClient>> = new Map();
  readonly #slots: Set<Slot<FakeClient>> = new Set();
  readonly #departedAtMs: Map<string, number> = new Map();
  readonly #diedAtMs: Map<FakeClient, number> = new Map();
  readonly #injected: WeakSet<Error> = new WeakSet();
  readonly #problems: string[] = [];
  readonly #timers = watchTimers();
  #answeredAtMs = -Infinity;

  constructor(time: TestTime, order: Order, plan: WorldPlan) {
    this.#time = time;
    this.#order = order;
    this.#plan = plan;
    this.random = seeded(plan.seed);
    this.#lingerMs = (plan.options.dnsAddressLinger ?? 0) * 1000;
    this.adapter = this.#makeAdapter();
    const settings = readEngineOptions<FakeClient>({
      ...plan.options,
      adapter: this.adapter,
      dnsLookup: this.#makeLookup(),
      dnsFallback: false,
      hooks: this.#makeHooks(),
      logger: { debug: () => this.#misbehave(), info: () => this.#misbehave(), warn() {} },
      echoPool: "debug",
    });
    const url = DatabaseUrl.parse("fake://app:secret@db.internal/orders");
    this.core = new EngineCore(url, this.adapter, settings);
    this.engine = new Engine(url, this.adapter, settings, this.core);
    this.engine.addEventListener("addresschange", ({ detail }) => {
      for (const address of detail.removed) this.#departedAtMs.set(address, time.nowMs);
    });
  }

  /** Takes a connection, and looks at what comes. */
  checkout(options: { timeout?: number } = {}): Pending {
    const controller = new AbortController();
    const pending = { controller, sinceMs: this.#time.nowMs };
    this.pending.add(pending);
    // The plain call has a shorter way than the one with options.
    const plain = options.timeout === undefined && this.random() < 0.3;
    const listeners = countListeners(controller.signal);
    const coming = plain
      ? this.engine.connect()
      : this.engine.connect({ ...options, signal: controller.signal });
    coming.then((lease) => {
      this.take(lease, pending.sinceMs);
      this.leases.push(lease);
      this.tally.served++;
    }, (error) => {
      this.tally.failed++;
      this.#judge(error, controller.signal);
    }).finally(() => {
      this.pending.delete(pending);
      if (listeners() !== 0) this.#problems.push("a listener is left on a checkout's signal");
    });
    return pending;
  }

  /** Notes who holds a connection from now on, and whether it may. */
  take(lease: Lease<FakeClient>, sinceMs: number): void {
    if (lease.released) return;
    const { client, address } = lease;
    const nowMs = this.#time.nowMs;
    const holder = this.#holders.get(client);
    if (holder && !holder.released) this.#problems.push(`connection ${client.id} has two holders`);
    this.#holders.set(client, lease);
    this.#noteSlots();
    if (!client.open && this.#diedAtMs.get(client) !== nowMs) {
      this.#problems.push(`connection ${client.id} was handed out dead`);
    }
    if (client.address !== address) this.#problems.push("a lease has another address than its client");
    const { addresses, freshFor, inGrace } = this.engine.status().answer;
    const departedMs = this.#departedAtMs.get(address) ?? -Infinity;
    const lingers = nowMs < departedMs + this.#lingerMs;
    if (!addresses.includes(address) && !lingers && departedMs !== nowMs) {
      this.#problems.push(`a lease on ${address} was handed out, which departed at ${departedMs}`);
    }
    if (freshFor <= 0 && !inGrace && this.#answeredAtMs < sinceMs) {
      this.#problems.push("a lease was handed out by an answer that had expired");
    }
  }

  /** An error that a worker gives back with its lease. */
  error(kind: "disconnect" | "read-only" | "harmless" | "odd"): unknown {
    if (kind === "odd") return this.#pick([null, "text", 0, Object.create(null)]);
    return this.inject(driverError(`a worker's ${kind}`, kind === "harmless" ? {} : { verdict: kind }));
  }

  /** An error that may come out again at a checkout, and is nobody's bug. */
  inject<E extends Error>(error: E): E {
    this.#injected.add(error);
    return error;
  }

  /** A connection dies by itself. */
  kill(client: FakeClient): void {
    this.#diedAtMs.set(client, this.#time.nowMs);
    this.adapter.kill(client, this.inject(driverError("reset by peer", { verdict: "disconnect" })));
  }

  /** What must hold at every moment. Throws where it does not. */
  check(): void {
    this.#noteSlots();
    const { pool } = this.core;
    const { idle, inUse, connecting, waiting, poolSize, maxOverflow } = pool.counts;
    const { opened, closed, detached } = pool;
    if (opened !== closed + idle + inUse + detached) {
      this.#problems.push(
        `opened ${opened} is not closed ${closed} + idle ${idle} + in use ${inUse} + detached ${detached}`,
      );
    }
    const retired = [...this.#slots].filter(({ retired, state }) => retired && state === "inUse");
    const ours = retired.filter((slot) => pool.holds(slot)).length;
    if (idle + inUse - ours + connecting > poolSize + maxOverflow) {
      this.#problems.push(
        `${idle} idle + ${inUse} in use - ${ours} retired + ${connecting} connecting is over the limit`,
      );
    }
    if (connecting > (this.#plan.options.connectConcurrency ?? 4)) {
      this.#problems.push(`${connecting} connecting at once`);
    }
    if (this.closed && waiting > 0) this.#problems.push(`${waiting} wait after close()`);
    const open = this.adapter.open.length;
    if (open < idle + inUse - this.#dead(pool.leased)) {
      this.#problems.push(`${open} connections are open, but ${idle} are idle and ${inUse} in use`);
    }
    if (this.#problems.length > 0) throw new Error(this.#problems.join("; "));
  }
}
