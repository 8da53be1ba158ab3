/**
 * The adapter for `npm:postgres`, postgres.js.
 *
 * @module
 */

import type { Adapter } from "./adapter.ts";
import { adapterOf, checkFunction, type NotifyListener } from "./postgresjs/clients.ts";
import type { PostgresjsFunction, PostgresjsSql } from "./postgresjs/driver.ts";
import {
  readOptions,
  refuseEnvironment,
  resolvePassword,
  usesDirectTls,
} from "./postgresjs/options.ts";
import { checkPasswords } from "./shared/params.ts";
import { checkTls, readTls } from "./shared/tls.ts";

export type { PostgresjsFunction, PostgresjsOptions, PostgresjsSql } from "./postgresjs/driver.ts";

/**
 * Makes the adapter for `postgres`. Each client is a `Sql` with one connection (`max: 1`), which is open already.
 *
 * @param postgres The function: `import postgres from "postgres"`. For clients of another type, a function that calls
 *   it: `(options) => postgres({ ...options, types })`.
 * @returns The adapter; its client is what `postgres` returns.
 * @throws {TypeError} if `postgres` is not a function.
 *
 * @example Pass the driver, so that leases have its client type
 * ```ts
 * import { getDnsEngine } from "@dnspool/dnspool";
 * import { postgresjsAdapter } from "@dnspool/dnspool/adapters/postgresjs";
 * import postgres from "npm:postgres@^3.4";
 *
 * const engine = getDnsEngine("postgresql://app@db.internal/orders", {
 *   adapter: postgresjsAdapter(postgres),
 * });
 * await engine.close();
 * ```
 */
export function postgresjsAdapter<S extends PostgresjsSql>(
  postgres: PostgresjsFunction<S>,
): Adapter<S> {
  checkFunction(postgres);
  return lazyPostgresjsAdapter(() => Promise.resolve(postgres));
}

/**
 * Makes the adapter for `postgres` and loads the driver at the first connect.
 *
 * @param load Returns the function.
 * @returns The adapter.
 */
export function lazyPostgresjsAdapter<S extends PostgresjsSql>(
  load: () => Promise<PostgresjsFunction<S>>,
): Adapter<S> {
  const { adapter } = adapterOf<S>({
    check(destination) {
      checkPasswords(destination, { functions: true });
      readOptions(destination);
      checkTls(destination);
      usesDirectTls(destination);
      refuseEnvironment();
    },

    async prepare(target) {
      const postgres = await load();
      checkFunction(postgres);
      refuseEnvironment();
      const tls = await readTls(target);
      const options = await resolvePassword(readOptions(target));
      return {
        tls,
        direct: usesDirectTls(target),
        onnotify: (options as { onnotify?: NotifyListener }).onnotify,
        create: (own) => postgres({ ...options, ...own }),
      };
    },
  });
  return { ...adapter, load };
}
