/**
 * What an engine and its siblings share: the answer, the dialer, the current pool and disposed ones; and what a change
 * of addresses leads to.
 *
 * @module
 */

import { keptAlive } from "../internal/async.ts";
import { ageClock, maintenanceTimer, type Timer } from "../internal/clock.ts";
import { Log } from "../internal/log.ts";
import { redactingLogger } from "../internal/redact.ts";
import type { Adapter, Notifications } from "../adapters/adapter.ts";
import { PoolClosedError } from "../errors.ts";
import { ClosingServers } from "../pool/connection/closing_servers.ts";
import { connectionLost, leaseTimeoutError } from "../pool/connection/close.ts";
import {
  CurrentAddresses,
  DepartureWatch,
  type Progress,
  type RetiredConnection,
  RetiredConnections,
} from "../pool/connection/departures.ts";
import { Dialer } from "../pool/connection/dialer.ts";
import { type ConnectHistory, ConnectionSource } from "../pool/connection/source.ts";
import type { CheckoutOptions, PoolLimits, PoolSettings } from "../pool/contract.ts";
import { Housekeeper } from "../pool/housekeeper.ts";
import type { Lease } from "../pool/lease.ts";
import { Pool } from "../pool/pool.ts";
import type { Slot } from "../pool/slot.ts";
import { StaticPool } from "../pool/static_pool.ts";
import type { AddressChange, AnswerSource, Watcher } from "../resolver/answer_source.ts";
import { answerFor } from "./answer.ts";
import { displayHosts, isService } from "./destination.ts";
import { Listening } from "./listening.ts";
import type { EngineSettings } from "./options.ts";
import { type EngineSetup, placeOf } from "./setup.ts";
import type { EngineEventMap } from "./types.ts";

/** A pool between two calls of `dispose()`. */
interface PoolGeneration<C> {
  readonly pool: Pool<C>;
  /** `undefined` if nothing is ever due. */
  readonly housekeeper: Housekeeper<C> | undefined;
  /** The pool itself, or the one that shares its one connection. */
  readonly leaseSource: Pick<Pool<C>, "checkout" | "tryCheckout">;
}

/** Interval in which an engine that the program refers to no more is looked at while callers wait. */
const FORGOTTEN_RETRY_MS = 1000;

/** Shared by an engine and its siblings. */
export class EngineCore<C> implements Watcher, Progress {
  /** Number of the engine and its siblings, as far as the program still refers to them. */
  engines = 0;
  /** Whether the adapter's `query()` has called `onDone`: the driver has callbacks, in which waiters can be served. */
  hasCallbacks = false;
  /** The host in its canonical form; several with commas between them. */
  readonly host: string;
  /** The pool's name. */
  readonly name: string;
  /** The log that the option `echo` is for. */
  readonly log: Log;
  /** The answer for the hosts. */
  readonly answer: AnswerSource;

  readonly #settings: EngineSettings<C>;
  /** Shared by all pools of the engine. */
  readonly #poolSettings: PoolSettings;
  readonly #adapter: Adapter<C>;
  readonly #poolLog: Log;
  readonly #dialer: Dialer<C>;
  readonly #addresses: CurrentAddresses;
  /** Dispatches the events. Made by the first listener, as what follows is by the first use: most engines need none. */
  #events: EventTarget | undefined;
  /** Made by the first server that lets no client in. */
  #closingServers: ClosingServers | undefined;
  #departed: { readonly retired: RetiredConnections; readonly watch: DepartureWatch } | undefined;
  readonly #unwatch: () => void;
  readonly #history: ConnectHistory = { connected: false, lastError: undefined };
  /** Ends the probes under way when the engine is closed. */
  #end: AbortController | undefined;
  /** Disposed pools with connections in use. */
  #disposed: Set<PoolGeneration<C>> | undefined;
  /** Made by the first listener. */
  #listening: Listening<C> | undefined;
  /** Made by the first use: a program may have an engine for each of thousands of databases. */
  #current: PoolGeneration<C> | undefined;
  /** That of `#current`: a field of its own, because each checkout reads it. */
  #leaseSource: PoolGeneration<C>["leaseSource"] | undefined;
  #closing: Promise<void> | undefined;

  /** @param setup The URL, the adapter and the options. */
  constructor(setup: EngineSetup<C>) {
    const { url, adapter, settings } = setup;
    const { hosts, destination, secrets } = placeOf(setup);
    this.#settings = settings;
    this.#adapter = adapter;
    this.host = displayHosts(url, hosts);
    this.name = settings.poolName ?? this.host;
    this.#poolSettings = poolSettings(this.name, settings);
    const logger = redactingLogger(settings.logger, secrets);
    this.log = new Log(logger, settings.echo, settings.loggingName ?? this.host);
    const sharesLog = settings.echoPool === settings.echo &&
      settings.loggingName === settings.poolName;
    this.#poolLog = sharesLog ? this.log : new Log(logger, settings.echoPool, this.name);
    const srv = isService(url, settings);
    this.answer = answerFor(hosts, { dns: settings.dns, local: adapter.local === true, srv });
    this.#unwatch = this.answer.watch(this);
    const target = {
      ...destination,
      host: this.host,
      addresses: () => this.answer.addresses,
      namesEndpoints: srv || hosts.length > 1,
      ...(srv && settings.srvTlsName === "service" && { tlsHost: this.host }),
    };
    const onRefused = (address: string) => this.#watchClosing().noteRefusal(address);
    this.#dialer = new Dialer(adapter, target, settings, { secrets, onRefused });
    this.#addresses = new CurrentAddresses(
      this.answer,
      settings.lingerMs,
      (address) => this.#onDeparted(address),
      this,
    );
  }

  /** Dispatches the events. */
  get events(): EventTarget {
    return this.#events ??= new EventTarget();
  }

  /** The current pool. */
  get pool(): Pool<C> {
    return this.#generation.pool;
  }

  /** What the last connect failed with; `undefined` if it succeeded. */
  get connectError(): unknown {
    return this.#history.lastError;
  }

  /** Checks out a connection; see `Pool.checkout()`. */
  checkout(options?: CheckoutOptions, deliver?: (lease: Lease<C>) => void): Promise<Lease<C>> {
    return (this.#leaseSource ?? this.#generation.leaseSource).checkout(options, deliver);
  }

  /**
   * What listens for notifications.
   *
   * @param notifications The adapter's, which it has.
   */
  listening(notifications: Notifications<C>): Listening<C> {
    if (this.#listening) return this.#listening;
    const { connectTimeoutMs, targetSessionAttrs, hooks } = this.#settings;
    const { firstConnect: _, ...others } = hooks;
    const listening = new Listening<C>({
      adapter: this.#adapter,
      notifications,
      connections: this.#createSource(() => {}, { ...this.#settings, hooks: others }),
      answer: this.answer,
      log: this.#poolLog,
      roundTripMs: connectTimeoutMs,
      wantsRole: targetSessionAttrs !== "any",
      onError: (error, channel) => this.emit("listenerror", { error, channel }),
    });
    if (this.#closing) void listening.close(this.#closedError());
    return this.#listening = listening;
  }

  /** Checks out a connection, or returns `undefined` if something would have to be awaited. */
  tryCheckout(): Lease<C> | undefined {
    return (this.#leaseSource ?? this.#generation.leaseSource).tryCheckout();
  }

  /** Changes limits of the pools. */
  changeLimits(limits: Partial<PoolLimits>): void {
    Object.assign(this.#poolSettings, limits);
    void this.#generation; // which may be to open connections before its first use
    for (const pool of this.#pools) pool.maintain();
  }

  /** Dispatches an event. */
  emit<K extends keyof EngineEventMap>(type: K, detail: EngineEventMap[K]["detail"]): void {
    this.#events?.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** Closes the current pool and replaces it by a new one. */
  async dispose(): Promise<void> {
    if (this.#closing) return await this.#closing;
    const disposed = this.#current;
    if (disposed === undefined) return;
    this.#current = this.#createPool();
    this.#current.pool.maintain(); // opens `minIdle`, if the engine was used
    const others = this.#disposed ??= new Set();
    others.add(disposed);
    disposed.pool.close(`Cannot check out a connection to "${this.name}": the pool was disposed`);
    // Its leases may take long: the housekeeper goes on until they are released.
    disposed.pool.pendingCloses.drained().then(() => {
      disposed.housekeeper?.stop();
      others.delete(disposed);
    });
    await keptAlive(disposed.pool.pendingCloses.all());
  }

  /** Closes everything for good; a second call waits for the first. */
  close(drainMs: number): Promise<void> {
    if (this.#closing) return this.#closing;
    // Set before anything is closed: a hook that disposes the engine meanwhile must not create a new pool.
    let settle!: (closed: Promise<void>) => void;
    this.#closing = new Promise((resolve) => settle = resolve);
    settle(keptAlive(this.#close(drainMs)));
    return this.#closing;
  }

  /** Closes an engine that the program refers to no more, once no caller waits for a connection. */
  closeForgotten(): void {
    if (this.#listening?.isActive || this.#pools.some((pool) => pool.isWaitedFor)) {
      maintenanceTimer(FORGOTTEN_RETRY_MS, () => this.closeForgotten());
    } else {
      // Nothing awaits it, so it does not keep the process alive.
      this.#closing ??= this.#close(Infinity);
    }
  }

  async #close(drainMs: number): Promise<void> {
    const generations = [this.#generation, ...this.#disposed ?? []];
    for (const { pool } of generations) {
      pool.close(`Cannot check out a connection to "${this.name}": the engine is closed`);
    }
    const unlistened = this.#listening?.close(this.#closedError());
    const drained = Promise.all(generations.map(({ pool }) => pool.pendingCloses.drained()));
    let limit: Timer | undefined;
    await Promise.race([
      drained,
      new Promise<void>((resolve) => limit = maintenanceTimer(drainMs, resolve)),
    ]);
    limit!.clear();
    for (const { pool } of generations) {
      for (const slot of pool.slots.toArray()) {
        const reason = connectionLost(slot.address, "the engine was closed");
        pool.terminate(slot, reason, { cancel: true });
      }
    }
    await drained;
    // Until now they went on: a lease on a server that no longer answers must not outlast `leaseProbeAfter`.
    for (const { housekeeper } of generations) housekeeper?.stop();
    this.#end?.abort();
    this.#closingServers?.clear();
    await unlistened;
    await this.#dialer.closed();
    this.#departed?.watch.clear();
    this.#addresses.clear();
    this.#unwatch();
    this.emit("close", undefined);
  }

  #createPool(): PoolGeneration<C> {
    this.#loadDriver();
    const settings = this.#settings;
    const isKept = Housekeeper.isNeeded(settings);
    const connections = this.#createSource(
      isKept ? () => housekeeper?.start() : undefined,
      settings,
    );
    const parts = { answer: this.answer, connections };
    const pool = new Pool<C>(parts, this.#poolSettings);
    const housekeeper = isKept ? this.#createHousekeeper(pool) : undefined;
    const leaseSource = settings.poolClass === "static" ? new StaticPool(pool, parts) : pool;
    this.#leaseSource = leaseSource;
    return { pool, housekeeper, leaseSource };
  }

  #createHousekeeper(pool: Pool<C>): Housekeeper<C> {
    return new Housekeeper(pool, this.#settings, {
      onLongLease: (slot, heldMs) => this.#onLongLease(slot, heldMs),
      onExpiredLease: (slot, heldMs) => this.#onExpiredLease(pool, slot, heldMs),
      onSuspect: (address) => this.#onSuspect(address),
    });
  }

  /** Loads the driver while the name is resolved. If that fails, the first connect says so. */
  async #loadDriver(): Promise<void> {
    if (this.#history.connected || this.#adapter.load === undefined) return;
    try {
      await this.#adapter.load();
    } catch { /* the connect tries it again */ }
  }

  #createSource(
    onOpened: (() => void) | undefined,
    settings: EngineSettings<C>,
  ): ConnectionSource<C> {
    return new ConnectionSource<C>({
      answer: this.answer,
      addresses: this.#addresses,
      dialer: this.#dialer,
      adapter: this.#adapter,
      log: this.#poolLog,
      history: this.#history,
      onOpened,
    }, settings);
  }

  #closedError(): PoolClosedError {
    return new PoolClosedError(`Cannot listen on "${this.name}": the engine is closed`);
  }

  isWaitedFor(): boolean {
    return this.#pools.some((pool) => pool.isWaitedFor);
  }

  handedOut(): number {
    return this.#pools.reduce((sum, { slots }) => sum + slots.handedOut, 0);
  }

  connectMs(address: string): number {
    const { connectTimeoutMs } = this.#settings;
    return Math.min(this.#dialer.usualMs(address) || Infinity, connectTimeoutMs / 2);
  }

  onAnswer(askedAtMs: number): void {
    this.#onResolved(askedAtMs);
  }

  onError(error: unknown, askedAtMs: number): void {
    this.#onResolved(askedAtMs, error);
  }

  /** Is told that a resolution has ended. */
  #onResolved(askedAtMs: number, error?: unknown): void {
    const seconds = (ageClock() - askedAtMs) / 1000;
    this.#settings.observer?.resolved({ seconds, ...(error !== undefined && { error }) });
    if (error !== undefined) this.emit("lookuperror", { error });
  }

  onChange(change: AddressChange, isFirst: boolean): void {
    for (const address of change.added) {
      for (const pool of this.#pools) pool.restoreAddress(address);
    }
    this.#addresses.update(change);
    for (const pool of this.#pools) pool.retryNow();
    this.#listening?.retryNow();
    if (!isFirst) this.emit("addresschange", { ...change });
  }

  /** Is told that an address is no longer current. */
  #onDeparted(address: string): void {
    this.#dialer.abortAttempts(address);
    this.#listening?.onDeparted(address);
    let inUse = 0;
    for (const pool of this.#pools) inUse += pool.retireAddress(address);
    if (inUse === 0) return;
    this.emit("retire", { address, inUse });
    this.#watchDeparted().watch.watch(address);
  }

  #onLongLease({ address, takenAt }: Slot<C>, heldMs: number): void {
    const seconds = heldMs / 1000;
    const held = `A connection to ${address} has been in use for ${Math.round(seconds)} seconds`;
    this.#poolLog.warn(`${held}, taken here:\n${takenAt}`);
    this.emit("longlease", { address, seconds, takenAt });
  }

  /** Terminates a lease that took too long. Another holder gets the place at once. */
  #onExpiredLease(pool: Pool<C>, slot: Slot<C>, heldMs: number): void {
    const { address, takenAt } = slot;
    const seconds = heldMs / 1000;
    const error = leaseTimeoutError({ address, seconds, takenAt });
    this.#poolLog.warn(error.message);
    pool.terminate(slot, error, { cancel: true });
    this.emit("leasetimeout", { address, seconds, takenAt });
  }

  /** Probes the server of a long lease. If it does not answer, all connections to it are given up. */
  async #onSuspect(address: string): Promise<void> {
    const { signal } = this.#end ??= new AbortController();
    const alive = await this.#dialer.probe(address, signal);
    if (alive || signal.aborted) return;
    this.answer.refresh();
    for (const pool of this.#pools) pool.retireAddress(address);
    this.#watchDeparted().retired.terminate(address, Infinity, "the server no longer answers");
  }

  /** What asks servers that refused a client once more. */
  #watchClosing(): ClosingServers {
    return this.#closingServers ??= new ClosingServers({
      isInUse: (address) =>
        this.#pools.some(({ slots }) => slots.to(address).some(({ evicted }) => !evicted)),
      refusesClients: (address, signal) => this.#dialer.refusesClients(address, signal),
      onClosing: (address) => this.#onClosing(address),
    });
  }

  /** Leaves a server that waits for its clients to leave. */
  #onClosing(address: string): void {
    this.#poolLog.warn(`The server at ${address} lets no client in, and is left`);
    this.answer.refresh();
    this.#listening?.onDeparted(address);
    for (const pool of this.#pools) {
      pool.evictAll(address);
      pool.maintain();
    }
    const inUse = this.#pools.reduce((sum, { slots }) => sum + slots.to(address).length, 0);
    if (inUse > 0) this.emit("retire", { address, inUse });
  }

  #watchDeparted(): { readonly retired: RetiredConnections; readonly watch: DepartureWatch } {
    if (this.#departed !== undefined) return this.#departed;
    const retired = new RetiredConnections({
      list: (address) => this.#pools.flatMap((pool) => retiredConnections(pool, address)),
      probe: (address, signal) => this.#dialer.probe(address, signal),
      onTerminated: (address, reason) => this.emit("terminate", { address, reason }),
    });
    const watch = new DepartureWatch(this.#settings.retireGraceMs, retired);
    return this.#departed = { retired, watch };
  }

  /** The current pool, with what belongs to it. */
  get #generation(): PoolGeneration<C> {
    return this.#current ??= this.#createPool();
  }

  /** All pools that were made. */
  get #pools(): Pool<C>[] {
    const pools = [...this.#disposed ?? []].map(({ pool }) => pool);
    return this.#current === undefined ? pools : [this.#current.pool, ...pools];
  }
}

function retiredConnections<C>(pool: Pool<C>, address: string): RetiredConnection[] {
  const slots = pool.slots.leased.filter((slot) => slot.retired && slot.address === address);
  return slots.map((slot) => ({
    retiredAtMs: slot.retiredAtMs,
    busy: true,
    terminate: (reason, options) => pool.terminate(slot, reason, options),
  }));
}

function poolSettings<C>(name: string, settings: EngineSettings<C>): PoolSettings {
  const { poolClass, connectTimeoutMs, dns } = settings;
  const { leaseWarnAfterMs, leaseProbeAfterMs, leaseTimeoutMs } = settings;
  const sizes = {
    queue: { poolSize: settings.poolSize, maxOverflow: settings.maxOverflow },
    null: { poolSize: 0, maxOverflow: Infinity, maxUses: 1 },
    static: { poolSize: 1, maxOverflow: 0 },
    assertion: { poolSize: 1, maxOverflow: 0 },
  };
  // Only what a pool needs: a copy of all settings would be twice as large.
  return {
    poolTimeoutMs: settings.poolTimeoutMs,
    useLifo: settings.useLifo,
    connectConcurrency: settings.connectConcurrency,
    maxUses: settings.maxUses,
    idleTimeoutMs: settings.idleTimeoutMs,
    minIdle: settings.minIdle,
    recycleMs: settings.recycleMs,
    minSize: settings.minSize,
    observer: settings.observer,
    ...sizes[poolClass],
    name,
    maxIdle: Infinity,
    minOpen: 0,
    maxOpenMs: connectTimeoutMs + dns.timeoutMs,
    timesIdle: settings.prePing || settings.idleTimeoutMs < Infinity,
    single: poolClass === "assertion",
    traces: poolClass === "assertion" || leaseWarnAfterMs < Infinity ||
      leaseProbeAfterMs < Infinity || leaseTimeoutMs < Infinity,
  };
}
