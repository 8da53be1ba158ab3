/**
 * Finds out whether an error has ended a transaction of MySQL or MariaDB, for a driver that does not show the server's
 * flags: by a savepoint, which is gone with its transaction.
 *
 * @module
 */

import type { NotCommitted } from "../adapter.ts";
import { asDriverError } from "../shared/driver_error.ts";
import { END_TRANSACTION } from "../shared/mysql_session.ts";

const SAVEPOINT = "dnspool_begun";
/** There is no such savepoint. */
const NO_SAVEPOINT = 1305;

/** The transactions that `engine.begin` begins on one connection. */
export class SavepointTransaction {
  readonly #run: (text: string) => Promise<unknown>;
  #isBegun = false;
  /** The first error, or the first one that may have ended the transaction. */
  #error: unknown;
  #isHeld = false;

  /** @param run Runs one statement; statements are run in the order of the calls. */
  constructor(run: (text: string) => Promise<unknown>) {
    this.#run = run;
  }

  /** Begins a transaction. */
  async begin(statement = "BEGIN"): Promise<void> {
    await Promise.all([this.#run(statement), this.#run(`SAVEPOINT ${SAVEPOINT}`)]);
    this.forget();
    this.#isBegun = true;
  }

  /**
   * Takes an error of the server. If it may have ended the transaction, autocommit is turned off, before the caller
   * learns of the error: statements that follow would otherwise be committed one by one.
   *
   * @param error The error.
   */
  noteError(error: unknown): void {
    if (!this.#isBegun) return;
    const mayEnd = END_TRANSACTION.has(asDriverError(error).errno as number);
    if (this.#error === undefined || mayEnd && !this.#isHeld) this.#error = error;
    if (!mayEnd || this.#isHeld) return;
    this.#isHeld = true;
    this.#run("SET @dnspool_autocommit = @@autocommit, autocommit = 0").catch(() => {});
  }

  /**
   * Commits, unless an error has ended the transaction.
   *
   * @returns `undefined` if it was committed; otherwise why not.
   */
  async commit(): Promise<NotCommitted | undefined> {
    const cause = this.#error;
    const isHeld = this.#isHeld;
    const ended = cause !== undefined && !await this.#isOpen();
    this.forget();
    await this.#run(ended ? "ROLLBACK" : "COMMIT");
    if (isHeld) await this.#run("SET autocommit = @dnspool_autocommit");
    return ended ? { cause } : undefined;
  }

  /** Forgets the transaction, which has ended or is about to. */
  forget(): void {
    this.#isBegun = false;
    this.#isHeld = false;
    this.#error = undefined;
  }

  async #isOpen(): Promise<boolean> {
    try {
      await this.#run(`RELEASE SAVEPOINT ${SAVEPOINT}`);
      return true;
    } catch (error) {
      if (asDriverError(error).errno === NO_SAVEPOINT) return false;
      throw error;
    }
  }
}
