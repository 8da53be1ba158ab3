/**
 * The adapter for `node:sqlite`, which Deno, Node and Bun contain. It uses neither network nor DNS: it is for programs,
 * and for tests of programs, whose database URL may also name a SQLite database.
 *
 * @module
 */

import { mustBe } from "../internal/argument_error.ts";
import { messageOf } from "../internal/thrown.ts";
import type {
  Activity,
  Adapter,
  BindValues,
  Destination,
  NotCommitted,
  Role,
  Target,
  TransactionStatus,
  Verdict,
} from "./adapter.ts";
import { asDriverError } from "./shared/driver_error.ts";
import { loadDriver } from "./shared/load_driver.ts";
import { endStatement } from "./shared/sql.ts";
import { isList } from "./shared/values.ts";
import type { SqliteDatabase, SqliteModule } from "./sqlite/driver.ts";
import { OpenIterators } from "./sqlite/open_iterators.ts";
import { readOptions } from "./sqlite/options.ts";
import { checkValues } from "./sqlite/placeholders.ts";

export type { SqliteDatabase, SqliteModule, SqliteOptions } from "./sqlite/driver.ts";

/** Members of `DatabaseSync` that only newer versions have. */
interface Internals {
  readonly isOpen?: boolean;
  readonly isTransaction?: boolean;
}

const NOT_FOUND =
  "this runtime has no node:sqlite; Deno from 2.2 on, Node from 22.13 on and newer versions of Bun have it";

/** Matches the name of a database in memory. */
const IN_MEMORY = /^(?:file:)?:memory:|^file:.*[?&]mode=memory\b/;
/** Matches what may follow a statement without being another one: white space, semicolons and comments. */
const NO_STATEMENT = /^(?:[\s;]|--[^\n]*(?:\n|$)|\/\*[^]*?(?:\*\/|$))*$/;
/** SQLITE_READONLY; extended error codes have it in their lowest byte. */
const READ_ONLY = 8;

/**
 * Makes the adapter for `node:sqlite`. Its statements are synchronous: while one is running, nothing else in the
 * process does.
 *
 * A database in memory belongs to its connection: the engine has one and keeps it. For a file the engine has one
 * connection as well, so that leases take turns and transactions do not mix, unless `poolSize` says otherwise.
 *
 * @param sqlite The module, if the client should have its type: `import sqlite from "node:sqlite"`. Default: the
 *   module is imported at the first connect.
 * @returns The adapter; its client is `DatabaseSync`.
 * @throws {TypeError} if `sqlite` is not that module.
 *
 * @example A database in memory
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
  const readOnlyDatabases: WeakSet<D> = new WeakSet();
  const iterators: WeakMap<D, OpenIterators> = new WeakMap();
  return {
    name: "sqlite",
    defaultPort: 0,
    local: true,

    check: (destination: Destination) => void readOptions(destination),
    volatile: ({ host }: Destination) => IN_MEMORY.test(host),

    async connect(path: string, target: Target): Promise<D> {
      const { DatabaseSync } = sqlite ?? await loadSqlite<D>();
      const { timeout, ...options } = readOptions(target);
      target.signal.throwIfAborted();
      const database = new DatabaseSync(path, options);
      if (options.readOnly) readOnlyDatabases.add(database);
      iterators.set(database, new OpenIterators(database));
      // Not every version of the module knows the option `timeout`.
      if (timeout !== undefined) database.exec(`PRAGMA busy_timeout = ${timeout}`);
      return database;
    },

    async close(database: D): Promise<void> {
      await Promise.resolve(closeIfOpen(database));
    },

    terminate: closeIfOpen,

    async ping(database: D): Promise<void> {
      await Promise.resolve(database.exec("SELECT 1"));
    },

    async reset(database: D, how: "rollback" | "commit"): Promise<void> {
      iterators.get(database)!.end();
      await reset(database, how);
    },

    activity: (database: D): Activity =>
      (database as Internals).isOpen === false ? "ended" : "none",
    transactionStatus: (database: D): TransactionStatus | undefined =>
      iterators.get(database)!.size > 0 ? undefined : transactionStatus(database),

    async commit(database: D): Promise<NotCommitted | undefined> {
      // Some errors, as that of a full disk, end the transaction (SQLite, "Response To Errors Within A Transaction").
      if (transactionStatus(database) === "idle") return {};
      await Promise.resolve(database.exec("COMMIT"));
      return undefined;
    },

    // `PRAGMA query_only` is the caller's own, and no property of the database.
    role: (database: D): Promise<Role> =>
      Promise.resolve({ standby: false, readOnly: readOnlyDatabases.has(database) }),

    classify,

    async query(database: D, text: string, values: BindValues = []) {
      return await Promise.resolve(run(database, text, isList(values) ? values : [values]));
    },
  };
}

function checkModule(sqlite: unknown): void {
  if (typeof (sqlite as { DatabaseSync?: unknown } | null)?.DatabaseSync === "function") return;
  const allowed = 'what `import sqlite from "node:sqlite"` gives, with a class "DatabaseSync"';
  throw mustBe("sqlite", allowed, sqlite);
}

function loadSqlite<D extends SqliteDatabase>(): Promise<SqliteModule<D>> {
  return loadDriver("sqlite", { specifiers: ["node:sqlite"], notFound: NOT_FOUND });
}

async function reset(database: SqliteDatabase, how: "rollback" | "commit"): Promise<void> {
  try {
    await Promise.resolve(database.exec(endStatement(how)));
  } catch (error) {
    if (!/no transaction is active/.test(messageOf(error))) throw error;
  }
}

function transactionStatus(database: SqliteDatabase): TransactionStatus | undefined {
  const { isTransaction } = database as Internals;
  return isTransaction === undefined ? undefined : isTransaction ? "open" : "idle";
}

/** Runs one statement. The driver would silently ignore any statement behind it, so that is refused. */
function run(database: SqliteDatabase, text: string, values: readonly unknown[]): unknown[] {
  const statement = database.prepare(text) as ReturnType<SqliteDatabase["prepare"]> & {
    readonly sourceSQL?: string;
  };
  const { sourceSQL = text } = statement;
  if (text.startsWith(sourceSQL) && !NO_STATEMENT.test(text.slice(sourceSQL.length))) {
    throw new TypeError(
      'Cannot run several statements at once: give one, or use the method "exec" of the client',
    );
  }
  checkValues(text, values);
  // The driver's rows have no prototype; those of other drivers are plain objects.
  return statement.all(...values).map((row) => Array.isArray(row) ? row : { ...row as object });
}

function closeIfOpen(database: SqliteDatabase): void {
  try {
    database.close();
  } catch (error) {
    if (classify(error) !== "disconnect") throw error;
  }
}

function classify(error: unknown): Verdict {
  const { errcode } = (error ?? {}) as { errcode?: unknown };
  const { message } = asDriverError(error);
  if (message === "database is not open") return "disconnect";
  const refused = typeof errcode === "number"
    ? (errcode & 0xff) === READ_ONLY
    : message === "attempt to write a readonly database"; // Deno's errors have no code
  return refused ? "read-only" : undefined;
}
