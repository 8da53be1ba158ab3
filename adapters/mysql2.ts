/**
 * The adapter for `npm:mysql2`.
 *
 * @module
 */

import type { Socket } from "node:net";
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
import {
  ask,
  closeClient,
  type CoreConnection,
  coreOf,
  isClosed,
  openClient,
  resetSession,
  runStatement,
} from "./mysql2/connection.ts";
import type { Mysql2Client, Mysql2Module, Mysql2PromiseModule } from "./mysql2/driver.ts";
import { readOptions } from "./mysql2/options.ts";
import { PacketObserver } from "./mysql2/packets.ts";
import { checkDriverTls, driverTls, readDriverTls } from "./mysql2/tls.ts";
import { checkPasswords, hidePassword, reopener } from "./shared/params.ts";
import { asDriverError, matches } from "./shared/driver_error.ts";
import {
  askSession,
  classifyMysql,
  DEFAULT_PORT,
  mysqlSessionMethods,
  type NewSession,
  probeByGreeting,
  refuseOtherServers,
  refuseOtherUser,
  refusesMysqlLogin,
  restoreSession,
} from "./shared/mysql.ts";
import { killQuery } from "./shared/mysql_cancel.ts";
import { IN_TRANSACTION, MysqlSession, mysqlTransactionMethods } from "./shared/mysql_session.ts";
import {
  completeHandshake,
  dialSocket,
  dialThroughLoss,
  onFirstByte,
  onlyOnce,
} from "./shared/socket.ts";
import { verifyTls } from "./shared/tls.ts";

export type {
  Mysql2Client,
  Mysql2Config,
  Mysql2Module,
  Mysql2PromiseModule,
  Mysql2Tls,
} from "./mysql2/driver.ts";

/** What the adapter keeps about an open connection. */
interface ConnectionRecord<C = unknown> {
  readonly core: CoreConnection;
  /** The socket that was dialed; with TLS, `core.stream` is another one. */
  readonly socket: Socket;
  /** The port of that socket on this side, which a closed socket no longer tells. */
  readonly localPort: number | undefined;
  readonly tls: TlsState | undefined;
  readonly observer: PacketObserver;
  readonly session: MysqlSession;
  errorListener?: (error: unknown) => void;
  /** Opens another connection to the same address. */
  readonly reopen: (signal: AbortSignal) => Promise<C>;
  /** The user that logged in. */
  readonly user: string | undefined;
  /** The state of the new session, if it was asked for. */
  newSession?: NewSession;
  closing?: Promise<void>;
}

/** The driver's codes for a lost connection. */
const DISCONNECTED_CODES = /^PROTOCOL_(CONNECTION_LOST|UNEXPECTED_PACKET|PACKETS_OUT_OF_ORDER)$/;
/** Its messages. In a TLS handshake, the driver keeps only the message of the socket's error: the last two. */
const DISCONNECTED =
  /^(Can't add new command when|Can't write in) |^(read|write) E[A-Z]+$|^Client network socket disconnected/;

const RECORDS = new WeakMap<object, ConnectionRecord>();

/**
 * Makes the adapter for `mysql2`.
 *
 * @param mysql2 The module: `import mysql from "mysql2/promise"`, or `"mysql2"`.
 * @returns The adapter; its client is the `Connection` of `mysql2/promise`, whichever module is given.
 * @throws {TypeError} if it is neither module.
 *
 * @example Pass the driver, so that leases have its client type
 * ```ts
 * import { getDnsEngine } from "@dnspool/dnspool";
 * import { mysql2Adapter } from "@dnspool/dnspool/adapters/mysql2";
 * import mysql from "npm:mysql2@^3.24/promise";
 *
 * const engine = getDnsEngine("mysql://app@db.internal/orders", { adapter: mysql2Adapter(mysql) });
 * await engine.close();
 * ```
 */
export function mysql2Adapter<C extends Mysql2Client>(
  mysql2: Mysql2PromiseModule<C> | Mysql2Module<C>,
): Adapter<C> {
  checkModule(mysql2);
  return lazyMysql2Adapter(() => Promise.resolve(mysql2));
}

/**
 * Makes the adapter for `mysql2` and loads the driver at the first connect.
 *
 * @param load Returns the module.
 * @returns The adapter.
 */
export function lazyMysql2Adapter<C extends Mysql2Client>(
  load: () => Promise<Mysql2PromiseModule<C> | Mysql2Module<C>>,
): Adapter<C> {
  return {
    name: "mysql2",
    defaultPort: DEFAULT_PORT,

    check(destination: Destination): void {
      checkPasswords(destination);
      readOptions(destination);
      checkDriverTls(destination);
      refuseOtherServers(destination, ["stream"]);
    },

    socketPath: (path: string) => path,

    load,

    async connect(ip: string, target: Target): Promise<C> {
      const mysql2 = await load();
      checkModule(mysql2);
      return await open(mysql2, ip, target);
    },

    async probe(ip: string, target: Target): Promise<void> {
      const mysql2 = await load();
      checkModule(mysql2);
      await probeByGreeting(target, {
        open: (target, onGreeting) => open(mysql2, ip, target, onGreeting),
        close: (client) => closeClient(client, recordOf(client)),
      });
    },

    close(client: C): Promise<void> {
      const record = recordOf(client);
      return record.closing ??= closeClient(client, record);
    },

    terminate,

    async cancel(client: C, { signal, terminated }: CancelOptions): Promise<void> {
      const { core, localPort, reopen } = recordOf(client) as ConnectionRecord<C>;
      await killQuery<C>({
        client,
        sessionId: core.threadId!,
        localPort,
        terminated,
        async open() {
          const other = await reopen(signal);
          return { client: other, localPort: recordOf(other).localPort };
        },
        ask,
        close: (other) => closeClient(other, recordOf(other)),
        terminate,
      }, signal);
    },

    ref: (client: C) => void recordOf(client).core.stream.ref(),
    unref: (client: C) => void recordOf(client).core.stream.unref(),

    ...mysqlSessionMethods<C>(ask),

    ...mysqlTransactionMethods((client: C) => recordOf(client).session),

    async resetSession(client: C): Promise<void> {
      const { core, user, newSession, session } = recordOf(client);
      refuseOtherUser(user, core.config?.user);
      await resetSession(core);
      await restoreSession((text) => ask(client, text), newSession);
      await session.restoreAutocommit();
    },

    async noteSession(client: C): Promise<void> {
      recordOf(client).newSession = await askSession((text) => ask(client, text));
    },

    activity: (client: C): Activity | undefined => {
      const { core, observer } = recordOf(client);
      return isClosed(core) ? "ended" : observer.activity;
    },
    tls: (client: C): TlsState | undefined => recordOf(client).tls,
    classify,
    refusesLogin: refusesMysqlLogin,
    onClose,

    onError(client: C, listener: (error: unknown) => void): void {
      recordOf(client).errorListener = listener;
    },

    query(client: C, text: string, values?: BindValues): Promise<readonly unknown[]> {
      const { core, session } = recordOf(client);
      return runStatement(core, text, values, session);
    },
  };
}

function recordOf(client: object): ConnectionRecord {
  return RECORDS.get(client)!;
}

function checkModule(mysql2: unknown): void {
  const { createConnection, PromiseConnection, Connection } = (mysql2 ?? {}) as {
    createConnection?: unknown;
    PromiseConnection?: unknown;
    Connection?: { prototype?: { promise?: unknown } };
  };
  const hasPromises = typeof PromiseConnection === "function" ||
    typeof Connection?.prototype?.promise === "function";
  if (typeof createConnection === "function" && hasPromises) return;
  throw mustBe(
    "mysql2",
    'what `import mysql from "mysql2/promise"` gives, of version 3.14 or later',
    mysql2,
  );
}

async function open<C extends Mysql2Client>(
  mysql2: Mysql2PromiseModule<C> | Mysql2Module<C>,
  ip: string,
  target: Target,
  onGreeting?: () => void,
): Promise<C> {
  const { signal, passing } = target;
  const reopen = reopener(target, (target) => open(mysql2, ip, target));
  const tls = await readDriverTls(target);
  const options = readOptions(target);
  const keepAlive = target.keepAlive && target.connectArgs.enableKeepAlive !== false;
  const dial = onGreeting ? dialThroughLoss : dialSocket;
  const socket = await dial(ip, { port: options.port, keepAlive, signal });
  if (onGreeting) onFirstByte(socket, onGreeting);
  return await completeHandshake(socket, {
    signal,
    async run() {
      const config = { ...options, stream: socket, ...driverTls(tls, socket) };
      const client = await openClient(mysql2, config);
      const core = coreOf(client);
      const state = verifyTls(core.stream, tls);
      if (passing) hidePassword(core.config);
      const record = recordFor(core, { socket, tls: state, reopen });
      RECORDS.set(client, record);
      if (record.observer.flags !== undefined) await record.session.askSettings();
      return client;
    },
    // Without an error, mysql2 would go on to close the TLS socket that it wraps around this one, and no listener
    // would take the error of that.
    abandon: () => void socket.destroy(new Error("The attempt was aborted")),
  });
}

function recordFor(
  core: CoreConnection,
  { socket, tls, reopen }: Pick<ConnectionRecord, "socket" | "tls" | "reopen">,
): ConnectionRecord {
  const observer = new PacketObserver(core);
  const session = new MysqlSession({
    flags: () => observer.flags,
    busy: () => observer.busy,
    run: (text) => runStatement(core, text, undefined),
    holdTransaction() {
      // The first flags after an error tell; those of a statement behind it would be of another transaction.
      const flags = observer.nextFlags();
      core.query("SET autocommit = 0", () => {});
      return flags.then((flags) => (flags & IN_TRANSACTION) !== 0);
    },
  });
  const record: ConnectionRecord = {
    core,
    socket,
    localPort: socket.localPort,
    tls,
    observer,
    session,
    reopen,
    user: core.config?.user,
  };
  observer.onError((error) => {
    session.noteError(error);
    record.errorListener?.(error);
  });
  return record;
}

function terminate(client: object, reason?: Error): void {
  const { core, socket } = recordOf(client);
  core.stream.destroy(reason);
  socket.destroy();
}

function onClose(client: object, listener: (error?: unknown) => void): void {
  const { core, socket } = recordOf(client);
  const once = onlyOnce(listener);
  core.on("error", (error) => {
    if ((error as { fatal?: boolean }).fatal) once(error);
  });
  for (const each of new Set([core.stream, socket])) each.once("close", () => once());
}

function classify(error: unknown): Verdict {
  const verdict = classifyMysql(error);
  if (verdict !== undefined) return verdict;
  const { code, message } = asDriverError(error);
  const lost = matches(DISCONNECTED_CODES, code) || matches(DISCONNECTED, message);
  return lost ? "disconnect" : undefined;
}
