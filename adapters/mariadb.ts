/**
 * The adapter for `npm:mariadb`.
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
  driverOf,
  emitterOf,
  type ErrorTap,
  isBusy,
  loggerOf,
  runStatement,
  streamOf,
  tapLastWords,
  terminateClient,
  withErrorListener,
} from "./mariadb/connection.ts";
import type { MariadbClient, MariadbModule } from "./mariadb/driver.ts";
import { readOptions } from "./mariadb/options.ts";
import { checkPasswords, reopener } from "./shared/params.ts";
import { asDriverError, connectionClosed } from "./shared/driver_error.ts";
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
import { MysqlSession, mysqlTransactionMethods } from "./shared/mysql_session.ts";
import {
  completeHandshake,
  dialSocket,
  dialThroughLoss,
  onFirstByte,
  onlyOnce,
} from "./shared/socket.ts";
import { checkTls, readTls, verifyTls } from "./shared/tls.ts";

export type {
  MariadbClient,
  MariadbConfig,
  MariadbLogger,
  MariadbModule,
  MariadbStatement,
} from "./mariadb/driver.ts";

/** What the adapter keeps about an open connection. */
interface ConnectionRecord<C = unknown> {
  readonly core: CoreConnection;
  /** The socket that was dialed; with TLS, `core.socket` is another one. */
  readonly socket: Socket;
  /** The port of that socket on this side, which a closed socket no longer tells. */
  readonly localPort: number | undefined;
  readonly tls: TlsState | undefined;
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

/** Numbers of the driver's own errors after which the connection cannot be used. */
const DISCONNECTED = new Set([
  45001, // the connection is closed
  45004, // the connection was destroyed
  45009, // the socket was closed
  45011, // an unexpected packet, after which the driver closes
  45012, // connect timeout
  45013, // no new commands: the connection is closed
  45014, // an unexpected packet in the answer to a change of the user
  45015, // an unexpected packet in the answer to a ping
  45019, // an error of the socket
  45020, // an unexpected packet at the end of a result
  45026, // the socket was silent for too long
  45032, // an unexpected packet in the answer to a reset
  45042, // no answer to a ping in time
]);

const EXPECTED_MODULE = 'what `import * as mariadb from "mariadb"` gives';

/** The first version with the identity check and the logger that the adapter relies on. */
const MIN_VERSION = [3, 4];

const RECORDS = new WeakMap<object, ConnectionRecord>();

/**
 * Makes the adapter for `mariadb`.
 *
 * @param mariadb The module: `import * as mariadb from "mariadb"`, or its default export.
 * @returns The adapter; its client is the driver's `Connection` with promises.
 * @throws {TypeError} if `mariadb` is not that module, or too old.
 *
 * @example Pass the driver, so that leases have its client type
 * ```ts
 * import { getDnsEngine } from "@dnspool/dnspool";
 * import { mariadbAdapter } from "@dnspool/dnspool/adapters/mariadb";
 * import * as mariadb from "npm:mariadb@^3.5";
 *
 * const engine = getDnsEngine("mariadb://app@db.internal/orders", {
 *   adapter: mariadbAdapter(mariadb),
 * });
 * await engine.close();
 * ```
 */
export function mariadbAdapter<C extends MariadbClient>(mariadb: MariadbModule<C>): Adapter<C> {
  checkModule(mariadb);
  return lazyMariadbAdapter(() => Promise.resolve(mariadb));
}

/**
 * Makes the adapter for `mariadb` and loads the driver at the first connect.
 *
 * @param load Returns the module.
 * @returns The adapter.
 */
export function lazyMariadbAdapter<C extends MariadbClient>(
  load: () => Promise<MariadbModule<C>>,
): Adapter<C> {
  return {
    name: "mariadb",
    defaultPort: DEFAULT_PORT,

    check(destination: Destination): void {
      checkPasswords(destination);
      readOptions(destination);
      checkTls(destination);
      refuseOtherServers(destination, ["stream", "permitRedirect"]);
    },

    socketPath: (path: string) => path,

    load,

    async connect(ip: string, target: Target): Promise<C> {
      const mariadb = await load();
      checkModule(mariadb);
      return await open(mariadb, ip, target);
    },

    async probe(ip: string, target: Target): Promise<void> {
      const mariadb = await load();
      checkModule(mariadb);
      await probeByGreeting(target, {
        open: (target, onGreeting) => open(mariadb, ip, target, onGreeting),
        close: (client) => closeClient(client, recordOf(client)),
      });
    },

    close(client: C): Promise<void> {
      const record = recordOf(client);
      return record.closing ??= closeClient(client, record);
    },

    terminate: (client: C, reason?: Error) => terminateClient(recordOf(client), reason),

    async cancel(client: C, { signal, terminated }: CancelOptions): Promise<void> {
      const { localPort, reopen } = recordOf(client) as ConnectionRecord<C>;
      await killQuery<C>({
        client,
        sessionId: Number(client.threadId),
        localPort,
        terminated,
        async open() {
          const other = await reopen(signal);
          return { client: other, localPort: recordOf(other).localPort };
        },
        ask,
        close: (other) => closeClient(other, recordOf(other)),
        terminate: (other) => terminateClient(recordOf(other)),
      }, signal);
    },

    ref: (client: C) => void liveSocket(client).ref(),
    unref: (client: C) => void liveSocket(client).unref(),

    ...mysqlSessionMethods<C>(ask),

    ...mysqlTransactionMethods((client: C) => recordOf(client).session),

    async resetSession(client: C): Promise<void> {
      const { core, user, newSession, session } = recordOf(client);
      refuseOtherUser(user, core.opts?.user);
      // The driver forgets its prepared statements, which the server drops, and sets up the session again.
      await client.reset();
      await restoreSession((text) => ask(client, text), newSession);
      await session.restoreAutocommit();
    },

    async noteSession(client: C): Promise<void> {
      recordOf(client).newSession = await askSession((text) => ask(client, text));
    },

    activity,
    tls: (client: C): TlsState | undefined => recordOf(client).tls,
    classify,
    refusesLogin: refusesMysqlLogin,
    onClose,

    onError(client: C, listener: (error: unknown) => void): void {
      recordOf(client).errorListener = listener;
    },

    query(client: C, text: string, values?: BindValues): Promise<readonly unknown[]> {
      const { session } = recordOf(client);
      return runStatement(client, text, values, session);
    },
  };
}

function recordOf(client: object): ConnectionRecord {
  return RECORDS.get(client)!;
}

function liveSocket(client: MariadbClient): Socket {
  const { core, socket } = recordOf(client);
  return core.socket ?? socket;
}

function checkModule(mariadb: unknown): void {
  const { createConnection, version, PromiseConnection } = (mariadb ?? {}) as {
    createConnection?: unknown;
    version?: unknown;
    PromiseConnection?: unknown;
  };
  if (typeof createConnection !== "function" || typeof version !== "string" || PromiseConnection) {
    throw mustBe("mariadb", EXPECTED_MODULE, mariadb);
  }
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > MIN_VERSION[0]! || major === MIN_VERSION[0] && minor >= MIN_VERSION[1]!) return;
  throw mustBe("mariadb", `of version ${MIN_VERSION.join(".")} or later`, version);
}

async function open<C extends MariadbClient>(
  mariadb: MariadbModule<C>,
  ip: string,
  target: Target,
  onGreeting?: () => void,
): Promise<C> {
  const { signal, keepAlive, connectArgs } = target;
  const reopen = reopener(target, (target) => open(mariadb, ip, target));
  const tls = await readTls(target);
  const options = readOptions(target);
  const { port } = options;
  const dial = (signal: AbortSignal) => dialSocket(ip, { port, keepAlive, signal });
  const socket = onGreeting
    ? await dialThroughLoss(ip, { port, keepAlive, signal })
    : await dial(signal);
  if (onGreeting) onFirstByte(socket, onGreeting);
  return await completeHandshake(socket, {
    signal,
    async run() {
      const errors: ErrorTap = {};
      const connecting = withErrorListener(() =>
        mariadb.createConnection({
          ...options,
          ...(tls && { ssl: tls }),
          stream: streamOf(socket, dial),
          logger: loggerOf({ connectArgs }, errors),
        })
      );
      if (typeof connecting?.then !== "function") {
        throw mustBe("mariadb", `${EXPECTED_MODULE}, with promises`, mariadb);
      }
      const client = await connecting;
      const core = coreOf(client);
      // The server may have closed it just after the login.
      if (core.fatalError && !core.socket) throw connectionClosed("ECONNRESET");
      const state = verifyTls(core.socket, tls);
      tapLastWords(core.socket ?? socket, core, errors);
      const driver = driverOf(client, core);
      const session = new MysqlSession(driver);
      if (driver.flags() !== undefined) await session.askSettings();
      const record: ConnectionRecord<C> = {
        core,
        socket,
        localPort: socket.localPort,
        tls: state,
        session,
        reopen,
        user: core.opts?.user,
      };
      errors.listener = (error) => {
        session.noteError(error);
        record.errorListener?.(error);
      };
      RECORDS.set(client, record);
      return client;
    },
  });
}

function activity(client: MariadbClient): Activity | undefined {
  if (!client.isValid()) return "ended";
  const { core } = recordOf(client);
  const busy = isBusy(core);
  if (!busy) return busy === undefined ? undefined : "none";
  return core.socket?.isPaused() ? "stuck" : "running";
}

function onClose(client: MariadbClient, listener: (error?: unknown) => void): void {
  const once = onlyOnce(listener);
  emitterOf(client).on("error", once);
  emitterOf(client).on("end", () => once());
  recordOf(client).socket.once("close", () => once());
}

function classify(error: unknown): Verdict {
  const { errno } = asDriverError(error);
  return DISCONNECTED.has(errno as number) ? "disconnect" : classifyMysql(error);
}
