/**
 * A pool that takes the place of mysql2's, and follows DNS.
 *
 * @module
 */

import type { Engine } from "../engine.ts";
import { connector } from "./mysql2/connection.ts";
import {
  checkDriver,
  classesOf,
  type CoreConnection,
  type CorePool,
  type Mysql2Driver,
  type Mysql2PoolLimits,
  optionsOf,
} from "./mysql2/module.ts";
import { poolClassOf } from "./mysql2/pool_class.ts";
import { moduleLike } from "./shared/module_proxy.ts";
import type { DnsPoolOptions } from "./shared/options.ts";

export type { DnsPoolOptions } from "./shared/options.ts";
export type { Mysql2Driver, Mysql2PoolLimits } from "./mysql2/module.ts";

/** Options of the module's own pool, and dnspool's. */
export type DnsMysql2PoolOptions<M extends Mysql2Driver> =
  & Exclude<Parameters<M["createPool"]>[0], string>
  & DnsPoolOptions
  & Mysql2PoolLimits;

/** What a {@linkcode DnsMysql2Pool} has besides. */
export interface DnsMysql2PoolExtras {
  /**
   * The engine that does the pool's work: `engine.status()`, and events such as `addresschange`. `undefined` where
   * the host is a socket path or a list of hosts, and the pool is the original's own.
   */
  readonly engine: Engine<unknown> | undefined;
}

/** Makes pools that take the place of mysql2's. */
export interface DnsMysql2PoolConstructor {
  /**
   * Makes a pool.
   *
   * @typeParam M The module; what the pool gives is inferred from it.
   * @param mysql2 The module: `import mysql from "mysql2/promise"`, or `"mysql2"`.
   * @param options As for `createPool`, and dnspool's own; or a URI.
   * @throws {TypeError} for an option that makes no sense here.
   * @throws {RangeError} for a number out of bounds.
   */
  new <M extends Mysql2Driver>(
    mysql2: M,
    options: DnsMysql2PoolOptions<M> | string,
  ): ReturnType<M["createPool"]> & DnsMysql2PoolExtras;
}

const pools: WeakSet<object> = new WeakSet();

/**
 * mysql2's pool, but that every connection it hands out is open to an address that the host name has now: an instance
 * of the pool class of the module passed in, with its methods, events and options. `mysql2/promise` gives a pool with
 * promises, `mysql2` one with callbacks and `promise()`.
 *
 * Idle connections are closed as soon as their address departs, those in use when they are released; the next
 * `getConnection` gives one that is open to the new address.
 *
 * @example
 * ```ts
 * import { DnsMysql2Pool } from "@dnspool/dnspool/drop_in/mysql2_pool";
 * import mysql from "npm:mysql2@^3.24/promise";
 * import { assert } from "@std/assert";
 *
 * const pool = new DnsMysql2Pool(mysql, {
 *   uri: "mysql://app@db.internal/orders",
 *   connectionLimit: 20,
 * });
 * assert(pool instanceof DnsMysql2Pool);
 * await pool.end();
 * ```
 */
export const DnsMysql2Pool: DnsMysql2PoolConstructor = Object.defineProperty(
  function DnsMysql2Pool(mysql2: Mysql2Driver, options: unknown) {
    return makePool(mysql2, options);
  },
  Symbol.hasInstance,
  { value: (value: unknown) => typeof value === "object" && value !== null && pools.has(value) },
) as unknown as DnsMysql2PoolConstructor;

function makePool(mysql2: Mysql2Driver, options: unknown): object {
  const classes = classesOf(checkDriver(mysql2));
  const core = new (poolClassOf(classes))(options);
  pools.add(core);
  if (!classes.ofPromises) return core;
  const { Promise } = (typeof options === "object" ? options ?? {} : {}) as { Promise?: unknown };
  const pool = core.promise(Promise);
  pools.add(pool);
  return Object.defineProperty(pool, "engine", { get: () => core.engine });
}

/**
 * A module like `mysql2` or `mysql2/promise` whose pools and connections follow DNS, for libraries that are given the
 * module: TypeORM's `driver`, Sequelize's `dialectModule`, Knex's client. Everything else is the module's own, but for
 * pool clusters, which it refuses to make.
 *
 * Its `createPool` gives a {@linkcode DnsMysql2Pool}. Its `createConnection` dials an address that the host's name has
 * at that moment; once the address departs, the connection tells the validation of Sequelize and of Knex that it is of
 * no use, and is closed when nobody uses it any more.
 *
 * @typeParam M The module's type.
 * @param mysql2 The module: `import mysql from "mysql2"`, or `"mysql2/promise"`.
 * @param options dnspool's own, for all its pools and connections; a pool's own options win.
 * @returns The module.
 * @throws {TypeError} for an option that makes no sense here.
 * @throws {RangeError} for a number out of bounds.
 *
 * @example
 * ```ts
 * import { dnsMysql2 } from "@dnspool/dnspool/drop_in/mysql2_pool";
 * import mysql from "npm:mysql2@^3.24/promise";
 *
 * const { createPool } = dnsMysql2(mysql, { dnsNameservers: ["10.0.0.2"] });
 * const pool = createPool("mysql://app@db.internal/orders");
 * await pool.end();
 * ```
 */
export function dnsMysql2<M extends Mysql2Driver>(mysql2: M, options: DnsPoolOptions = {}): M {
  const driver = checkDriver(mysql2);
  const classes = classesOf(driver);
  const createPool = (given: unknown) =>
    makePool(driver, { ...options, ...optionsOf(given) }) as CorePool;
  const createConnection = connector(driver, classes, options);
  const createPoolCluster = () => {
    throw new TypeError(
      "Cannot make a pool cluster that follows DNS: make a pool for each name, or one with several addresses behind its name",
    );
  };
  const parts = { createPool, createConnection, createPoolCluster };
  if (classes.ofPromises) return moduleLike(mysql2, parts);
  return moduleLike(mysql2, {
    ...parts,
    connect: createConnection,
    createPoolPromise: (given: unknown) => createPool(given).promise(),
    createConnectionPromise: (given: unknown) => opened(createConnection(given)),
    createPoolClusterPromise: createPoolCluster,
  });
}

/** A connection with promises, once it is open. */
function opened(connection: CoreConnection): Promise<unknown> {
  return new Promise((resolve, reject) => {
    connection.once("connect", () => resolve(connection.promise()));
    connection.once("error", reject);
  });
}
