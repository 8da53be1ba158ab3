/**
 * The adapter for `Bun.SQL`, the SQL client of Bun.
 *
 * @module
 */

import { DriverUnavailableError } from "../errors.ts";
import { mustBe, mustNotBeGiven, oneOf } from "../internal/argument_error.ts";
import { hostPort } from "../internal/ip.ts";
import { captureStackHere } from "../internal/thrown.ts";
import type {
  Adapter,
  BindValues,
  CancelOptions,
  Destination,
  Target,
  TlsState,
  Verdict,
} from "./adapter.ts";
import { BunSqlCalls } from "./bun_sql/calls.ts";
import {
  type DialectParts,
  DIALECTS,
  type Session,
  type SessionIdentity,
} from "./bun_sql/dialects.ts";
import type {
  BunSqlClient,
  BunSqlConstructor,
  BunSqlPool,
  BunSqlResult,
} from "./bun_sql/driver.ts";
import { SavepointTransaction } from "./bun_sql/mysql_transaction.ts";
import { asDriverError } from "./shared/driver_error.ts";
import {
  argName,
  checkPasswords,
  hidePassword,
  readParams,
  refuseLibpqArgs,
  reopener,
} from "./shared/params.ts";
import { onlyOnce } from "./shared/socket.ts";
import { checkTls, readTls, type TlsOptions } from "./shared/tls.ts";
import { listOf } from "./shared/values.ts";

export type { BunSqlClient, BunSqlResult } from "./bun_sql/driver.ts";

/** What the adapter keeps about an open connection. */
interface ConnectionRecord extends Session {
  /** The client with one connection, of which the adapter's client is the reserved one. */
  readonly pool: BunSqlPool;
  readonly tls: TlsState | undefined;
  readonly reopen: (signal: AbortSignal) => Promise<BunSqlClient>;
  identity: SessionIdentity;
  /** Whether the connection has ended, and why. */
  end?: { readonly error: unknown };
  listener?: (error?: unknown) => void;
  errorListener?: (error: unknown) => void;
}

/** Arguments that would send a connection elsewhere, or change how many there are. */
const REFUSED: Readonly<Record<string, string>> = {
  url: "the database URL says it",
  hostname: "every connection goes to an address of the host in the database URL",
  host: "every connection goes to an address of the host in the database URL",
  path: "every connection goes to an address of the host in the database URL",
  adapter: "the dialect says it",
  user: 'use "username"',
  pass: 'use "password"',
  db: 'use "database"',
  tls: 'use "ssl"',
  max: "the engine has the pool",
  idleTimeout: "the engine has the pool",
  maxLifetime: "the engine has the pool",
  connectionTimeout: 'use "connectTimeout" of the engine',
  onconnect: "the engine listens to it",
  onclose: "the engine listens to it",
};

const RECORDS = new WeakMap<object, ConnectionRecord>();

/**
 * Makes the adapter for `Bun.SQL`.
 *
 * @param dialect The server: `"postgresql"`, or `"mysql"` for MySQL and MariaDB.
 * @returns The adapter; its client is a reserved connection of `Bun.SQL`.
 * @throws {TypeError} if there is no such dialect.
 *
 * @example
 * ```ts
 * import { getDnsEngine } from "@dnspool/dnspool";
 * import { bunSqlAdapter } from "@dnspool/dnspool/adapters/bun_sql";
 *
 * const engine = getDnsEngine("postgresql://app@db.internal/orders", {
 *   adapter: bunSqlAdapter("postgresql"),
 * });
 * await engine.close();
 * ```
 */
export function bunSqlAdapter(dialect: "postgresql" | "mysql"): Adapter<BunSqlClient> {
  if (!Object.hasOwn(DIALECTS, dialect)) {
    throw mustBe("dialect", oneOf(Object.keys(DIALECTS)), dialect);
  }
  const parts = DIALECTS[dialect]!;
  return {
    name: "bun",
    defaultPort: parts.defaultPort,

    check(destination: Destination): void {
      checkPasswords(destination);
      readArgs(destination);
      checkTls(destination);
    },

    connect: (ip: string, target: Target) => open(parts, ip, target),

    async close(client: BunSqlClient): Promise<void> {
      await recordOf(client).pool.close({ timeout: 0 });
    },

    terminate(client: BunSqlClient): void {
      recordOf(client).pool.close({ timeout: 0 }).catch(() => {});
    },

    async cancel(client: BunSqlClient, { signal, terminated }: CancelOptions): Promise<void> {
      const { identity, reopen } = recordOf(client);
      await parts.cancel(ask, {
        client,
        identity,
        terminated,
        signal,
        async open() {
          const other = await reopen(signal);
          return { client: other, identity: recordOf(other).identity };
        },
        close: (other) => recordOf(other).pool.close({ timeout: 0 }),
        terminate: (other) => void recordOf(other).pool.close({ timeout: 0 }).catch(() => {}),
      });
    },

    ...parts.methods({
      ask,
      send,
      sessionOf: recordOf,
      open: (ip, target) => open(parts, ip, target),
      close: (client) => recordOf(client).pool.close({ timeout: 0 }),
      isLost: (error) => classify(parts, error) === "disconnect",
    }),

    activity: (client: BunSqlClient) => {
      const { end, calls } = recordOf(client);
      return end ? "ended" : calls.activity;
    },
    tls: (client: BunSqlClient): TlsState | undefined => recordOf(client).tls,
    classify: (error: unknown) => classify(parts, error),
    refusesLogin: (error: unknown) => parts.refusesLogin(serverError(error)),
    refusesClients: (error: unknown) => parts.refusesClients?.(serverError(error)) === true,

    onClose(client: BunSqlClient, listener: (error?: unknown) => void): void {
      const record = recordOf(client);
      record.listener = onlyOnce(listener);
      if (record.end) record.listener(record.end.error);
    },

    onError(client: BunSqlClient, listener: (error: unknown) => void): void {
      recordOf(client).errorListener = listener;
    },

    async query(client: BunSqlClient, text: string, values?: BindValues) {
      const list = values === undefined ? [] : listOf(values);
      parts.checkValues?.(text, list);
      try {
        const { calls } = recordOf(client);
        return rowsOf(await calls.run(text, list.length > 0 ? list : undefined));
      } catch (error) {
        captureStackHere(error);
        throw error;
      }
    },
  };
}

function recordOf(client: object): ConnectionRecord {
  return RECORDS.get(client)!;
}

/** Runs one statement of the adapter itself. */
async function ask(client: BunSqlClient, text: string): Promise<readonly unknown[]> {
  return rowsOf(await send(client, text));
}

function send(client: BunSqlClient, text: string): Promise<BunSqlResult> {
  return recordOf(client).calls.run(text, undefined);
}

/**
 * Returns the rows of the first result that has any: several statements give several results. They become a plain array,
 * because the driver's has the tag and the counts as well.
 */
function rowsOf(result: readonly unknown[]): readonly unknown[] {
  const isSeveral = result.length > 0 && result.every((each) => Array.isArray(each));
  return isSeveral
    ? [...(result as unknown[][]).find((rows) => rows.length > 0) ?? []]
    : [...result];
}

/** Reads the options from `connectArgs`. */
function readArgs(destination: Destination): Record<string, unknown> {
  const { params, connectArgs } = destination;
  readParams(params, "bun", {});
  refuseLibpqArgs(destination);
  for (const [name, reason] of Object.entries(REFUSED)) {
    if (connectArgs[name] !== undefined) throw mustNotBeGiven(argName(name), reason);
  }
  const { ssl: _, ...args } = connectArgs;
  return args;
}

/** Returns the constructor, which only Bun has. */
function bunSql(): BunSqlConstructor {
  const { Bun } = globalThis as { Bun?: { SQL?: BunSqlConstructor } };
  if (Bun?.SQL) return Bun.SQL;
  throw new DriverUnavailableError(
    'Cannot load the driver "bun": Bun.SQL exists on Bun only, and this is another runtime or an older Bun; use another driver',
    { driver: "bun" },
  );
}

async function open(parts: DialectParts, ip: string, target: Target): Promise<BunSqlClient> {
  const SQL = bunSql();
  const { signal, host, port, user, password, database } = target;
  const tls = await readTls(target);
  signal.throwIfAborted();
  const record = {} as ConnectionRecord;
  const pool = new SQL(`${parts.adapter}://${hostPort(ip, port)}/${sslMode(tls)}`, {
    // What is missing, Bun reads from the environment.
    username: user,
    password,
    database,
    ...readArgs(target),
    adapter: parts.adapter,
    ...(tls && { tls: bunTls(tls, host) }),
    max: 1,
    idleTimeout: 0,
    maxLifetime: 0,
    connectionTimeout: 0,
    onclose(error: unknown) {
      if (record.end) return;
      record.end = { error };
      record.listener?.(error ?? undefined);
    },
  });
  const abandon = () => void pool.close({ timeout: 0 }).catch(() => {});
  signal.addEventListener("abort", abandon, { once: true });
  try {
    const calls = new BunSqlCalls(await pool.reserve());
    const { client } = calls;
    const transaction = new SavepointTransaction((text) => calls.run(text, undefined, "quiet"));
    calls.onError = (error) => {
      if (parts.isConsequence?.(error)) return;
      transaction.noteError(error);
      record.errorListener?.(error);
    };
    Object.assign(record, {
      pool,
      calls,
      transaction,
      tls: tls ? { checked: checkedBy(tls) } : undefined,
      reopen: reopener(target, (target) => open(parts, ip, target)),
    });
    RECORDS.set(client, record);
    record.identity = await parts.identify(ask, client);
    if (target.passing) hidePassword((client as { options?: { password?: string } }).options);
    return client;
  } catch (error) {
    abandon();
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", abandon);
  }
}

/** Asks for TLS without a fallback to plain text: Bun takes the mode from the URL. */
function sslMode(tls: TlsOptions | false | undefined): string {
  if (!tls) return "?sslmode=disable";
  return `?sslmode=${tls.rejectUnauthorized === false ? "require" : "verify-full"}`;
}

function bunTls({ servername, ...tls }: TlsOptions, host: string): Record<string, unknown> {
  return { ...tls, serverName: servername ?? host };
}

function checkedBy({ rejectUnauthorized, checkServerIdentity }: TlsOptions): TlsState["checked"] {
  if (rejectUnauthorized === false) return "nothing";
  return checkServerIdentity ? "chain" : "name";
}

/** Returns an error with the server's code where the drivers have it: Bun has the SQLSTATE of PostgreSQL in `errno`. */
function serverError(error: unknown): unknown {
  const { errno } = asDriverError(error);
  if (!(error instanceof Error) || typeof errno !== "string") return error;
  const { message, severity, routine } = error as Error & { severity?: unknown; routine?: unknown };
  return Object.assign(new Error(message), { code: errno, severity, routine });
}

function classify(parts: DialectParts, error: unknown): Verdict {
  const { code } = asDriverError(error);
  const isLost = typeof code === "string" &&
    /^ERR_(POSTGRES|MYSQL)_(CONNECTION_|IDLE_TIMEOUT|LIFETIME_TIMEOUT)/.test(code);
  return isLost ? "disconnect" : parts.classify(serverError(error));
}
