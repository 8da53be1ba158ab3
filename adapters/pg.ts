/**
 * The adapter for `npm:pg`, node-postgres.
 *
 * @module
 */

import { loginOf, type ParamKind, readParams } from "./shared/params.ts";
import {
  DEFAULT_PORT,
  isolationStatement,
  ROLE_QUERY,
  roleOf,
  SESSION_PARAMS,
  verdictOf,
} from "./shared/postgres.ts";
import { KEEPALIVE_MS, onlyOnce } from "./shared/socket.ts";
import { checkTls, named, readTls, type TlsOptions } from "./shared/tls.ts";
import { captureStackHere } from "../internal/thrown.ts";
import type { Adapter, Destination, Role, Target, TlsState } from "./adapter.ts";

export type { TlsOptions } from "./shared/tls.ts";

/** What the adapter sets on a new client; `connectArgs` may add whatever else the driver knows. */
export interface PgConfig {
  /** The IP address to dial. */
  host: string;
  /** TCP port. */
  port: number;
  /** User name. */
  user?: string;
  /** Password. */
  password?: string;
  /** Database name. */
  database?: string;
  /** TLS options, or `false` for none. */
  ssl?: TlsOptions | false;
  /** TCP keepalive. */
  keepAlive: boolean;
  /** Milliseconds before the first keepalive probe. */
  keepAliveInitialDelayMillis: number;
}

/** The part of `pg.Client` that the adapter needs. */
export interface PgClient {
  /** Opens the connection. */
  connect(): Promise<unknown>;
  /** Closes it. */
  end(): Promise<void>;
  /** Runs one statement. */
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
  /** Listens for `error` and `end`. */
  on(event: "error" | "end", listener: (error?: Error) => void): unknown;
}

/** What newer versions of `pg.Client` have besides, and what is not in its types. */
interface PgInternals {
  ref?(): void;
  unref?(): void;
  connection?: {
    stream?: PgStream;
    ssl?: TlsOptions | boolean;
    on?(event: "errorMessage", listener: (error: unknown) => void): unknown;
  };
  readyForQuery?: boolean;
  getTransactionStatus?(): string | null;
}

/** What a statement gives; several in one text give a list of these. */
interface PgResult {
  rows: unknown[];
  fields?: unknown[];
}

/** How the driver's own pool runs a statement. */
type QueryWithCallback = (
  text: string,
  values: unknown[] | undefined,
  done: (error: unknown, result?: PgResult | PgResult[]) => void,
) => Promise<PgResult | PgResult[]> | undefined;

/** A socket, and what those with TLS have besides. */
interface PgStream {
  destroy(error?: Error): void;
  encrypted?: boolean;
  authorized?: boolean;
}

/** The part of the module `pg` that the adapter needs. */
export interface PgModule<C extends PgClient> {
  /** The client class. */
  Client: new (config: PgConfig) => C;
}

/** URL parameters that are handed to the driver, which hands most of them to the server. */
const PARAMS: Readonly<Record<string, ParamKind>> = {
  ...SESSION_PARAMS,
  client_encoding: "text",
  query_timeout: "number",
  sslnegotiation: "text",
};

const DRIVER_SAYS =
  /^(Connection terminated|Client has encountered a connection error|Client was closed)/;

/**
 * Opens connections with `pg`.
 *
 * @param pg The module: `import pg from "pg"`.
 * @returns The adapter; its client is `pg.Client`.
 * @throws {TypeError} when `pg` is not that module.
 *
 * @example
 * ```ts
 * import { getDnsEngine } from "@dnspool/dnspool";
 * import { pgAdapter } from "@dnspool/dnspool/adapters/pg";
 * import pg from "npm:pg@^8.23";
 *
 * const engine = getDnsEngine("postgresql://app@db.internal/orders", { adapter: pgAdapter(pg) });
 * await engine.close();
 * ```
 */
export function pgAdapter<C extends PgClient>(pg: PgModule<C>): Adapter<C> {
  checkModule(pg);
  return lazyPgAdapter(() => Promise.resolve(pg));
}

/**
 * Opens connections with `pg`, which is loaded at the first connect.
 *
 * @param load Gives the module.
 * @returns The adapter.
 */
export function lazyPgAdapter<C extends PgClient>(load: () => Promise<PgModule<C>>): Adapter<C> {
  return {
    name: "pg",
    defaultPort: DEFAULT_PORT,

    check(destination: Destination): void {
      configure(destination);
      checkTls(destination);
    },

    async connect(ip: string, target: Target): Promise<C> {
      const { signal } = target;
      const pg = await load();
      checkModule(pg);
      const ssl = await readTls(target);
      signal.throwIfAborted();
      const client = new pg.Client({
        ...configure(target),
        ...(ssl !== undefined && { ssl }),
        host: ip,
      });
      if (ssl === undefined) nameForTls(client, target.host);
      // Without a listener, the `error` of an idle client ends the process.
      client.on("error", () => {});
      const onAbort = () => destroy(client, signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        await client.connect();
        signal.throwIfAborted();
        return client;
      } catch (error) {
        destroy(client);
        signal.throwIfAborted();
        throw error;
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    },

    async close(client: C): Promise<void> {
      await client.end();
    },

    terminate: destroy,

    ref: (client: C) => (client as unknown as PgInternals).ref?.(),
    unref: (client: C) => (client as unknown as PgInternals).unref?.(),

    async ping(client: C): Promise<void> {
      await client.query("SELECT 1");
    },

    async reset(client: C, how: "rollback" | "commit"): Promise<void> {
      await client.query(how === "commit" ? "COMMIT" : "ROLLBACK");
    },

    inTransaction(client: C): boolean | undefined {
      const { readyForQuery, getTransactionStatus } = client as unknown as PgInternals;
      // While a query is under way, the status is that of the one before.
      if (readyForQuery !== true) return undefined;
      const status = getTransactionStatus?.call(client);
      return status ? status !== "I" : undefined;
    },

    async setIsolationLevel(client: C, level: string | undefined): Promise<void> {
      await client.query(isolationStatement(level));
    },

    async role(client: C): Promise<Role> {
      return roleOf((await client.query(ROLE_QUERY)).rows[0]);
    },

    tls(client: C): TlsState | undefined {
      const { stream, ssl } = (client as unknown as PgInternals).connection ?? {};
      if (!stream?.encrypted) return undefined;
      if (!stream.authorized) return { checked: "nothing" };
      // Whoever checks the name himself may find any name good.
      const own = typeof ssl === "object" ? ssl.checkServerIdentity : undefined;
      return { checked: own === undefined ? "name" : "chain" };
    },

    classify,

    onClose(client: C, listener: (error?: unknown) => void): void {
      const tell = onlyOnce(listener);
      client.on("error", tell);
      client.on("end", tell);
    },

    onError(client: C, listener: (error: unknown) => void): void {
      (client as unknown as PgInternals).connection?.on?.("errorMessage", listener);
    },

    async query(client: C, text: string, values?: readonly unknown[]): Promise<readonly unknown[]> {
      try {
        return rowsOf(await run(client, text, values));
      } catch (error) {
        captureStackHere(error);
        throw error;
      }
    },
  };
}

/**
 * With a callback, as pg's own pool does it: a promise that pg makes (8.23) keeps the result from being collected while
 * it is young, which costs a third more CPU time with results of 100 rows. A client that gives a promise all the same
 * is as welcome.
 */
function run(
  client: PgClient,
  text: string,
  values: readonly unknown[] | undefined,
): Promise<PgResult | PgResult[]> {
  return new Promise((resolve, reject) => {
    const query = client.query as unknown as QueryWithCallback;
    const own = values && [...values];
    const promise = query.call(client, text, own, (error, result) => {
      if (error) reject(error);
      else resolve(result!);
    });
    promise?.then(resolve, reject);
  });
}

/** The rows of the first result that has any. */
function rowsOf(result: PgResult | PgResult[]): readonly unknown[] {
  if (!Array.isArray(result)) return result.rows;
  return result.find(({ fields }) => fields?.length)?.rows ?? [];
}

function checkModule(pg: unknown): void {
  if (typeof (pg as { Client?: unknown } | null)?.Client === "function") return;
  throw new TypeError(
    'Cannot use this as the driver "pg": it has no class "Client", pass what `import pg from "pg"` gives',
  );
}

/** Everything but TLS, whose files are still to be read. */
function configure(destination: Destination) {
  const { port, params, connectArgs, keepAlive } = destination;
  return {
    ...loginOf(destination),
    ...readParams(params, { name: "pg", known: PARAMS }),
    keepAlive,
    keepAliveInitialDelayMillis: KEEPALIVE_MS,
    port,
    ...connectArgs,
  };
}

/** Where pg was told of TLS by the environment (`PGSSLMODE`), it would check the certificate for the IP address. */
function nameForTls<C extends PgClient>(client: C, host: string): void {
  const { connection } = client as unknown as PgInternals;
  if (!connection?.ssl) return;
  connection.ssl = named(host, connection.ssl === true ? {} : connection.ssl);
}

function destroy<C extends PgClient>(client: C, reason?: Error): void {
  (client as unknown as PgInternals).connection?.stream?.destroy(
    reason instanceof Error ? reason : undefined,
  );
}

function classify(error: unknown): "disconnect" | "read-only" | undefined {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  if (typeof message === "string" && DRIVER_SAYS.test(message)) return "disconnect";
  return verdictOf(code);
}
