/**
 * The adapter for `npm:postgres`, postgres.js.
 *
 * @module
 */

import { mustBe } from "../internal/argument_error.ts";
import type {
  Activity,
  Adapter,
  BindValues,
  CancelOptions,
  Destination,
  Target,
  TlsState,
  Verdict,
} from "./adapter.ts";
import type { PostgresjsFunction, PostgresjsSql } from "./postgresjs/driver.ts";
import { followCalls, type HolderCalls, mendCancel } from "./postgresjs/holder_calls.ts";
import {
  readOptions,
  refuseEnvironment,
  resolvePassword,
  usesDirectTls,
} from "./postgresjs/options.ts";
import { DriverSocket, OUT_OF_STEP } from "./postgresjs/socket.ts";
import { watchStatements } from "./postgresjs/statements.ts";
import { checkPasswords } from "./shared/params.ts";
import { asDriverError, matches } from "./shared/driver_error.ts";
import {
  classifyPostgres,
  DEFAULT_PORT,
  postgresCommit,
  postgresSessionMethods,
  refusesPostgresLogin,
} from "./shared/postgres.ts";
import { type BackendKey, cancelPostgres } from "./shared/postgres_cancel.ts";
import type { ErrorFields } from "./shared/postgres_protocol.ts";
import { postgresNotifications } from "./shared/postgres_notifications.ts";
import { planPostgresTransaction } from "./shared/postgres_transaction.ts";
import { postgresRoleMethods } from "./shared/postgres_role.ts";
import { dialPostgres } from "./shared/postgres_socket.ts";
import { probeSocket } from "./shared/socket.ts";
import { checkTls, readTls, verifyTls } from "./shared/tls.ts";
import { listOf } from "./shared/values.ts";

export type { PostgresjsFunction, PostgresjsOptions, PostgresjsSql } from "./postgresjs/driver.ts";

/** Members of a client that the driver's types leave out. */
interface Internals {
  readonly options?: { pass?: unknown };
  PostgresError?: new (fields: ErrorFields) => Error;
  listen?: () => Promise<never>;
  subscribe?: () => Promise<never>;
}

/**
 * Makes the session like a new one, in one transaction: what DISCARD ALL does, except for the statements that the driver
 * has prepared. Their names are the driver's own, and it cannot be made to forget them.
 */
const RESET_SESSION =
  "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); DISCARD PLANS; DISCARD TEMP; DISCARD SEQUENCES; SELECT quote_ident(name) AS name FROM pg_prepared_statements WHERE from_sql";

/** What the adapter keeps about an open connection. */
interface ConnectionRecord {
  readonly socket: DriverSocket;
  readonly calls: HolderCalls;
  readonly tls: TlsState | undefined;
  /** Sends a cancel request to the address of the connection. */
  readonly cancel: (key: BackendKey, signal: AbortSignal) => Promise<void>;
  readonly closeListeners: ((error?: unknown) => void)[];
  readonly errorListeners: ((error: unknown) => void)[];
  readonly notifyListeners: NotifyListener[];
}

/** Takes a channel and a payload. */
type NotifyListener = (channel: string, payload: string) => void;

/** The driver's codes for a lost connection. */
const DISCONNECTED = /^(CONNECTION_(CLOSED|ENDED|DESTROYED)|CONNECT_TIMEOUT)$/;

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
  const records: WeakMap<S, ConnectionRecord> = new WeakMap();
  const recordOf = (sql: S) => records.get(sql)!;
  const transactionStatus = (sql: S) => recordOf(sql).socket.transactionStatus;
  const ask = async (sql: S, text: string) => {
    const { socket } = recordOf(sql);
    const rows = [...await sql.unsafe(text)];
    await socket.untilCancelled();
    return rows;
  };
  return {
    name: "postgresjs",
    defaultPort: DEFAULT_PORT,

    check(destination: Destination): void {
      checkPasswords(destination, { functions: true });
      readOptions(destination);
      checkTls(destination);
      usesDirectTls(destination);
      refuseEnvironment();
    },

    async connect(ip: string, target: Target): Promise<S> {
      const postgres = await load();
      checkFunction(postgres);
      const { sql, record } = await open(postgres, ip, target);
      records.set(sql, record);
      return sql;
    },

    probe: (ip: string, target: Target) => probeSocket(ip, target),

    close: (sql: S) => recordOf(sql).calls.end(),
    terminate: (sql: S, reason?: Error) => recordOf(sql).socket.terminate(reason),
    async cancel(sql: S, { signal }: CancelOptions): Promise<void> {
      const { socket, cancel } = recordOf(sql);
      if (!socket.backendKey) throw new Error("The server gave no key to cancel statements with");
      await cancel(socket.backendKey, signal);
    },

    ref: (sql: S) => recordOf(sql).socket.ref(),
    unref: (sql: S) => recordOf(sql).socket.unref(),
    transactionStatus,
    commit: postgresCommit<S>({
      transactionStatus,
      send: async (sql) => (await sql.unsafe("COMMIT") as { command?: string }).command,
    }),
    tls: (sql: S) => recordOf(sql).tls,

    settle: (sql: S) => recordOf(sql).socket.settle(),
    activity: (sql: S) => activityOf(recordOf(sql)),

    ...postgresSessionMethods(ask),
    ...postgresRoleMethods({
      run: ask,
      reported: (sql: S) => recordOf(sql).socket.reportedRole,
      processId: (sql: S) => recordOf(sql).socket.backendKey?.processId,
    }),

    async resetSession(sql: S): Promise<void> {
      const results = [...await sql.unsafe(RESET_SESSION)] as { name: string }[][];
      const prepared = results.at(-1)!.map(({ name }) => `DEALLOCATE ${name}`);
      if (prepared.length > 0) await sql.unsafe(prepared.join(";"));
    },

    classify,
    refusesLogin: refusesPostgresLogin,

    onClose: (sql: S, listener: (error?: unknown) => void) =>
      void recordOf(sql).closeListeners.push(listener),
    onError: (sql: S, listener: (error: unknown) => void) =>
      void recordOf(sql).errorListeners.push(listener),

    planTransaction: planPostgresTransaction,
    notifications: postgresNotifications<S>({
      run: ask,
      onNotify: (sql, listener) => void recordOf(sql).notifyListeners.push(listener),
    }),

    async query(sql: S, text: string, values?: BindValues): Promise<readonly unknown[]> {
      return [...await sql.unsafe(text, listOf(values ?? []))];
    },
  };
}

function activityOf({ socket, calls }: ConnectionRecord): Activity {
  if (calls.ended) return "ended";
  if (calls.unfinished > 0) return "stuck";
  const { activity } = socket;
  return activity === "none" && calls.files > 0 ? "running" : activity;
}

async function open<S extends PostgresjsSql>(
  postgres: PostgresjsFunction<S>,
  ip: string,
  target: Target,
): Promise<{ sql: S; record: ConnectionRecord }> {
  const { signal, keepAlive } = target;
  refuseEnvironment();
  const tls = await readTls(target);
  const options = await resolvePassword(readOptions(target));
  const { port } = options;
  const server = { port, keepAlive, tls, direct: usesDirectTls(target) };
  const dial = (signal: AbortSignal) => dialPostgres(ip, { ...server, signal });
  signal.throwIfAborted();
  const connected = await dial(signal);
  const record: ConnectionRecord = {
    get calls() {
      return calls;
    },
    tls: verifyTls(connected, tls),
    cancel: (key, signal) => cancelPostgres(ip, { ...server, signal }, key),
    closeListeners: [],
    errorListeners: [],
    notifyListeners: [],
    socket: new DriverSocket(connected, { host: ip, port }, {
      toError: (fields) => toError(sql as Internals, fields),
      onError: (error) => record.errorListeners.forEach((listener) => listener(error)),
      onEnd(error) {
        record.closeListeners.forEach((listener) => listener(error));
        const emitClose = () => record.socket.emitClose();
        record.calls.end({ timeout: 0 }).then(emitClose, emitClose);
      },
    }),
  };
  const { socket } = record;
  const { onnotify } = options as { onnotify?: NotifyListener };
  const sql = postgres({
    ...options,
    host: ip,
    socket: () => socket.nextForDriver(dial),
    onnotify(channel, payload) {
      for (const listener of record.notifyListeners) listener(channel, payload);
      onnotify?.(channel, payload);
    },
  });
  const calls = followCalls(sql, {
    onUnsendable: () => socket.noteBegun(),
    onMade: () => socket.noteMade(),
  });
  mendCancel(sql);
  refuseListen(sql as Internals);
  socket.followsStatements = watchStatements(sql, {
    onMade: () => socket.noteMade(),
    onBuilt: () => socket.noteBuilt(),
  });
  try {
    await socket.waitUntilReady(sql.unsafe("SELECT 1"), signal);
    if (target.passing) forgetPassword(sql as Internals);
    return { sql, record };
  } catch (error) {
    socket.terminate();
    signal.throwIfAborted();
    throw error;
  }
}

/** Makes a client forget its password, which it needs for the login alone: it never connects a second time. */
function forgetPassword({ options }: Internals): void {
  if (options?.pass !== undefined) options.pass = null;
}

function checkFunction(postgres: unknown): void {
  if (typeof postgres === "function") return;
  throw mustBe("postgres", 'the function that `import postgres from "postgres"` gives', postgres);
}

/** Refuses `listen` and `subscribe`: the driver would open a connection for them that the pool does not know. */
function refuseListen(sql: Internals): void {
  const refuse = (method: string, instead: string) => () =>
    Promise.reject(
      new TypeError(
        `Cannot call ${method}() on a connection of a pool: it opens another one, which would stay on its server when the name moves; ${instead}`,
      ),
    );
  sql.listen = refuse("listen", "use engine.listen()");
  sql.subscribe = refuse("subscribe", "use postgres() itself for it");
}

function toError(sql: Internals, fields: ErrorFields): Error {
  return sql.PostgresError
    ? new sql.PostgresError(fields)
    : Object.assign(new Error(fields.message), fields);
}

function classify(error: unknown): Verdict {
  const { code } = asDriverError(error);
  if (code === OUT_OF_STEP) return "closed";
  return matches(DISCONNECTED, code) ? "disconnect" : classifyPostgres(error);
}
