/**
 * The engine: a database URL, kept pointing at the addresses that its host name has now.
 *
 * @module
 */

import { deadline } from "./internal/async.ts";
import { EngineCore, type EngineEventMap } from "./engine/core.ts";
import { need, setUp } from "./engine/setup.ts";
import type { Lease } from "./pool/lease.ts";
import { PoolLease } from "./pool/pool_lease.ts";
import type { CheckoutOptions } from "./pool/contract.ts";
import { show } from "./internal/argument_error.ts";
import { OptionReader } from "./internal/option_reader.ts";
import { type Run, savepoint, statementRunner, transaction } from "./engine/statements.ts";
import type { Adapter } from "./adapters/adapter.ts";
import { ConnectionLostError, DnsPoolError, type PoolCounts } from "./errors.ts";
import type { EngineOptions, EngineSettings } from "./engine/options.ts";
import { DatabaseUrl } from "./engine/url.ts";
import type { AnswerStatus } from "./resolver/answer_source.ts";

export type { EngineEventMap } from "./engine/core.ts";
export type { AnswerStatus } from "./resolver/answer_source.ts";

/** How one checkout differs from the others. */
export interface ConnectOptions {
  /** Ends the wait: the promise is rejected with the signal's reason. */
  signal?: AbortSignal;
  /** Seconds, in place of `poolTimeout`: from 0 to 3600, or `Infinity`. */
  timeout?: number;
}

/** How a transaction is run. */
export interface BeginOptions<C> extends ConnectOptions {
  /** A lease with a transaction open: the call is a savepoint in it, instead of a transaction of its own. */
  within?: Lease<C>;
}

/** What a sibling engine does differently. */
export interface ExecutionOptions {
  /** Set on the connection for the time of each lease, such as `"serializable"`. */
  isolationLevel?: string;
  /** Stands in the log lines of its statements. */
  loggingToken?: string;
}

/** How an event is listened to, as everywhere on the web; not every program has the types of a browser. */
export interface ListenOptions {
  /** Listens before those who do not say so. Default: false. */
  capture?: boolean;
  /** Hears one event only. Default: false. */
  once?: boolean;
  /** Promises not to call `preventDefault()`. Default: false. */
  passive?: boolean;
  /** Listens no more once it is aborted. */
  signal?: AbortSignal;
}

/** What `engine.status()` tells. */
export interface EngineStatus extends PoolCounts {
  /** The URL's host. */
  readonly host: string;
  /** Open connections, idle or in use. */
  readonly size: number;
  /** Connections above `poolSize` now. */
  readonly overflow: number;
  /** Idle connections that are kept ready. */
  readonly minIdle: number;
  /** Connections opened, ever, by the pool of the moment. */
  readonly opened: number;
  /** Connections closed, ever. */
  readonly closed: number;
  /** Connections detached, ever. */
  readonly detached: number;
  /** Open connections by address. */
  readonly byAddress: Readonly<Record<string, { readonly idle: number; readonly inUse: number }>>;
  /** The state of the answer. */
  readonly answer: AnswerStatus;
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
 * @throws {TypeError} for a URL or an option that cannot be meant.
 * @throws {RangeError} for a number outside its range.
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
  const setup = setUp<C>(DatabaseUrl.parse(url), options);
  const core = new EngineCore<C>(setup);
  const engine = new Engine<C>(setup.url, setup.adapter, setup.settings, core);
  for (const created of setup.created) created(engine);
  return engine;
}

/** Made by {@linkcode getDnsEngine}. */
export class Engine<C> extends EventTarget {
  /** The database URL; its text hides the password. */
  readonly url: DatabaseUrl;
  /** The driver's name, such as `"pg"`. */
  readonly driver: string;

  readonly #adapter: Adapter<C>;
  readonly #settings: EngineSettings<C>;
  readonly #core: EngineCore<C>;
  readonly #execution: ExecutionOptions;

  /** Engines come from {@linkcode getDnsEngine}. */
  constructor(
    url: DatabaseUrl,
    adapter: Adapter<C>,
    settings: EngineSettings<C>,
    core: EngineCore<C>,
    execution: ExecutionOptions = {},
  ) {
    super();
    this.url = url;
    this.driver = adapter.name;
    this.#adapter = adapter;
    this.#settings = settings;
    this.#core = core;
    this.#execution = execution;
  }

  /** The pool of the moment: its counters, and `invalidate()`, after which no connection open now is reused. */
  get pool(): { readonly counts: PoolCounts; invalidate(): void } {
    const { pool } = this.#core;
    return { counts: pool.counts, invalidate: () => pool.evictAll() };
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
   * @throws {DriverUnavailableError} when the driver that the URL names cannot be loaded.
   * @throws {PoolClosedError} once the engine is closed.
   */
  connect(options?: ConnectOptions): Promise<Lease<C>> {
    if (options === undefined && this.#execution.isolationLevel === undefined) {
      return this.#core.checkout();
    }
    return this.#connectOtherwise(options);
  }

  /**
   * Runs a function with a connection, and takes the connection back whatever happens.
   *
   * @param fn Is given the lease; what it returns is returned.
   * @param options How this checkout differs.
   * @returns What `fn` returned.
   * @throws What `fn` throws; {@linkcode ConnectionLostError} as soon as the pool has to terminate the
   *   connection, for instance because its server departed and is silent, whether or not `fn` has noticed.
   */
  async use<T>(fn: (lease: Lease<C>) => T | Promise<T>, options?: ConnectOptions): Promise<T> {
    if (typeof fn !== "function") {
      throw new TypeError(`Cannot use a connection with ${show(fn)}: it is a function`);
    }
    const lease = await this.connect(options);
    let result: T;
    try {
      result = await lease.untilLost(fn(lease));
    } catch (error) {
      await lease.release(error);
      throw error;
    }
    await lease.release();
    return result;
  }

  /**
   * Runs a function in a transaction: commits when it returns, rolls back when it throws. It is never run a
   * second time.
   *
   * A call inside a call is a transaction of its own, on another connection; with the option `within`, it is a
   * savepoint in the transaction of that lease.
   *
   * @param fn Is given the lease; what it returns is returned once the commit is done.
   * @param options How this checkout differs, and `within`.
   * @returns What `fn` returned.
   * @throws What `fn` throws, after the rollback; what the commit throws; {@linkcode ConnectionLostError} when
   *   the connection was lost, and then it is not known whether the work was done.
   */
  async begin<T>(
    fn: (lease: Lease<C>) => T | Promise<T>,
    options?: BeginOptions<C>,
  ): Promise<T> {
    const { within, ...rest } = readBeginOptions(options);
    const run = this.#runner("begin a transaction");
    if (typeof fn !== "function") {
      throw new TypeError(`Cannot begin a transaction with ${show(fn)}: it is a function`);
    }
    if (within !== undefined) return await savepoint(within, fn, run);
    return await this.use((lease) => transaction(lease, fn, run), rest);
  }

  /**
   * Runs one statement on a connection of its own.
   *
   * @typeParam Row What a row looks like; nothing checks it.
   * @param text The statement, with the driver's own placeholders.
   * @param values The bind values.
   * @param options How the checkout differs: they end the wait for a connection, not the statement.
   * @returns The rows.
   * @throws What the driver throws, and what {@linkcode use} does; {@linkcode TypeError} where the adapter has no
   *   `query`.
   */
  async query<Row = unknown>(
    text: string,
    values?: readonly unknown[],
    options?: ConnectOptions,
  ): Promise<readonly Row[]> {
    const run = this.#runner("run a query");
    return await this.use((lease) => run(lease, text, values), options) as readonly Row[];
  }

  /**
   * Whether an error says that a connection was lost while somebody worked on it: the pool's own, or the driver's.
   * Then the work may or may not have been done, and nobody but you can find out.
   *
   * @param error What `query`, `use`, `begin` or the driver's client threw.
   * @returns `false` as well for what was never begun, as when no connection was to be had.
   *
   * @example
   * ```ts
   * import { getDnsEngine } from "@dnspool/dnspool";
   * import { fakeAdapter } from "@dnspool/dnspool/testing";
   * import { assert } from "@std/assert";
   *
   * const engine = getDnsEngine("fake://127.0.0.1/orders", { adapter: fakeAdapter() });
   * const work = engine.use(() => new Promise(() => {}));
   * const failed = work.catch((error) => engine.isDisconnect(error));
   * await engine.use(() => {}); // by now, the first has its connection
   * await engine.close({ drain: 0 });
   * assert(await failed);
   * ```
   */
  isDisconnect(error: unknown): boolean {
    if (error instanceof DnsPoolError) return error instanceof ConnectionLostError;
    try {
      return this.#adapter.classify?.(error) === "disconnect";
    } catch {
      return false;
    }
  }

  /**
   * A sibling that shares pool, addresses and events, and does some things differently.
   *
   * @param options What it does differently, over what this engine does.
   * @returns The sibling. To close it is to close this engine as well.
   */
  executionOptions(options: ExecutionOptions): Engine<C> {
    const reader = new OptionReader(options, "executionOptions");
    const isolationLevel = reader.string("isolationLevel");
    const loggingToken = reader.string("loggingToken");
    reader.done();
    if (isolationLevel !== undefined) {
      need(this.#adapter, "setIsolationLevel", { for: "isolationLevel" });
    }
    const execution = {
      ...this.#execution,
      ...(isolationLevel !== undefined && { isolationLevel }),
      ...(loggingToken !== undefined && { loggingToken }),
    };
    return new Engine(this.url, this.#adapter, this.#settings, this.#core, execution);
  }

  /**
   * Opens connections before they are needed.
   *
   * @param count How many are to be open at once: from 1 to `poolSize`. Default: `minIdle`, at least 1.
   * @returns Fulfilled when they are open and idle.
   * @throws What `connect` throws.
   */
  async warm(count: number = Math.max(1, this.#settings.minIdle)): Promise<void> {
    const { pool } = this.#core;
    const { poolSize } = pool.counts;
    if (!Number.isInteger(count) || count < 1 || count > poolSize) {
      throw new RangeError(
        `Cannot warm ${show(count)} connections: it is a whole number from 1 to ${poolSize}`,
      );
    }
    await pool.warm(count, () => this.connect());
  }

  /** The pool's counters, its addresses and the state of the answer. Costs no I/O. */
  status(): EngineStatus {
    const { pool, host, answer } = this.#core;
    const { counts } = pool;
    const { size, opened, closed, detached, byAddress } = pool.slots;
    return {
      ...counts,
      host,
      size,
      overflow: Math.max(0, size - counts.poolSize),
      minIdle: this.#settings.minIdle,
      opened,
      closed,
      detached,
      byAddress,
      answer: answer.status(),
    };
  }

  /**
   * Closes the pool and goes on with a fresh one, like SQLAlchemy's `dispose()`: idle connections are closed
   * now, those in use when they come back, and whoever waits is rejected with a `PoolClosedError`.
   *
   * @returns Fulfilled when the idle connections are closed.
   */
  dispose(): Promise<void> {
    return this.#core.dispose();
  }

  /**
   * Closes the engine for good. Whoever waits is rejected with a `PoolClosedError`, and so is every later
   * checkout; leases are waited for, then terminated. A second call waits for the first.
   *
   * @param options `drain`: seconds to wait for leases, from 0 to 3600, or `Infinity`. Default 10.
   * @returns Fulfilled when every connection is closed.
   */
  async close(options?: { drain?: number }): Promise<void> {
    const reader = new OptionReader(options, "close");
    const drainMs = reader.timeoutAsMs("drain", DRAIN, { min: 0, infinite: true });
    reader.done();
    await this.#core.close(drainMs);
  }

  /** Closes the engine for good: `await using engine = getDnsEngine(…)`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Listens for an event of {@linkcode EngineEventMap}. */
  override addEventListener<K extends keyof EngineEventMap>(
    type: K,
    listener: (event: EngineEventMap[K]) => void,
    options?: boolean | ListenOptions,
  ): void;
  /** Listens for any event. */
  override addEventListener(
    type: string,
    listener: ((event: Event) => void) | { handleEvent(event: Event): void } | null,
    options?: boolean | ListenOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: unknown,
    options?: boolean | ListenOptions,
  ): void {
    const target = listener as EventListenerOrEventListenerObject | null;
    this.#core.events.addEventListener(type, target, options);
  }

  /** Listens no more. */
  override removeEventListener(
    type: string,
    listener: unknown,
    options?: boolean | { capture?: boolean },
  ): void {
    const target = listener as EventListenerOrEventListenerObject | null;
    this.#core.events.removeEventListener(type, target, options);
  }

  /** Tells the listeners of this engine and of its siblings. */
  override dispatchEvent(event: Event): boolean {
    return this.#core.events.dispatchEvent(event);
  }

  async #connectOtherwise(options: ConnectOptions | undefined): Promise<Lease<C>> {
    const checkout = readConnectOptions(options);
    const lease = await this.#core.checkout(checkout);
    const { isolationLevel } = this.#execution;
    if (isolationLevel === undefined) return lease;
    try {
      PoolLease.borrowIsolationLevel(lease, isolationLevel);
      const set = () => this.#adapter.setIsolationLevel!(lease.client, isolationLevel);
      await lease.untilLost(deadline(this.#settings.connectTimeoutMs, set, {
        signal: checkout.signal,
        what: `no isolation level set on the connection to ${lease.address}`,
      }));
      return lease;
    } catch (error) {
      lease.invalidate(error);
      throw error;
    }
  }

  #runner(what: string): Run<C> {
    const { log } = this.#core;
    const token = this.#execution.loggingToken;
    return statementRunner(this.#adapter, {
      what,
      log,
      token,
      hidden: this.#settings.hideParameters,
    });
  }
}

function readConnectOptions(options: ConnectOptions | undefined): CheckoutOptions {
  const reader = new OptionReader(options, "connect");
  const signal = reader.signal();
  const timeoutMs = reader.timeoutAsMs("timeout", NaN, { min: 0, infinite: true });
  reader.done();
  return { signal, timeoutMs: Number.isNaN(timeoutMs) ? undefined : timeoutMs };
}

function readBeginOptions<C>(options: BeginOptions<C> | undefined): BeginOptions<C> {
  const reader = new OptionReader(options, "begin");
  reader.value<unknown>("within", undefined, (value) => {
    if (PoolLease.isLease(value)) return value;
    throw new TypeError(`Cannot use ${show(value)} for "within": it is a lease`);
  });
  // Those are for the checkout, which reads them.
  for (const name of ["signal", "timeout"]) reader.value(name, undefined, () => undefined);
  reader.done();
  return options ?? {};
}
