/**
 * Tests on servers whose programs the machine may lack. There they are skipped, with the reason in their name; where the
 * environment says `CI`, they run and fail.
 *
 * @module
 */

import { findMariadb } from "../scripts/lab/mariadb.ts";
import { findRedis } from "../scripts/lab/redis.ts";

/** A test, as `Deno.test(name, body)` takes it. */
type Register = (name: string, body: (t: Deno.TestContext) => void | Promise<void>) => void;

/** `Deno.test` for what needs a real MariaDB server. */
export const mariadbTest: Register = needing("MariaDB", findMariadb());

/** `Deno.test` for what needs a real Redis server. */
export const redisTest: Register = needing("Redis", findRedis());

function needing(what: string, found: unknown): Register {
  if (found !== undefined || Deno.env.get("CI")) return (name, body) => Deno.test(name, body);
  return (name, body) => Deno.test.ignore(`${name} (skipped: no ${what} on this machine)`, body);
}
