/**
 * A function that replaces `postgres` of postgres.js and follows DNS.
 *
 * @module
 */

import { checkFunction } from "../adapters/postgresjs/clients.ts";
import type { Engine } from "../engine.ts";
import { warnHostNotTracked } from "./shared/host_kind.ts";
import { checkDnsPoolOptions, type DnsPoolOptions, refuseWithoutEngine } from "./shared/options.ts";
import { withHosts } from "./postgresjs/hosts.ts";
import type { DriverFunction, PostgresDriver } from "./postgresjs/module.ts";
import { callDriver, checkOptions, kindOf, readArguments } from "./postgresjs/settings.ts";
import { createSql } from "./postgresjs/sql.ts";

export type { DnsPoolOptions } from "./shared/options.ts";
export type { PostgresDriver } from "./postgresjs/module.ts";

/** Options of {@linkcode dnsPostgres} beside those of `postgres()`. Durations are in seconds. */
export interface DnsPostgresOptions extends DnsPoolOptions {
  /**
   * Maximum time that a statement waits for a connection, in seconds: from 0, or `Infinity`. Default `Infinity`, as in
   * postgres.js; 30 with `targetSessionAttrs`. With another value, `connectRetry` is on by default.
   */
  poolTimeout?: number;
}

/** Members of what the function returns, beside those of postgres.js. */
export interface DnsPostgresExtras {
  /**
   * The engine behind it: `engine.status()`, and events such as `addresschange`. `undefined` if the host is a socket
   * path, for which everything is the original's.
   */
  readonly engine: Engine<unknown> | undefined;
}

/** What the function returns: the `Sql` of postgres.js. */
export type DnsSql<P extends PostgresDriver> = ReturnType<P> & DnsPostgresExtras;

/** The driver's options, without custom types, and dnspool's. */
export type DnsPostgresPoolOptions<P extends PostgresDriver> =
  & Omit<NonNullable<Parameters<P>[1]>, "types">
  & { types?: undefined }
  & DnsPostgresOptions;

/** The function `postgres`, which takes dnspool's options too. */
export type DnsPostgres<P extends PostgresDriver> =
  & {
    /**
     * Creates a pool.
     *
     * @param options The options of `postgres()`, and dnspool's.
     */
    (options?: DnsPostgresPoolOptions<P>): DnsSql<P>;
    /**
     * Creates a pool.
     *
     * @param url The connection string.
     * @param options The options of `postgres()`, and dnspool's.
     */
    (url: string, options?: DnsPostgresPoolOptions<P>): DnsSql<P>;
  }
  & P;

/**
 * Returns the function `postgres` with connections that follow DNS. It takes the same arguments, and dnspool's options
 * among them; what it returns has the members and types of postgres.js, with the driver's own queries.
 *
 * Each statement begins on a connection that is open to an address which the host name has then. When an address departs,
 * its idle connections are closed at once, those in use when their statements, transactions or reservations end, and the
 * next statement runs on the new address.
 *
 * @typeParam P The type of the function.
 * @param postgres The function: `import postgres from "postgres"`.
 * @param options dnspool's options for all pools. A pool's own options take precedence.
 * @returns The function.
 * @throws {TypeError} if an option cannot be used here, or has a value of the wrong kind.
 * @throws {RangeError} if a number is outside its range.
 *
 * @example
 * ```ts
 * import { dnsPostgres } from "@dnspool/dnspool/drop_in/postgresjs";
 * import postgres from "npm:postgres@^3.4";
 *
 * const sql = dnsPostgres(postgres)("postgres://app@db.internal/orders", { max: 20 });
 * export const paid = () => sql`SELECT * FROM orders WHERE paid`;
 * await sql.end();
 * ```
 */
export function dnsPostgres<P extends PostgresDriver>(
  postgres: P,
  options: DnsPostgresOptions = {},
): DnsPostgres<P> {
  checkFunction(postgres);
  const { poolTimeout: _, ...others } = options;
  checkDnsPoolOptions(others);
  const driver = postgres as unknown as DriverFunction;
  const made = (first?: unknown, second?: unknown) => {
    const read = readArguments(first, second, options as Record<string, unknown>);
    checkOptions(read);
    const given = withHosts(read);
    const original = callDriver(driver, given);
    const kind = kindOf(original.options);
    const { sql, engine } = kind === "socket"
      ? (refuseWithoutEngine(given.options, kind), { sql: original, engine: undefined })
      : createSql(driver, original, given);
    const { path, host } = original.options;
    warnHostNotTracked(path || (host.length > 1 ? "localhost" : host[0]!), "dnsPostgres");
    return Object.defineProperty(sql, "engine", { value: engine });
  };
  return Object.assign(made, postgres) as unknown as DnsPostgres<P>;
}
