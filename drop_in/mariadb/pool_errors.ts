/**
 * The errors of mariadb's pool.
 *
 * @module
 */

import type { SqlErrorClass } from "./module.ts";

/** What a caller waits with: mariadb adds the statement and the stack of the call to its errors. */
export interface CallParam {
  readonly sql?: string | undefined;
  readonly stack?: string | undefined;
}

/** Makes the errors of mariadb's pool. */
export class PoolErrors {
  readonly #SqlError: SqlErrorClass;

  /** @param SqlError The driver's class. */
  constructor(SqlError: SqlErrorClass) {
    this.#SqlError = SqlError;
  }

  /** The error for a caller of a pool that is closed. */
  closed({ sql, stack }: CallParam): Error {
    return this.#make("pool is closed", 45027, { sql, stack });
  }

  /** The error for a second call of `end()`. */
  alreadyClosed(): Error {
    return this.#make("pool is already closed", 45027);
  }

  /** The error for a caller that waits when the pool is closed. */
  closing({ stack }: CallParam): Error {
    return this.#make("pool is ending, connection request aborted", 45037, { stack });
  }

  /**
   * The error for a caller that waited too long.
   *
   * @param waitedMs How long it waited.
   * @param pool The state of the pool, as mariadb describes it.
   * @param cause Why no connection could be opened, if that was the reason.
   */
  timeout(waitedMs: number, pool: string, { stack }: CallParam, cause: unknown): Error {
    const text = cause === undefined
      ? `pool timeout: failed to retrieve a connection from pool after ${waitedMs}ms`
      : "pool failed to retrieve a connection from pool";
    return this.#make(text + pool, 45028, { stack, cause });
  }

  /**
   * The error of the event `error`.
   *
   * @param initialized Whether the pool has ever opened a connection.
   * @param cause Why none can be opened.
   */
  noConnection(initialized: boolean, cause: unknown): Error {
    const [text, errno] = initialized
      ? ["Pool fails to create connection", 45061] as const
      : ["Error during pool initialization", 45060] as const;
    return this.#make(text, errno, { cause, sqlState: null });
  }

  #make(
    text: string,
    errno: number,
    { sql, stack, cause, sqlState = "HY000" }: CallParam & {
      readonly cause?: unknown;
      readonly sqlState?: string | null;
    } = {},
  ): Error {
    const reason = cause === undefined ? undefined : { cause };
    return new this.#SqlError(text, sql, false, null, sqlState, errno, stack, undefined, reason);
  }
}
