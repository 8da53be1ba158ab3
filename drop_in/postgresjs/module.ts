/**
 * The part of the module `postgres` that the drop-in uses.
 *
 * @module
 */

/** Begins the statement of a query. */
export type Handler = (query: DriverQuery) => unknown;

/** A query of the driver: a promise whose statement begins when it is awaited. */
export interface DriverQuery extends Promise<unknown> {
  /** Called once, with the query itself. */
  handler: Handler;
  /** Cancels the query; `null` once that was done. */
  canceller: unknown;
  /** Whether the query was cancelled before its statement was begun. */
  readonly cancelled: unknown;
  /** Whether the server is working on its statement. */
  readonly active: boolean;
  /** Whether it is a COPY. */
  readonly streaming?: boolean;
  /** The text, if the query has no values of its own. */
  strings: readonly string[];
  reject(error: unknown): void;
}

/** The driver's options, as it has read them. */
export interface ParsedOptions extends Record<string, unknown> {
  readonly host: readonly string[];
  readonly port: readonly number[];
  /** Path of a socket; `false` if there is none. */
  readonly path: string | false;
  readonly max: unknown;
  readonly max_pipeline: number;
  readonly user: unknown;
  readonly pass: unknown;
  readonly ssl: unknown;
  readonly transform: object;
  readonly connection: Record<string, unknown>;
}

/** A transaction or a reserved connection. */
export interface ReservedSql {
  release: () => void;
}

/** What the driver's function returns. */
export interface DriverSql {
  (strings: unknown, ...args: unknown[]): unknown;
  readonly options: ParsedOptions;
  unsafe(text: string, args?: unknown, options?: unknown): DriverQuery;
  file(path: string, args?: unknown, options?: unknown): DriverQuery;
  begin(...args: unknown[]): Promise<unknown>;
  reserve(): Promise<ReservedSql>;
  end(options?: { timeout?: number }): Promise<void>;
  close(): Promise<void>;
}

/** The driver's function. */
export type DriverFunction = (options: unknown, more?: unknown) => DriverSql;

/** The function that `import postgres from "postgres"` gives, of any version. */
// deno-lint-ignore no-explicit-any -- its types are generic: those of the caller's version are kept
export type PostgresDriver = (...args: any[]) => any;
