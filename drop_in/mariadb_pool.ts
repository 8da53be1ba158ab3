/**
 * A pool that replaces mariadb's and follows DNS.
 *
 * @module
 */

import type { Engine } from "../engine.ts";
import { createConnectionFactory } from "./mariadb/connection.ts";
import { checkDriver, classesOf, type MariadbDriver } from "./mariadb/module.ts";
import type { MariadbPoolExtras } from "./mariadb/options.ts";
import { makePool } from "./mariadb/pool.ts";
import { withOverrides } from "./shared/module_proxy.ts";
import { checkDnsPoolOptions, type DnsPoolOptions } from "./shared/options.ts";

export type { DnsPoolOptions } from "./shared/options.ts";
export type { MariadbDriver } from "./mariadb/module.ts";
export type { MariadbPoolExtras } from "./mariadb/options.ts";

/** Options of the module's own pool. */
export type MariadbOwnOptions<M extends MariadbDriver> = Exclude<
  Parameters<M["createPool"]>[0],
  string
>;

/** Options of the module's own pool, and dnspool's. */
export type DnsMariadbPoolOptions<M extends MariadbDriver> =
  & Omit<MariadbOwnOptions<M>, "logger">
  & Omit<DnsPoolOptions, "logger">
  & MariadbPoolExtras
  & {
    /** The logger of mariadb, or dnspool's, which has the methods `debug`, `info`, `warn` and `error`. */
    logger?: MariadbOwnOptions<M>["logger"] | DnsPoolOptions["logger"];
  };

/** Members of a {@linkcode DnsMariadbPool} beside those of mariadb's pool. */
export interface DnsMariadbPoolExtras {
  /**
   * The engine behind the pool: `engine.status()`, and events such as `addresschange`. `undefined` if the host is a
   * socket path, for which the pool works as the original does.
   */
  readonly engine: Engine<unknown> | undefined;
}

/** The constructor of pools that replace mariadb's. */
export interface DnsMariadbPoolConstructor {
  /**
   * Creates a pool.
   *
   * @typeParam M The type of the module, from which the pool's type is inferred.
   * @param mariadb The module: `import * as mariadb from "mariadb"`, or `"mariadb/callback"`.
   * @param options The options of `createPool`, and dnspool's; or a URI.
   * @throws {TypeError} if an option cannot be used here, or has a value of the wrong kind.
   * @throws {RangeError} if a number is outside its range.
   */
  new <M extends MariadbDriver>(
    mariadb: M,
    options: DnsMariadbPoolOptions<M> | string,
  ): ReturnType<M["createPool"]> & DnsMariadbPoolExtras;
}

const pools: WeakSet<object> = new WeakSet();

/**
 * A pool of mariadb whose connections are open to an address that the host name has now. It is the pool of the module
 * passed in, with its methods, events, counters, options and errors: one with promises for `mariadb`, one with callbacks
 * for `mariadb/callback`.
 *
 * When an address departs, its idle connections are closed at once, and those in use when they are released. The next
 * `getConnection` returns a connection that is open to the new address.
 *
 * @example
 * ```ts
 * import { DnsMariadbPool } from "@dnspool/dnspool/drop_in/mariadb_pool";
 * import * as mariadb from "npm:mariadb@^3.5";
 * import { assert } from "@std/assert";
 *
 * const pool = new DnsMariadbPool(mariadb, {
 *   uri: "mariadb://app@db.internal/orders",
 *   connectionLimit: 20,
 *   minimumIdle: 0,
 * });
 * assert(pool instanceof DnsMariadbPool);
 * await pool.end();
 * ```
 */
export const DnsMariadbPool: DnsMariadbPoolConstructor = Object.defineProperty(
  function DnsMariadbPool(mariadb: MariadbDriver, options: unknown) {
    return newPool(checkDriver(mariadb), options);
  },
  Symbol.hasInstance,
  { value: (value: unknown) => typeof value === "object" && value !== null && pools.has(value) },
) as unknown as DnsMariadbPoolConstructor;

function newPool(mariadb: MariadbDriver, options: unknown, module?: DnsPoolOptions): object {
  const pool = makePool(mariadb, options, module);
  pools.add(pool);
  return pool;
}

/**
 * Returns a copy of the module `mariadb` or `mariadb/callback` whose pools and connections follow DNS, for libraries that
 * take the module: Sequelize's `dialectModule`. Everything else is the module's own, except that `createPoolCluster`
 * throws.
 *
 * Its `createPool` creates a {@linkcode DnsMariadbPool}. Its `createConnection` and its `importFile` connect to an address
 * that the host name has at that moment. Once the address departs, `isValid()` of the connection returns `false`, and the
 * connection is closed when it is no longer used.
 *
 * @typeParam M The type of the module.
 * @param mariadb The module: `import * as mariadb from "mariadb"`, or `"mariadb/callback"`.
 * @param options dnspool's options for all pools and connections of the module. A pool's own options take precedence.
 * @returns The module.
 * @throws {TypeError} if an option cannot be used here, or has a value of the wrong kind.
 * @throws {RangeError} if a number is outside its range.
 *
 * @example
 * ```ts
 * import { dnsMariadb } from "@dnspool/dnspool/drop_in/mariadb_pool";
 * import * as mariadb from "npm:mariadb@^3.5";
 *
 * const { createPool } = dnsMariadb(mariadb, { dnsNameservers: ["10.0.0.2"] });
 * const pool = createPool("mariadb://app@db.internal/orders?minimumIdle=0");
 * await pool.end();
 * ```
 */
export function dnsMariadb<M extends MariadbDriver>(mariadb: M, options: DnsPoolOptions = {}): M {
  const driver = checkDriver(mariadb);
  const classes = classesOf(driver);
  checkDnsPoolOptions(options);
  const { createConnection, importFile } = createConnectionFactory(driver, classes, options);
  return withOverrides(mariadb, {
    createPool: (given: unknown) => newPool(driver, given, options),
    createConnection,
    importFile,
    createPoolCluster() {
      throw new TypeError(
        "Cannot make a pool cluster that follows DNS: make a pool for each name, or one for a name with several addresses",
      );
    },
  });
}
