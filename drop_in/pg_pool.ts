/**
 * A pool that takes the place of `pg.Pool`, and follows DNS.
 *
 * @module
 */

import type { Engine } from "../engine.ts";
import { checkDriver, type PgDriver } from "./_pg_module.ts";
import { poolClassOf } from "./_pg_pool_class.ts";
import type { DnsPoolOptions } from "./_pool_options.ts";

export type { DnsPoolOptions } from "./_pool_options.ts";
export type { PgDriver } from "./_pg_module.ts";

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
export const DnsPgPool: DnsPgPoolConstructor = function DnsPgPool(
  pg: PgDriver,
  options?: Readonly<Record<string, unknown>>,
) {
  const Pool = poolClassOf(checkDriver(pg));
  return new Pool(options);
} as unknown as DnsPgPoolConstructor;
