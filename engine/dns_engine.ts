/**
 * The engine behind the interface: transactions, statements and events on top of what it shares with its siblings.
 *
 * @module
 */

import type { Adapter, BindValues } from "../adapters/adapter.ts";
import { ConnectionLostError, DnsPoolError, type PoolCounts } from "../errors.ts";
import { mustBe, outOfRange } from "../internal/argument_error.ts";
import { deadline } from "../internal/async.ts";
import { OptionReader } from "../internal/option_reader.ts";
import type { CheckoutOptions } from "../pool/contract.ts";
import type { Lease } from "../pool/lease.ts";
import { PoolLease } from "../pool/pool_lease.ts";
import type { EngineCore } from "./core.ts";
import type { EngineSettings } from "./options.ts";
import { type EngineSetup, requireMethod } from "./setup.ts";
import { type Run, savepoint, statementLog, statementRunner, transaction } from "./statements.ts";
import type {
  BeginOptions,
  ConnectOptions,
  Engine,
  EngineStatus,
  ExecutionOptions,
  ListenOptions,
} from "./types.ts";
import type { DatabaseUrl } from "./url.ts";

/** Default of the option `drain`, in seconds. */
const DRAIN = 10;

/** An engine or one of its siblings. */
export class DnsEngine<C> extends EventTarget implements Engine<C> {
  readonly url: DatabaseUrl;
  readonly driver: string;

  readonly #setup: EngineSetup<C>;
  readonly #adapter: Adapter<C>;
  readonly #settings: EngineSettings<C>;
  readonly #core: EngineCore<C>;
  readonly #execution: ExecutionOptions;

  /**
   * @param setup The URL, the adapter and the options.
   * @param core What the engine shares with its siblings.
   * @param execution The options in which it differs from them.
   */
  constructor(setup: EngineSetup<C>, core: EngineCore<C>, execution: ExecutionOptions = {}) {
    super();
    this.url = setup.url;
    this.driver = setup.adapter.name;
    this.#setup = setup;
    this.#adapter = setup.adapter;
    this.#settings = setup.settings;
    this.#core = core;
    this.#execution = execution;
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

  async use<T>(fn: (lease: Lease<C>) => T | Promise<T>, options?: ConnectOptions): Promise<T> {
    if (typeof fn !== "function") throw mustBe("fn", "a function", fn);
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

  async begin<T>(
    fn: (lease: Lease<C>) => T | Promise<T>,
    options?: BeginOptions<C>,
  ): Promise<T> {
    const { within, ...rest } = readBeginOptions(options);
    const { loggingToken } = this.#execution;
    const parts = {
      adapter: this.#adapter,
      run: this.#runner("begin a transaction"),
      note: statementLog(this.#core.log, loggingToken),
    };
    if (typeof fn !== "function") throw mustBe("fn", "a function", fn);
    if (within !== undefined) return await savepoint(within, fn, parts);
    return await this.use((lease) => transaction(lease, fn, parts), rest);
  }

  async query<Row = unknown>(
    text: string,
    values?: BindValues,
    options?: ConnectOptions,
  ): Promise<readonly Row[]> {
    const run = this.#runner("run a query");
    return await this.use((lease) => run(lease, text, values), options) as readonly Row[];
  }

  isDisconnect(error: unknown): boolean {
    if (error instanceof DnsPoolError) return error instanceof ConnectionLostError;
    try {
      return this.#adapter.classify?.(error) === "disconnect";
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
    return this.#core.dispose();
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
    this.#core.events.removeEventListener(type, target, options);
  }

  override dispatchEvent(event: Event): boolean {
    return this.#core.events.dispatchEvent(event);
  }

  async #connectWith(options: ConnectOptions | undefined): Promise<Lease<C>> {
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

  #runner(action: string): Run<C> {
    return statementRunner(this.#adapter, {
      action,
      log: this.#core.log,
      token: this.#execution.loggingToken,
      hidesValues: this.#settings.hideParameters,
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
    throw mustBe("within", "a lease", value);
  });
  // The checkout reads these.
  for (const name of ["signal", "timeout"]) reader.value(name, undefined, () => undefined);
  reader.done();
  return options ?? {};
}
