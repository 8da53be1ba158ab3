/**
 * The adapter for `node:sqlite`, which Deno, Node and Bun bring along. There is no network and no DNS in it: it is for
 * programs, and tests of programs, whose database URL may be one of SQLite too.
 *
 * @module
 */

import { loadDriver } from "./shared/load_driver.ts";
import { type ParamKind, readParams, TLS_PARAMS } from "./shared/params.ts";
import type { Adapter, Destination, Role, Target } from "./adapter.ts";

/** What the adapter knows of the options of `DatabaseSync`; `connectArgs` may add whatever else it has. */
export interface SqliteOptions {
  /** Nothing can be written. */
  readOnly?: boolean;
  /** Foreign keys are enforced; the driver's default. */
  enableForeignKeyConstraints?: boolean;
  /** Texts may stand in double quotes. */
  enableDoubleQuotedStringLiterals?: boolean;
}

/** The part of `DatabaseSync` that the adapter needs. */
export interface SqliteDatabase {
  /** Prepares the first statement of a text. */
  prepare(text: string): {
    // deno-lint-ignore no-explicit-any -- the driver's own type for values differs between runtimes
    all(...values: any[]): unknown[];
  };
  /** Runs statements without values or rows. */
  exec(text: string): void;
  /** Closes it. */
  close(): void;
}

/** What newer versions have besides. */
interface Internals {
  readonly isTransaction?: boolean;
}

/** The part of the module `node:sqlite` that the adapter needs. */
export interface SqliteModule<D extends SqliteDatabase> {
  /** The class of a connection. */
  DatabaseSync: new (path: string, options: SqliteOptions) => D;
}

const PARAMS: Readonly<Record<string, ParamKind>> = {
  enableDoubleQuotedStringLiterals: "boolean",
  enableForeignKeyConstraints: "boolean",
  readOnly: "boolean",
  timeout: "number",
};

const MISSING =
  "this runtime has no node:sqlite; Deno from 2.2 on, Node from 22.13 on and newer versions of Bun have it";

/** In memory. */
const VOLATILE = /^(?:file:)?:memory:|^file:.*[?&]mode=memory\b/;
/** What may stand after a statement without being another one. */
const NOTHING = /^(?:[\s;]|--[^\n]*(?:\n|$)|\/\*[^]*?(?:\*\/|$))*$/;
/** SQLITE_READONLY; the extended codes have it in their lowest byte. */
const READ_ONLY = 8;

/**
 * Opens connections with `node:sqlite`. Its statements run at once, in the one thread that there is: a long one holds
 * everything up.
 *
 * A database in memory is its connection's: the engine has one, and keeps it. For a file it has one as well, so that
 * leases take turns and transactions do not mix, unless `poolSize` says otherwise.
 *
 * @param sqlite The module, where the client shall be of its type: `import sqlite from "node:sqlite"`. Default: it is
 *   imported at the first connect.
 * @returns The adapter; its client is `DatabaseSync`.
 * @throws {TypeError} when `sqlite` is not that module.
 *
 * @example
 * ```ts
 * import { getDnsEngine } from "@dnspool/dnspool";
 * import { sqliteAdapter } from "@dnspool/dnspool/adapters/sqlite";
 * import { assertEquals } from "@std/assert";
 * import sqlite from "node:sqlite";
 *
 * const engine = getDnsEngine("sqlite::memory:", { adapter: sqliteAdapter(sqlite) });
 * await engine.use(({ client }) => client.exec("CREATE TABLE orders (id INTEGER)"));
 * await engine.query("INSERT INTO orders VALUES (?)", [7]);
 * assertEquals(await engine.query("SELECT id FROM orders"), [{ id: 7 }]);
 * await engine.close();
 * ```
 */
export function sqliteAdapter<D extends SqliteDatabase = SqliteDatabase>(
  sqlite?: SqliteModule<D>,
): Adapter<D> {
  if (sqlite !== undefined) checkModule(sqlite);
  const load = () =>
    sqlite ??
      loadDriver<SqliteModule<D>>("sqlite", { specifiers: ["node:sqlite"], otherwise: MISSING });
  const readOnly: WeakSet<D> = new WeakSet();
  return {
    name: "sqlite",
    defaultPort: 0,
    local: true,

    check: (destination: Destination) => void configure(destination),
    volatile: ({ host }: Destination) => VOLATILE.test(host),

    async connect(path: string, target: Target): Promise<D> {
      const { DatabaseSync } = await load();
      const { timeout, ...options } = configure(target);
      target.signal.throwIfAborted();
      const database = new DatabaseSync(path, options);
      if (options.readOnly) readOnly.add(database);
      // Not every version knows the option of this name.
      if (timeout !== undefined) database.exec(`PRAGMA busy_timeout = ${timeout}`);
      return database;
    },

    async close(database: D): Promise<void> {
      await Promise.resolve(shut(database));
    },

    terminate: shut,

    async ping(database: D): Promise<void> {
      await Promise.resolve(database.exec("SELECT 1"));
    },

    async reset(database: D, how: "rollback" | "commit"): Promise<void> {
      try {
        await Promise.resolve(database.exec(how === "commit" ? "COMMIT" : "ROLLBACK"));
      } catch (error) {
        if (!/no transaction is active/.test(messageOf(error))) throw error;
      }
    },

    inTransaction: (database: D) => (database as Internals).isTransaction,

    async role(database: D): Promise<Role> {
      const [row] = await Promise.resolve(database.prepare("PRAGMA query_only").all());
      const refused = (row as { query_only: unknown }).query_only !== 0;
      return { standby: false, readOnly: readOnly.has(database) || refused };
    },

    classify,

    async query(
      database: D,
      text: string,
      values: readonly unknown[] = [],
    ): Promise<readonly unknown[]> {
      return await Promise.resolve(run(database, text, values));
    },
  };
}

function checkModule(sqlite: unknown): void {
  if (typeof (sqlite as { DatabaseSync?: unknown } | null)?.DatabaseSync === "function") return;
  throw new TypeError(
    'Cannot use this as the driver "sqlite": it has no class "DatabaseSync", pass what `import sqlite from "node:sqlite"` gives',
  );
}

function configure(
  { user, password, params, connectArgs }: Destination,
): SqliteOptions & { timeout?: number } {
  if (user !== undefined || password !== undefined) {
    throw new TypeError("Cannot use the user of the database URL: SQLite has none");
  }
  const secure = TLS_PARAMS.find((name) => name in params);
  if (secure !== undefined) {
    throw new TypeError(`Cannot use the URL parameter "${secure}": SQLite has no network`);
  }
  if ("open" in connectArgs) {
    throw new TypeError('Cannot use "open" in "connectArgs": a connection is open');
  }
  const known = readParams(params, { name: "sqlite", known: PARAMS });
  const all = { ...known, ...connectArgs } as SqliteOptions & { timeout?: number };
  if (all.timeout === undefined || Number.isInteger(all.timeout) && all.timeout >= 0) return all;
  throw new TypeError(
    `Cannot use ${
      JSON.stringify(all.timeout)
    } for "timeout": it is a whole number of milliseconds from 0`,
  );
}

/** Runs one statement. The driver would drop what stands behind it without a word. */
function run(database: SqliteDatabase, text: string, values: readonly unknown[]): unknown[] {
  const statement = database.prepare(text) as ReturnType<SqliteDatabase["prepare"]> & {
    readonly sourceSQL?: string;
  };
  const { sourceSQL = text } = statement;
  if (text.startsWith(sourceSQL) && !NOTHING.test(text.slice(sourceSQL.length))) {
    throw new TypeError(
      'Cannot run several statements at once: give one, or use the method "exec" of the client',
    );
  }
  // Rows without a prototype are like those of no other driver.
  return statement.all(...values).map((row) => Array.isArray(row) ? row : { ...row as object });
}

/** Closes it, where it is open. */
function shut(database: SqliteDatabase): void {
  try {
    database.close();
  } catch (error) {
    if (classify(error) !== "disconnect") throw error;
  }
}

function classify(error: unknown): "disconnect" | "read-only" | undefined {
  const { errcode } = (error ?? {}) as { errcode?: unknown };
  const message = messageOf(error);
  if (message === "database is not open") return "disconnect";
  const refused = typeof errcode === "number"
    ? (errcode & 0xff) === READ_ONLY
    : message === "attempt to write a readonly database"; // Deno tells no code
  return refused ? "read-only" : undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : "";
}
