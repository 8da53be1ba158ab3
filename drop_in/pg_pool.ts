/**
 * A pool that takes the place of `pg.Pool`, and follows DNS.
 *
 * @module
 */

import type { Engine } from "../engine.ts";
import { moduleLike } from "./shared/module_proxy.ts";
import { clientClass } from "./pg/client_class.ts";
import { checkDriver, type PgDriver } from "./pg/module.ts";
import { isDnsPgPool, poolClassOf } from "./pg/pool_class.ts";
import { copyOptions, type DnsPoolOptions, type Given } from "./shared/options.ts";

export type { DnsPoolOptions } from "./shared/options.ts";
export type { PgDriver } from "./pg/module.ts";

/** Options of the module's own pool, and dnspool's. */
export type DnsPgPoolOptions<P extends PgDriver> =
  & NonNullable<ConstructorParameters<P["Pool"]>[0]>
  & DnsPoolOptions;

/** What a {@linkcode DnsPgPool} has besides. */
export interface DnsPgPoolExtras {
  /**
   * The engine that does the pool's work: `engine.status()`, and events such as `addresschange`. `undefined` where
   * the host is a socket path or a list of hosts, and the pool is the original's own.
   */
  readonly engine: Engine<unknown> | undefined;
}

/** Makes pools that take the place of `pg.Pool`. */
export interface DnsPgPoolConstructor {
  /**
   * Makes a pool.
   *
   * @typeParam P The module; what the pool gives is inferred from it.
   * @param pg The module: `import pg from "pg"`.
   * @param options As for `pg.Pool`, and dnspool's own.
   * @throws {TypeError} for an option that makes no sense here.
   * @throws {RangeError} for a number out of bounds.
   */
  new <P extends PgDriver>(
    pg: P,
    options?: DnsPgPoolOptions<P>,
  ): InstanceType<P["Pool"]> & DnsPgPoolExtras;
}

/**
 * `pg.Pool`, but that every client it hands out is open to an address that the host name has now: an instance of the
 * `pg.Pool` passed in, with its methods, events, counters and options.
 *
 * Idle clients are closed as soon as their address departs, those in use when they are released; the next `connect`
 * gives a client that is open to the new address.
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
  function DnsPgPool(pg: PgDriver, options?: Given) {
    return new (poolClassOf(checkDriver(pg)))(options);
  },
  Symbol.hasInstance,
  { value: isDnsPgPool },
) as unknown as DnsPgPoolConstructor;

/**
 * A module like `pg` whose `Pool` and `Client` follow DNS, for libraries that are given the module: TypeORM's `driver`,
 * Sequelize's `dialectModule`. Everything else is the module's own.
 *
 * Its `Pool` is a {@linkcode DnsPgPool}. Its `Client` dials an address that its host's name has at that moment; once
 * the address departs, the client tells the validation of Sequelize and of Knex that it is of no use, and is closed
 * when nobody uses it any more. A `Client` that is closed because its address departed emits `end`.
 *
 * @typeParam P The module's type.
 * @param pg The module: `import pg from "pg"`.
 * @param options dnspool's own, for all its pools and clients; a pool's own options win.
 * @returns The module.
 * @throws {TypeError} for an option that makes no sense here.
 * @throws {RangeError} for a number out of bounds.
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
  const Client = clientClass(driver, options);
  class Pool extends poolClassOf(driver) {
    constructor(given: Given = {}) {
      super({ ...options, ...copyOptions(given) });
    }
  }
  // The getter of `native` would look for another package; and what that connects by itself follows nothing.
  return moduleLike(pg, { Pool, Client, native: null });
}
