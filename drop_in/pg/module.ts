/**
 * The part of the module `pg` that the drop-ins need, and what it makes of its options.
 *
 * @module
 */

import { KEEPALIVE_MS } from "../../adapters/shared/socket.ts";
import type { Adapter } from "../../adapters/adapter.ts";
import { lazyPgAdapter, type PgClient, type PgConfig, type PgModule } from "../../adapters/pg.ts";
import { copyOptions, type Given, refuseOptions } from "../shared/options.ts";

/** Hears of what happens to a pool or to one of its clients. */
// deno-lint-ignore no-explicit-any -- as EventEmitter has it: each event has arguments of its own
export type Listener = (...args: any[]) => void;

/** Gives a client back; with an error or `true`, for good. */
export type Release = (error?: unknown) => void;

/** Hands a client to whoever asked the pool for one. */
export type Deliver = (error: Error | undefined, client?: DropInClient, done?: Release) => void;

/** `pg.Client`, with what its pool hangs on to it. */
export interface DropInClient extends PgClient {
  host: string;
  port: number;
  user?: string;
  database?: string;
  password?: unknown;
  connection?: unknown;
  release?: Release;
  _queryable?: boolean;
  _ending?: boolean;
  _ended?: boolean;
  _poolUseCount?: number;
  once(event: string, listener: Listener): unknown;
}

/** `pg.Pool`, as far as a subclass has to know it. */
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

/** The module `pg`, as far as a drop-in has to know it: `import pg from "pg"`. */
export interface PgDriver {
  /** The client class. */
  // deno-lint-ignore no-explicit-any -- any version's: what comes of it is inferred from the module
  Client: new (config?: any) => any;
  /** The pool class. */
  // deno-lint-ignore no-explicit-any -- any version's: what comes of it is inferred from the module
  Pool: new (config?: any) => any;
}

/** The module, with what it makes. */
export interface PgInternalDriver extends PgDriver {
  Client: new (config: unknown) => DropInClient;
  Pool: new (config?: unknown) => PgPool;
}

/**
 * Checks that this is the module.
 *
 * @param pg What was passed in.
 * @returns The same.
 * @throws {TypeError} where it is not.
 */
export function checkDriver(pg: unknown): PgInternalDriver {
  const { Client, Pool } = (pg ?? {}) as Partial<PgDriver>;
  if (typeof Client === "function" && typeof Pool === "function") return pg as PgInternalDriver;
  throw new TypeError(
    'Cannot use this as the driver "pg": it has no classes "Client" and "Pool", pass what `import pg from "pg"` gives',
  );
}

/** Options of `pg` that open the socket by themselves. */
const BYPASS = "it would bypass DNS, for it opens the socket by itself";

/**
 * Refuses what makes no sense in a pool or a client that follows DNS.
 *
 * @param given Its options.
 * @throws {TypeError} naming the option.
 */
export function checkPgOptions(given: Given): void {
  const milliseconds = 'for a pool of pg it is "connectionTimeoutMillis", in milliseconds';
  refuseOptions(given, {
    stream: BYPASS,
    connection: BYPASS,
    creator: BYPASS,
    poolTimeout: milliseconds,
    connectTimeout: milliseconds,
    idleTimeout: 'for a pool of pg it is "idleTimeoutMillis", in milliseconds',
    poolRecycle: 'for a pool of pg it is "maxLifetimeSeconds"',
    maxOverflow: 'for a pool of pg it is part of "max"',
    minIdle: 'for a pool of pg it is "min"',
  });
}

/** Where a client would connect to. */
export interface PgParameters {
  readonly host: string;
  readonly port: number;
  readonly user: string | undefined;
  readonly database: string | undefined;
  /** Not of a function that gives it. */
  readonly password: string | undefined;
}

/**
 * Where a client with these options would connect to: options, connection string, environment and defaults, as `pg`
 * itself reads them.
 *
 * @param Client Its class.
 * @param given Its options.
 * @returns What it would use.
 */
export function readParameters(Client: PgInternalDriver["Client"], given: Given): PgParameters {
  // In place of a connection, so that the client that is only asked makes no socket.
  const connection = { on() {}, once() {}, removeListener() {} };
  const client = new Client({ ...copyOptions(given), connection });
  const { host, port, user, database, password } = client;
  if (client.connection !== connection || typeof host !== "string") {
    throw new TypeError(
      "Cannot follow DNS with this client class: it is not pg's own or a subclass (pg-native is none)",
    );
  }
  return {
    host,
    port,
    user: user ?? undefined,
    database: database ?? undefined,
    password: typeof password === "string" ? password : undefined,
  };
}

/** TCP keepalive, unless it is asked for otherwise. */
export const KEEPALIVE: {
  readonly keepAlive: boolean;
  readonly keepAliveInitialDelayMillis: number;
} = { keepAlive: true, keepAliveInitialDelayMillis: KEEPALIVE_MS };

/**
 * Opens clients that dial an address instead of their host; everywhere else (TLS, `.pgpass`, password function,
 * tracing) the host stays what it was.
 *
 * @param Client Their class.
 * @param options Gives their options of the moment.
 * @returns The adapter.
 */
export function pinningAdapter(
  Client: PgInternalDriver["Client"],
  options: () => Given,
): Adapter<DropInClient> {
  const Pinned = function ({ host }: PgConfig) {
    // The engine bounds the attempt.
    const given = { ...KEEPALIVE, ...copyOptions(options()), connectionTimeoutMillis: 0 };
    const client = new Client(given);
    client.host = host;
    return client;
  };
  const pg = { Client: Pinned as unknown } as PgModule<DropInClient>;
  return lazyPgAdapter(() => Promise.resolve(pg));
}
