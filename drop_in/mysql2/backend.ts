/**
 * What stands behind a pool of mysql2 that follows DNS: an engine, and what the original would say and do.
 *
 * @module
 */

import type { Lease } from "../../pool/lease.ts";
import type { Adapter } from "../../adapters/adapter.ts";
import { lazyMysql2Adapter, type Mysql2Config } from "../../adapters/mysql2.ts";
import { type Engine, getDnsEngine } from "../../engine.ts";
import { DatabaseUrl } from "../../engine/url.ts";
import { inDriversWords } from "../shared/driver_errors.ts";
import {
  type Callback,
  type CorePool,
  type Mysql2Classes,
  onSocket,
  type Pinned,
  type PooledConnection,
  WORDS,
} from "./module.ts";
import { engineOptions, trims } from "./pool_settings.ts";
import { callUserCode } from "../../internal/thrown.ts";
import { driverCounts } from "../shared/pool_counts.ts";
import type { Given } from "../shared/options.ts";

/** An engine that does a pool's work. */
export class Mysql2Backend {
  /** The engine. */
  readonly engine: Engine<Pinned>;

  readonly #pool: CorePool;
  readonly #PoolConnection: Mysql2Classes["PoolConnection"];
  readonly #out: Map<PooledConnection, Lease<Pinned>> = new Map();
  /** Handed out before. */
  readonly #seasoned: WeakSet<PooledConnection> = new WeakSet();
  /** The server refused a write. */
  readonly #readOnly: WeakSet<PooledConnection> = new WeakSet();

  /**
   * @param pool Whose work it does.
   * @param classes The module's.
   * @param given The pool's options.
   */
  constructor(pool: CorePool, { PoolConnection }: Mysql2Classes, given: Given) {
    this.#pool = pool;
    this.#PoolConnection = PoolConnection;
    const { host, port, user, database, password } = pool.config.connectionConfig;
    const url = new DatabaseUrl({
      dialect: "mysql",
      driver: "mysql2",
      host,
      port,
      user,
      database,
      password: typeof password === "string" ? password : undefined,
    });
    this.engine = getDnsEngine<Pinned>(url, {
      ...engineOptions(given, pool.config),
      adapter: this.#adapter(),
    });
  }

  /**
   * Asks for a connection.
   *
   * @param deliver Is given it, or the error; whatever it throws is nobody's but the process's, as with mysql2.
   */
  checkout(deliver: Callback<PooledConnection>): void {
    const { waitForConnections, queueLimit } = this.#pool.config;
    const queued = this.#mustWait();
    if (queued && !waitForConnections) {
      queueMicrotask(() => deliver(new Error("No connections available.")));
      return;
    }
    if (queued && queueLimit && driverCounts(this.engine.pool.counts).waiting >= queueLimit) {
      return deliver(new Error("Queue limit reached."));
    }
    if (queued) this.#pool.emit("enqueue");
    this.#fetch(queued, deliver);
  }

  /** A holder gives a connection back. */
  giveBack(connection: PooledConnection): void {
    const lease = this.#out.get(connection);
    if (!lease) return;
    if (!this.#pool.config.resetOnRelease || !connection.reset) return this.#settle(connection);
    connection.reset((error) => {
      if (!error) return this.#settle(connection);
      connection.destroy();
    });
  }

  /** A connection died, or its holder destroyed it. */
  drop(connection: PooledConnection): void {
    const lease = this.#out.get(connection);
    this.#out.delete(connection);
    lease?.invalidate();
  }

  /** Says goodbye on all connections, once what was sent on them is done, and waits for their ends. */
  async close(): Promise<void> {
    for (const [connection, lease] of this.#out) {
      const { stream } = connection;
      const gone = () => lease.released || lease.invalidate();
      if (stream.destroyed) gone();
      else stream.once("close", gone);
      connection._realEnd((error) => error ? gone() : stream.end());
    }
    this.#out.clear();
    await this.engine.close({ drain: Infinity });
  }

  /** Whether a caller has to wait for somebody else's connection. */
  #mustWait(): boolean {
    const { counts } = this.engine.pool;
    const { total } = driverCounts(counts);
    return counts.idle <= counts.waiting && total - counts.retired >= counts.poolSize;
  }

  #fetch(queued: boolean, deliver: Callback<PooledConnection>): void {
    this.engine.connect().then(
      (lease) => {
        const { connection } = lease.client;
        // Who gets one now would keep it: nothing is given back to a closed pool.
        if (this.#pool._closed) {
          lease.release();
          return callUserCode(() => deliver(new Error(WORDS.closed)));
        }
        if (connection._pool) return callUserCode(() => this.#handOver(lease, { queued, deliver }));
        // It died this very moment.
        lease.invalidate();
        this.#fetch(queued, deliver);
      },
      (error) => callUserCode(() => deliver(fatal(inDriversWords(error, WORDS)))),
    );
  }

  #handOver(
    lease: Lease<Pinned>,
    { queued, deliver }: { queued: boolean; deliver: Callback<PooledConnection> },
  ): void {
    const { connection } = lease.client;
    const isNew = !this.#seasoned.has(connection);
    this.#seasoned.add(connection);
    this.#out.set(connection, lease);
    connection._released = false;
    if (isNew) this.#pool.emit("connection", connection);
    // One that goes from hand to hand is never said to be acquired, nor released.
    if (isNew || !queued) this.#pool.emit("acquire", connection);
    deliver(null, connection);
  }

  #settle(connection: PooledConnection): void {
    const lease = this.#out.get(connection);
    if (!lease) return;
    this.#out.delete(connection);
    const { waiting, idle } = this.engine.pool.counts;
    const { config } = this.#pool;
    const surplus = waiting === 0 && trims(config) && idle >= config.maxIdle;
    const { _fatalError, _closing } = connection;
    if (surplus || _fatalError || _closing || this.#readOnly.has(connection)) {
      lease.invalidate(undefined, { soft: true });
    }
    lease.release();
    if (waiting === 0) this.#pool.emit("release", connection);
  }

  /** Opens the pool's connections. */
  #adapter(): Adapter<Pinned> {
    const PoolConnection = this.#PoolConnection;
    const createConnection = (config: Mysql2Config) => {
      const { connectionConfig } = this.#pool.config;
      const connection = new PoolConnection(this.#pool, {
        config: onSocket(connectionConfig, config),
      });
      return {
        on: connection.on.bind(connection),
        once: connection.once.bind(connection),
        promise: () => pinned(connection),
      };
    };
    const module = { createConnection, Connection: PoolConnection };
    // Without `unref`: as with mysql2, idle connections hold the process up.
    const { ref: _ref, unref: _unref, ...adapter } = lazyMysql2Adapter<Pinned>(() =>
      Promise.resolve(module)
    );
    return {
      ...adapter,
      onError: (client, listener) =>
        adapter.onError!(client, (error) => {
          if (adapter.classify!(error) === "read-only") this.#readOnly.add(client.connection);
          listener(error);
        }),
    };
  }
}

/** A pooled connection with promises, whose `end` is an end. */
function pinned(connection: PooledConnection): Pinned {
  const end = () => new Promise((resolve) => connection._realEnd(resolve));
  return Object.assign(connection.promise() as Pinned, { end });
}

/** As mysql2 marks an error after which there is no connection. */
function fatal(error: Error): Error {
  return "code" in error && !("fatal" in error) ? Object.assign(error, { fatal: true }) : error;
}
