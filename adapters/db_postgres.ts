/**
 * The adapter for `jsr:@db/postgres`, on Deno.
 *
 * @module
 */

import { askSystem, dialDbPostgres, type LookupAll } from "./db_postgres/dial.ts";
import type {
  DbPostgresClient,
  DbPostgresModule,
  DbPostgresOptions,
} from "./db_postgres/driver.ts";
import { classify, type Followed, Watch } from "./db_postgres/client_state.ts";
import { loginOf, only, type ParamKind, readParams } from "./shared/params.ts";
import {
  DEFAULT_PORT,
  isolationStatement,
  ROLE_QUERY,
  roleOf,
  SESSION_PARAMS,
} from "./shared/postgres.ts";
import { checkTls } from "./shared/tls.ts";
import type { Adapter, Destination, Role, Target, TlsState } from "./adapter.ts";

const PARAMS: Readonly<Record<string, ParamKind>> = SESSION_PARAMS;

/** Options of the driver that are not for the caller to set, and why. */
const REFUSED: Readonly<Record<string, string>> = {
  connection: "a connection that died is not dialled again, the pool opens another",
  host_type: "the address comes from DNS",
  tls: 'write "ssl": true, or an object with "ca", as for the other drivers',
};

export type { LookupAll } from "./db_postgres/dial.ts";
export type {
  DbPostgresClient,
  DbPostgresModule,
  DbPostgresOptions,
} from "./db_postgres/driver.ts";

/** What is known of a connection. */
interface Known {
  readonly watch: Watch;
  /** Where it leads, where it was dialled by name. */
  readonly address: string | undefined;
  readonly tls: TlsState | undefined;
}

/**
 * Opens connections with `@db/postgres`, 0.19 or later.
 *
 * Without TLS, it dials the address. With TLS, the driver cannot be told address and name apart: it dials by name, and
 * a connection is handed out only where it is certain which of the name's addresses it is open to.
 *
 * @param postgres The module: `import * as postgres from "@db/postgres"`.
 * @returns The adapter; its client is `Client`.
 * @throws {TypeError} when `postgres` is not that module.
 *
 * @example By URL, the driver is imported at the first connect
 * ```ts
 * import { getDnsEngine } from "@dnspool/dnspool";
 *
 * const engine = getDnsEngine("postgresql+db-postgres://app@db.internal/orders");
 * await engine.close();
 * ```
 *
 * @example Passed in, the connection has its type
 * ```ts ignore
 * import { getDnsEngine } from "@dnspool/dnspool";
 * import { dbPostgresAdapter } from "@dnspool/dnspool/adapters/db_postgres";
 * import { Client } from "jsr:@db/postgres@^0.19";
 *
 * const engine = getDnsEngine("postgresql://app@db.internal/orders", {
 *   adapter: dbPostgresAdapter({ Client }),
 * });
 * ```
 */
export function dbPostgresAdapter<C extends DbPostgresClient>(
  postgres: DbPostgresModule<C>,
): Adapter<C> {
  checkModule(postgres);
  return lazyDbPostgresAdapter(() => Promise.resolve(postgres));
}

/**
 * Opens connections with `@db/postgres`, which is loaded at the first connect.
 *
 * @param load Gives the module.
 * @param options `lookupAll`: what the operating system says of a name.
 * @returns The adapter.
 */
export function lazyDbPostgresAdapter<C extends DbPostgresClient>(
  load: () => Promise<DbPostgresModule<C>>,
  { lookupAll = askSystem }: { readonly lookupAll?: LookupAll } = {},
): Adapter<C> {
  const clients: WeakMap<C, Known> = new WeakMap();
  const known = (client: C) => clients.get(client)!;
  return {
    name: "db-postgres",
    defaultPort: DEFAULT_PORT,

    check(destination: Destination): void {
      configure(destination);
      checkSecurity(destination);
    },

    async connect(ip: string, target: Target): Promise<C> {
      const postgres = await load();
      checkModule(postgres);
      const options = configure(target);
      const { client, ...found } = await dialDbPostgres(ip, target, {
        postgres,
        lookupAll,
        options,
      });
      clients.set(client, { watch: new Watch(client as unknown as Followed), ...found });
      return client;
    },

    address: (client: C) => known(client).address,
    tls: (client: C) => known(client).tls,

    close: (client: C) => client.end(),

    terminate(client: C, reason: Error = new Error("The connection was closed")): void {
      known(client).watch.lose(reason);
      client.end().catch(() => {});
    },

    async ping(client: C): Promise<void> {
      await client.queryArray("SELECT 1");
    },

    reset: (client: C, how: "rollback" | "commit") => known(client).watch.reset(how),

    inTransaction: (client: C) => known(client).watch.inTransaction,

    async setIsolationLevel(client: C, level: string | undefined): Promise<void> {
      await client.queryArray(isolationStatement(level));
    },

    async role(client: C): Promise<Role> {
      return roleOf((await client.queryObject(ROLE_QUERY)).rows[0]);
    },

    classify,

    onClose: (client: C, listener: (error?: unknown) => void) =>
      void known(client).watch.onClose.push(listener),
    onError: (client: C, listener: (error: unknown) => void) =>
      void known(client).watch.onError.push(listener),

    async query(client: C, text: string, values?: readonly unknown[]): Promise<readonly unknown[]> {
      return (await client.queryObject(text, values ? [...values] : undefined)).rows;
    },
  };
}

function checkModule(postgres: unknown): void {
  if (typeof (postgres as { Client?: unknown } | null)?.Client === "function") return;
  throw new TypeError(
    'Cannot use this as the driver "db-postgres": it has no class "Client", pass what `import * as postgres from "@db/postgres"` gives',
  );
}

/** The driver verifies in full, or not at all; it has no client certificates, and nothing to set but authorities. */
function checkSecurity(destination: Destination): void {
  checkTls(destination);
  const { params, connectArgs } = destination;
  const mode = only(params, "sslmode");
  if (mode === "require" || mode === "verify-ca") {
    throw new TypeError(
      `Cannot use sslmode=${mode}: @db/postgres always verifies the certificate in full, write sslmode=verify-full`,
    );
  }
  const { ssl } = connectArgs;
  const own = typeof ssl === "object" ? Object.keys(ssl as object) : [];
  const files = ["sslcert", "sslkey"].filter((name) => only(params, name) !== undefined);
  const beyond = [...files, ...own.filter((name) => name !== "ca").map((name) => `ssl.${name}`)][0];
  if (beyond === undefined) return;
  throw new TypeError(
    `Cannot use "${beyond}": @db/postgres has no client certificates, and no options of TLS but "ca"; use the driver "pg" or "postgresjs"`,
  );
}

/** Everything but TLS, whose files are still to be read, and the address. */
function configure(destination: Destination): Omit<DbPostgresOptions, "hostname" | "tls"> {
  const { params, connectArgs, port } = destination;
  for (const [name, instead] of Object.entries(REFUSED)) {
    if (!(name in connectArgs)) continue;
    throw new TypeError(`Cannot use "${name}" in "connectArgs": ${instead}`);
  }
  const { application_name, fallback_application_name, options, ...session } = readParams(params, {
    name: "db-postgres",
    known: PARAMS,
  });
  const applicationName = application_name ?? fallback_application_name;
  const { ssl: _, hostname: _hostname, ...args } = connectArgs;
  const all = {
    ...loginOf(destination),
    ...(applicationName !== undefined && { applicationName: String(applicationName) }),
    port,
    ...args,
  };
  return {
    // As in libpq; the driver would have none.
    ...(all.user !== undefined && { database: all.user }),
    ...all,
    ...optionsOf(session, args.options ?? options),
    host_type: "tcp",
    connection: { attempts: 0 },
  };
}

/** The driver takes a text, or a record; the URL may have both. */
function optionsOf(
  session: Readonly<Record<string, unknown>>,
  options: unknown,
): { options?: string | Record<string, string> } {
  const settings = Object.entries(session).map(([name, value]) => [name, String(value)] as const);
  if (typeof options === "object" && options !== null) {
    return { options: { ...Object.fromEntries(settings), ...options } };
  }
  const text = settings.map(([name, value]) => `-c ${name}=${value}`);
  if (typeof options === "string" && options !== "") text.push(options);
  return text.length > 0 ? { options: text.join(" ") } : {};
}
