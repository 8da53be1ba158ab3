/**
 * A pool that replaces mysql2's and follows DNS.
 *
 * @module
 */

import type { Engine } from "../engine.ts";
import { createConnectionFactory } from "./mysql2/connection.ts";
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
import { withOverrides } from "./shared/module_proxy.ts";
import type { DnsPoolOptions } from "./shared/options.ts";

export type { DnsPoolOptions } from "./shared/options.ts";
export type { Mysql2Driver, Mysql2PoolLimits } from "./mysql2/module.ts";

/** Options of the module's own pool, and dnspool's. */
export type DnsMysql2PoolOptions<M extends Mysql2Driver> =
  & Exclude<Parameters<M["createPool"]>[0], string>
  & DnsPoolOptions
  & Mysql2PoolLimits;

/** Members of a {@linkcode DnsMysql2Pool} beside those of mysql2's pool. */
export interface DnsMysql2PoolExtras {
  /**
   * The engine behind the pool: `engine.status()`, and events such as `addresschange`. `undefined` if the host is a
   * socket path, for which the pool works as the original does.
   */
  readonly engine: Engine<unknown> | undefined;
}

/** The constructor of pools that replace mysql2's. */
export interface DnsMysql2PoolConstructor {
  /**
   * Creates a pool.
   *
   * @typeParam M The type of the module, from which the pool's type is inferred.
   * @param mysql2 The module: `import mysql from "mysql2/promise"`, or `"mysql2"`.
   * @param options The options of `createPool`, and dnspool's; or a URI.
   * @throws {TypeError} if an option cannot be used here, or has a value of the wrong kind.
   * @throws {RangeError} if a number is outside its range.
   */
  new <M extends Mysql2Driver>(
    mysql2: M,
    options: DnsMysql2PoolOptions<M> | string,
  ): ReturnType<M["createPool"]> & DnsMysql2PoolExtras;
}

const pools: WeakSet<object> = new WeakSet();

/**
 * A pool of mysql2 whose connections are open to an address that the host name has now. It is an instance of the pool
 * class of the module passed in, with its methods, events and options: a pool with promises for `mysql2/promise`, one
 * with callbacks and `promise()` for `mysql2`.
 *
 * When an address departs, its idle connections are closed at once, and those in use when they are released. The next
 * `getConnection` returns a connection that is open to the new address.
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
 * Returns a copy of the module `mysql2` or `mysql2/promise` whose pools and connections follow DNS, for libraries that
 * take the module: TypeORM's `driver`, Sequelize's `dialectModule`, Knex's client. Everything else is the module's own,
 * except that `createPoolCluster` throws.
 *
 * Its `createPool` creates a {@linkcode DnsMysql2Pool}. Its `createConnection` connects to an address that the host
 * name has at that moment. Once the address departs, the connection fails the validation of Sequelize and Knex, and is
 * closed when it is no longer used.
 *
 * @typeParam M The type of the module.
 * @param mysql2 The module: `import mysql from "mysql2"`, or `"mysql2/promise"`.
 * @param options dnspool's options for all pools and connections of the module. A pool's own options take precedence.
 * @returns The module.
 * @throws {TypeError} if an option cannot be used here, or has a value of the wrong kind.
 * @throws {RangeError} if a number is outside its range.
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
  const createConnection = createConnectionFactory(driver, classes, options);
  const createPoolCluster = () => {
    throw new TypeError(
      "Cannot make a pool cluster that follows DNS: make a pool for each name, or one with several hosts",
    );
  };
  const overrides = { createPool, createConnection, createPoolCluster };
  if (classes.ofPromises) return withOverrides(mysql2, overrides);
  return withOverrides(mysql2, {
    ...overrides,
    connect: createConnection,
    createPoolPromise: (given: unknown) => createPool(given).promise(),
    createConnectionPromise: (given: unknown) => whenOpen(createConnection(given)),
    createPoolClusterPromise: createPoolCluster,
  });
}

/** Waits until a connection is open; returns it with promises. */
function whenOpen(connection: CoreConnection): Promise<unknown> {
  return new Promise((resolve, reject) => {
    connection.once("connect", () => resolve(connection.promise()));
    connection.once("error", reject);
  });
}
