/**
 * The adapter for `npm:pg`, node-postgres.
 *
 * @module
 */

import { mustBe } from "../internal/argument_error.ts";
import { isSocketPath } from "../internal/host_name.ts";
import { asError, captureStackHere } from "../internal/thrown.ts";
import type {
  Adapter,
  BindValues,
  CancelOptions,
  Destination,
  Target,
  TlsState,
  TransactionStatus,
  Verdict,
} from "./adapter.ts";
import {
  addServerName,
  internalsOf,
  type PgClient,
  type PgModule,
  type PgResult,
  type WithCallback,
  withCallback,
} from "./pg/driver.ts";
import { readOptions } from "./pg/options.ts";
import {
  activityOf,
  followMessages,
  followReports,
  forgetStatements,
  reportedRoleOf,
  untilIdle,
} from "./pg/protocol.ts";
import { checkPasswords } from "./shared/params.ts";
import { asDriverError, matches } from "./shared/driver_error.ts";
import {
  classifyPostgres,
  DEFAULT_PORT,
  endsSession,
  isInFailedTransaction,
  isUnconfirmed,
  postgresCommit,
  postgresSessionMethods,
  postgresSocketPath,
  refusesPostgresClients,
  refusesPostgresLogin,
} from "./shared/postgres.ts";
import { postgresNotifications } from "./shared/postgres_notifications.ts";
import { cancelPostgres, secretOf } from "./shared/postgres_cancel.ts";
import { statusOf } from "./shared/postgres_protocol.ts";
import { planPostgresTransaction } from "./shared/postgres_transaction.ts";
import { postgresRoleMethods } from "./shared/postgres_role.ts";
import { onlyOnce, probeSocket } from "./shared/socket.ts";
import { checkTls, readTls, withServerName } from "./shared/tls.ts";
import { listOf } from "./shared/values.ts";

export type { PgClient, PgConfig, PgModule } from "./pg/driver.ts";
export type { TlsOptions } from "./shared/tls.ts";

/** The driver's messages for a connection that is lost, or whose answers are out of step. */
const DISCONNECTED =
  /^(Connection terminated|Client has encountered a connection error|Client was closed|Received unexpected \w+ message)/;

/**
 * Makes the adapter for `pg`.
 *
 * @param pg The module: `import pg from "pg"`.
 * @returns The adapter; its client is `pg.Client`.
 * @throws {TypeError} if `pg` is not that module.
 *
 * @example Pass the driver, so that leases have its client type
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
 * Makes the adapter for `pg` and loads the driver at the first connect.
 *
 * @param load Returns the module.
 * @returns The adapter.
 */
export function lazyPgAdapter<C extends PgClient>(load: () => Promise<PgModule<C>>): Adapter<C> {
  const ask = async (client: C, text: string) => {
    await untilIdle(client);
    return (await run(client, text, undefined) as PgResult).rows;
  };
  const session = postgresSessionMethods(ask);
  return {
    name: "pg",
    defaultPort: DEFAULT_PORT,

    check(destination: Destination): void {
      checkPasswords(destination, { functions: true });
      readOptions(destination);
      checkTls(destination);
    },

    socketPath: postgresSocketPath,

    load,

    async connect(ip: string, target: Target): Promise<C> {
      const pg = await load();
      checkModule(pg);
      return await open(pg, ip, target);
    },

    probe: (ip: string, target: Target) => probeSocket(ip, target),

    async close(client: C): Promise<void> {
      const end = client.end as unknown as WithCallback<[], void>;
      await withCallback<void>(
        (callback) => end.call(client, callback),
        () => internalsOf(client)._ended !== false,
      );
    },

    terminate,
    cancel,

    ref: (client: C) => internalsOf(client).ref?.(),
    unref: (client: C) => internalsOf(client).unref?.(),

    ...session,
    ...postgresRoleMethods({
      run: ask,
      reported: reportedRoleOf,
      isBusy: (client: C) => activityOf(client) === "running",
      processId: (client: C) => internalsOf(client).processID,
    }),

    async resetSession(client: C): Promise<void> {
      await session.resetSession(client);
      forgetStatements(client);
    },

    activity: activityOf,
    transactionStatus,
    commit: postgresCommit<C>({
      transactionStatus,
      send: async (client) => (await run(client, "COMMIT", undefined) as PgResult).command,
    }),
    tls: tlsState,
    classify,
    refusesLogin: refusesPostgresLogin,
    refusesClients: refusesPostgresClients,
    onClose,
    planTransaction: planPostgresTransaction,
    notifications: postgresNotifications<C>({
      run: ask,
      onNotify: (client, listener) =>
        void internalsOf(client).on?.(
          "notification",
          ({ channel, payload }) => listener(channel, payload ?? ""),
        ),
    }),

    onError(client: C, listener: (error: unknown) => void): void {
      // Before the driver's own listener, which reports the last error as the end of the connection.
      internalsOf(client).connection?.prependListener?.("errorMessage", (error) => {
        if (!isInFailedTransaction(asDriverError(error).code)) listener(error);
      });
      internalsOf(client).connection?.prependListener?.("notice", (notice) => {
        if (isUnconfirmed(notice)) listener(notice);
        if (endsSession(notice)) listener(Object.assign(new Error(notice.message), { ...notice }));
      });
    },

    async query(
      client: C,
      text: string,
      values?: BindValues,
      onDone?: () => void,
    ): Promise<readonly unknown[]> {
      try {
        return rowsOf(await run(client, text, values, onDone));
      } catch (error) {
        captureStackHere(error);
        throw error;
      }
    },
  };
}

function checkModule(pg: unknown): void {
  if (typeof (pg as { Client?: unknown } | null)?.Client === "function") return;
  throw mustBe("pg", 'what `import pg from "pg"` gives, with a class "Client"', pg);
}

async function open<C extends PgClient>(
  pg: PgModule<C>,
  ip: string,
  target: Target,
): Promise<C> {
  const { signal } = target;
  const ssl = await readTls(target);
  signal.throwIfAborted();
  const client = new pg.Client({
    ...readOptions(target),
    ...(ssl !== undefined && { ssl }),
    // The driver takes the directory, and adds the name of the socket.
    host: isSocketPath(ip) ? target.host : ip,
  });
  nameForPassword(client, { ip, host: target.host });
  // The environment may ask for TLS (`PGSSLMODE`).
  if (ssl === undefined) addServerName(client, target.host);
  // Without a listener, the `error` of an idle client ends the process.
  client.on("error", () => {});
  followReports(client);
  const onAbort = () => terminate(client, signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const connect = client.connect as unknown as WithCallback<[], unknown>;
    await withCallback<unknown>(
      (callback) => connect.call(client, callback),
      () => internalsOf(client)._connected !== false,
    );
    signal.throwIfAborted();
    if (target.passing) forgetPassword(client);
    followMessages(client);
    return client;
  } catch (error) {
    terminate(client);
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/**
 * Gives the host name to everything that reads the client's parameters: the lookup in .pgpass and a password function.
 * The socket goes to the client's `host`. A native client connects to what the parameters say, so they stay.
 */
function nameForPassword(client: PgClient, { ip, host }: { ip: string; host: string }): void {
  const { connection, connectionParameters } = internalsOf(client);
  if (connection && connectionParameters?.host === ip) connectionParameters.host = host;
}

/** Makes a client forget its password, which it needs for the login alone. */
function forgetPassword(client: PgClient): void {
  const internals = internalsOf(client);
  for (const holder of [internals, internals.connectionParameters]) {
    if (holder?.password !== undefined) holder.password = null;
  }
}

function terminate(client: PgClient, reason?: unknown): void {
  const stream = internalsOf(client).connection?.stream;
  // A subclass may do something else before it connects, such as asking for a password: the driver does not listen yet.
  stream?.on?.("error", () => {});
  stream?.destroy(asError(reason));
}

async function cancel(client: PgClient, { signal }: CancelOptions): Promise<void> {
  const { host, port, processID, secretKey, sslNegotiation, connection } = internalsOf(client);
  if (!processID || host === undefined || port === undefined) {
    throw new Error("The server gave no key to cancel statements with");
  }
  const { stream, ssl } = connection ?? {};
  const tls = stream?.encrypted && (ssl === true ? withServerName(host, {}) : ssl);
  const direct = sslNegotiation === "direct";
  const secret = typeof secretKey === "number" ? secretOf(secretKey) : secretKey!;
  // The driver makes the key of a client certificate non-enumerable.
  const options = tls ? { ...tls, ...(tls.key !== undefined && { key: tls.key }) } : undefined;
  const address = isSocketPath(host) ? postgresSocketPath(host, port) : host;
  await cancelPostgres(address, { port, keepAlive: false, signal, tls: options, direct }, {
    processId: processID,
    secret,
  });
}

function transactionStatus(client: PgClient): TransactionStatus | undefined {
  const { readyForQuery, getTransactionStatus } = internalsOf(client);
  // While a query is running, the status is that of the query before it.
  if (readyForQuery !== true) return undefined;
  return statusOf(getTransactionStatus?.call(client));
}

function tlsState(client: PgClient): TlsState | undefined {
  const { stream, ssl } = internalsOf(client).connection ?? {};
  if (!stream?.encrypted) return undefined;
  if (!stream.authorized) return { checked: "nothing" };
  // With a custom identity check, only the chain is known to be verified.
  const custom = typeof ssl === "object" ? ssl.checkServerIdentity : undefined;
  return { checked: custom === undefined ? "name" : "chain" };
}

function onClose(client: PgClient, listener: (error?: unknown) => void): void {
  const once = onlyOnce(listener);
  client.on("error", once);
  client.on("end", once);
}

/**
 * Runs one statement with a callback, as the driver's own pool does: a promise made by pg (8.23) keeps the result from
 * being collected while it is young, which costs a third more CPU time for results of 100 rows.
 */
function run(
  client: PgClient,
  text: string,
  values: BindValues | undefined,
  onDone?: () => void,
): Promise<PgResult | PgResult[]> {
  const query = client.query as unknown as WithCallback<
    [text: string, values: unknown[] | undefined],
    PgResult | PgResult[]
  >;
  return withCallback<PgResult | PgResult[]>(
    (callback) => query.call(client, text, values && listOf(values), callback),
    () => false,
    onDone,
  );
}

/** Returns the rows of the first result that has columns. */
function rowsOf(result: PgResult | PgResult[]): readonly unknown[] {
  if (!Array.isArray(result)) return result.rows;
  return result.find(({ fields }) => fields?.length)?.rows ?? [];
}

function classify(error: unknown): Verdict {
  if (isOutdatedPlan(error)) return "stale";
  const { message } = asDriverError(error);
  return matches(DISCONNECTED, message) ? "disconnect" : classifyPostgres(error);
}

/**
 * Returns whether an error says that the result of a named statement has other columns than when it was prepared, as
 * after a migration. The driver does not prepare it again: it fails for the rest of the session.
 */
function isOutdatedPlan(error: unknown): boolean {
  const { code, routine } = (error ?? {}) as { code?: unknown; routine?: unknown };
  return code === "0A000" && routine === "RevalidateCachedQuery";
}
