/**
 * An adapter, a lookup, hooks and a logger that misbehave by chance: they throw, reject, take their time, or finish
 * in an order that somebody else decides on.
 *
 * @module
 */

import { delay } from "../../internal/async.ts";
import { HOOK_NAMES, type PoolHooks } from "../../pool/connection/hooks.ts";
import type { Adapter, Target } from "../../adapters/adapter.ts";
import { DisconnectionError } from "../../errors.ts";
import { type FakeAdapter, fakeAdapter, type FakeClient } from "../../testing/mod.ts";
import { fail, type FakeLookup, fakeLookup } from "../support/fake_lookup.ts";
import { driverError, FakeServers } from "./pool_servers.ts";

/** Decides on the order in which things are finished: fast-check's scheduler. */
export interface Order {
  /** Fulfilled when its turn has come. */
  schedule(promise: Promise<unknown>, label?: string): Promise<unknown>;
  /** How many wait for their turn. */
  count(): number;
  /** Picks one. */
  waitOne(): Promise<void>;
}

/** The longest that anything takes by itself, in milliseconds. */
const SLOWEST_MS = 3000;
export const ALL_ADDRESSES: readonly string[] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];

/** Everything around an engine that may go wrong. */
export class Faults {
  /** While true, nothing goes wrong any more. */
  healed = false;
  readonly servers: FakeServers = new FakeServers();
  readonly adapter: FakeAdapter;
  readonly dns: FakeLookup = fakeLookup([ALL_ADDRESSES[0]!], 2);
  readonly hooks: PoolHooks<FakeClient> = {};
  readonly logger = {
    debug: () => this.#stumble(),
    info: () => this.#stumble(),
    warn: () => this.#stumble(),
  };
  /** What a hook may do to the engine that called it. */
  meddle: () => void = () => {};

  /** Pings, resets and hooks under way on connections that nobody holds. */
  attending = 0;

  readonly #order: Order;
  readonly #random: () => number;
  readonly #rate: number;
  readonly #injected: WeakSet<object> = new WeakSet();

  /**
   * @param order Decides on the order.
   * @param random Chance.
   * @param plan `rate`: how often something goes wrong, of 1; `hooks`: which hooks there are, a bit for each.
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

  /** Notes that an error is ours: whoever meets it has found no bug. */
  inject<E extends Error>(error: E): E {
    this.#injected.add(error);
    return error;
  }

  /** Whether an error, or what it came of, is ours. */
  isOurs(error: unknown): boolean {
    if (error === null) return true;
    if (typeof error !== "object") return false;
    const { cause } = error as Error;
    return this.#injected.has(error) || cause !== undefined && this.isOurs(cause);
  }

  /** The servers and the name are well from now on. */
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

  /** A plain method that throws now and then. */
  #stumble(error: () => Error = () => driverError("it stumbled")): undefined {
    if (this.#chance(0.3)) throw this.inject(error());
    return undefined;
  }

  /** Something that takes its time, waits for its turn, or fails; `hangs`: or, with a signal, never ends. */
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
    const { connect, close, terminate, inTransaction, onClose } = adapter;
    const patient = new AbortController().signal;
    const faulty: Pick<
      Adapter<FakeClient>,
      "connect" | "close" | "terminate" | "inTransaction" | "onClose" | "ref" | "unref"
    > = {
      // Some drivers cannot be stopped, and come with a connection when nobody wants it any more.
      connect: (ip: string, target: Target) =>
        connect(ip, this.#chance(0.3) ? { ...target, signal: patient } : target),
      close: async (client) => {
        await this.#work("close");
        await close!(client);
      },
      // It does its work, and complains.
      terminate: (client, reason) => {
        terminate!(client, reason);
        this.#stumble();
      },
      inTransaction: (client) => {
        this.#stumble();
        return this.#random() < 0.5 || inTransaction!(client);
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
