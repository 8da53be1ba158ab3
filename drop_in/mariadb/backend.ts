/**
 * The engine behind a {@linkcode DnsMariadbPool}, with the events, errors and limits of mariadb's pool.
 *
 * @module
 */

import { isBusy } from "../../adapters/mariadb/connection.ts";
import { setImmediate } from "node:timers";
import { lazyMariadbAdapter, type MariadbConfig } from "../../adapters/mariadb.ts";
import type { Adapter } from "../../adapters/adapter.ts";
import { type Engine, getDnsEngine } from "../../engine.ts";
import { DnsEngine } from "../../engine/dns_engine.ts";
import { DatabaseUrl } from "../../engine/url.ts";
import { PoolTimeoutError, ResolveError } from "../../errors.ts";
import { deadline, delay } from "../../internal/async.ts";
import { awakeTimer, now, timer } from "../../internal/clock.ts";
import { process } from "../../internal/process.ts";
import { callUserCode, isOf } from "../../internal/thrown.ts";
import type { Lease } from "../../pool/lease.ts";
import { toDriverError } from "../shared/driver_errors.ts";
import type { HostList } from "../shared/host_list.ts";
import type { DnsPoolOptions, RawOptions } from "../shared/options.ts";
import { PooledLeases } from "../shared/pooled_leases.ts";
import {
  clientOf,
  type Command,
  type CoreConnection,
  type CorePool,
  type MariadbClasses,
  MESSAGES,
  type Pinned,
  type ReleaseMethod,
} from "./module.ts";
import {
  concealPassword,
  loginOf,
  makeReusable,
  ownOptions,
  securedFor,
  withLogger,
} from "./options.ts";
import { type CallParam, PoolErrors } from "./pool_errors.ts";
import { engineOptions } from "./pool_settings.ts";

/** Receives a connection or the error. */
export type Deliver = (error: unknown, connection?: CoreConnection) => void;

/** A caller that waits for a connection. */
interface Request {
  readonly param: CallParam;
  readonly deliver: Deliver;
  /** Whether it was told that it waits, and counts as a task in the queue. */
  readonly queued: boolean;
  /** Fulfilled when it has the connection or the error. */
  served?: Promise<void>;
}

/** Delay before a caller whose connect failed tries again. */
const RETRY_DELAY_MS = 500;
/** Delay after a login that was refused: so many times the number of refusals, at most the second. */
const REFUSED_MS = 200;
const MAX_REFUSED_MS = 10_000;
/** Time after `end()` after which the connections that are still in use are destroyed. */
const MAX_END_MS = 10_000;
/** Numbers of the errors with which a server refuses a login: trying again is of no use. */
const LOGIN_REFUSED = new Set<unknown>([1045, 1524, 1698]);

/** The engine behind a pool. */
export class MariadbBackend {
  /** The engine. */
  readonly engine: Engine<Pinned>;
  /** Whether `end()` was called. */
  closed = false;

  readonly #pool: CorePool;
  readonly #errors: PoolErrors;
  readonly #leases: PooledLeases<CoreConnection, Pinned>;
  readonly #requests: Set<Request> = new Set();
  readonly #ended: AbortController = new AbortController();
  /** The connection that was opened last, which knows the server. */
  #newest: CoreConnection | undefined;
  /** Why the last connect failed, and since when they fail, until one succeeds. */
  #failure: { readonly error: unknown; readonly sinceMs: number } | undefined;
  /** Number of logins that were refused since the last success. */
  #refusals = 0;
  /** The earliest time of the next login after one that was refused. */
  #notBeforeMs = -Infinity;

  /**
   * @param pool The pool below the driver's, whose own way to open connections is off.
   * @param classes The module's classes.
   * @param options dnspool's options for all pools of the module; the pool's options; and several hosts, or a service.
   */
  constructor(
    pool: CorePool,
    classes: MariadbClasses,
    { module, given, list }: {
      readonly module: DnsPoolOptions;
      readonly given: RawOptions;
      readonly list: HostList | undefined;
    },
  ) {
    this.#pool = pool;
    this.#errors = new PoolErrors(classes.SqlError);
    const { credentials, targetSessionAttrs } = ownOptions(module, given);
    this.#leases = new PooledLeases({
      adapter: this.#createAdapter(classes, {
        hasSeveral: list !== undefined,
        hasCredentials: credentials !== undefined,
      }),
      targetSessionAttrs,
      connectionOf: ({ core }) => core,
      socketOf: ({ socket }) => socket,
    });
    const { host, port, user, database, password } = pool.opts.connOptions;
    const url = new DatabaseUrl({
      dialect: "mariadb",
      driver: "mariadb",
      ...(list ?? { host, port }),
      user,
      database,
      password: typeof password === "string" ? password : undefined,
    });
    this.engine = getDnsEngine<Pinned>(url, {
      ...engineOptions(module, given, pool.opts),
      ...(list && { dnsSrv: list.srv }),
      adapter: this.#leases.adapter,
      observer: {
        connecting: () => ({ error }) => error !== undefined && this.#noteFailure(error),
      },
    });
    this.#fill(true);
  }

  /** Number of connections in use, with those whose address departed. */
  get active(): number {
    if (!this.closed) return this.engine.pool.counts.inUse;
    return this.#leases.inUse.length + this.#requests.size;
  }

  /** Number of idle connections. */
  get idle(): number {
    return this.closed ? 0 : this.engine.pool.counts.idle;
  }

  /** Number of callers that wait for a connection. */
  get queued(): number {
    return [...this.#requests].filter(({ queued }) => queued).length;
  }

  /** What the driver knows about the server; `null` without a connection. */
  get info(): unknown {
    return this.active + this.idle > 0 ? this.#newest?.info ?? null : null;
  }

  /** Number of connections that have been in use for longer than `leakDetectionTimeout`. */
  get leaked(): number {
    return this.#leases.inUse.filter((core) => (core as { leaked?: boolean }).leaked).length;
  }

  /**
   * Checks out a connection.
   *
   * @param param The call.
   * @param deliver Receives the connection or the error. What it throws becomes an uncaught error, as with mariadb.
   */
  checkout(param: CallParam, deliver: Deliver): void {
    if (this.closed) return deliver(this.#errors.closed(param));
    const lease = this.engine.tryConnect();
    if (lease) return this.#lend(lease, deliver);
    const { idle, waiting } = this.engine.pool.counts;
    const request: Request = { param, deliver, queued: idle <= waiting };
    this.#requests.add(request);
    if (request.queued) setImmediate(() => this.#pool.emit("enqueue"));
    request.served = this.#serve(request, now());
  }

  /** Takes back a connection whose session its holder left in order. */
  release(core: CoreConnection): void {
    if (!this.#leases.has(core)) return;
    this.#pool._endLeak(core);
    core.lastUse = Date.now();
    if (this.closed) return this.#end(core);
    if (core.isValid()) this.#pool.emit("release", core);
    const lease = this.#leases.take(core);
    if (!lease) return; // a listener has destroyed it
    if (core.isValid()) this.#leases.giveBack(core, lease);
    else lease.invalidate();
  }

  /** Closes a connection that is not handed out again. */
  discard(core: CoreConnection): void {
    if (!this.#leases.has(core)) return;
    this.#pool._endLeak(core);
    this.#end(core);
  }

  /**
   * Closes the pool: rejects the callers that wait, closes the idle connections, and waits for the others.
   *
   * @returns Fulfilled when all are closed; connections that are in use after 10 seconds are destroyed.
   */
  end(): Promise<void> {
    if (this.closed) return Promise.reject(this.#errors.alreadyClosed());
    this.closed = true;
    for (const request of this.#requests) {
      if (!request.queued) continue;
      this.#requests.delete(request);
      process.nextTick(request.deliver, this.#errors.closing(request.param));
    }
    this.#ended.abort(new Error("the pool is closed"));
    // A caller for which a connection was idle is about to get it.
    const served = [...this.#requests].map(({ served }) => served);
    if (served.length === 0) this.#pool.removeAllListeners();
    else Promise.all(served).then(() => this.#pool.removeAllListeners());
    return this.#close();
  }

  async #close(): Promise<void> {
    const limit = timer(MAX_END_MS, () => {
      for (const core of this.#leases.inUse) core.destroy();
    });
    await this.engine.close({ drain: Infinity });
    limit.clear();
  }

  /** Gives a caller a connection, or the error if there is none in time. */
  async #serve(request: Request, sinceMs: number): Promise<void> {
    const { acquireTimeout } = this.#pool.opts;
    const endMs = sinceMs + acquireTimeout;
    for (let isFirst = true;; isFirst = false) {
      try {
        const leftMs = endMs - now();
        const options = isFirst ? undefined : { timeout: Math.max(0, leftMs) / 1000 };
        const lease = await this.engine.connect(options);
        return this.#handOut(lease, request);
      } catch (error) {
        if (!this.#requests.has(request)) return;
        const isLate = isOf(error, PoolTimeoutError);
        if (isOf(error, ResolveError)) this.#noteFailure(error);
        const leftMs = endMs - now();
        if (this.closed) return this.#fail(request, this.#errors.closing(request.param));
        if (isLate || leftMs <= 0) {
          return this.#fail(request, this.#timeoutError(request, acquireTimeout - leftMs));
        }
        // As in mariadb, a caller waits for the whole time, whatever the reason.
        const pauseMs = this.#refusals > 0 ? this.#notBeforeMs - now() : RETRY_DELAY_MS;
        await delay(Math.max(0, Math.min(pauseMs, leftMs)), this.#ended.signal).catch(() => {});
        if (!this.#requests.has(request)) return;
      }
    }
  }

  #timeoutError({ param }: Request, waitedMs: number): Error {
    const cause = this.active === 0 ? this.#failure?.error : undefined;
    const state = this.#pool._errorMsgAddon();
    return this.#errors.timeout(Math.round(waitedMs), state, param, cause);
  }

  #fail(request: Request, error: Error): void {
    this.#requests.delete(request);
    callUserCode(() => request.deliver(error));
  }

  #handOut(lease: Lease<Pinned>, request: Request): void {
    // A caller that learned that the pool is closed gets no connection.
    if (!this.#requests.delete(request)) return void lease.release();
    callUserCode(() => this.#lend(lease, request.deliver));
  }

  #lend(lease: Lease<Pinned>, deliver: Deliver): void {
    const { core } = lease.client;
    this.#leases.add(core, lease);
    if (this.#pool.opts.leakDetectionTimeout > 0) this.#pool._startLeakDetection(core);
    this.#pool.emit("acquire", core);
    deliver(null, core);
  }

  /** Closes a connection once the commands that were sent on it are done. */
  #end(core: CoreConnection): void {
    const onClosed = this.#leases.releaseOnClose(core);
    const end = () => core.forceEnd!(null, () => {}, onClosed);
    // The driver forgets the answers that come after its message to the server.
    if (isBusy(core)) core.ping({}, end, end);
    else end();
  }

  /** Opens connections ahead of need, or stops doing so. */
  #fill(fills: boolean): void {
    const { minimumIdle } = this.#pool.opts;
    DnsEngine.changeLimits(this.engine, { minOpen: fills ? minimumIdle : 0 });
  }

  /** Notes that no connection can be opened; the pool emits an error once that has taken too long. */
  #noteFailure(failed: unknown): void {
    if (this.closed) return;
    const error = toDriverError(failed, MESSAGES);
    if (error === this.#failure?.error) return;
    this.#failure = { error, sinceMs: this.#failure?.sinceMs ?? now() };
    const isRefused = LOGIN_REFUSED.has((error as { errno?: unknown }).errno);
    if (isRefused) {
      this.#notBeforeMs = now() + Math.min(++this.#refusals * REFUSED_MS, MAX_REFUSED_MS);
    }
    const { initializationTimeout } = this.#pool.opts;
    if (!isRefused && now() - this.#failure.sinceMs < initializationTimeout) return;
    const initialized = this.#newest !== undefined;
    this.#failure = { error, sinceMs: now() };
    // A password that was refused is not tried again and again, but only for a caller.
    if (isRefused || !initialized) this.#fill(false);
    const reported = this.#errors.noConnection(initialized, error);
    callUserCode(() => this.#pool.emit("error", reported));
  }

  /** Makes a connection one of the pool. */
  #adopt(core: CoreConnection): void {
    this.#newest = core;
    if (this.#failure) this.#fill(true);
    this.#failure = undefined;
    this.#refusals = 0;
    this.#notBeforeMs = -Infinity;
    core.lastUse = Date.now();
    core.forceEnd = core.end as Command;
    const release: ReleaseMethod = (callback) => this.#pool._handleRelease(core, callback);
    core.release = release;
    core.end = release;
    const { destroy } = core;
    core.destroy = () => {
      this.#pool._endLeak(core);
      destroy.call(core);
      this.#leases.remove(core);
    };
  }

  /** Emits the event `connection`, as the driver's version does. */
  #announce(core: CoreConnection): void {
    const pool = this.#pool;
    if (pool._onNewConnection) setImmediate(() => pool._onNewConnection!(core));
    else pool.emit("connection", core);
  }

  /** Creates the adapter that opens the pool's connections. */
  #createAdapter(
    { Connection, version }: MariadbClasses,
    { hasSeveral, hasCredentials }: {
      readonly hasSeveral: boolean;
      readonly hasCredentials: boolean;
    },
  ): Adapter<Pinned> {
    const createConnection = async (config: MariadbConfig) => {
      const { connOptions } = this.#pool.opts;
      const { host, port, stream, logger } = config;
      const core = new Connection({
        ...connOptions,
        ...(hasCredentials && loginOf(config, connOptions)),
        host,
        ...securedFor(connOptions, host),
        ...(hasSeveral && { port }),
        stream,
        logger: withLogger(connOptions.logger, logger),
        connectTimeout: 0,
        permitRedirect: false,
      });
      await core.connect();
      if (hasCredentials) concealPassword(core);
      makeReusable(core, stream, connOptions.connectTimeout);
      this.#adopt(core);
      return clientOf(core);
    };
    const adapter = lazyMariadbAdapter<Pinned>(() =>
      Promise.resolve({ createConnection, version })
    );
    return {
      ...adapter,
      connect: async (ip, target) => {
        // Of the callers that wait, one at a time tries again.
        if (now() < this.#notBeforeMs) throw this.#failure!.error;
        const client = await adapter.connect(ip, target);
        this.#announce(client.core);
        return client;
      },
      ping: (client) => {
        const { pingTimeout } = this.#pool.opts;
        const ping = () => adapter.ping!(client);
        if (pingTimeout <= 0) return ping();
        return deadline(pingTimeout, ping, { what: "no answer to a ping", start: awakeTimer });
      },
    };
  }
}
