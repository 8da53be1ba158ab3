/**
 * The adapter for `jsr:@db/postgres`, on Deno.
 *
 * @module
 */

import { mustBe } from "../internal/argument_error.ts";
import type { Adapter, BindValues, Destination, Target, TlsState } from "./adapter.ts";
import {
  classify,
  ClientObserver,
  fieldsOf,
  type ObservableClient,
} from "./db_postgres/client_observer.ts";
import { askSystem, dialDbPostgres, type LookupAll } from "./db_postgres/dial.ts";
import type { DbPostgresClient, DbPostgresModule } from "./db_postgres/driver.ts";
import { checkDriverTls, readOptions } from "./db_postgres/options.ts";
import { checkPasswords } from "./shared/params.ts";
import {
  DEFAULT_PORT,
  postgresCommit,
  postgresSessionMethods,
  refusesPostgresClients,
  refusesPostgresLogin,
} from "./shared/postgres.ts";
import { planPostgresTransaction } from "./shared/postgres_transaction.ts";
import { postgresRoleMethods } from "./shared/postgres_role.ts";
import { probeSocket } from "./shared/socket.ts";
import { listOf } from "./shared/values.ts";

export type { LookupAll } from "./db_postgres/dial.ts";
export type {
  DbPostgresClient,
  DbPostgresModule,
  DbPostgresOptions,
} from "./db_postgres/driver.ts";

/** What the adapter keeps about an open connection. */
interface ConnectionRecord {
  readonly observer: ClientObserver;
  /** The address that it is connected to, if it was dialed by name. */
  readonly address: string | undefined;
  readonly tls: TlsState | undefined;
}

/**
 * Makes the adapter for `@db/postgres`, 0.19 or later.
 *
 * Without TLS, it connects to the IP address. With TLS, the driver cannot be given address and name separately: it
 * connects by name, and the connection is used only if it is certain which of the name's addresses it is open to.
 *
 * @param postgres The module: `import * as postgres from "@db/postgres"`.
 * @returns The adapter; its client is `Client`.
 * @throws {TypeError} if `postgres` is not that module.
 *
 * @example By URL, the driver is imported at the first connect
 * ```ts
 * import { getDnsEngine } from "@dnspool/dnspool";
 *
 * const engine = getDnsEngine("postgresql+db-postgres://app@db.internal/orders");
 * await engine.close();
 * ```
 *
 * @example Pass the driver, so that leases have its client type
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
 * Makes the adapter for `@db/postgres` and loads the driver at the first connect.
 *
 * @param load Returns the module.
 * @param options `lookupAll` asks the operating system for the addresses of a name. Default: `dns.lookup`.
 * @returns The adapter.
 */
export function lazyDbPostgresAdapter<C extends DbPostgresClient>(
  load: () => Promise<DbPostgresModule<C>>,
  { lookupAll = askSystem }: { readonly lookupAll?: LookupAll } = {},
): Adapter<C> {
  const records: WeakMap<C, ConnectionRecord> = new WeakMap();
  const recordOf = (client: C) => records.get(client)!;
  const transactionStatus = (client: C) => recordOf(client).observer.transactionStatus;
  const ask = async (client: C, text: string) => (await client.queryObject(text)).rows;
  return {
    name: "db-postgres",
    defaultPort: DEFAULT_PORT,

    check(destination: Destination): void {
      checkPasswords(destination);
      readOptions(destination);
      checkDriverTls(destination);
    },

    load,

    async connect(ip: string, target: Target): Promise<C> {
      const postgres = await load();
      checkModule(postgres);
      const dialOptions = { postgres, lookupAll, options: readOptions(target) };
      const { client, ...found } = await dialDbPostgres(ip, target, dialOptions);
      const observer = new ClientObserver(client as unknown as ObservableClient);
      records.set(client, { observer, ...found });
      return client;
    },

    probe: (ip: string, target: Target) => probeSocket(ip, target),

    address: (client: C) => recordOf(client).address,
    tls: (client: C) => recordOf(client).tls,

    close: (client: C) => client.end(),

    terminate(client: C, reason: Error = new Error("The connection was closed")): void {
      recordOf(client).observer.connectionLost(reason);
      client.end().catch(() => {});
    },

    ...postgresSessionMethods(ask),
    // The driver does not show what the server reports.
    ...postgresRoleMethods({ run: ask }),

    reset: (client: C, how: "rollback" | "commit") => recordOf(client).observer.reset(how),
    activity: (client: C) => recordOf(client).observer.activity,
    transactionStatus,
    commit: postgresCommit<C>({
      transactionStatus,
      send: async (client) => (await client.queryArray("COMMIT")).command,
    }),

    planTransaction: planPostgresTransaction,
    classify,
    refusesLogin: (error: unknown) => refusesPostgresLogin(fieldsOf(error)),
    refusesClients: (error: unknown) => refusesPostgresClients(fieldsOf(error)),

    onClose: (client: C, listener: (error?: unknown) => void) =>
      void recordOf(client).observer.closeListeners.push(listener),
    onError: (client: C, listener: (error: unknown) => void) =>
      void recordOf(client).observer.errorListeners.push(listener),

    async query(client: C, text: string, values?: BindValues): Promise<readonly unknown[]> {
      return (await client.queryObject(text, values && listOf(values))).rows;
    },
  };
}

function checkModule(postgres: unknown): void {
  if (typeof (postgres as { Client?: unknown } | null)?.Client === "function") return;
  const allowed = 'what `import * as postgres from "@db/postgres"` gives, with a class "Client"';
  throw mustBe("postgres", allowed, postgres);
}
