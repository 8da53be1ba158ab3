/**
 * The part of the module `mysql2` that the drop-ins use, and how mysql2 reads its options.
 *
 * @module
 */

import { PassThrough } from "node:stream";
import { connect, type Socket } from "node:net";
import type { PacketSource } from "../../adapters/mysql2/packets.ts";
import type { Mysql2Client, Mysql2Config } from "../../adapters/mysql2.ts";
import type { EngineOptions } from "../../engine/options.ts";
import { mustBe, mustBeUndisclosed, mustNotBeGiven } from "../../internal/argument_error.ts";
import type { DriverMessages } from "../shared/driver_errors.ts";
import { type DriverForm, type HostList, readHostList, withHost } from "../shared/host_list.ts";
import {
  copyOptions,
  isDnsPoolOption,
  paramNames,
  type RawOptions,
  refuseIgnored,
  refuseOptions,
  refusePassword,
} from "../shared/options.ts";

/** Receives an event of a pool or of a connection. */
// deno-lint-ignore no-explicit-any -- as in EventEmitter: each event has its own arguments
export type Listener = (...args: any[]) => void;

/** A callback as in Node. */
export type Callback<T> = (error: unknown, value?: T) => void;

/** The options of a connection as mysql2 reads them. */
export interface ConnectionConfig {
  readonly host: string;
  readonly port: number;
  readonly socketPath: string | undefined;
  user: string | undefined;
  password: string | undefined;
  readonly database: string | undefined;
  readonly connectTimeout: number;
  readonly enableKeepAlive: boolean;
  readonly keepAliveInitialDelay: number | undefined;
  /** The socket, or a function that opens it. */
  readonly stream?: unknown;
}

/** The options of a pool as mysql2 reads them. */
export interface PoolConfig {
  readonly connectionConfig: ConnectionConfig;
  readonly waitForConnections: boolean;
  readonly connectionLimit: number;
  readonly maxIdle: number;
  readonly idleTimeout: number;
  readonly queueLimit: number;
  readonly resetOnRelease: boolean | undefined;
}

/** The part of a connection with callbacks that the drop-ins use. */
export interface CoreConnection extends PacketSource {
  readonly config: ConnectionConfig;
  readonly stream: Socket;
  /** ID of the session. */
  readonly threadId?: number | null;
  readonly _fatalError?: unknown;
  readonly _closing?: boolean;
  addCommand: (command: unknown) => unknown;
  connect(callback?: Callback<unknown>): void;
  on(event: string, listener: Listener): unknown;
  once(event: string, listener: Listener): unknown;
  end(callback?: (error?: unknown) => void): void;
  destroy(): void;
  promise(): Mysql2Client & { readonly connection: unknown };
}

/** A connection of a pool. */
export interface PooledConnection extends CoreConnection {
  _pool: CorePool | null;
  _released?: boolean;
  reset?(callback: (error: unknown) => void): void;
  /** Closes the connection; its `end` only releases it. */
  _realEnd(callback: (error?: unknown) => void): void;
}

/** A pooled connection with promises: the client of the engine's leases. */
export interface Pinned extends Mysql2Client {
  readonly connection: PooledConnection;
}

/** The part of a pool with callbacks that its subclass uses. */
export interface CorePool {
  readonly config: PoolConfig;
  _closed: boolean;
  _removeIdleTimeoutConnectionsTimer?: unknown;
  getConnection(callback: Callback<PooledConnection>): void;
  releaseConnection(connection: PooledConnection): void;
  _removeConnection(connection: PooledConnection): void;
  end(callback?: (error?: unknown) => void): void;
  promise(Promise?: unknown): object;
  on(event: string, listener: Listener): unknown;
  emit(event: string, ...args: unknown[]): boolean;
}

/** The part of the module `mysql2` or `mysql2/promise` that a drop-in uses. */
export interface Mysql2Driver {
  /** Makes a pool. */
  // deno-lint-ignore no-explicit-any -- of any version: the result type is inferred from the module
  createPool: (config: any) => any;
  /** Opens a connection. */
  // deno-lint-ignore no-explicit-any -- of any version: the result type is inferred from the module
  createConnection: (config: any) => any;
}

/** The classes of a module. */
export interface Mysql2Classes {
  /** Whether the module's functions return promises. */
  readonly ofPromises: boolean;
  readonly Pool: new (parts: { config: PoolConfig }) => CorePool;
  readonly PoolConfig: new (options: RawOptions) => PoolConfig;
  readonly PoolConnection: new (
    pool: CorePool,
    parts: { config: ConnectionConfig },
  ) => PooledConnection;
}

/** dnspool's options for limits that mysql2's pool does not have. Durations are in seconds. */
export interface Mysql2PoolLimits extends Pick<EngineOptions, "poolTimeout" | "poolRecycle"> {}

/** Names of these options. */
export const LIMIT_NAMES: readonly string[] = ["poolTimeout", "poolRecycle"] satisfies (
  keyof Mysql2PoolLimits
)[];

/** Messages of mysql2. It has none for a checkout that took too long, because its pool has no timeout. */
export const MESSAGES: DriverMessages = {
  connectTimeout: "connect ETIMEDOUT",
  connectTimeoutFields: { errorno: "ETIMEDOUT", code: "ETIMEDOUT", syscall: "connect" },
  closed: "Pool is closed.",
};

/**
 * Checks that a value is the module `mysql2` or `mysql2/promise`.
 *
 * @param mysql2 The value.
 * @returns The same.
 * @throws {TypeError} if it is neither.
 */
export function checkDriver(mysql2: unknown): Mysql2Driver {
  const { createPool, createConnection } = (mysql2 ?? {}) as Partial<Mysql2Driver>;
  if (typeof createPool === "function" && typeof createConnection === "function") {
    return mysql2 as Mysql2Driver;
  }
  const allowed =
    'the module that `import mysql from "mysql2"` or `from "mysql2/promise"` gives, ' +
    'with the functions "createPool" and "createConnection"';
  throw mustBe("mysql2", allowed, mysql2);
}

const known: WeakMap<Mysql2Driver["createPool"], Mysql2Classes> = new WeakMap();

/**
 * Returns the classes of a module. `mysql2/promise` does not export them, so they are taken from a pool whose only
 * connection leads nowhere.
 *
 * @param mysql2 The module.
 * @throws {TypeError} if its pools are not those of mysql2.
 */
export function classesOf({ createPool }: Mysql2Driver): Mysql2Classes {
  let classes = known.get(createPool);
  if (!classes) known.set(createPool, classes = findClasses(createPool));
  return classes;
}

function findClasses(createPool: Mysql2Driver["createPool"]): Mysql2Classes {
  const pool = createPool({ connectTimeout: 0, stream: () => new PassThrough() });
  const ofPromises = "pool" in pool;
  const core = (ofPromises ? pool.pool : pool) as CorePool & {
    _allConnections?: { get(index: number): PooledConnection | undefined };
  };
  core.getConnection?.(() => {});
  const connection = core._allConnections?.get(0);
  if (!connection || !core.config?.connectionConfig) {
    throw mustBeUndisclosed("mysql2", "mysql2 3.14 or later", "a module with other pools");
  }
  connection.destroy();
  return {
    ofPromises,
    Pool: core.constructor as Mysql2Classes["Pool"],
    PoolConfig: core.config.constructor as Mysql2Classes["PoolConfig"],
    PoolConnection: connection.constructor as Mysql2Classes["PoolConnection"],
  };
}

/**
 * Refuses options that cannot be used in a pool or a connection that follows DNS.
 *
 * @param given The options.
 * @throws {TypeError} if one of them is given.
 */
export function checkMysql2Options(given: RawOptions): void {
  const bypass = "it would bypass DNS, because it opens the socket itself";
  refuseOptions(given, {
    ...(!isOwnStream(given.stream) && { stream: bypass }),
    creator: bypass,
    isServer: "a server does not connect to a host",
    poolSize: 'use "connectionLimit" of mysql2',
    maxOverflow: 'it is part of "connectionLimit" of mysql2',
  });
  refusePassword(given, given.uri);
  refuseIgnored(given, {
    own: ["connectTimeout", "idleTimeout", ...LIMIT_NAMES],
    uri: given.uri,
    obeyed: { asOption: [], inUri: [] },
    options: { connectTimeout: "connectTimeout", keepAlive: "enableKeepAlive", tls: 'give "ssl"' },
  });
}

/**
 * Copies options that were given as an object or as a URI.
 *
 * @param given The options, or the URI.
 * @returns The options as an object.
 * @throws {TypeError} if the URI contains options of dnspool.
 */
export function optionsOf(given: unknown): RawOptions {
  const options = typeof given === "string" ? { uri: given } : copyOptions(given as RawOptions);
  for (const name of paramNames(options.uri)) {
    if (!isDnsPoolOption(name) && !LIMIT_NAMES.includes(name)) continue;
    throw mustNotBeGiven(`${name} in the URI`, 'give it as an option beside "uri"');
  }
  return options;
}

/** How mysql2 takes hosts. */
const FORM: DriverForm = {
  dialect: "mysql",
  uriOption: "uri",
  optionsWin: true,
  defaultPort: 3306,
};

/**
 * Reads several hosts, or a service, which mysql2 cannot read.
 *
 * @param given The options of a pool or a connection.
 * @param srv Whether the host of all connections is a service.
 * @returns The hosts, and the options for the first one; `list` is `undefined` if there is one host.
 */
export function readList(
  given: RawOptions,
  srv: boolean = false,
): { readonly list: HostList | undefined; readonly options: RawOptions } {
  const { uri, host, port, socketPath, dnsSrv = srv } = given;
  if (socketPath) return { list: undefined, options: given };
  const list = readHostList({ uri, host, port, srv: dnsSrv === true }, FORM);
  return { list, options: list ? withHost(given, list.hosts[0]!, FORM) : given };
}

/**
 * Copies a connection's settings for a connection on a given socket.
 *
 * @param config The settings.
 * @param own `stream`: the socket, which is open; of several hosts, the one; and user and password, if a function gave
 *   them.
 * @returns The copy, without a timeout: the engine limits the attempt.
 */
export function withSocket(
  config: ConnectionConfig,
  { stream, ...own }: Pick<Mysql2Config, "stream"> & {
    readonly host?: string | undefined;
    readonly port?: number | undefined;
    readonly user?: string | undefined;
    readonly password?: string | undefined;
  },
): ConnectionConfig {
  // A copy, because a connection changes its settings, as `changeUser` does.
  const copy = Object.create(
    Object.getPrototypeOf(config),
    Object.getOwnPropertyDescriptors(config),
  );
  const { enableKeepAlive, keepAliveInitialDelay } = config;
  if (enableKeepAlive && keepAliveInitialDelay) stream.setKeepAlive(true, keepAliveInitialDelay);
  return Object.assign(copy, own, { stream, connectTimeout: 0 });
}

const ownStreams: WeakSet<object> = new WeakSet();

/** Returns whether the option `stream` comes from the settings of a connection that follows DNS. */
export function isOwnStream(stream: unknown): boolean {
  return typeof stream === "function" && ownStreams.has(stream);
}

/**
 * Makes the settings of a connection good for another one, as libraries use them to cancel a statement: that one opens
 * a socket of its own to the same address.
 *
 * @param config The settings of a connection, which has its socket already.
 * @param options `address` returns the address that the connection is open to; `connectTimeout` is the timeout that the
 *   settings had.
 */
export function makeReusable(
  config: ConnectionConfig,
  { address, connectTimeout }: {
    address(): string | undefined;
    readonly connectTimeout: number;
  },
): void {
  const open = (): Socket => {
    const { host, port, enableKeepAlive, keepAliveInitialDelay } = config;
    const other = connect({ port, host: address() ?? host, noDelay: true });
    if (enableKeepAlive) other.setKeepAlive(true, keepAliveInitialDelay);
    return other;
  };
  ownStreams.add(open);
  Object.assign(config, { stream: open, connectTimeout });
}
