/**
 * The adapter for `npm:postgres`, postgres.js.
 *
 * @module
 */

import {
  DEFAULT_PORT,
  isolationStatement,
  ROLE_QUERY,
  roleOf,
  verdictOf,
} from "./shared/postgres.ts";
import { dialPostgres } from "./shared/postgres_socket.ts";
import type { ErrorFields } from "./shared/postgres_protocol.ts";
import type { PostgresjsFunction, PostgresjsSql } from "./postgresjs/driver.ts";
import { configure, isDirect, withPassword } from "./postgresjs/options.ts";
import { DriverSocket } from "./postgresjs/socket.ts";
import { checkSecured, checkTls, readTls } from "./shared/tls.ts";
import type { Adapter, Destination, Role, Target, TlsState } from "./adapter.ts";

export type { PostgresjsFunction, PostgresjsOptions, PostgresjsSql } from "./postgresjs/driver.ts";

/** What there is besides, and what is not in the driver's types. */
interface Internals {
  PostgresError?: new (fields: ErrorFields) => Error;
  listen?: () => Promise<never>;
  subscribe?: () => Promise<never>;
}

/** What is known of a connection. */
interface Known {
  readonly socket: DriverSocket;
  readonly tls: TlsState | undefined;
  readonly onClose: ((error?: unknown) => void)[];
  readonly onError: ((error: unknown) => void)[];
}

/** What postgres.js says of connections that are gone. */
const DRIVER_SAYS = /^(CONNECTION_(CLOSED|ENDED|DESTROYED)|CONNECT_TIMEOUT)$/;

/**
 * Opens connections with `postgres`, each a `Sql` of one connection (`max: 1`), open when it is handed out.
 *
 * @param postgres The function: `import postgres from "postgres"`. Or one of yours around it, for clients of its own
 *   type: `(options) => postgres({ ...options, types })`.
 * @returns The adapter; its client is what `postgres` returns.
 * @throws {TypeError} when `postgres` is not a function.
 *
 * @example
 * ```ts
 * import { getDnsEngine } from "@dnspool/dnspool";
 * import { postgresjsAdapter } from "@dnspool/dnspool/adapters/postgresjs";
 * import postgres from "npm:postgres@^3.4";
 *
 * const engine = getDnsEngine("postgresql://app@db.internal/orders", {
 *   adapter: postgresjsAdapter(postgres),
 * });
 * await engine.close();
 * ```
 */
export function postgresjsAdapter<S extends PostgresjsSql>(
  postgres: PostgresjsFunction<S>,
): Adapter<S> {
  checkFunction(postgres);
  return lazyPostgresjsAdapter(() => Promise.resolve(postgres));
}

/**
 * Opens connections with `postgres`, which is loaded at the first connect.
 *
 * @param load Gives the function.
 * @returns The adapter.
 */
export function lazyPostgresjsAdapter<S extends PostgresjsSql>(
  load: () => Promise<PostgresjsFunction<S>>,
): Adapter<S> {
  const connections: WeakMap<S, Known> = new WeakMap();
  const known = (sql: S) => connections.get(sql)!;
  return {
    name: "postgresjs",
    defaultPort: DEFAULT_PORT,

    check(destination: Destination): void {
      configure(destination);
      checkTls(destination);
      isDirect(destination);
    },

    async connect(ip: string, target: Target): Promise<S> {
      const postgres = await load();
      checkFunction(postgres);
      const { sql, connection } = await open(postgres, ip, target);
      connections.set(sql, connection);
      return sql;
    },

    close: (sql: S) => sql.end(),
    terminate: (sql: S, reason?: Error) => known(sql).socket.terminate(reason),
    ref: (sql: S) => known(sql).socket.ref(),
    unref: (sql: S) => known(sql).socket.unref(),
    inTransaction: (sql: S) => known(sql).socket.inTransaction,
    tls: (sql: S) => known(sql).tls,

    async ping(sql: S): Promise<void> {
      await sql.unsafe("SELECT 1");
    },

    async reset(sql: S, how: "rollback" | "commit"): Promise<void> {
      await sql.unsafe(how === "commit" ? "COMMIT" : "ROLLBACK");
    },

    async setIsolationLevel(sql: S, level: string | undefined): Promise<void> {
      await sql.unsafe(isolationStatement(level));
    },

    async role(sql: S): Promise<Role> {
      return roleOf([...await sql.unsafe(ROLE_QUERY)][0]);
    },

    classify,

    onClose: (sql: S, listener: (error?: unknown) => void) =>
      void known(sql).onClose.push(listener),
    onError: (sql: S, listener: (error: unknown) => void) => void known(sql).onError.push(listener),

    async query(sql: S, text: string, values?: readonly unknown[]): Promise<readonly unknown[]> {
      return [...await sql.unsafe(text, values ? [...values] : [])];
    },
  };
}

/** One connection, open. */
async function open<S extends PostgresjsSql>(
  postgres: PostgresjsFunction<S>,
  ip: string,
  target: Target,
): Promise<{ sql: S; connection: Known }> {
  const { signal, keepAlive } = target;
  const tls = await readTls(target);
  const options = await withPassword(configure(target));
  const { port } = options;
  const dial = (signal: AbortSignal) =>
    dialPostgres(ip, { port, keepAlive, signal, tls, direct: isDirect(target) });
  signal.throwIfAborted();
  const real = await dial(signal);
  const connection: Known = {
    tls: checkSecured(real, tls),
    onClose: [],
    onError: [],
    socket: new DriverSocket(real, { host: ip, port }, {
      toError: (fields) => toError(sql as Internals, fields),
      onError: (error) => connection.onError.forEach((listener) => listener(error)),
      onEnd(error) {
        connection.onClose.forEach((listener) => listener(error));
        const release = () => connection.socket.release();
        sql.end({ timeout: 0 }).then(release, release);
      },
    }),
  };
  const { socket } = connection;
  const sql = postgres({ ...options, host: ip, socket: () => socket.take(dial) });
  refuseListeners(sql as Internals);
  try {
    await socket.opening(sql.unsafe("SELECT 1"), signal);
    return { sql, connection };
  } catch (error) {
    socket.terminate();
    signal.throwIfAborted();
    throw error;
  }
}

function checkFunction(postgres: unknown): void {
  if (typeof postgres === "function") return;
  throw new TypeError(
    'Cannot use this as the driver "postgresjs": it is not a function, pass what `import postgres from "postgres"` gives',
  );
}

/** For these the driver would open a connection that the pool does not know of. */
function refuseListeners(sql: Internals): void {
  const refuse = (method: string) => () =>
    Promise.reject(
      new TypeError(
        `Cannot use the method "${method}" on a connection of a pool: it opens another one, which would stay where it is when the name moves; use postgres() itself for it, or send LISTEN and give "onnotify" in "connectArgs"`,
      ),
    );
  sql.listen = refuse("listen");
  sql.subscribe = refuse("subscribe");
}

function toError(sql: Internals, fields: ErrorFields): Error {
  return sql.PostgresError
    ? new sql.PostgresError(fields)
    : Object.assign(new Error(fields.message), fields);
}

function classify(error: unknown): "disconnect" | "read-only" | undefined {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === "string" && DRIVER_SAYS.test(code) ? "disconnect" : verdictOf(code);
}
