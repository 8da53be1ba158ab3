/**
 * What an engine and its siblings share: the name's addresses, the dialer, the pool of the moment and those
 * disposed before it; and what a change of addresses sets going.
 *
 * @module
 */

import { DepartureWatch, Lingering } from "../pool/connection/departures.ts";
import { now, type Timer, timer } from "../internal/clock.ts";
import type { Lease } from "../pool/lease.ts";
import type { Slot } from "../pool/slot.ts";
import { Log } from "../internal/log.ts";
import { connectionLost } from "../pool/connection/close.ts";
import { redactingLogger } from "../internal/redact.ts";
import { StaticPool } from "../pool/static_pool.ts";
import { NameSource } from "../pool/connection/source.ts";
import { Housekeeper } from "../pool/housekeeper.ts";
import type { Adapter } from "../adapters/adapter.ts";
import { Dialer } from "../pool/connection/dialer.ts";
import { staticAddresses } from "../lookups/static.ts";
import type { EngineSettings } from "./options.ts";
import type { CheckoutOptions, PoolSettings } from "../pool/contract.ts";
import { Pool } from "../pool/pool.ts";
import { type AddressChange, type View, viewOf } from "../resolver.ts";
import { type AnswerSource, fixedAnswer } from "../resolver/answer_source.ts";
import type { EngineSetup } from "./setup.ts";

/** The events of an engine. */
export interface EngineEventMap {
  /** The host has other addresses than before. */
  addresschange: CustomEvent<AddressChange>;
  /** An address departed while connections to it were in use: they are closed when they come back. */
  retire: CustomEvent<{ readonly address: string; readonly inUse: number }>;
  /** Connections in use were terminated: their server no longer answers, or their time was up. */
  terminate: CustomEvent<{ readonly address: string; readonly reason: string }>;
  /** A lease has been out for `leaseWarnAfter` seconds. */
  longlease: CustomEvent<
    { readonly address: string; readonly seconds: number; readonly takenAt: string | undefined }
  >;
  /** A resolution failed; a stale answer may be serving all the same. */
  lookuperror: CustomEvent<{ readonly error: unknown }>;
  /** The engine was closed for good, and every connection with it. */
  close: CustomEvent<undefined>;
}

/** A pool, and what goes with it. */
interface Tenure<C> {
  readonly pool: Pool<C>;
  readonly housekeeper: Housekeeper<C>;
  checkout(options?: CheckoutOptions): Promise<Lease<C>>;
}

/** Shared by an engine and its siblings. */
export class EngineCore<C> {
  /** Where the events go. */
  readonly events: EventTarget = new EventTarget();
  /** The host, as it is looked up. */
  readonly host: string;
  /** The pool's name. */
  readonly name: string;
  /** What `echo` asks for. */
  readonly log: Log;
  /** The resolver's view, where DNS is needed. */
  readonly view: View | undefined;
  /** The addresses of the host. */
  readonly names: AnswerSource;

  readonly #settings: EngineSettings<C>;
  readonly #adapter: Adapter<C>;
  readonly #poolLog: Log;
  readonly #dialer: Dialer<C>;
  readonly #lingering: Lingering;
  readonly #departures: DepartureWatch;
  readonly #unwatch: () => void;
  readonly #history = { connected: false };
  /** Ends the probes that are under way when the engine is closed. */
  readonly #end: AbortController = new AbortController();
  /** Pools that were disposed while connections of theirs were out. */
  readonly #former: Set<Tenure<C>> = new Set();
  #tenure: Tenure<C>;
  #closing: Promise<void> | undefined;

  /** @param setup The URL, the adapter and the options. */
  constructor({ url, adapter, settings, destination }: EngineSetup<C>) {
    this.#settings = settings;
    this.#adapter = adapter;
    this.host = destination.host;
    this.name = settings.poolName ?? this.host;
    const logger = redactingLogger(settings.logger, url.password);
    this.log = new Log(logger, settings.echo, settings.loggingName ?? this.host);
    this.#poolLog = new Log(logger, settings.echoPool, this.name);
    const fixed = adapter.local ? [this.host] : staticAddresses(this.host, settings.dns.family);
    this.view = fixed ? undefined : viewOf(url.host!, settings.dns);
    this.names = this.view ?? fixedAnswer(fixed!);
    this.#unwatch = this.view?.watch({
      onChange: (change) => this.#onChange(change),
      onAnswer: () => this.#onResolved(),
      onError: (error) => this.#onResolved(error),
    }) ?? (() => {});
    const target = { ...destination, addresses: () => this.names.addresses };
    this.#dialer = new Dialer(adapter, target, settings);
    this.#lingering = new Lingering(settings.lingerMs, (address) => this.#retire(address));
    this.#departures = new DepartureWatch(settings.retireGraceMs, {
      oldest: (address) => this.#oldest(address),
      terminate: (address, retiredByMs, why) => {
        const due = (slot: Slot<C>) => slot.retired && slot.retiredAtMs <= retiredByMs;
        this.#terminate(address, (slot) => slot.address === address && due(slot), why);
      },
      probe: (address, signal) => this.#dialer.probe(address, signal),
    });
    this.#tenure = this.#begin();
  }

  /** The pool of the moment. */
  get pool(): Pool<C> {
    return this.#tenure.pool;
  }

  /** Takes a connection. */
  checkout(options?: CheckoutOptions): Promise<Lease<C>> {
    return this.#tenure.checkout(options);
  }

  /** Tells the listeners. */
  emit<K extends keyof EngineEventMap>(type: K, detail: EngineEventMap[K]["detail"]): void {
    this.events.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** Closes the pool and goes on with a fresh one. */
  async dispose(): Promise<void> {
    if (this.#closing) return await this.#closing;
    const former = this.#tenure;
    this.#tenure = this.#begin();
    this.#former.add(former);
    former.pool.close(`Cannot check out a connection to "${this.name}": the pool was disposed`);
    // Leases that run on are looked after until they are back.
    former.pool.emptied().then(() => {
      former.housekeeper.stop();
      this.#former.delete(former);
    });
    await former.pool.closings();
  }

  /** Closes everything for good; a second call waits for the first. */
  close(drainMs: number): Promise<void> {
    if (this.#closing) return this.#closing;
    // Known before anything is closed: a hook that disposes the engine meanwhile makes no fresh pool.
    let settle!: (closed: Promise<void>) => void;
    this.#closing = new Promise((resolve) => settle = resolve);
    settle(this.#close(drainMs));
    return this.#closing;
  }

  async #close(drainMs: number): Promise<void> {
    const tenures = [this.#tenure, ...this.#former];
    for (const { pool, housekeeper } of tenures) {
      housekeeper.stop();
      pool.close(`Cannot check out a connection to "${this.name}": the engine is closed`);
    }
    const emptied = Promise.all(tenures.map(({ pool }) => pool.emptied()));
    let limit: Timer | undefined;
    await Promise.race([emptied, new Promise<void>((resolve) => limit = timer(drainMs, resolve))]);
    limit!.clear();
    for (const { pool } of tenures) {
      pool.terminate(() => true, ({ address }) => connectionLost(address, "the engine was closed"));
    }
    await emptied;
    this.#end.abort();
    this.#departures.clear();
    this.#lingering.clear();
    this.#unwatch();
    this.emit("close", undefined);
  }

  #begin(): Tenure<C> {
    const settings = this.#settings;
    const source = new NameSource<C>({
      names: this.names,
      lingering: this.#lingering,
      dialer: this.#dialer,
      adapter: this.#adapter,
      log: this.#poolLog,
      history: this.#history,
      onOpened: () => housekeeper.start(),
    }, settings);
    const pool = new Pool<C>(source, poolSettings(this.name, settings));
    const housekeeper: Housekeeper<C> = new Housekeeper(pool, settings, {
      onLongLease: (slot, heldMs) => this.#onLongLease(slot, heldMs),
      onSuspect: (address) => this.#onSuspect(address),
    });
    const front = settings.poolClass === "static" ? new StaticPool(pool) : pool;
    return { pool, housekeeper, checkout: (options) => front.checkout(options) };
  }

  /** A resolution is over. */
  #onResolved(error?: unknown): void {
    const seconds = (now() - this.view!.entry.askedAtMs) / 1000;
    this.#settings.observer?.resolved({ seconds, ...(error !== undefined && { error }) });
    if (error !== undefined) this.emit("lookuperror", { error });
  }

  /** An address left the answer, or came in. */
  #onChange({ added, removed, addresses, ttl, source }: AddressChange): void {
    for (const address of added) this.#lingering.added(address);
    for (const address of removed) this.#lingering.removed(address);
    for (const pool of this.#pools) pool.kick();
    const first = removed.length === 0 && added.length === addresses.length;
    if (!first) this.emit("addresschange", { added, removed, addresses, ttl, source });
  }

  #retire(address: string): void {
    this.#dialer.abortAttempts(address);
    let inUse = 0;
    for (const pool of this.#pools) inUse += pool.retire(address);
    if (inUse === 0) return;
    this.emit("retire", { address, inUse });
    this.#departures.watch(address);
  }

  #terminate(address: string, which: (slot: Slot<C>) => boolean, why: string): void {
    if (this.#slots(which).length === 0) return;
    for (const pool of this.#pools) pool.terminate(which, () => connectionLost(address, why));
    this.emit("terminate", { address, reason: why });
  }

  #onLongLease({ address, takenAt }: Slot<C>, heldMs: number): void {
    const seconds = heldMs / 1000;
    const held = `A connection to ${address} has been in use for ${Math.round(seconds)} seconds`;
    this.#poolLog.warn(`${held}, taken here:\n${takenAt}`);
    this.emit("longlease", { address, seconds, takenAt });
  }

  /** Leases that run for long may hang on a server that is gone; the idle connections to it would hang next. */
  async #onSuspect(address: string): Promise<void> {
    const alive = await this.#dialer.probe(address, this.#end.signal);
    if (alive || this.#end.signal.aborted) return;
    this.names.refresh();
    for (const pool of this.#pools) pool.retire(address);
    this.#terminate(address, (slot) => slot.address === address, "the server no longer answers");
  }

  /** When the first of the leases that are out on a departed address was retired. */
  #oldest(address: string): number | undefined {
    const slots = this.#slots((slot) => slot.retired && slot.address === address);
    return slots.length > 0 ? Math.min(...slots.map((slot) => slot.retiredAtMs)) : undefined;
  }

  get #pools(): Pool<C>[] {
    return [this.#tenure, ...this.#former].map(({ pool }) => pool);
  }

  #slots(which: (slot: Slot<C>) => boolean): Slot<C>[] {
    return this.#pools.flatMap((pool) => pool.leased.filter(which));
  }
}

function poolSettings<C>(name: string, settings: EngineSettings<C>): PoolSettings {
  const { poolClass, connectTimeoutMs, dns, leaseWarnAfterMs, leaseProbeAfterMs } = settings;
  const sizes = {
    queue: { poolSize: settings.poolSize, maxOverflow: settings.maxOverflow },
    null: { poolSize: 0, maxOverflow: Infinity, maxUses: 1 },
    static: { poolSize: 1, maxOverflow: 0 },
    assertion: { poolSize: 1, maxOverflow: 0 },
  };
  return {
    ...settings,
    ...sizes[poolClass],
    name,
    dialMs: connectTimeoutMs + dns.timeoutMs,
    timesIdle: settings.prePing || settings.idleTimeoutMs < Infinity,
    single: poolClass === "assertion",
    traces: poolClass === "assertion" || leaseWarnAfterMs < Infinity ||
      leaseProbeAfterMs < Infinity,
  };
}
