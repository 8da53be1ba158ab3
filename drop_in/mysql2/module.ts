/**
 * The part of the module `mysql2` that the drop-ins need, and what it makes of its options.
 *
 * @module
 */

import { PassThrough } from "node:stream";
import type { Socket } from "node:net";
import type { PacketSource } from "../../adapters/mysql2/packets.ts";
import type { Mysql2Client, Mysql2Config } from "../../adapters/mysql2.ts";
import type { EngineOptions } from "../../engine/options.ts";
import type { PoolWords } from "../shared/driver_errors.ts";
import { copyOptions, type Given, isOurs, refuseOptions } from "../shared/options.ts";

/** Hears of what happens to a pool or to one of its connections. */
// deno-lint-ignore no-explicit-any -- as EventEmitter has it: each event has arguments of its own
export type Listener = (...args: any[]) => void;

/** As Node has it. */
export type Callback<T> = (error: unknown, value?: T) => void;

/** What mysql2 makes of the options of a connection. */
export interface ConnectionConfig {
  readonly host: string;
  readonly port: number;
  readonly socketPath: string | undefined;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly database: string | undefined;
  readonly connectTimeout: number;
  readonly enableKeepAlive: boolean;
  readonly keepAliveInitialDelay: number | undefined;
}

/** What mysql2 makes of the options of a pool. */
export interface PoolConfig {
  readonly connectionConfig: ConnectionConfig;
  readonly waitForConnections: boolean;
  readonly connectionLimit: number;
  readonly maxIdle: number;
  readonly idleTimeout: number;
  readonly queueLimit: number;
  readonly resetOnRelease: boolean | undefined;
}

/** A connection with callbacks, as far as it matters here. */
export interface CoreConnection extends PacketSource {
  readonly config: ConnectionConfig;
  readonly stream: Socket;
  readonly _fatalError?: unknown;
  readonly _closing?: boolean;
  addCommand: (command: unknown) => unknown;
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
  /** Says goodbye; its `end` only releases it. */
  _realEnd(callback: (error?: unknown) => void): void;
}

/** A pooled connection with promises: what the engine's leases hold. */
export interface Pinned extends Mysql2Client {
  readonly connection: PooledConnection;
}

/** A pool with callbacks, as far as a subclass has to know it. */
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

/** The module `mysql2` or `mysql2/promise`, as far as a drop-in has to know it. */
export interface Mysql2Driver {
  /** Makes a pool. */
  // deno-lint-ignore no-explicit-any -- any version's: what comes of it is inferred from the module
  createPool: (config: any) => any;
  /** Opens a connection. */
  // deno-lint-ignore no-explicit-any -- any version's: what comes of it is inferred from the module
  createConnection: (config: any) => any;
}

/** The classes behind a module. */
export interface Mysql2Classes {
  /** Whether it gives promises. */
  readonly ofPromises: boolean;
  readonly Pool: new (parts: { config: PoolConfig }) => CorePool;
  readonly PoolConfig: new (options: Given) => PoolConfig;
  readonly PoolConnection: new (
    pool: CorePool,
    parts: { config: ConnectionConfig },
  ) => PooledConnection;
}

/** dnspool's options for what mysql2's pool has no option for. Durations are in seconds. */
export interface Mysql2PoolLimits extends Pick<EngineOptions, "poolTimeout" | "poolRecycle"> {}

/** Their names. */
export const LIMITS: readonly string[] = ["poolTimeout", "poolRecycle"] satisfies (
  keyof Mysql2PoolLimits
)[];

/** What mysql2 says; it has no word for a wait that took too long, for its pool's have no end. */
export const WORDS: PoolWords = {
  connectTimeout: "connect ETIMEDOUT",
  connectTimeoutFields: { errorno: "ETIMEDOUT", code: "ETIMEDOUT", syscall: "connect" },
  closed: "Pool is closed.",
};

/**
 * Checks that this is the module.
 *
 * @param mysql2 What was passed in.
 * @returns The same.
 * @throws {TypeError} where it is not.
 */
export function checkDriver(mysql2: unknown): Mysql2Driver {
  const { createPool, createConnection } = (mysql2 ?? {}) as Partial<Mysql2Driver>;
  if (typeof createPool === "function" && typeof createConnection === "function") {
    return mysql2 as Mysql2Driver;
  }
  throw new TypeError(
    'Cannot use this as the driver "mysql2": it has no functions "createPool" and "createConnection", pass what `import mysql from "mysql2"` or `from "mysql2/promise"` gives',
  );
}

const known: WeakMap<Mysql2Driver["createPool"], Mysql2Classes> = new WeakMap();

/**
 * The classes behind a module; `mysql2/promise` does not export them, and so a pool is asked for them whose one
 * connection goes nowhere.
 *
 * @param mysql2 The module.
 * @returns The classes.
 */
export function classesOf({ createPool }: Mysql2Driver): Mysql2Classes {
  let classes = known.get(createPool);
  if (!classes) known.set(createPool, classes = askForClasses(createPool));
  return classes;
}

function askForClasses(createPool: Mysql2Driver["createPool"]): Mysql2Classes {
  const pool = createPool({ connectTimeout: 0, stream: () => new PassThrough() });
  const ofPromises = "pool" in pool;
  const core = (ofPromises ? pool.pool : pool) as CorePool & {
    _allConnections?: { get(index: number): PooledConnection | undefined };
  };
  core.getConnection?.(() => {});
  const asked = core._allConnections?.get(0);
  if (!asked || !core.config?.connectionConfig) {
    throw new TypeError(
      'Cannot use this as the driver "mysql2": its pools are not those of mysql2 3.14 or later',
    );
  }
  asked.destroy();
  return {
    ofPromises,
    Pool: core.constructor as Mysql2Classes["Pool"],
    PoolConfig: core.config.constructor as Mysql2Classes["PoolConfig"],
    PoolConnection: asked.constructor as Mysql2Classes["PoolConnection"],
  };
}

/**
 * Refuses what makes no sense in a pool or a connection that follows DNS.
 *
 * @param given Its options.
 * @throws {TypeError} naming the option.
 */
export function checkMysql2Options(given: Given): void {
  const bypass = "it would bypass DNS, for it opens the socket by itself";
  refuseOptions(given, {
    stream: bypass,
    creator: bypass,
    isServer: "a server follows nothing",
    poolSize: 'for mysql2 it is "connectionLimit"',
    maxOverflow: 'for mysql2 it is part of "connectionLimit"',
    minIdle: "mysql2 has none",
    minSize: "mysql2 has none",
    maxUses: "mysql2 has none",
  });
}

/**
 * The options as an object of the caller's own, whichever form they came in.
 *
 * @param given Options, or a URI.
 * @returns A copy.
 * @throws {TypeError} where the URI holds options that are dnspool's.
 */
export function optionsOf(given: unknown): Given {
  const options = typeof given === "string" ? { uri: given } : copyOptions(given as Given);
  const { uri } = options;
  if (typeof uri === "string" && URL.canParse(uri)) {
    for (const name of new URL(uri).searchParams.keys()) {
      if (!isOurs(name) && !LIMITS.includes(name)) continue;
      throw new TypeError(`Cannot use "${name}" in the URI: it is an option beside "uri"`);
    }
  }
  return options;
}

/**
 * A copy of a connection's settings, for one that is opened on a socket.
 *
 * @param config The settings.
 * @param stream The socket, open.
 * @returns The copy; the engine bounds the attempt.
 */
export function onSocket(
  config: ConnectionConfig,
  { stream }: Pick<Mysql2Config, "stream">,
): ConnectionConfig {
  // What a connection changes of its settings, as `changeUser` does, is no other's business.
  const copy = Object.create(
    Object.getPrototypeOf(config),
    Object.getOwnPropertyDescriptors(config),
  );
  const { enableKeepAlive, keepAliveInitialDelay } = config;
  if (enableKeepAlive && keepAliveInitialDelay) stream.setKeepAlive(true, keepAliveInitialDelay);
  return Object.assign(copy, { stream, connectTimeout: 0 });
}
