/**
 * The engine behind the interface: transactions, statements and events on top of what it shares with its siblings.
 *
 * @module
 */

import type { Adapter, BindValues } from "../adapters/adapter.ts";
import { ConnectionLostError, DnsPoolError, type PoolCounts } from "../errors.ts";
import { mustBe, outOfRange } from "../internal/argument_error.ts";
import { deadline, inThisContext } from "../internal/async.ts";
import { awakeTimer, now } from "../internal/clock.ts";
import { PassingTarget } from "../internal/passing_target.ts";
import { redactServerErrors } from "../internal/redact.ts";
import { OptionReader } from "../internal/option_reader.ts";
import { isOf } from "../internal/thrown.ts";
import type { CheckoutOptions, PoolLimits } from "../pool/contract.ts";
import type { Lease } from "../pool/lease.ts";
import { PoolLease } from "../pool/pool_lease.ts";
import type { Slot } from "../pool/slot.ts";
import { readBeginOptions, readLimit } from "./begin_options.ts";
import { readListenRequest } from "./channel_listener.ts";
import { CallLimit, type Guard } from "./call_limit.ts";
import { EngineCore } from "./core.ts";
import type { EngineSettings } from "./options.ts";
import { type EngineSetup, requireMethod } from "./setup.ts";
import { type Run, savepoint, statementLog, statementRunner, transaction } from "./statements.ts";
import type {
  BeginOptions,
  CallOptions,
  ChannelListener,
  ChannelOptions,
  ConnectOptions,
  Engine,
  EngineStatus,
  ExecutionOptions,
  ListenOptions,
} from "./types.ts";
import type { DatabaseUrl } from "./url.ts";

/** Default of the option `drain`, in seconds. */
const DRAIN = 10;

/** What most engines differ in from their siblings: nothing. */
const NO_EXECUTION_OPTIONS: ExecutionOptions = Object.freeze({});

/**
 * Closes an engine that the program refers to no more, nor to a sibling of it: code that is loaded anew while it is
 * developed leaves such engines behind. A default of `idleTimeout` would do it later, and would read the clock at each
 * checkin of every engine.
 */
const forgotten: FinalizationRegistry<EngineCore<unknown>> = new FinalizationRegistry((core) => {
  if (--core.engines === 0) core.closeForgotten();
});

/** An engine or one of its siblings. */
export class DnsEngine<C> extends PassingTarget implements Engine<C> {
  readonly url: DatabaseUrl;
  readonly driver: string;

  readonly #setup: EngineSetup<C>;
  readonly #execution: ExecutionOptions;
  /** Made by the first use: a program may have an engine for each of thousands of databases. */
  #madeCore: EngineCore<C> | undefined;
  /** Runs the statements of `query()`; made by its first call. */
  #queries: Run<C> | undefined;

  /**
   * @param setup The URL, the adapter and the options.
   * @param core What the engine shares with its siblings. Default: it has none yet.
   * @param execution The options in which it differs from them.
   */
  constructor(
    setup: EngineSetup<C>,
    core?: EngineCore<C>,
    execution: ExecutionOptions = NO_EXECUTION_OPTIONS,
  ) {
    super();
    this.url = setup.url;
    this.driver = setup.adapter.name;
    this.#setup = setup;
    this.#execution = execution;
    if (core) this.#keep(core);
  }

  get #adapter(): Adapter<C> {
    return this.#setup.adapter;
  }

  get #settings(): EngineSettings<C> {
    return this.#setup.settings;
  }

  /** What the engine shares with its siblings. */
  get #core(): EngineCore<C> {
    return this.#madeCore ?? this.#keep(new EngineCore(this.#setup));
  }

  #keep(core: EngineCore<C>): EngineCore<C> {
    core.engines++;
    forgotten.register(this, core as EngineCore<unknown>);
    return this.#madeCore = core;
  }

  /** Removes data from a server's error, if the option says so. */
  get #hideData(): (error: unknown) => unknown {
    return this.#settings.hideParameters ? redactServerErrors : asItIs;
  }

  /** Changes limits of an engine's pool, for the drop-ins. */
  static changeLimits<C>(engine: Engine<C>, limits: Partial<PoolLimits>): void {
    (engine as DnsEngine<C>).#core.changeLimits(limits);
  }

  /** Returns whether a lease may serve another statement that begins now, for a drop-in that shares it. */
  static mayShare<C>(engine: Engine<C>, lease: Lease<C>): boolean {
    const { settings } = (engine as DnsEngine<C>).#setup;
    const { answer } = (engine as DnsEngine<C>).#core;
    if (!answer.isFresh() || !PoolLease.isGood(lease)) return false;
    // A lease that always has another statement would look like one that hangs.
    const maxMs = Math.min(settings.leaseTimeoutMs, settings.leaseWarnAfterMs) / 2;
    return maxMs === Infinity || now() - PoolLease.takenAtMs(lease) < maxMs;
  }

  /**
   * Takes a connection for a drop-in.
   *
   * @param engine The engine.
   * @param onLease Takes the lease: at once when another caller gives one back, so that the next statement is sent in the
   *   driver's callback for the last one; else in a microtask, as a promise does. It must not throw.
   * @param onError Takes the error of `connect()`, in a microtask.
   */
  static connectThen<C>(
    engine: Engine<C>,
    onLease: (lease: Lease<C>) => void,
    onError: (error: unknown) => void,
  ): void {
    const core = (engine as DnsEngine<C>).#core;
    const lease = core.tryCheckout();
    const checkout = lease === undefined
      ? core.checkout(undefined, inThisContext(onLease))
      : Promise.resolve(lease);
    checkout.then(onLease, onError);
  }

  /** Returns the clients of an engine's pool, and those of them that are idle, for the drop-ins. */
  static clients<C>(engine: Engine<C>): { readonly all: C[]; readonly idle: C[] } {
    const { slots } = (engine as DnsEngine<C>).#core.pool;
    const clientsOf = (list: readonly Slot<C>[]) => list.map(({ client }) => client);
    return { all: clientsOf(slots.toArray()), idle: clientsOf(slots.idle.toArray()) };
  }

  get pool(): { readonly counts: PoolCounts; invalidate(): void } {
    const { pool } = this.#core;
    return { counts: pool.counts, invalidate: () => pool.evictAll() };
  }

  connect(options?: ConnectOptions): Promise<Lease<C>> {
    if (options === undefined && this.#execution.isolationLevel === undefined) {
      return this.#core.checkout();
    }
    return this.#connectWith(options);
  }

  tryConnect(): Lease<C> | undefined {
    return this.#execution.isolationLevel === undefined ? this.#core.tryCheckout() : undefined;
  }

  use<T>(fn: (lease: Lease<C>) => T | Promise<T>, options?: ConnectOptions): Promise<T> {
    if (typeof fn !== "function") return Promise.reject(mustBe("fn", "a function", fn));
    return this.#useLease(this.connect(options), fn, this.#hideData);
  }

  async begin<T>(
    fn: (lease: Lease<C>) => T | Promise<T>,
    options?: BeginOptions<C>,
  ): Promise<T> {
    const { within, limit, plan } = readBeginOptions(options, this.#adapter);
    const parts = {
      adapter: this.#adapter,
      run: this.#runner("begin a transaction"),
      note: statementLog(this.#core.log, this.#execution.loggingToken),
      plan,
      guard: <T>(work: () => T | Promise<T>) => work(),
    };
    if (typeof fn !== "function") throw mustBe("fn", "a function", fn);
    if (limit === undefined) {
      if (within === undefined) return await this.use((lease) => transaction(lease, fn, parts));
      return await savepoint(within, fn, parts).catch((error) => {
        throw this.#hideData(error);
      });
    }
    return await this.#limited("transaction", limit, {
      within,
      hideData: this.#hideData,
      work: (lease, guard) => {
        const body = within === undefined ? transaction : savepoint;
        return body(lease, fn, { ...parts, guard });
      },
    });
  }

  query<Row = unknown>(
    text: string,
    values?: BindValues,
    options?: CallOptions,
  ): Promise<readonly Row[]> {
    return this.#query(text, values, options) as Promise<readonly Row[]>;
  }

  async listen(
    channel: string,
    onNotify: (payload: string, channel: string) => unknown,
    options?: ChannelOptions,
  ): Promise<ChannelListener> {
    const { notifications, name } = this.#adapter;
    if (!notifications) {
      throw new TypeError(`Cannot listen: the adapter "${name}" has no "notifications"`);
    }
    const { poolTimeoutMs, connectTimeoutMs, targetSessionAttrs } = this.#settings;
    if (targetSessionAttrs === "standby" || targetSessionAttrs === "prefer-standby") {
      throw new TypeError(
        `Cannot listen with "targetSessionAttrs" "${targetSessionAttrs}": a standby has no notifications, use another engine for it`,
      );
    }
    const request = readListenRequest(channel, onNotify, options, {
      timeoutMs: poolTimeoutMs || connectTimeoutMs, // no connect ends at once
      checkChannel: (channel) => notifications.check?.(channel),
    });
    return await this.#core.listening(notifications).listen(request);
  }

  isDisconnect(error: unknown): boolean {
    if (isOf(error, DnsPoolError)) return isOf(error, ConnectionLostError);
    try {
      const verdict = this.#adapter.classify?.(error);
      return verdict === "disconnect" || verdict === "closed";
    } catch {
      return false;
    }
  }

  executionOptions(options: ExecutionOptions): Engine<C> {
    const reader = new OptionReader(options, "executionOptions");
    const isolationLevel = reader.string("isolationLevel");
    const loggingToken = reader.string("loggingToken");
    reader.done();
    if (isolationLevel !== undefined) {
      requireMethod(this.#adapter, "setIsolationLevel", { for: "isolationLevel" });
    }
    return new DnsEngine(this.#setup, this.#core, {
      ...this.#execution,
      ...(isolationLevel !== undefined && { isolationLevel }),
      ...(loggingToken !== undefined && { loggingToken }),
    });
  }

  async warm(count: number = Math.max(1, this.#settings.minIdle)): Promise<void> {
    const { pool } = this.#core;
    const { poolSize } = pool.counts;
    if (!Number.isInteger(count) || count < 1 || count > poolSize) {
      throw outOfRange("count", `a whole number from 1 to ${poolSize}`, count);
    }
    await pool.warm(count, () => this.connect());
  }

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

  dispose(): Promise<void> {
    return this.#madeCore?.dispose() ?? Promise.resolve();
  }

  async close(options?: { drain?: number }): Promise<void> {
    const reader = new OptionReader(options, "close");
    const drainMs = reader.timeoutAsMs("drain", DRAIN, { min: 0, infinite: true });
    reader.done();
    await this.#core.close(drainMs);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  override addEventListener(
    type: string,
    listener: unknown,
    options?: boolean | ListenOptions,
  ): void {
    const target = listener as EventListenerOrEventListenerObject | null;
    this.#core.events.addEventListener(type, target, options);
  }

  override removeEventListener(
    type: string,
    listener: unknown,
    options?: boolean | { capture?: boolean },
  ): void {
    const target = listener as EventListenerOrEventListenerObject | null;
    this.#madeCore?.events.removeEventListener(type, target, options);
  }

  override dispatchEvent(event: Event): boolean {
    return this.#core.events.dispatchEvent(event);
  }

  /** Runs a statement. It is not async: each async function around a statement costs another promise and its turn. */
  #query(
    text: string,
    values: BindValues | undefined,
    options: CallOptions | undefined,
  ): Promise<readonly unknown[]> {
    try {
      const run = this.#queries ??= this.#runner("run a query");
      if (options !== undefined) {
        return this.#limited("query", readCallOptions(options), {
          hideData: asItIs,
          work: (lease, guard) => guard(() => run(lease, text, values), { keepsResult: true }),
        });
      }
      const lease = this.tryConnect();
      if (lease !== undefined) return this.#queryOn(lease, run, text, values);
      if (!this.#core.hasCallbacks || this.#execution.isolationLevel !== undefined) {
        return this.connect().then((lease) => this.#queryOn(lease, run, text, values));
      }
      return new Promise((resolve, reject) => {
        const begin = (lease: Lease<C>) =>
          void this.#queryOn(lease, run, text, values).then(resolve, reject);
        this.#core.checkout(undefined, inThisContext(begin)).then(begin, reject);
      });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Runs a statement, and gives the connection back whatever happens: if the driver tells when the result is there, at
   * once, so that the next caller's statement is sent before the results of other connections are read.
   */
  async #queryOn(
    lease: Lease<C>,
    run: Run<C>,
    text: string,
    values: BindValues | undefined,
  ): Promise<readonly unknown[]> {
    let released: Promise<void> | undefined;
    const onDone = () => {
      this.#core.hasCallbacks = true;
      released = lease.release();
    };
    let rows: readonly unknown[];
    try {
      rows = await lease.untilLost(run(lease, text, values, onDone));
    } catch (error) {
      await lease.release(error);
      throw error;
    }
    await (released ?? lease.release());
    return rows;
  }

  /** Runs a function with a connection, and gives the connection back whatever happens. */
  async #useLease<T>(
    checkout: Lease<C> | Promise<Lease<C>>,
    fn: (lease: Lease<C>) => T | Promise<T>,
    hideData: (error: unknown) => unknown,
  ): Promise<T> {
    const lease = checkout instanceof Promise ? await checkout : checkout;
    let result: T;
    try {
      result = await lease.untilLost(fn(lease));
    } catch (thrown) {
      const error = hideData(thrown);
      await lease.release(error);
      throw error;
    }
    await lease.release();
    return result;
  }

  /** Runs work whose signal and timeout are for the wait for a connection and for the work on it. */
  async #limited<T>(
    what: string,
    options: CheckoutOptions,
    { within, hideData, work }: {
      readonly within?: Lease<C> | undefined;
      hideData(error: unknown): unknown;
      work(lease: Lease<C>, guard: Guard): Promise<T>;
    },
  ): Promise<T> {
    const { probeTimeoutMs, poolClass } = this.#settings;
    const shared = poolClass === "static";
    const limit = new CallLimit({
      what,
      adapter: this.#adapter,
      probeTimeoutMs,
      shared,
      connectError: () => this.#core.connectError,
    }, options);
    const run = (lease: Lease<C>) => limit.run(lease, (guard) => work(lease, guard));
    try {
      if (within === undefined) {
        return await this.#useLease(this.#checkout(limit.checkout), run, hideData);
      }
      return await run(within).catch((error) => {
        throw hideData(error);
      });
    } finally {
      limit.end();
    }
  }

  async #connectWith(options: ConnectOptions | undefined): Promise<Lease<C>> {
    return await this.#checkout(readConnectOptions(options));
  }

  async #checkout(checkout: CheckoutOptions): Promise<Lease<C>> {
    const lease = await this.#core.checkout(checkout);
    const { isolationLevel } = this.#execution;
    if (isolationLevel === undefined) return lease;
    try {
      PoolLease.borrowIsolationLevel(lease, isolationLevel);
      const set = () => this.#adapter.setIsolationLevel!(lease.client, isolationLevel);
      await lease.untilLost(deadline(this.#settings.connectTimeoutMs, set, {
        signal: checkout.signal,
        what: `no isolation level set on the connection to ${lease.address}`,
        start: awakeTimer,
      }));
      return lease;
    } catch (error) {
      lease.invalidate(error);
      throw error;
    }
  }

  #runner(action: string): Run<C> {
    return statementRunner(this.#adapter, {
      action,
      log: this.#core.log,
      token: this.#execution.loggingToken,
      hidesValues: this.#settings.hideParameters,
    });
  }
}

/** For errors from which nothing is to be removed, or nothing more. */
function asItIs(error: unknown): unknown {
  return error;
}

function readConnectOptions(options: ConnectOptions | undefined): CheckoutOptions {
  const reader = new OptionReader(options, "connect");
  const signal = reader.signal();
  const timeoutMs = reader.timeoutAsMs("timeout", NaN, { min: 0, infinite: true });
  reader.done();
  return { signal, timeoutMs: Number.isNaN(timeoutMs) ? undefined : timeoutMs };
}

function readCallOptions(options: CallOptions): CheckoutOptions {
  const reader = new OptionReader(options, "query");
  const limit = readLimit(reader);
  reader.done();
  return limit;
}
