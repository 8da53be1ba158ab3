/**
 * An adapter, a lookup, hooks, a logger and an observer that misbehave by chance: they throw, reject, are slow, or finish in an order
 * that a scheduler decides on.
 *
 * @module
 */

import { delay } from "../../internal/async.ts";
import { HOOK_NAMES, type PoolHooks } from "../../pool/connection/hooks.ts";
import type { Adapter, Target } from "../../adapters/adapter.ts";
import { DisconnectionError } from "../../errors.ts";
import type { EngineObserver } from "../../pool/observer.ts";
import { type FakeAdapter, fakeAdapter, type FakeClient } from "../../testing/mod.ts";
import { fail, type FakeLookup, fakeLookup } from "../support/fake_lookup.ts";
import { driverError, FakeServers } from "./pool_servers.ts";

/** Decides on the order in which work finishes: fast-check's scheduler. */
export interface Order {
  /** Waits for its turn. */
  schedule(promise: Promise<unknown>, label?: string): Promise<unknown>;
  /** Returns the number of promises that wait for their turn. */
  count(): number;
  /** Lets one of them finish. */
  waitOne(): Promise<void>;
}

/** Maximum duration of work without a fault, in milliseconds. */
const SLOWEST_MS = 3000;
export const ALL_ADDRESSES: readonly string[] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];

/** Everything around an engine that may fail. */
export class Faults {
  /** Whether faults have ended. */
  healed = false;
  readonly servers: FakeServers = new FakeServers();
  readonly adapter: FakeAdapter;
  readonly dns: FakeLookup = fakeLookup([ALL_ADDRESSES[0]!], 2);
  readonly hooks: PoolHooks<FakeClient> = {};
  readonly logger = {
    debug: () => this.#log(),
    info: () => this.#log(),
    warn: () => this.#log(),
  };
  readonly observer: EngineObserver = {
    served: () => this.#mayMeddle(),
    waiting: () => this.#observe(),
    connecting: () => this.#observe(),
    resolved: () => this.#mayMeddle(),
    used: () => this.#mayMeddle(),
  };
  /** Called by a hook, the logger or the observer now and then: does something to the engine that called it. */
  meddle: () => void = () => {};

  /** Number of pings, resets and hooks under way on connections that are not leased. */
  attending = 0;

  readonly #order: Order;
  readonly #random: () => number;
  readonly #rate: number;
  readonly #injected: WeakSet<object> = new WeakSet();

  /**
   * @param order Decides on the order.
   * @param random Returns a number from 0 to 1.
   * @param plan `rate`: the probability of a fault; `hooks`: which hooks there are, a bit for each.
   */
  constructor(order: Order, random: () => number, plan: { rate: number; hooks: number }) {
    this.#order = order;
    this.#random = random;
    this.#rate = plan.rate;
    this.adapter = this.#makeAdapter();
    this.dns.respond = () => void this.#stumble(() => fail("transient"));
    for (const [bit, name] of HOOK_NAMES.entries()) {
      if (plan.hooks & 1 << bit) this.hooks[name] = () => this.#hook(name);
    }
  }

  /** Notes that an error was injected. */
  inject<E extends Error>(error: E): E {
    this.#injected.add(error);
    return error;
  }

  /** Returns whether an error, or one of its causes, was injected. */
  isInjected(error: unknown): boolean {
    if (error === null) return true;
    if (typeof error !== "object") return false;
    const { cause } = error as Error;
    return this.#injected.has(error) || cause !== undefined && this.isInjected(cause);
  }

  /** Ends the faults of the servers and of the name. */
  heal(): void {
    this.healed = true;
    this.servers.set("up", ...ALL_ADDRESSES);
    this.servers.roles.clear();
    this.dns.failure = undefined;
    this.dns.delayMs = 0;
    if (this.dns.addresses.length === 0) this.dns.addresses = [ALL_ADDRESSES[0]!];
  }

  #chance(share = 1): boolean {
    return !this.healed && this.#random() < this.#rate * share;
  }

  /** Throws now and then. */
  #stumble(error: () => Error = () => driverError("it stumbled")): undefined {
    if (this.#chance(0.3)) throw this.inject(error());
    return undefined;
  }

  /** Takes time, waits for its turn, or fails. */
  async #work(what: string, signal?: AbortSignal): Promise<void> {
    if (this.healed) return;
    const way = this.#random();
    if (way < 0.2) await this.#order.schedule(Promise.resolve(), what);
    else if (way < 0.35) await delay(this.#random() ** 3 * SLOWEST_MS);
    else if (way < 0.38) await delay(this.#random() * SLOWEST_MS, signal);
    if (!this.#chance()) return;
    const verdict = (["disconnect", "read-only", undefined] as const)[
      Math.floor(this.#random() * 3)
    ];
    if (this.#random() < 0.1) throw null;
    throw this.inject(driverError(`${what} failed`, verdict ? { verdict } : {}));
  }

  #observe(): () => void {
    this.#mayMeddle();
    return () => this.#mayMeddle();
  }

  #mayMeddle(): void {
    if (this.#chance(0.02)) this.meddle();
  }

  #log(): undefined {
    this.#mayMeddle();
    return this.#stumble();
  }

  #hook(name: string): void | Promise<void> {
    this.#stumble();
    if (this.#chance(0.1)) this.meddle();
    if (this.#chance(0.5)) throw this.inject(new DisconnectionError(`the hook "${name}" says so`));
    return this.#attend(this.#work(`hook ${name}`));
  }

  #attend(work: Promise<void>): Promise<void> {
    this.attending++;
    return work.finally(() => this.attending--);
  }

  #makeAdapter(): FakeAdapter {
    const { servers } = this;
    const adapter = fakeAdapter({
      ...servers.behaviour,
      connect: async (address, target) => {
        await this.#work("connect", target.signal);
        await servers.behaviour.connect!(address, target);
      },
      ping: () => this.#attend(this.#work("ping")),
      reset: () => this.#attend(this.#work("reset")),
      classify: (error) => {
        this.#stumble();
        return (error as { verdict?: "disconnect" | "read-only" } | null)?.verdict;
      },
    });
    const { connect, close, terminate, transactionStatus, onClose } = adapter;
    const neverAborted = new AbortController().signal;
    const faulty: Pick<
      Adapter<FakeClient>,
      "connect" | "close" | "terminate" | "transactionStatus" | "onClose" | "ref" | "unref"
    > = {
      // Some drivers ignore the abort, and open a connection that is no longer needed.
      connect: (ip: string, target: Target) =>
        connect(ip, this.#chance(0.3) ? { ...target, signal: neverAborted } : target),
      close: async (client) => {
        await this.#work("close");
        await close!(client);
      },
      // It does its work, and throws.
      terminate: (client, reason) => {
        terminate!(client, reason);
        this.#stumble();
      },
      transactionStatus: (client) => {
        this.#stumble();
        return this.#random() < 0.5 ? "open" : transactionStatus!(client);
      },
      onClose: (client, listener) => {
        onClose!(client, listener);
        this.#stumble();
      },
      ref: () => this.#stumble(),
      unref: () => this.#stumble(),
    };
    return Object.assign(adapter, faulty);
  }
}
