/**
 * The part of `Bun.SQL` that the adapter needs, as types.
 *
 * @module
 */

/** The rows of a result, and the tag of its statement. */
export interface BunSqlResult extends Array<unknown> {
  /** The statement's tag, such as `"COMMIT"`; with MySQL `null`. */
  readonly command: string | null;
}

/** The part of a reserved connection that the adapter needs. It is also a function, for tagged templates. */
export interface BunSqlClient {
  /** Runs a statement, whose values are those of the template; or makes a part of one, or a list of names or values. */
  // deno-lint-ignore no-explicit-any -- the driver's own type is a promise with more members
  (strings: any, ...values: unknown[]): any;
  /** Runs a statement that is given as text. */
  unsafe(text: string, values?: unknown[]): Promise<BunSqlResult>;
}

/** The part of `Bun.SQL` with one connection that the adapter needs. */
export interface BunSqlPool {
  /** Takes the connection. */
  reserve(): Promise<BunSqlClient>;
  /** Closes the connection. */
  close(options: { timeout: number }): Promise<void>;
}

/** The constructor `Bun.SQL`. */
export interface BunSqlConstructor {
  new (url: string, options: Readonly<Record<string, unknown>>): BunSqlPool;
}
