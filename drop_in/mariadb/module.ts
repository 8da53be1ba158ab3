/**
 * The part of the module `mariadb` that the drop-in uses.
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
import type { MariadbClient, MariadbLogger } from "../../adapters/mariadb.ts";
import type { TlsOptions } from "../../adapters/shared/tls.ts";
import { mustBe, mustBeUndisclosed } from "../../internal/argument_error.ts";
import type { DriverMessages } from "../shared/driver_errors.ts";
import type { RawOptions } from "../shared/options.ts";

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
