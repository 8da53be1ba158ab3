/**
 * The part of `node:sqlite` that the adapter needs, as types.
 *
 * @module
 */

/** The options of `DatabaseSync` that the adapter knows; `connectArgs` may add any other option. */
export interface SqliteOptions {
  /** Whether writing is refused. */
  readOnly?: boolean;
  /** Whether foreign keys are enforced. Default: `true`. */
  enableForeignKeyConstraints?: boolean;
  /** Whether string literals may be in double quotes. */
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
  /** Closes the database. */
  close(): void;
}

/** The part of the module `node:sqlite` that the adapter needs. */
export interface SqliteModule<D extends SqliteDatabase> {
  /** The class of a connection. */
  DatabaseSync: new (path: string, options: SqliteOptions) => D;
}
