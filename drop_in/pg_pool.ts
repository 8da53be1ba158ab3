/**
 * A pool that replaces `pg.Pool` and follows DNS.
 *
 * @module
 */

import type { Engine } from "../engine.ts";
import { withOverrides } from "./shared/module_proxy.ts";
import { clientClass } from "./pg/client_class.ts";
import { checkDriver, type PgDriver } from "./pg/module.ts";
import { isDnsPgPool, poolClassOf } from "./pg/pool_class.ts";
import { copyOptions, type DnsPoolOptions, type RawOptions } from "./shared/options.ts";

export type { DnsPoolOptions } from "./shared/options.ts";
export type { PgDriver } from "./pg/module.ts";

/** Options of the module's own pool, and dnspool's. */
export type DnsPgPoolOptions<P extends PgDriver> =
  & NonNullable<ConstructorParameters<P["Pool"]>[0]>
  & DnsPoolOptions;

/** Members of a {@linkcode DnsPgPool} beside those of `pg.Pool`. */
export interface DnsPgPoolExtras {
  /**
   * The engine behind the pool: `engine.status()`, and events such as `addresschange`. `undefined` if the host is a
   * socket path, for which the pool works as the original does.
   */
  readonly engine: Engine<unknown> | undefined;
}

/** The constructor of pools that replace `pg.Pool`. */
export interface DnsPgPoolConstructor {
  /**
   * Creates a pool.
   *
   * @typeParam P The type of the module, from which the pool's type is inferred.
   * @param pg The module: `import pg from "pg"`.
   * @param options The options of `pg.Pool`, and dnspool's.
   * @throws {TypeError} if an option cannot be used here, or has a value of the wrong kind.
   * @throws {RangeError} if a number is outside its range.
   */
  new <P extends PgDriver>(
    pg: P,
    options?: DnsPgPoolOptions<P>,
  ): InstanceType<P["Pool"]> & DnsPgPoolExtras;
}

/**
 * A `pg.Pool` whose clients are open to an address that the host name has now. It is an instance of the `pg.Pool` passed
 * in, with its methods, events, counters and options.
 *
 * When an address departs, its idle clients are closed at once, and those in use when they are released. The next
 * `connect` returns a client that is open to the new address.
 *
 * @example
 * ```ts
 * import { DnsPgPool } from "@dnspool/dnspool/drop_in/pg_pool";
 * import pg from "npm:pg@^8.23";
 * import { assert } from "@std/assert";
 *
 * const pool = new DnsPgPool(pg, { connectionString: "postgres://app@db.internal/orders", max: 20 });
 * assert(pool instanceof pg.Pool);
 * await pool.end();
 * ```
 */
export const DnsPgPool: DnsPgPoolConstructor = Object.defineProperty(
  function DnsPgPool(pg: PgDriver, options?: RawOptions) {
    return new (poolClassOf(checkDriver(pg)))(options);
  },
  Symbol.hasInstance,
  { value: isDnsPgPool },
) as unknown as DnsPgPoolConstructor;

/**
 * Returns a copy of the module `pg` whose `Pool` and `Client` follow DNS, for libraries that take the module: TypeORM's
 * `driver`, Sequelize's `dialectModule`. Everything else is the module's own.
 *
 * Its `Pool` is a {@linkcode DnsPgPool}. Its `Client` connects to an address that its host name has at that moment.
 * Once the address departs, the client fails the validation of Sequelize and Knex, and is closed when it is no longer
 * used. It emits `end` then.
 *
 * @typeParam P The type of the module.
 * @param pg The module: `import pg from "pg"`.
 * @param options dnspool's options for all pools and clients of the module. A pool's own options take precedence.
 * @returns The module.
 * @throws {TypeError} if an option cannot be used here, or has a value of the wrong kind.
 * @throws {RangeError} if a number is outside its range.
 *
 * @example
 * ```ts
 * import { dnsPg } from "@dnspool/dnspool/drop_in/pg_pool";
 * import pg from "npm:pg@^8.23";
 * import { assert } from "@std/assert";
 *
 * const { Pool } = dnsPg(pg, { dnsNameservers: ["10.0.0.2"] });
 * const pool = new Pool({ connectionString: "postgres://app@db.internal/orders" });
 * assert(pool instanceof pg.Pool);
 * await pool.end();
 * ```
 */
export function dnsPg<P extends PgDriver>(pg: P, options: DnsPoolOptions = {}): P {
  const driver = checkDriver(pg);
  const Client = clientClass(driver.Client, options);
  class Pool extends poolClassOf(driver) {
    constructor(given: RawOptions = {}) {
      super({ ...options, ...copyOptions(given) });
    }
  }
  // `native` is a getter that loads another package, whose clients do not follow DNS.
  return withOverrides(pg, { Pool, Client, native: null });
}
