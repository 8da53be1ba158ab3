/**
 * Tests on servers whose programs the machine may lack. There they are skipped, with the reason in their name; where the
 * environment says `CI`, they run and fail.
 *
 * @module
 */

import process from "node:process";
import { findBind } from "../../lab/authority.ts";
import { findGalera } from "../../lab/galera.ts";
import { findMariadb } from "../../lab/mariadb.ts";
import { findPatroni } from "../../lab/patroni.ts";
import { findProxies } from "../../lab/proxies.ts";
import { findRedis } from "../../lab/redis.ts";
import { findResolver, type ResolverName } from "../../lab/resolvers.ts";

/** A test, as `Deno.test(name, body)` takes it. */
type Register = (name: string, body: () => void | Promise<void>) => void;

/** How the tests on one kind of server are registered. */
export interface Registration {
  readonly test: Register;
  /** All of them are skipped: nothing is to be started for them. */
  readonly skipped: boolean;
}

/** For servers that come with what the tests import. */
export const ALWAYS: Registration = { test: (name, body) => Deno.test(name, body), skipped: false };

/** For what needs a real MariaDB server. */
export const ON_MARIADB: Registration = needing("MariaDB", findMariadb());

/** `Deno.test` for what needs a real MariaDB server. */
export const mariadbTest: Register = ON_MARIADB.test;

/** `Deno.test` for what needs a real Galera cluster. */
export const galeraTest: Register = needing("Galera", findGalera()).test;

/** `Deno.test` for what needs a real Redis server. */
export const redisTest: Register = needing("Redis", findRedis()).test;

/** `Deno.test` for what needs a real cluster of Patroni, and BIND. */
export const patroniTest: Register = needing("Patroni", findBind() && findPatroni()).test;

/** `Deno.test` for what needs real proxies: PgBouncer and HAProxy. */
export const proxiesTest: Register = needing("PgBouncer or no HAProxy", findProxies()).test;

/** Returns `Deno.test` for what needs BIND as the authority, and these resolvers in front of it. */
export function resolverTest(names: readonly ResolverName[]): Register {
  const missing = names.filter((name) => !findResolver(name).found);
  if (!findBind() && !missing.includes("BIND")) missing.unshift("BIND");
  return needing(missing.join(" and no "), missing.length === 0 ? true : undefined).test;
}

function needing(what: string, found: unknown): Registration {
  if (found !== undefined || process.env.CI) return ALWAYS;
  return {
    test: (name, body) => Deno.test.ignore(`${name} (skipped: no ${what} on this machine)`, body),
    skipped: true,
  };
}
