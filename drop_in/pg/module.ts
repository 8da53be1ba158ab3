/**
 * The part of the module `pg` that the drop-ins use, and how `pg` reads its options.
 *
 * @module
 */

import { internalsOf } from "../../adapters/pg/driver.ts";
import { OBEYED } from "../../adapters/pg/options.ts";
import { LIBPQ_OPTIONS } from "../../engine/url_options.ts";
import { TLS_PARAMS } from "../../adapters/shared/params.ts";
import { KEEPALIVE_MS } from "../../adapters/shared/socket.ts";
import type { PgClient } from "../../adapters/pg.ts";
import { mustBe } from "../../internal/argument_error.ts";
import type { DriverMessages } from "../shared/driver_errors.ts";
import {
  type RawOptions,
  refuseIgnored,
  refuseOptions,
  refusePassword,
} from "../shared/options.ts";

/** Receives an event of a pool or of a client. */
// deno-lint-ignore no-explicit-any -- as in EventEmitter: each event has its own arguments
export type Listener = (...args: any[]) => void;

/** Releases a client; with an error or `true`, closes it. */
export type Release = (error?: unknown) => void;

/** Receives a client, or an error. */
export type Deliver = (error: Error | undefined, client?: DropInClient, done?: Release) => void;

/** `pg.Client`, with the properties that its pool adds. */
export interface DropInClient extends PgClient {
  host: string;
  port: number;
  user?: string;
  database?: string;
  password?: unknown;
  connection?: unknown;
  connectionParameters?: { host?: string };
  /** The number of the session. */
  processID?: number | null;
  release?: Release;
  _queryable?: boolean;
  _ending?: boolean;
  _ended?: boolean;
  _poolUseCount?: number;
  once(event: string, listener: Listener): unknown;
  off(event: string, listener: Listener): unknown;
}

/** The part of `pg.Pool` that its subclass uses. */
export interface PgPool {
  options: Record<string, unknown>;
  ending: boolean;
  ended: boolean;
  Client: new (config: unknown) => DropInClient;
  Promise: PromiseConstructor;
  readonly totalCount: number;
  readonly idleCount: number;
  readonly waitingCount: number;
  readonly expiredCount: number;
  connect(callback?: Deliver): Promise<DropInClient> | undefined;
  end(callback?: (error?: Error) => void): Promise<void> | undefined;
  on(event: string, listener: Listener): unknown;
  emit(event: string, ...args: unknown[]): boolean;
  listenerCount(event: string): number;
}

/** The part of the module `pg` that a drop-in uses: `import pg from "pg"`. */
export interface PgDriver {
  /** The client class. */
  // deno-lint-ignore no-explicit-any -- of any version: the instance type is inferred from the module
  Client: new (config?: any) => any;
  /** The pool class. */
  // deno-lint-ignore no-explicit-any -- of any version: the instance type is inferred from the module
  Pool: new (config?: any) => any;
}

/** The module, with the types of its instances. */
export interface PgInternalDriver extends PgDriver {
  Client: new (config: unknown) => DropInClient;
  Pool: new (config?: unknown) => PgPool;
}

/** Messages of `pg.Pool`. */
export const MESSAGES: DriverMessages = {
  timeout: "timeout exceeded when trying to connect",
  connectTimeout: "Connection terminated due to connection timeout",
  closed: "Cannot use a pool after calling end on the pool",
};

/**
 * Checks that a value is the module `pg`.
 *
 * @param pg The value.
 * @returns The same.
 * @throws {TypeError} if it is not.
 */
export function checkDriver(pg: unknown): PgInternalDriver {
  const { Client, Pool } = (pg ?? {}) as Partial<PgDriver>;
  if (typeof Client === "function" && typeof Pool === "function") return pg as PgInternalDriver;
  const allowed =
    'the module that `import pg from "pg"` gives, with the classes "Client" and "Pool"';
  throw mustBe("pg", allowed, pg);
}

/** The reason to refuse the options of `pg` with which it opens its socket in another way. */
const BYPASS = "it would bypass DNS, because it opens the socket itself";

/**
 * Refuses options that cannot be used in a pool or a client that follows DNS.
 *
 * @param given The options.
 * @throws {TypeError} if one of them is given.
 */
export function checkPgOptions(given: RawOptions): void {
  const useMilliseconds = 'use "connectionTimeoutMillis" of pg, in milliseconds';
  refuseOptions(given, {
    stream: BYPASS,
    ...(given.connection !== NO_CONNECTION && { connection: BYPASS }),
    creator: BYPASS,
    poolTimeout: useMilliseconds,
    connectTimeout: useMilliseconds,
    idleTimeout: 'use "idleTimeoutMillis" of pg, in milliseconds',
    poolRecycle: 'use "maxLifetimeSeconds" of pg',
    maxOverflow: 'it is part of "max" of pg',
    minIdle: 'use "min" of pg',
  });
  refusePassword(given, given.connectionString);
  // A library that parses the URL by itself gives its parameters beside the `ssl` that it made of them.
  const tls = given.ssl === undefined ? [] : TLS_PARAMS;
  refuseIgnored(given, {
    own: ["keepAlive", "maxUses", "poolSize"],
    uri: given.connectionString,
    obeyed: {
      asOption: [...OBEYED, ...LIBPQ_OPTIONS, ...tls],
      inUri: [...OBEYED, ...LIBPQ_OPTIONS, ...TLS_PARAMS],
    },
    options: {
      connectTimeout: "connectionTimeoutMillis",
      keepAlive: "keepAlive",
      tls: 'give "ssl", or put it into "connectionString"',
    },
  });
}

/** Takes the place of a connection, so that a client makes no socket. */
export const NO_CONNECTION: Readonly<Record<string, () => void>> = {
  on() {},
  once() {},
  removeListener() {},
};

/** Sets the login of a client that is not connected yet, whatever its options and the environment say. */
export function setLogin(
  client: DropInClient,
  { user, password }: {
    readonly user?: string | undefined;
    readonly password?: string | undefined;
  },
): void {
  const { connectionParameters } = internalsOf(client);
  for (const holder of [client, connectionParameters!]) {
    if (user !== undefined) holder.user = user;
    holder.password = password ?? null;
  }
}

/** TCP keepalive, unless the options say otherwise. */
export const KEEPALIVE: {
  readonly keepAlive: boolean;
  readonly keepAliveInitialDelayMillis: number;
} = { keepAlive: true, keepAliveInitialDelayMillis: KEEPALIVE_MS };
