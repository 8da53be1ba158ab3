/**
 * The part of the module `mariadb` that the drop-in uses, and how mariadb reads its options.
 *
 * @module
 */

import type { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import {
  type CoreConnection as AdapterCore,
  OF_CONNECTION,
  whileMaking,
} from "../../adapters/mariadb/connection.ts";
import type { MariadbClient, MariadbConfig, MariadbLogger } from "../../adapters/mariadb.ts";
import { type TlsOptions, withServerName } from "../../adapters/shared/tls.ts";
import type { EngineOptions } from "../../engine/options.ts";
import { mustBe, mustBeUndisclosed, mustNotBeGiven } from "../../internal/argument_error.ts";
import type { DriverMessages } from "../shared/driver_errors.ts";
import { type DriverForm, type HostList, readHostList, withHost } from "../shared/host_list.ts";
import type { Logger } from "../../internal/log.ts";
import {
  copyOptions,
  type DnsPoolOptions,
  dnsPoolOptions,
  driverOptions,
  isDnsPoolOption,
  type RawOptions,
  refuseIgnored,
  refuseOptions,
} from "../shared/options.ts";

/** The options of a connection as mariadb reads them. */
export interface ConnectionOptions {
  readonly host: string;
  readonly port: number;
  user?: string;
  password?: unknown;
  readonly database?: string;
  readonly socketPath?: string | undefined;
  readonly connectTimeout: number;
  readonly keepAliveDelay?: number | undefined;
  readonly logger: MariadbLogger;
  readonly stream?: unknown;
  ssl?: boolean | TlsOptions | undefined;
}

/** The options of a pool as mariadb reads them. Durations are in milliseconds, `idleTimeout` is in seconds. */
export interface PoolOptions {
  readonly connOptions: ConnectionOptions;
  readonly acquireTimeout: number;
  readonly connectionLimit: number;
  readonly idleTimeout: number;
  readonly initializationTimeout: number;
  readonly leakDetectionTimeout: number;
  readonly minDelayValidation: number;
  readonly minimumIdle: number;
  readonly pingTimeout: number;
}

/** Called when a command is done. */
type Resolve = (value?: unknown) => void;
/** Called when a command has failed. */
type Reject = (error: unknown) => void;
/** A method that sends a command. */
export type Command = (param: object | null, resolve: Resolve, reject: Reject) => void;

/** The connection below the driver's connections with promises and with callbacks. */
export interface CoreConnection extends AdapterCore, EventEmitter {
  readonly opts: ConnectionOptions & EventEmitter;
  readonly info: { readonly threadId: number | bigint | null; readonly status: number };
  readonly threadId: number | bigint | null;
  /** When the connection was released last, in milliseconds since 1970. */
  lastUse?: number;
  query: Command & NonNullable<AdapterCore["query"]>;
  prepare: Command;
  ping: Command;
  reset: Command;
  isValid(): boolean;
  connect(): Promise<unknown>;
  destroy(): void;
  /** Closes the connection; in a pool, releases it. */
  end: Command | ReleaseMethod;
  /** Closes the connection of a pool. */
  forceEnd?: Command;
  release?: ReleaseMethod;
}

/** Releases the connection of a pool. */
export type ReleaseMethod = (callback?: () => void) => void;

/** The pool below the driver's pools with promises and with callbacks. */
export interface CorePool extends EventEmitter {
  readonly opts: PoolOptions;
  activeConnections(): number;
  idleConnections(): number;
  release(connection: CoreConnection): void;
  _handleRelease(connection: CoreConnection, callback?: () => void): void;
  _destroy(connection: CoreConnection): void;
  _endLeak(connection: CoreConnection): void;
  _startLeakDetection(connection: CoreConnection): void;
  _errorMsgAddon(): string;
  /** Emits `connection`; older versions emit it themselves. */
  _onNewConnection?(connection: CoreConnection): void;
}

/** The part of the module `mariadb` or `mariadb/callback` that a drop-in uses. */
export interface MariadbDriver {
  /** Makes a pool. */
  // deno-lint-ignore no-explicit-any -- of any version: the result type is inferred from the module
  createPool: (config: any) => any;
  /** Opens a connection. */
  // deno-lint-ignore no-explicit-any -- of any version: the result type is inferred from the module
  createConnection: (config: any) => any;
}

/** The driver's class of errors. */
export type SqlErrorClass = new (
  message: string,
  sql: string | null | undefined,
  fatal: boolean,
  info: null,
  sqlState: string | null,
  errno: number,
  stack?: string | undefined,
  addHeader?: boolean | undefined,
  cause?: { readonly cause: unknown } | undefined,
) => Error;

/** The classes of a module. */
export interface MariadbClasses {
  readonly version: string;
  readonly SqlError: SqlErrorClass;
  readonly Connection: new (options: object) => CoreConnection;
  readonly ConnectionOptions: {
    new (options: RawOptions): ConnectionOptions;
    parse(uri: string): Record<string, unknown>;
  };
}

/** dnspool's options that mariadb's pool does not have, beside those of every drop-in. Durations are in seconds. */
export interface MariadbPoolExtras extends Pick<EngineOptions, "poolRecycle"> {
  /** The URI, `mariadb://…` or `mysql://…`: mariadb itself takes it only in place of all options. */
  uri?: string;
}

/** Names of these options. */
export const EXTRA_NAMES: readonly string[] = ["poolRecycle", "uri"] satisfies (
  keyof MariadbPoolExtras
)[];

/** Messages of mariadb, for the causes of its pool's errors. */
export const MESSAGES: DriverMessages = {
  connectTimeout: "Connection timeout: failed to create socket",
  connectTimeoutFields: {
    errno: 45012,
    code: "ER_CONNECTION_TIMEOUT",
    sqlState: "08S01",
    fatal: true,
  },
  closed: "pool is closed",
};

const EXPECTED =
  'the module that `import * as mariadb from "mariadb"` or `from "mariadb/callback"` gives';

/**
 * Checks that a value is the module `mariadb` or `mariadb/callback`.
 *
 * @param mariadb The value.
 * @returns The same.
 * @throws {TypeError} if it is neither.
 */
export function checkDriver(mariadb: unknown): MariadbDriver {
  const { createPool, createConnection, version, SqlError } = (mariadb ?? {}) as Partial<
    MariadbDriver & MariadbClasses
  >;
  const isModule = typeof createPool === "function" && typeof createConnection === "function" &&
    typeof version === "string" && typeof SqlError === "function";
  if (isModule) return mariadb as MariadbDriver;
  throw mustBe("mariadb", EXPECTED, mariadb);
}

const known: WeakMap<MariadbDriver["createPool"], MariadbClasses> = new WeakMap();

/**
 * Returns the classes of a module, which exports only that of its errors: the others are taken from a pool and a
 * connection that lead nowhere.
 *
 * @param mariadb The module.
 * @throws {TypeError} if its pools are not those of mariadb.
 */
export function classesOf(mariadb: MariadbDriver): MariadbClasses {
  let classes = known.get(mariadb.createPool);
  if (!classes) known.set(mariadb.createPool, classes = findClasses(mariadb));
  return classes;
}

function findClasses(mariadb: MariadbDriver): MariadbClasses {
  const { createPool, createConnection, version, SqlError } = mariadb as
    & MariadbDriver
    & MariadbClasses;
  const pool: { core?: CorePool } = {};
  makingPool((core) => {
    pool.core = core;
    Object.defineProperty(core, "_managePoolSize", { value: () => {} });
  }, () => createPool({ host: "localhost" }));
  const { core } = makingConnection(() =>
    createConnection({ host: "localhost", connectTimeout: 0, stream: () => {} })
  );
  if (!core || !pool.core?.opts?.connOptions) {
    throw mustBeUndisclosed("mariadb", "mariadb 3.4 or later", "a module with other pools");
  }
  return {
    version,
    SqlError,
    Connection: core.constructor as MariadbClasses["Connection"],
    ConnectionOptions: pool.core.opts.connOptions
      .constructor as MariadbClasses["ConnectionOptions"],
  };
}

/** The members by which the pool below a pool is told from other emitters. */
const OF_POOL = ["opts", "_managePoolSize", "_handleRelease"];

/**
 * Calls a function of the driver that makes a pool, and shows the pool below it before that opens a connection.
 *
 * @param onMade Called with it.
 * @param create Makes the pool.
 * @returns What `create` returns.
 */
export function makingPool<T>(onMade: (core: CorePool) => void, create: () => T): T {
  return whileMaking(OF_POOL, (emitter) => onMade(emitter as CorePool), create);
}

/**
 * Calls a function of the driver that makes a connection.
 *
 * @param create Makes the connection.
 * @returns What `create` returns, and the connection below that.
 */
export function makingConnection<T>(create: () => T): { created: T; core: CoreConnection } {
  let core: CoreConnection | undefined;
  const created = whileMaking(OF_CONNECTION, (emitter) => core = emitter as CoreConnection, create);
  return { created, core: core! };
}

/**
 * Refuses options that cannot be used in a pool or a connection that follows DNS.
 *
 * @param given The options.
 * @throws {TypeError} if one of them is given.
 */
export function checkMariadbOptions(given: RawOptions): void {
  const bypass = "it would bypass DNS, because it opens the socket itself";
  refuseOptions(given, {
    ...(!isOwnStream(given.stream) && { stream: bypass }),
    ...(Boolean(given.permitRedirect) && {
      permitRedirect: "it would bypass DNS, because the server names another one",
    }),
    poolSize: 'use "connectionLimit" of mariadb',
    maxOverflow: 'it is part of "connectionLimit" of mariadb',
    poolTimeout: 'use "acquireTimeout" of mariadb, in milliseconds',
    minIdle: 'use "minimumIdle" of mariadb',
    minSize: 'use "minimumIdle" of mariadb',
  });
  refuseIgnored(given, {
    own: ["connectTimeout", "idleTimeout", ...EXTRA_NAMES],
    uri: given.uri,
    obeyed: { asOption: [], inUri: [] },
    options: {
      connectTimeout: "connectTimeout",
      keepAlive: "keepAliveDelay",
      tls: 'give "ssl"',
    },
  });
}

/** How mariadb takes hosts. */
const FORM: DriverForm = {
  dialect: "mysql",
  uriOption: "uri",
  optionsWin: true,
  defaultPort: 3306,
};

/**
 * Copies options that were given as an object, as a URI, or as an object with a URI.
 *
 * @param given The options, or the URI.
 * @param classes The module's classes, which parse the URI.
 * @param srv Whether the host of all connections is a service.
 * @returns The options as one object, for the first one of several hosts; `list` is `undefined` if there is one host.
 * @throws {TypeError} if the URI is none of mariadb, or contains options of dnspool.
 */
export function optionsOf(
  given: unknown,
  { ConnectionOptions }: MariadbClasses,
  srv: boolean = false,
): { readonly list: HostList | undefined; readonly options: RawOptions } {
  const all = typeof given === "string"
    ? { uri: given }
    : withoutUndefined(copyOptions((given ?? {}) as RawOptions));
  const list = hostsOf(all, srv);
  const { uri, ...options } = list ? withHost(all, list.hosts[0]!, FORM) : all;
  if (uri === undefined) return { list, options };
  const url = typeof uri === "string" && URL.canParse(uri) ? new URL(uri) : undefined;
  // The driver's own error would show the password.
  if (!url || !/^(mariadb|mysql):$/.test(url.protocol) || url.pathname.length < 2) {
    throw mustBeUndisclosed("uri", 'like "mariadb://user@host:3306/database"', "something else");
  }
  for (const name of url.searchParams.keys()) {
    if (!isDnsPoolOption(name) && !EXTRA_NAMES.includes(name)) continue;
    throw mustNotBeGiven(`${name} in the URI`, 'give it as an option beside "uri"');
  }
  const parsed = ConnectionOptions.parse((uri as string).replace(/^mysql:/i, "mariadb:"));
  return { list, options: { ...ofPool(parsed), ...options } };
}

/** Reads several hosts, or a service, which mariadb cannot read. */
function hostsOf(given: RawOptions, srv: boolean): HostList | undefined {
  const { uri, host, port, socketPath, dnsSrv = srv } = given;
  return socketPath ? undefined : readHostList({ uri, host, port, srv: dnsSrv === true }, FORM);
}

/** Reads a pool's own options in a URI, as mariadb does for a pool that is made with a URI. */
function ofPool(parsed: Record<string, unknown>): RawOptions {
  for (const name of ["resetAfterUse", "noControlAfterUse"]) {
    if (parsed[name] !== undefined) parsed[name] = parsed[name] === "true";
  }
  return withoutUndefined(parsed);
}

function withoutUndefined(options: RawOptions): RawOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** Picks the options that mariadb itself knows. */
export function mariadbOptions(given: RawOptions): Record<string, unknown> {
  const options = Object.entries(driverOptions(given))
    .filter(([name]) => !EXTRA_NAMES.includes(name));
  const { logger } = given;
  if (logger !== undefined && !isOwnLogger(logger)) options.push(["logger", logger]);
  return Object.fromEntries(options);
}

/** Picks dnspool's options, those of the module first. */
export function ownOptions(module: DnsPoolOptions, given: RawOptions): DnsPoolOptions {
  const { logger, ...options } = dnsPoolOptions(given);
  return { ...module, ...options, ...(isOwnLogger(logger) && { logger: logger as Logger }) };
}

/** Returns whether a logger is dnspool's: both have an option of that name. */
function isOwnLogger(logger: unknown): boolean {
  const { info, warn } = (logger ?? {}) as Partial<Logger>;
  return typeof info === "function" && typeof warn === "function";
}

const ownStreams: WeakSet<object> = new WeakSet();

/** Returns whether the option `stream` comes from the settings of a connection that follows DNS. */
export function isOwnStream(stream: unknown): boolean {
  return typeof stream === "function" && ownStreams.has(stream);
}

/**
 * Makes the settings of a connection good for another one, to the same address: the driver uses them to kill a
 * statement, and libraries to cancel one.
 *
 * @param core The connection, which has its socket.
 * @param stream Opens another socket to the same address.
 * @param connectTimeout The timeout that the settings had.
 */
export function makeReusable(
  { opts }: CoreConnection,
  stream: MariadbConfig["stream"],
  connectTimeout: number,
): void {
  ownStreams.add(stream);
  Object.assign(opts, { stream, connectTimeout });
}

/**
 * Returns a connection's logger, with the tap of the adapter on its errors.
 *
 * @param own The logger as mariadb reads it.
 * @param tap The adapter's logger.
 */
export function withLogger(own: MariadbLogger, tap: MariadbLogger): MariadbLogger {
  return {
    ...own,
    error(error) {
      tap.error?.(error);
      own.error?.(error);
    },
  };
}

/**
 * Returns the TLS settings of a connection, with the name that the certificate is checked for. Without one, TLS would
 * take the name to which the socket was connected, which here is an address.
 *
 * @param host The name.
 */
export function securedFor(
  { ssl }: Pick<ConnectionOptions, "ssl">,
  host: string,
): Pick<ConnectionOptions, "ssl"> {
  if (!ssl || typeof ssl === "string") return { ssl };
  return { ssl: withServerName(host, ssl === true ? {} : ssl) };
}

/**
 * Keeps the password of one login out of what an inspected connection shows. The driver copies the settings for the
 * connection by which it kills a statement, so the property stays one that is copied.
 */
export function concealPassword({ opts }: CoreConnection): void {
  let { password } = opts;
  Object.defineProperty(opts, "password", {
    configurable: true,
    enumerable: true,
    get: () => password,
    set: (next: unknown) => void (password = next),
  });
}

/** Returns the login that the option `credentials` gave. */
export function loginOf(
  { user, password }: Pick<MariadbConfig, "user" | "password">,
  options: ConnectionOptions,
): Pick<ConnectionOptions, "user" | "password"> {
  const name = user ?? options.user;
  return { ...(name !== undefined && { user: name }), password };
}

/** The client of the adapter: a connection with promises, which is not that of a pool. */
export interface Pinned extends MariadbClient {
  readonly core: CoreConnection;
  /** The socket that was dialed. */
  readonly socket: Socket | undefined;
}

/** Wraps the connection below a client with promises. */
export function clientOf(core: CoreConnection): Pinned {
  const { socket } = core;
  const run = (command: Command, param: object | null): Promise<never> =>
    new Promise((resolve, reject) => command.call(core, param, resolve as Resolve, reject));
  const textOf = (sql: unknown) =>
    typeof sql === "string" ? { sql } : { sql: (sql as { sql: string }).sql, opts: sql };
  return {
    core,
    socket,
    query: (sql) => run(core.query, textOf(sql)),
    prepare: (sql) => run(core.prepare, textOf(sql)),
    ping: () => run(core.ping, {}),
    reset: () => run(core.reset, {}),
    isValid: () => core.isValid(),
    end: () => run(core.forceEnd ?? core.end as Command, null),
    get info() {
      return core.info;
    },
    get threadId() {
      return core.threadId;
    },
    ...{ on: core.on.bind(core), once: core.once.bind(core) },
  };
}
