/**
 * The adapter for `npm:pg`, node-postgres.
 *
 * @module
 */

import { canonicalIp } from "../_ip.ts";
import type { Adapter, Role, Target } from "./adapter.ts";

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
  ssl?: boolean | { servername?: string };
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
  connection?: { stream?: { destroy(error?: Error): void } };
  readyForQuery?: boolean;
  getTransactionStatus?(): string | null;
}

/** The part of the module `pg` that the adapter needs. */
export interface PgModule<C extends PgClient> {
  /** The client class. */
  Client: new (config: PgConfig) => C;
}

/** Milliseconds before the first keepalive probe. */
const KEEPALIVE_MS = 30_000;

/** URL parameters that are handed to the driver, which hands most of them to the server. */
const PARAMS: ReadonlySet<string> = new Set([
  "application_name",
  "client_encoding",
  "fallback_application_name",
  "idle_in_transaction_session_timeout",
  "lock_timeout",
  "options",
  "query_timeout",
  "statement_timeout",
]);

/**
 * SQLSTATEs after which the connection is of no use (PostgreSQL, appendix A): 08 connection exceptions,
 * 57P01 to 57P05 server shutdown, crash, start-up and idle session time-out.
 */
const DISCONNECTED = /^(08...|57P0[1-5])$/;
/** 25006: read-only transaction. */
const READ_ONLY = "25006";
const SOCKET_ERRORS =
  /^(ECONNRESET|ECONNREFUSED|ECONNABORTED|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)$/;
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
    defaultPort: 5432,

    async connect(ip: string, target: Target): Promise<C> {
      const { signal } = target;
      const pg = await load();
      checkModule(pg);
      signal.throwIfAborted();
      const client = new pg.Client(configure(ip, target));
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
      await client.query(
        level === undefined
          ? "RESET default_transaction_isolation"
          : `SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL ${checkLevel(level)}`,
      );
    },

    async role(client: C): Promise<Role> {
      const { rows } = await client.query(
        "SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS readonly",
      );
      const { standby, readonly } = rows[0] as { standby: boolean; readonly: boolean };
      return { standby, readOnly: readonly };
    },

    classify,

    onClose(client: C, listener: (error?: unknown) => void): void {
      let told = false;
      const tell = (error?: Error) => {
        if (!told) listener(error);
        told = true;
      };
      client.on("error", tell);
      client.on("end", tell);
    },

    async query(client: C, text: string, values?: readonly unknown[]): Promise<readonly unknown[]> {
      const { rows } = await client.query(text, values ? [...values] : undefined);
      return rows;
    },
  };
}

function checkModule(pg: unknown): void {
  if (typeof (pg as { Client?: unknown } | null)?.Client === "function") return;
  throw new TypeError(
    'Cannot use this as the driver "pg": it has no class "Client", pass what `import pg from "pg"` gives',
  );
}

function configure(ip: string, target: Target): PgConfig {
  const { host, port, user, password, database, params, connectArgs, keepAlive } = target;
  const config: PgConfig & Record<string, unknown> = {
    ...(user !== undefined && { user }),
    ...(password !== undefined && { password }),
    ...(database !== undefined && { database }),
    ...readParams(params),
    keepAlive,
    keepAliveInitialDelayMillis: KEEPALIVE_MS,
    port,
    ...connectArgs,
    host: ip,
  };
  if (config.ssl) {
    // The socket goes to an IP, the certificate is for the name; an IP address may not stand in SNI (RFC 6066).
    const own = config.ssl === true ? {} : config.ssl;
    config.ssl = canonicalIp(host) === undefined ? { servername: host, ...own } : own;
  }
  return config;
}

function readParams(params: Target["params"]): Record<string, unknown> {
  const config: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(params)) {
    if (name !== "sslmode" && !PARAMS.has(name)) {
      const known = [...PARAMS, "sslmode"].sort().join(", ");
      throw new TypeError(
        `Cannot use the URL parameter "${name}": pg would ignore it; those it knows are ${known}, others go into "connectArgs"`,
      );
    }
    if (typeof value !== "string") {
      throw new TypeError(
        `Cannot use the URL parameter "${name}": it stands there ${value.length} times`,
      );
    }
    if (name === "sslmode") config.ssl = readSslMode(value);
    else config[name] = value;
  }
  return config;
}

function readSslMode(mode: string): boolean {
  if (mode === "verify-full") return true;
  if (mode === "disable") return false;
  throw new TypeError(
    `Cannot use sslmode=${mode}: it is "disable" or "verify-full"; for anything else set "ssl" in "connectArgs"`,
  );
}

/** The levels of the SQL standard; PostgreSQL takes all four. */
const LEVELS = ["read uncommitted", "read committed", "repeatable read", "serializable"];

function checkLevel(level: string): string {
  const plain = level.toLowerCase().replaceAll("_", " ");
  if (LEVELS.includes(plain)) return plain;
  throw new TypeError(
    `Cannot use the isolation level "${level}": it is one of ${LEVELS.join(", ")}`,
  );
}

function destroy<C extends PgClient>(client: C, reason?: Error): void {
  (client as unknown as PgInternals).connection?.stream?.destroy(
    reason instanceof Error ? reason : undefined,
  );
}

function classify(error: unknown): "disconnect" | "read-only" | undefined {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  if (code === READ_ONLY) return "read-only";
  if (typeof code === "string" && (DISCONNECTED.test(code) || SOCKET_ERRORS.test(code))) {
    return "disconnect";
  }
  return typeof message === "string" && DRIVER_SAYS.test(message) ? "disconnect" : undefined;
}
