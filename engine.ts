/**
 * The engine: a database URL, kept pointing at the addresses that its host name has now.
 *
 * @module
 */

import { now, type Timer, timer } from "./_clock.ts";
import type { Lease } from "./_lease.ts";
import { OptionReader } from "./_read_options.ts";
import { type Addresses, fixedAddresses, NameSource } from "./_source.ts";
import type { Adapter } from "./adapters/adapter.ts";
import { adapterByUrl } from "./adapters/by_url.ts";
import { Dialer } from "./dialer.ts";
import { ConnectionLostError, type PoolCounts } from "./errors.ts";
import { staticAddresses } from "./lookups/static.ts";
import { type EngineOptions, type EngineSettings, readEngineOptions } from "./options.ts";
import { type CheckoutOptions, Pool } from "./pool.ts";
import { type AddressChange, type View, viewOf } from "./resolver.ts";
import { canonicalHost, DatabaseUrl } from "./url.ts";

/** How one checkout differs from the others. */
export interface ConnectOptions {
  /** Ends the wait: the promise is rejected with the signal's reason. */
  signal?: AbortSignal;
  /** Seconds, in place of `poolTimeout`: from 0 to 3600, or `Infinity`. */
  timeout?: number;
}

/** What `engine.status()` tells. */
export interface EngineStatus extends PoolCounts {
  /** The URL's host. */
  readonly host: string;
  /** The addresses that the host has now; empty before the first resolution. */
  readonly addresses: readonly string[];
  /** Seconds that the answer is still fresh; negative for a stale one, `Infinity` where no DNS is needed. */
  readonly freshFor: number;
  /** Failed resolutions since the last answer. */
  readonly lookupFailures: number;
  /** Connections above `poolSize` now. */
  readonly overflow: number;
  /** Connections opened, ever. */
  readonly opened: number;
  /** Connections closed, ever. */
  readonly closed: number;
  /** Connections detached, ever. */
  readonly detached: number;
  /** Open connections by address. */
  readonly byAddress: Readonly<Record<string, { readonly idle: number; readonly inUse: number }>>;
}

/** The events of an engine. */
export interface EngineEventMap {
  /** The host has other addresses than before. */
  addresschange: CustomEvent<AddressChange>;
  /** An address departed while connections to it were in use: they are closed when they come back. */
  retire: CustomEvent<{ readonly address: string; readonly inUse: number }>;
  /** A resolution failed; a stale answer may be serving all the same. */
  lookuperror: CustomEvent<{ readonly error: unknown }>;
}

/** Seconds that `close` waits for leases unless it is told otherwise. */
const DRAIN = 10;

/**
 * An engine for a database URL: a pool whose connections are open to an address that the host name has now.
 * Behaves like SQLAlchemy's `create_engine`, with DNS added. Opens no connection and asks no DNS question until
 * the first checkout.
 *
 * @typeParam C The driver's client; inferred from the option `adapter`.
 * @param url `dialect[+driver]://[user[:password]@]host[:port][/database][?query]`. With an IP address or
 *   `localhost`, no DNS is asked.
 * @param options See {@linkcode EngineOptions}.
 * @returns The engine.
 * @throws {TypeError} for a URL or an option that cannot be meant; {@linkcode RangeError} for a number outside
 *   its range.
 *
 * @example
 * ```ts
 * import { getDnsEngine } from "@dnspool/dnspool";
 * import { fakeAdapter } from "@dnspool/dnspool/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const engine = getDnsEngine("fake://127.0.0.1/orders", { adapter: fakeAdapter() });
 * const address = await engine.use((lease) => lease.address);
 * assertEquals(address, "127.0.0.1");
 * await engine.close();
 * ```
 */
export function getDnsEngine<C = unknown>(
  url: string | URL | DatabaseUrl,
  options?: EngineOptions<C>,
): Engine<C> {
  const settings = readEngineOptions<C>(options);
  const parsed = DatabaseUrl.parse(url);
  const adapter = settings.adapter ??
    adapterByUrl(parsed.dialect, parsed.driver) as Adapter<C>;
  if (parsed.host === undefined) {
    throw new TypeError(
      `Cannot make an engine for "${parsed}": the database URL has no host`,
    );
  }
  for (const name of ["host", "hostname", "hostaddr"]) {
    if (name in parsed.params) {
      throw new TypeError(
        `Cannot use the URL parameter "${name}": the address comes from DNS, put the host before the port`,
      );
    }
  }
  return new Engine<C>(parsed, adapter, settings);
}

/** Made by {@linkcode getDnsEngine}. */
export class Engine<C> extends EventTarget {
  /** The database URL; its text hides the password. */
  readonly url: DatabaseUrl;
  /** The driver's name, such as `"pg"`. */
  readonly driver: string;

  readonly #adapter: Adapter<C>;
  readonly #settings: EngineSettings<C>;
  readonly #host: string;
  readonly #view: View | undefined;
  readonly #names: Addresses;
  readonly #source: NameSource<C>;
  readonly #unwatch: () => void;
  #pool: Pool<C>;
  /** Pools that were disposed while connections of theirs were out. */
  readonly #former: Set<Pool<C>> = new Set();
  #closing: Promise<void> | undefined;

  /** Engines come from {@linkcode getDnsEngine}. */
  constructor(url: DatabaseUrl, adapter: Adapter<C>, settings: EngineSettings<C>) {
    super();
    this.url = url;
    this.driver = adapter.name;
    this.#adapter = adapter;
    this.#settings = settings;
    this.#host = canonicalHost(url.host!);
    const fixed = staticAddresses(this.#host);
    this.#view = fixed ? undefined : viewOf(this.#host, settings.dns);
    this.#names = this.#view ?? fixedAddresses(fixed!);
    this.#unwatch = this.#view?.watch({
      onChange: (change) => this.#onChange(change),
      onError: (error) => this.#emit("lookuperror", { error }),
    }) ?? (() => {});
    this.#source = new NameSource(this.#names, this.#makeDialer(), adapter, settings);
    this.#pool = this.#makePool();
  }

  /**
   * Checks out a connection. With an idle one at hand and a fresh answer, nothing is waited for; otherwise it
   * waits for the answer, for a connection to be opened, or for its turn, first come first served.
   *
   * @param options How this checkout differs.
   * @returns The lease. Release it in a `finally`, or take it with `await using`.
   * @throws {PoolTimeoutError} after `poolTimeout` seconds.
   * @throws {ConnectError} when no address lets one in.
   * @throws {ResolveError} when there is no answer, and no stale one to use.
   * @throws {PoolClosedError} once the engine is closed.
   */
  connect(options?: ConnectOptions): Promise<Lease<C>> {
    if (options === undefined) return this.#pool.checkout();
    try {
      return this.#pool.checkout(readConnectOptions(options));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Runs a function with a connection, and takes the connection back whatever happens.
   *
   * @param fn Is given the lease; what it returns is returned.
   * @param options How this checkout differs.
   * @returns What `fn` returned.
   */
  async use<T>(fn: (lease: Lease<C>) => T | Promise<T>, options?: ConnectOptions): Promise<T> {
    const lease = await this.connect(options);
    let result: T;
    try {
      result = await fn(lease);
    } catch (error) {
      await lease.release(error);
      throw error;
    }
    await lease.release();
    return result;
  }

  /**
   * Runs one statement on a connection of its own.
   *
   * @param text The statement, with the driver's own placeholders.
   * @param values The bind values.
   * @returns The rows.
   * @throws What the driver throws; {@linkcode TypeError} where the adapter has no `query`.
   */
  query(text: string, values?: readonly unknown[]): Promise<readonly unknown[]> {
    const adapter = this.#adapter;
    if (!adapter.query) {
      return Promise.reject(
        new TypeError(`Cannot run a query: the adapter "${adapter.name}" has no method "query"`),
      );
    }
    return this.use((lease) => adapter.query!(lease.client, text, values));
  }

  /** The pool's counters, its addresses and the state of the answer. Costs no I/O. */
  status(): EngineStatus {
    const pool = this.#pool;
    const { counts, opened, closed, detached, byAddress } = pool;
    const view = this.#view;
    return {
      ...counts,
      host: this.#host,
      addresses: this.#names.addresses,
      freshFor: view ? (view.freshUntilMs - now()) / 1000 : Infinity,
      lookupFailures: view?.entry.failures ?? 0,
      overflow: Math.max(0, counts.idle + counts.inUse - counts.poolSize),
      opened,
      closed,
      detached,
      byAddress,
    };
  }

  /**
   * Closes the pool and goes on with a fresh one, like SQLAlchemy's `dispose()`: idle connections are closed
   * now, those in use when they come back, and whoever waits is rejected with a `PoolClosedError`.
   *
   * @returns Fulfilled when the idle connections are closed.
   */
  async dispose(): Promise<void> {
    if (this.#closing) return await this.#closing;
    const former = this.#pool;
    this.#pool = this.#makePool();
    this.#former.add(former);
    former.close(`Cannot check out a connection to "${this.#name}": the pool was disposed`);
    former.emptied().then(() => this.#former.delete(former));
    await former.closings();
  }

  /**
   * Closes the engine for good. Whoever waits is rejected with a `PoolClosedError`, and so is every later
   * checkout; leases are waited for, then terminated. A second call waits for the first.
   *
   * @param options `drain`: seconds to wait for leases, from 0 to 3600, or `Infinity`. Default 10.
   * @returns Fulfilled when every connection is closed.
   */
  close(options?: { drain?: number }): Promise<void> {
    let drainMs: number;
    try {
      const reader = new OptionReader(options, "close");
      drainMs = reader.waitAsMs("drain", DRAIN, { min: 0, infinite: true });
      reader.done("close");
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#closing ??= this.#close(drainMs);
  }

  /** Closes the engine for good: `await using engine = getDnsEngine(…)`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Listens for an event of {@linkcode EngineEventMap}. */
  override addEventListener<K extends keyof EngineEventMap>(
    type: K,
    listener: (event: EngineEventMap[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  /** Listens for any event. */
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: unknown,
    options?: boolean | AddEventListenerOptions,
  ): void {
    super.addEventListener(type, listener as EventListenerOrEventListenerObject | null, options);
  }

  async #close(drainMs: number): Promise<void> {
    const why = `Cannot check out a connection to "${this.#name}": the engine is closed`;
    const pools = [this.#pool, ...this.#former];
    for (const pool of pools) pool.close(why);
    let limit: Timer | undefined;
    const late = new Promise<void>((resolve) => limit = timer(drainMs, resolve));
    const emptied = Promise.all(pools.map((pool) => pool.emptied()));
    await Promise.race([emptied, late]);
    limit!.clear();
    for (const pool of pools) {
      pool.terminate(undefined, ({ address }) => lost(address, "the engine was closed"));
    }
    await emptied;
    this.#unwatch();
  }

  get #name(): string {
    return this.#settings.poolName ?? this.#host;
  }

  #makeDialer(): Dialer<C> {
    const { user, password, database, params, port } = this.url;
    const { connectArgs, keepAlive, connectTimeoutMs } = this.#settings;
    const adapter = this.#adapter;
    const target = {
      host: this.#host,
      port: port ?? adapter.defaultPort,
      user,
      password,
      database,
      params,
      connectArgs,
      keepAlive,
    };
    return new Dialer(adapter, target, connectTimeoutMs);
  }

  #makePool(): Pool<C> {
    const { poolSize, maxOverflow, poolTimeoutMs, useLifo, connectConcurrency } = this.#settings;
    return new Pool(this.#source, {
      name: this.#name,
      poolSize,
      maxOverflow,
      poolTimeoutMs,
      useLifo,
      connectConcurrency,
      maxUses: Infinity,
    });
  }

  /** An address left the answer, or came in. */
  #onChange(change: AddressChange): void {
    for (const pool of [this.#pool, ...this.#former]) {
      for (const address of change.removed) {
        const inUse = pool.retire(address);
        if (inUse > 0) this.#emit("retire", { address, inUse });
      }
      pool.kick();
    }
    const first = change.removed.length === 0 && change.added.length === change.addresses.length;
    if (!first) this.#emit("addresschange", change);
  }

  #emit<K extends keyof EngineEventMap>(type: K, detail: EngineEventMap[K]["detail"]): void {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

function readConnectOptions(options: ConnectOptions): CheckoutOptions {
  const reader = new OptionReader(options, "connect");
  const signal = reader.signal();
  const timeoutMs = reader.waitAsMs("timeout", NaN, { min: 0, infinite: true });
  reader.done("connect");
  return { signal, timeoutMs: Number.isNaN(timeoutMs) ? undefined : timeoutMs };
}

function lost(address: string, why: string): ConnectionLostError {
  return new ConnectionLostError(
    `Lost the connection to ${address}: ${why}; work under way may or may not have been done`,
    { address },
  );
}
