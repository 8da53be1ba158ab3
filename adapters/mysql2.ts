/**
 * The adapter for `npm:mysql2`.
 *
 * @module
 */

import type { Socket } from "node:net";
import {
  askRole,
  classifyMysql,
  DEFAULT_PORT,
  portOf,
  refuseDetours,
  setLevel,
} from "./shared/mysql.ts";
import type {
  Mysql2Client,
  Mysql2Config,
  Mysql2Module,
  Mysql2PromiseModule,
} from "./mysql2/driver.ts";
import { type PacketSource, PacketWatch } from "./mysql2/packets.ts";
import { checkTlsOptions, readMysql2Tls, secure } from "./mysql2/tls.ts";
import { loginOf, type ParamKind, readParams } from "./shared/params.ts";
import { closeOf, dialSocket, handshakeOn, onlyOnce } from "./shared/socket.ts";
import { checkSecured, checkTls } from "./shared/tls.ts";
import { captureStackHere } from "../internal/thrown.ts";
import type { Adapter, Destination, Role, Target, TlsState } from "./adapter.ts";

export type {
  Mysql2Client,
  Mysql2Config,
  Mysql2Module,
  Mysql2PromiseModule,
  Mysql2Tls,
} from "./mysql2/driver.ts";

/** What is told of a statement. */
type OnResult = (error: Error | null, rows: unknown, fields: unknown) => void;

/** The connection beneath that of `mysql2/promise`, where it is the driver's own affair. */
interface Core extends PacketSource {
  readonly stream: Socket;
  readonly config: { readonly trace?: boolean };
  query(sql: string, onResult: OnResult): unknown;
  execute(sql: string, values: readonly unknown[], onResult: OnResult): unknown;
  readonly _fatalError?: unknown;
  readonly _protocolError?: unknown;
  on(event: "error", listener: (error: unknown) => void): unknown;
  once(event: "connect", listener: () => void): unknown;
  promise(): Mysql2Client;
}

/** What is kept of a connection that was opened here. */
interface Link {
  readonly core: Core;
  /** What was dialled; with TLS, `core.stream` is another. */
  readonly socket: Socket;
  readonly tls: TlsState | undefined;
  readonly watch: PacketWatch;
  closing?: Promise<void>;
}

/** URL parameters that are handed to the driver. */
const PARAMS: Readonly<Record<string, ParamKind>> = {
  bigNumberStrings: "boolean",
  charset: "text",
  compress: "boolean",
  dateStrings: "boolean",
  decimalNumbers: "boolean",
  disableEval: "boolean",
  enableCleartextPlugin: "boolean",
  flags: "text",
  jsonStrings: "boolean",
  maxPreparedStatements: "number",
  multipleStatements: "boolean",
  namedPlaceholders: "boolean",
  nestTables: "boolean",
  rowsAsArray: "boolean",
  stringifyObjects: "boolean",
  supportBigNumbers: "boolean",
  timezone: "text",
  trace: "boolean",
};

const DRIVER_CODES = /^PROTOCOL_(CONNECTION_LOST|UNEXPECTED_PACKET|PACKETS_OUT_OF_ORDER)$/;
/** The third is what is left of a socket's error in a TLS handshake. */
const DRIVER_SAYS =
  /^(Can't add new command when|Can't write in) |^(read|write) E[A-Z]+$|^Client network socket disconnected/;

const LINKS = new WeakMap<object, Link>();

/**
 * Opens connections with `mysql2`.
 *
 * @param mysql2 The module: `import mysql from "mysql2/promise"`, or `"mysql2"`.
 * @returns The adapter; its client is the `Connection` of `mysql2/promise`, whichever module was given.
 * @throws {TypeError} when it is neither module.
 *
 * @example
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
 * Opens connections with `mysql2`, which is loaded at the first connect.
 *
 * @param load Gives the module.
 * @returns The adapter.
 */
export function lazyMysql2Adapter<C extends Mysql2Client>(
  load: () => Promise<Mysql2PromiseModule<C> | Mysql2Module<C>>,
): Adapter<C> {
  return {
    name: "mysql2",
    defaultPort: DEFAULT_PORT,

    check(destination: Destination): void {
      configure(destination);
      checkTls(destination);
      checkTlsOptions(destination);
      refuseDetours(destination, ["stream"]);
    },

    async connect(ip: string, target: Target): Promise<C> {
      const { signal } = target;
      const mysql2 = await load();
      checkModule(mysql2);
      const tls = await readMysql2Tls(target);
      const config = configure(target);
      const keepAlive = target.keepAlive && target.connectArgs.enableKeepAlive !== false;
      const socket = await dialSocket(ip, { port: config.port, keepAlive, signal });
      return handshakeOn(socket, {
        signal,
        async connect() {
          const client = await open(mysql2, { ...config, stream: socket, ...secure(tls, socket) });
          const core = coreOf(client);
          const state = checkSecured(core.stream, tls);
          LINKS.set(client, { core, socket, tls: state, watch: new PacketWatch(core) });
          return client;
        },
        // Without an error, mysql2 goes on to end what it makes of the socket, and nobody hears of the error of that.
        abandon: () => void socket.destroy(new Error("The attempt was given up")),
      });
    },

    close(client: C): Promise<void> {
      const link = LINKS.get(client)!;
      return link.closing ??= sayGoodbye(client, link);
    },

    terminate(client: C, reason?: Error): void {
      const { core, socket } = LINKS.get(client)!;
      core.stream.destroy(reason);
      socket.destroy();
    },

    ref: (client: C) => void LINKS.get(client)!.core.stream.ref(),
    unref: (client: C) => void LINKS.get(client)!.core.stream.unref(),

    async ping(client: C): Promise<void> {
      await client.ping();
    },

    async reset(client: C, how: "rollback" | "commit"): Promise<void> {
      await client.query(how === "commit" ? "COMMIT" : "ROLLBACK");
    },

    inTransaction: (client: C): boolean | undefined => LINKS.get(client)!.watch.inTransaction,

    async setIsolationLevel(client: C, level: string | undefined): Promise<void> {
      await setLevel((text) => ask(client, text), level);
    },

    role: (client: C): Promise<Role> => askRole((text) => ask(client, text)),

    tls: (client: C): TlsState | undefined => LINKS.get(client)!.tls,

    classify,

    onClose(client: C, listener: (error?: unknown) => void): void {
      const { core, socket } = LINKS.get(client)!;
      const tell = onlyOnce(listener);
      core.on("error", (error) => {
        if ((error as { fatal?: boolean }).fatal) tell(error);
      });
      for (const each of new Set([core.stream, socket])) each.once("close", () => tell());
    },

    onError(client: C, listener: (error: unknown) => void): void {
      LINKS.get(client)!.watch.onError(listener);
    },

    query(client: C, text: string, values?: readonly unknown[]): Promise<readonly unknown[]> {
      return run(LINKS.get(client)!.core, text, values);
    },
  };
}

function checkModule(mysql2: unknown): void {
  const { createConnection, PromiseConnection, Connection } = (mysql2 ?? {}) as {
    createConnection?: unknown;
    PromiseConnection?: unknown;
    Connection?: { prototype?: { promise?: unknown } };
  };
  const ofPromises = typeof PromiseConnection === "function";
  const ofCallbacks = typeof Connection?.prototype?.promise === "function";
  if (typeof createConnection === "function" && (ofPromises || ofCallbacks)) return;
  throw new TypeError(
    'Cannot use this as the driver "mysql2": it has no connections with promises, pass what `import mysql from "mysql2/promise"` gives, of version 3.14 or later',
  );
}

/** Everything but TLS, whose files are still to be read, and the socket. */
function configure(destination: Destination) {
  const { host, params, connectArgs } = destination;
  const { ssl: _, ...args } = connectArgs;
  return {
    ...loginOf(destination),
    ...readParams(params, { name: "mysql2", known: PARAMS }),
    connectTimeout: 0,
    ...args,
    port: portOf(destination),
    host,
  };
}

async function open<C extends Mysql2Client>(
  mysql2: Mysql2PromiseModule<C> | Mysql2Module<C>,
  config: Mysql2Config,
): Promise<C> {
  const made = mysql2.createConnection(config);
  if (!("promise" in made)) {
    const client = await made;
    // Without a listener, the `error` of an idle connection ends the process.
    coreOf(client).on("error", () => {});
    return client;
  }
  const core = made as unknown as Core;
  await new Promise<void>((resolve, reject) => {
    core.on("error", reject);
    core.once("connect", resolve);
  });
  return made.promise();
}

function coreOf(client: Mysql2Client): Core {
  return (client as unknown as { connection: Core }).connection;
}

/**
 * Runs one statement of the user's. With values it is a prepared one: mysql2 would put them into the text, and so into
 * the errors.
 *
 * `mysql2/promise` takes down the stack of each call, in case that it fails, which is a fifth of its cost. Here that is
 * done when it fails: who awaits it is in the stack all the same.
 */
async function run(
  core: Core,
  text: string,
  values: readonly unknown[] | undefined,
): Promise<readonly unknown[]> {
  try {
    return await new Promise((resolve, reject) => {
      const onResult: OnResult = (error, rows, fields) =>
        error ? reject(error) : resolve(rowsOf(rows, fields));
      if (values?.length) core.execute(text, [...values], onResult);
      else core.query(text, onResult);
    });
  } catch (error) {
    if (core.config.trace !== false) captureStackHere(error);
    throw error;
  }
}

/** Runs one statement of the adapter's own, so that the user's settings do not change its rows. */
async function ask(client: Mysql2Client, sql: string): Promise<unknown> {
  const query = client.query as unknown as (options: object) => Promise<[unknown, unknown]>;
  const options = { sql, rowsAsArray: false, nestTables: false, typeCast: true };
  return (await query.call(client, options))[0];
}

/** mysql2 sends a goodbye and leaves the socket to the server. */
async function sayGoodbye(client: Mysql2Client, { core, socket }: Link): Promise<void> {
  const closed = closeOf(socket);
  const failed = await client.end();
  if (failed) {
    core.stream.destroy();
    socket.destroy();
  } else {
    core.stream.end();
  }
  await closed;
}

/** The rows of the first result that has any: a procedure gives several results. */
function rowsOf(result: unknown, fields: unknown): readonly unknown[] {
  if (!Array.isArray(result) || !Array.isArray(fields)) return [];
  const first = fields.findIndex((each) => Array.isArray(each));
  if (first >= 0) return result[first] as unknown[];
  return fields.includes(undefined) ? [] : result;
}

function classify(error: unknown): "disconnect" | "read-only" | undefined {
  const verdict = classifyMysql(error);
  if (verdict !== undefined) return verdict;
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  if (typeof code === "string" && DRIVER_CODES.test(code)) return "disconnect";
  return typeof message === "string" && DRIVER_SAYS.test(message) ? "disconnect" : undefined;
}
