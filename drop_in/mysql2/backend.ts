/**
 * The engine behind a {@linkcode DnsMysql2Pool}, with the events, errors and limits of mysql2's pool.
 *
 * @module
 */

import type { Lease } from "../../pool/lease.ts";
import type { Adapter } from "../../adapters/adapter.ts";
import { lazyMysql2Adapter, type Mysql2Config } from "../../adapters/mysql2.ts";
import { type Engine, getDnsEngine } from "../../engine.ts";
import { DatabaseUrl } from "../../engine/url.ts";
import { toDriverError } from "../shared/driver_errors.ts";
import {
  type Callback,
  type CorePool,
  makeReusable,
  MESSAGES,
  type Mysql2Classes,
  type Pinned,
  type PooledConnection,
  withSocket,
} from "./module.ts";
import { engineOptions, readLimits } from "./pool_settings.ts";
import { callUserCode } from "../../internal/thrown.ts";
import { DnsEngine } from "../../engine/dns_engine.ts";
import { QueueView } from "./queue_view.ts";
import { driverCounts, followLimits, isFull } from "../shared/pool_counts.ts";
import type { HostList } from "../shared/host_list.ts";
import { PooledLeases } from "../shared/pooled_leases.ts";
import type { DnsPoolOptions, RawOptions } from "../shared/options.ts";

/** The names of the queues of mysql2's pool. */
const QUEUES = ["_allConnections", "_freeConnections", "_connectionQueue"] as const;

/** The engine behind a pool. */
export class Mysql2Backend {
  /** The engine. */
  readonly engine: Engine<Pinned>;

  readonly #pool: CorePool;
  readonly #leases: PooledLeases<PooledConnection, Pinned>;
  readonly #handedOutBefore: WeakSet<PooledConnection> = new WeakSet();

  /**
   * @param pool The pool.
   * @param classes The module's classes.
   * @param given The pool's options.
   * @param list Several hosts, or a service.
   */
  constructor(
    pool: CorePool,
    classes: Mysql2Classes,
    given: RawOptions,
    list: HostList | undefined,
  ) {
    this.#pool = pool;
    this.#leases = new PooledLeases({
      adapter: this.#createAdapter(classes, {
        hasSeveral: list !== undefined,
        hasCredentials: given.credentials !== undefined,
      }),
      targetSessionAttrs: (given as DnsPoolOptions).targetSessionAttrs,
      connectionOf: ({ connection }) => connection,
      socketOf: ({ stream }) => stream,
    });
    const { host, port, user, database, password } = pool.config.connectionConfig;
    const url = new DatabaseUrl({
      dialect: "mysql",
      driver: "mysql2",
      ...(list ?? { host, port }),
      user,
      database,
      password: typeof password === "string" ? password : undefined,
    });
    this.engine = getDnsEngine<Pinned>(url, {
      ...engineOptions(given, pool.config),
      adapter: this.#leases.adapter,
    });
    const limits = readLimits(pool.config);
    DnsEngine.changeLimits(this.engine, { maxIdle: limits.maxIdle(pool.config.maxIdle).maxIdle! });
    followLimits(pool.config, this.engine, limits);
  }

  /** What mysql2's pool shows of its state. A connection that is being opened counts, and is `undefined`. */
  get queues(): Readonly<Record<(typeof QUEUES)[number], QueueView>> {
    const { engine } = this;
    const listed = (clients: readonly Pinned[]) =>
      clients.map(({ connection }) => connection).filter(({ _pool }) => _pool);
    const places = (length: number) => Array.from<undefined>({ length });
    return {
      _allConnections: new QueueView(() => {
        const { inUse, idle } = engine.pool.counts;
        const { total } = driverCounts(engine.pool.counts);
        return [...listed(DnsEngine.clients(engine).all), ...places(total - inUse - idle)];
      }),
      _freeConnections: new QueueView(() => listed(DnsEngine.clients(engine).idle)),
      _connectionQueue: new QueueView(() => places(driverCounts(engine.pool.counts).waiting)),
    };
  }

  /**
   * Checks out a connection.
   *
   * @param deliver Receives the connection or the error. What it throws becomes an uncaught error, as with mysql2.
   */
  checkout(deliver: Callback<PooledConnection>): void {
    const { waitForConnections, queueLimit } = this.#pool.config;
    const queued = isFull(this.engine.pool.counts);
    if (queued && !waitForConnections) {
      queueMicrotask(() => deliver(new Error("No connections available.")));
      return;
    }
    if (queued && queueLimit && driverCounts(this.engine.pool.counts).waiting >= queueLimit) {
      return deliver(new Error("Queue limit reached."));
    }
    if (queued) this.#pool.emit("enqueue");
    this.#checkout(queued, deliver);
  }

  /** Releases a connection, after a reset if the pool is to do that. */
  release(connection: PooledConnection): void {
    if (!this.#leases.has(connection)) return;
    if (!this.#pool.config.resetOnRelease || !connection.reset) return this.#release(connection);
    connection.reset((error) => {
      if (!error) return this.#release(connection);
      connection.destroy();
    });
  }

  /** Frees the slot of a connection that died, or that was destroyed or ended by its holder. */
  remove(connection: PooledConnection): void {
    this.#leases.remove(connection);
  }

  /** Closes all connections, each once the statements sent on it are done, and waits for their sockets to close. */
  async close(): Promise<void> {
    for (const connection of this.#leases.inUse) {
      const { stream } = connection;
      const onClosed = this.#leases.releaseOnClose(connection);
      // mysql2 calls back before it sends the packet.
      connection._realEnd((error) => error ? onClosed() : queueMicrotask(() => stream.end()));
    }
    await this.engine.close({ drain: Infinity });
  }

  #checkout(queued: boolean, deliver: Callback<PooledConnection>): void {
    this.engine.connect().then(
      (lease) => {
        const { connection } = lease.client;
        // A closed pool takes no connection back, so none is handed out.
        if (this.#pool._closed) {
          lease.release();
          return callUserCode(() => deliver(new Error(MESSAGES.closed)));
        }
        if (connection._pool) return callUserCode(() => this.#handOut(lease, { queued, deliver }));
        // The connection died at this moment.
        lease.invalidate();
        this.#checkout(queued, deliver);
      },
      (error) => callUserCode(() => deliver(markFatal(toDriverError(error, MESSAGES)))),
    );
  }

  #handOut(
    lease: Lease<Pinned>,
    { queued, deliver }: { queued: boolean; deliver: Callback<PooledConnection> },
  ): void {
    const { connection } = lease.client;
    const isNew = !this.#handedOutBefore.has(connection);
    this.#handedOutBefore.add(connection);
    this.#leases.add(connection, lease);
    connection._released = false;
    if (isNew) this.#pool.emit("connection", connection);
    // mysql2 emits neither `acquire` nor `release` for a connection that goes directly to the next waiter.
    if (isNew || !queued) this.#pool.emit("acquire", connection);
    deliver(null, connection);
  }

  #release(connection: PooledConnection): void {
    const lease = this.#leases.take(connection);
    if (!lease) return;
    const { waiting } = this.engine.pool.counts;
    const { _fatalError, _closing } = connection;
    if (_fatalError || _closing) lease.invalidate(undefined, { soft: true });
    this.#leases.giveBack(connection, lease);
    if (waiting === 0) this.#pool.emit("release", connection);
  }

  /** Creates the adapter that opens the pool's connections. */
  #createAdapter(
    { PoolConnection }: Mysql2Classes,
    { hasSeveral, hasCredentials }: {
      readonly hasSeveral: boolean;
      readonly hasCredentials: boolean;
    },
  ): Adapter<Pinned> {
    const createConnection = (config: Mysql2Config) => {
      const { connectionConfig } = this.#pool.config;
      const { stream, host, port, user = connectionConfig.user, password } = config;
      const own = withSocket(connectionConfig, {
        stream,
        ...(hasSeveral && { host, port }),
        ...(hasCredentials && { user, password }),
      });
      const connection = new PoolConnection(this.#pool, { config: own });
      const { connectTimeout } = connectionConfig;
      const { remoteAddress } = config.stream;
      makeReusable(own, { address: () => remoteAddress, connectTimeout });
      return {
        on: connection.on.bind(connection),
        once: connection.once.bind(connection),
        promise: () => withPromises(connection),
      };
    };
    const module = { createConnection, Connection: PoolConnection };
    return lazyMysql2Adapter<Pinned>(() => Promise.resolve(module));
  }
}

/** Wraps a pooled connection with promises; its `end` closes it instead of releasing it. */
function withPromises(connection: PooledConnection): Pinned {
  const end = () => new Promise((resolve) => connection._realEnd(resolve));
  return Object.assign(connection.promise() as Pinned, { end });
}

/** Marks an error as mysql2 does if it ends the connection. */
function markFatal(error: Error): Error {
  return "code" in error && !("fatal" in error) ? Object.assign(error, { fatal: true }) : error;
}
