/**
 * The adapter for postgres.js as its engine and the drop-in share it: the connections, whatever makes the clients.
 *
 * @module
 */

import { mustBe } from "../../internal/argument_error.ts";
import type {
  Activity,
  Adapter,
  BindValues,
  CancelOptions,
  Destination,
  Target,
  TlsState,
  Verdict,
} from "../adapter.ts";
import type { PostgresjsOptions, PostgresjsSql } from "./driver.ts";
import {
  type DriverConnection,
  followCalls,
  type HolderCalls,
  mendCancel,
  rejectLate,
} from "./holder_calls.ts";
import { DriverSocket, OUT_OF_STEP } from "./socket.ts";
import { watchStatements } from "./statements.ts";
import { asDriverError, matches } from "../shared/driver_error.ts";
import {
  classifyPostgres,
  DEFAULT_PORT,
  postgresCommit,
  postgresSessionMethods,
  postgresSocketPath,
  refusesPostgresClients,
  refusesPostgresLogin,
} from "../shared/postgres.ts";
import { type BackendKey, cancelPostgres } from "../shared/postgres_cancel.ts";
import type { ErrorFields } from "../shared/postgres_protocol.ts";
import { postgresNotifications } from "../shared/postgres_notifications.ts";
import { planPostgresTransaction } from "../shared/postgres_transaction.ts";
import { postgresRoleMethods } from "../shared/postgres_role.ts";
import { dialPostgres } from "../shared/postgres_socket.ts";
import { probeSocket } from "../shared/socket.ts";
import { isEncrypted, type TlsOptions, verifyTls } from "../shared/tls.ts";
import { listOf } from "../shared/values.ts";

/** Members of a client that the driver's types leave out. */
interface Internals {
  readonly options?: { pass?: unknown };
  PostgresError?: new (fields: ErrorFields) => Error;
  listen?: () => Promise<never>;
  subscribe?: () => Promise<never>;
  /** Runs one statement; `onexecute` is given the connection. */
  unsafe(
    text: string,
    values: never[],
    options: { onexecute(connection: DriverConnection): boolean },
  ): PromiseLike<unknown>;
}

/** The statement that makes a client connect. */
export const FIRST = "SELECT 1";

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
export type NotifyListener = (channel: string, payload: string) => void;

/** The driver's codes for a lost connection. */
const DISCONNECTED = /^(CONNECTION_(CLOSED|ENDED|DESTROYED)|CONNECT_TIMEOUT)$/;

/** How the clients of an adapter are made. */
export interface ClientMaker<S> {
  /** Implements the adapter's `check`. */
  check(destination: Destination): void;
  /** Reads what a new client needs. */
  prepare(target: Target): Promise<ClientPlan<S>>;
}

/** What a new client needs. */
export interface ClientPlan<S> {
  /** TLS options; `false` or `undefined` for plain text. */
  readonly tls: TlsOptions | false | undefined;
  /** Whether TLS starts without a request. */
  readonly direct: boolean;
  /** Whether a server without TLS is spoken to in plain text. Default: no. */
  readonly tlsOptional?: boolean;
  /** Takes the notifications that the client receives. */
  readonly onnotify: NotifyListener | undefined;
  /** Creates the client. */
  create(own: Pick<PostgresjsOptions, "host" | "port" | "socket" | "onnotify">): S;
  /** Takes the connection of the client, once it has one. */
  onConnection?(sql: S, connection: DriverConnection): void;
}

/** An adapter, and what only the drop-in may use. */
export interface PostgresjsParts<S> {
  readonly adapter: Adapter<S>;
  /** Returns the socket of a client. */
  socketOf(sql: S): DriverSocket;
}

/**
 * Makes an adapter whose clients are made in a certain way.
 *
 * @param maker Makes the clients.
 */
export function adapterOf<S extends PostgresjsSql>(maker: ClientMaker<S>): PostgresjsParts<S> {
  const records: WeakMap<S, ConnectionRecord> = new WeakMap();
  const recordOf = (sql: S) => records.get(sql)!;
  const transactionStatus = (sql: S) => recordOf(sql).socket.transactionStatus;
  const ask = async (sql: S, text: string) => {
    const { socket } = recordOf(sql);
    const rows = [...await sql.unsafe(text)];
    await socket.untilCancelled();
    return rows;
  };
  const adapter: Adapter<S> = {
    name: "postgresjs",
    defaultPort: DEFAULT_PORT,
    socketPath: postgresSocketPath,

    check: (destination: Destination) => maker.check(destination),

    async connect(ip: string, target: Target): Promise<S> {
      const { sql, record } = await open(await maker.prepare(target), ip, target);
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
      isBusy: (sql: S) => recordOf(sql).socket.activity === "running",
      processId: (sql: S) => recordOf(sql).socket.backendKey?.processId,
    }),

    async resetSession(sql: S): Promise<void> {
      const results = [...await sql.unsafe(RESET_SESSION)] as { name: string }[][];
      const prepared = results.at(-1)!.map(({ name }) => `DEALLOCATE ${name}`);
      if (prepared.length > 0) await sql.unsafe(prepared.join(";"));
    },

    classify,
    refusesLogin: refusesPostgresLogin,
    refusesClients: refusesPostgresClients,

    onClose: (sql: S, listener: (error?: unknown) => void) =>
      void recordOf(sql).closeListeners.push(listener),
    onError: (sql: S, listener: (error: unknown) => void) =>
      void recordOf(sql).errorListeners.push(listener),

    planTransaction: planPostgresTransaction,
    notifications: postgresNotifications<S>({
      run: ask,
      onNotify: (sql, listener) => void recordOf(sql).notifyListeners.push(listener),
    }),

    query(sql: S, text: string, values?: BindValues): Promise<readonly unknown[]> {
      try {
        // Without `await`: for the driver's own kind of promise, that is one promise and one microtask more.
        const rows = sql.unsafe(text, listOf(values ?? [])) as Promise<Iterable<unknown>>;
        return rows.then((rows) => [...rows]);
      } catch (error) {
        return Promise.reject(error);
      }
    },
  };
  return { adapter, socketOf: (sql) => recordOf(sql).socket };
}

function activityOf({ socket, calls }: ConnectionRecord): Activity {
  if (calls.ended) return "ended";
  if (calls.unfinished > 0) return "stuck";
  const { activity } = socket;
  return activity === "none" && calls.files > 0 ? "running" : activity;
}

async function open<S extends PostgresjsSql>(
  { tls, direct, tlsOptional, onnotify, create, onConnection }: ClientPlan<S>,
  ip: string,
  target: Target,
): Promise<{ sql: S; record: ConnectionRecord }> {
  const { port, signal, keepAlive } = target;
  const server = { port, keepAlive, tls, direct, optional: tlsOptional };
  const dial = (signal: AbortSignal) => dialPostgres(ip, { ...server, signal });
  signal.throwIfAborted();
  const connected = await dial(signal);
  const record: ConnectionRecord = {
    get calls() {
      return calls;
    },
    tls: verifyTls(connected, tlsOptional && !isEncrypted(connected) ? undefined : tls),
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
      onClose: () => connection && rejectLate(connection),
    }),
  };
  const { socket } = record;
  let connection: DriverConnection | undefined;
  const sql = create({
    host: ip,
    port,
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
    const onexecute = (made: DriverConnection) => {
      connection = made;
      onConnection?.(sql, made);
      return true;
    };
    const ready = (sql as Internals).unsafe(FIRST, [], { onexecute });
    await socket.waitUntilReady(ready, signal);
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

/** Checks that a value is the driver. */
export function checkFunction(postgres: unknown): void {
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
