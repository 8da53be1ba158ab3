/**
 * The adapter for `npm:mariadb`.
 *
 * @module
 */

import type { Socket } from "node:net";
import {
  coreOf,
  emitterOf,
  type ErrorTap,
  isBusy,
  loggerOf,
  type MariadbCore,
  streamOf,
} from "./mariadb/internals.ts";
import type { MariadbClient, MariadbModule } from "./mariadb/driver.ts";
import {
  askRole,
  classifyMysql,
  DEFAULT_PORT,
  portOf,
  refuseDetours,
  setLevel,
} from "./shared/mysql.ts";
import { loginOf, type ParamKind, readParams } from "./shared/params.ts";
import { closeOf, dialSocket, handshakeOn, onlyOnce } from "./shared/socket.ts";
import { checkSecured, checkTls, readTls } from "./shared/tls.ts";
import type { Adapter, Destination, Role, Target, TlsState } from "./adapter.ts";

export type {
  MariadbClient,
  MariadbConfig,
  MariadbLogger,
  MariadbModule,
  MariadbStatement,
} from "./mariadb/driver.ts";

/** What is kept of a connection that was opened here. */
interface Link {
  readonly core: MariadbCore;
  /** What was dialled. */
  readonly socket: Socket;
  readonly tls: TlsState | undefined;
  readonly errors: ErrorTap;
  closing?: Promise<void>;
}

/** URL parameters that are handed to the driver. */
const PARAMS: Readonly<Record<string, ParamKind>> = {
  allowPublicKeyRetrieval: "boolean",
  arrayParenthesis: "boolean",
  autoJsonMap: "boolean",
  bigIntAsNumber: "boolean",
  bigNumberStrings: "boolean",
  bitOneIsBoolean: "boolean",
  bulk: "boolean",
  cachingRsaPublicKey: "text",
  charset: "text",
  checkDuplicate: "boolean",
  checkNumberRange: "boolean",
  collation: "text",
  compress: "boolean",
  dateStrings: "boolean",
  decimalAsNumber: "boolean",
  foundRows: "boolean",
  initSql: "text",
  insertIdAsNumber: "boolean",
  jsonStrings: "boolean",
  logParam: "boolean",
  maxAllowedPacket: "number",
  metaAsArray: "boolean",
  multipleStatements: "boolean",
  namedPlaceholders: "boolean",
  nestTables: "boolean",
  permitConnectionWhenExpired: "boolean",
  permitLocalInfile: "boolean",
  permitSetMultiParamEntries: "boolean",
  pipelining: "boolean",
  prepareCacheLength: "number",
  queryTimeout: "number",
  restrictedAuth: "text",
  rowsAsArray: "boolean",
  rsaPublicKey: "text",
  socketTimeout: "number",
  supportBigNumbers: "boolean",
  timezone: "text",
  trace: "boolean",
};

/** Numbers of the driver's own errors after which the connection is of no use. */
const DISCONNECTED = new Set([
  45001, // it is closed
  45004, // destroyed
  45009, // the socket was closed
  45011, // an unexpected packet, after which it closes
  45012, // no connection in time
  45013, // no new commands: it is closed
  45019, // an error of the socket
  45026, // the socket was silent for too long
  45042, // no answer to a ping in time
]);

const WRONG_MODULE =
  'Cannot use this as the driver "mariadb": it is another module, pass what `import * as mariadb from "mariadb"` gives';

/** The first version whose identity check and logger are as they are counted on here. */
const OLDEST = [3, 4];

/** The server's flag for an open transaction. */
const IN_TRANSACTION = 1;

const LINKS = new WeakMap<object, Link>();

/**
 * Opens connections with `mariadb`.
 *
 * @param mariadb The module: `import * as mariadb from "mariadb"`, or its default export.
 * @returns The adapter; its client is the driver's `Connection` with promises.
 * @throws {TypeError} when `mariadb` is not that module, or too old.
 *
 * @example
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
 * Opens connections with `mariadb`, which is loaded at the first connect.
 *
 * @param load Gives the module.
 * @returns The adapter.
 */
export function lazyMariadbAdapter<C extends MariadbClient>(
  load: () => Promise<MariadbModule<C>>,
): Adapter<C> {
  return {
    name: "mariadb",
    defaultPort: DEFAULT_PORT,

    check(destination: Destination): void {
      configure(destination);
      checkTls(destination);
      refuseDetours(destination, ["stream", "permitRedirect"]);
    },

    async connect(ip: string, target: Target): Promise<C> {
      const { signal } = target;
      const mariadb = await load();
      checkModule(mariadb);
      const tls = await readTls(target);
      const config = configure(target);
      const dial = (signal: AbortSignal) =>
        dialSocket(ip, { port: config.port, keepAlive: target.keepAlive, signal });
      const socket = await dial(signal);
      return handshakeOn(socket, {
        signal,
        async connect() {
          const errors: ErrorTap = {};
          const connecting = mariadb.createConnection({
            ...config,
            ...(tls && { ssl: tls }),
            stream: streamOf(socket, dial),
            logger: loggerOf(target, errors),
          });
          if (typeof connecting?.then !== "function") throw new TypeError(WRONG_MODULE);
          const client = await connecting;
          const core = coreOf(client);
          const state = checkSecured(core.socket, tls);
          LINKS.set(client, { core, socket, tls: state, errors });
          return client;
        },
      });
    },

    close(client: C): Promise<void> {
      const link = LINKS.get(client)!;
      return link.closing ??= sayGoodbye(client, link);
    },

    terminate: (client: C, reason?: Error) => drop(LINKS.get(client)!, reason),

    ref: (client: C) => void liveSocket(client).ref(),
    unref: (client: C) => void liveSocket(client).unref(),

    async ping(client: C): Promise<void> {
      await client.ping();
    },

    async reset(client: C, how: "rollback" | "commit"): Promise<void> {
      await client.query(how === "commit" ? "COMMIT" : "ROLLBACK");
    },

    inTransaction(client: C): boolean | undefined {
      if (isBusy(LINKS.get(client)!.core) !== false) return undefined;
      // After an error, which does not say, the driver takes it that a transaction is open.
      return ((client.info as { status: number }).status & IN_TRANSACTION) !== 0;
    },

    async setIsolationLevel(client: C, level: string | undefined): Promise<void> {
      await setLevel((text) => ask(client, text), level);
    },

    role: (client: C): Promise<Role> => askRole((text) => ask(client, text)),

    tls: (client: C): TlsState | undefined => LINKS.get(client)!.tls,

    classify,

    onClose(client: C, listener: (error?: unknown) => void): void {
      const tell = onlyOnce(listener);
      emitterOf(client).on("error", tell);
      emitterOf(client).on("end", () => tell());
      LINKS.get(client)!.socket.once("close", () => tell());
    },

    onError(client: C, listener: (error: unknown) => void): void {
      LINKS.get(client)!.errors.listener = listener;
    },

    async query(client: C, text: string, values?: readonly unknown[]): Promise<readonly unknown[]> {
      // With values, a prepared statement: the driver would put them into the text, which a server quotes in errors.
      const statement = { sql: text, metaAsArray: false };
      return rowsOf(
        values?.length
          ? await client.execute(statement, [...values])
          : await client.query(statement),
      );
    },
  };
}

function checkModule(mariadb: unknown): void {
  const { createConnection, version, PromiseConnection } = (mariadb ?? {}) as {
    createConnection?: unknown;
    version?: unknown;
    PromiseConnection?: unknown;
  };
  if (typeof createConnection !== "function" || typeof version !== "string" || PromiseConnection) {
    throw new TypeError(WRONG_MODULE);
  }
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > OLDEST[0]! || major === OLDEST[0] && minor >= OLDEST[1]!) return;
  throw new TypeError(
    `Cannot use mariadb ${version}: install version ${OLDEST.join(".")} or later`,
  );
}

/** Everything but TLS, whose files are still to be read, and what belongs to one connection. */
function configure(destination: Destination) {
  const { host, params, connectArgs } = destination;
  const { ssl: _, ...args } = connectArgs;
  return {
    ...loginOf(destination),
    connectTimeout: 0,
    logParam: false,
    ...readParams(params, { name: "mariadb", known: PARAMS }),
    ...args,
    permitRedirect: false,
    port: portOf(destination),
    host,
  };
}

function liveSocket(client: MariadbClient): Socket {
  const { core, socket } = LINKS.get(client)!;
  return core.socket ?? socket;
}

/** Runs one statement of the adapter's own, so that the user's settings do not change its rows. */
function ask(client: MariadbClient, sql: string): Promise<unknown> {
  const plain = { rowsAsArray: false, nestTables: false, metaAsArray: false, typeCast: undefined };
  return client.query({ sql, ...plain });
}

async function sayGoodbye(client: MariadbClient, link: Link): Promise<void> {
  // Its `end()` would leave a statement that is under way pending for ever.
  if (isBusy(link.core)) return drop(link);
  const closed = closeOf(link.socket);
  await client.end();
  await closed;
}

/** Its own `destroy()` would first open another connection, to kill the session. */
function drop({ core, socket }: Link, reason?: Error): void {
  const lost = () =>
    Object.assign(new Error("The connection was closed"), { code: "ECONNABORTED" });
  core.fatalError?.(reason ?? lost(), true);
  socket.destroy();
}

/** The rows of the first result that has any: a procedure gives several. */
function rowsOf(result: unknown): readonly unknown[] {
  if (!Array.isArray(result)) return [];
  return "meta" in result ? result : result.find((each) => Array.isArray(each)) ?? [];
}

function classify(error: unknown): "disconnect" | "read-only" | undefined {
  const { errno } = (error ?? {}) as { errno?: unknown };
  return DISCONNECTED.has(errno as number) ? "disconnect" : classifyMysql(error);
}
