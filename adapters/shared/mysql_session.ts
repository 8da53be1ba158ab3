/**
 * Keeps what the server says about the session of one connection of MySQL's family: the flags for an open transaction
 * and for autocommit, which come with every answer but an error.
 *
 * @module
 */

import type { Adapter, NotCommitted, TransactionStatus } from "../adapter.ts";
import { asDriverError } from "./driver_error.ts";
import { planMysqlTransaction } from "./mysql_transaction.ts";
import { endStatement } from "./sql.ts";

/** SERVER_STATUS_IN_TRANS. */
export const IN_TRANSACTION = 1;
/** SERVER_STATUS_AUTOCOMMIT. */
export const AUTOCOMMIT = 2;

/**
 * Numbers of errors that end the transaction, always or by a setting of the server (the error references of MySQL and of
 * MariaDB).
 */
export const END_TRANSACTION: ReadonlySet<number> = new Set([
  1020, // the record has changed since it was read (MariaDB, innodb_snapshot_isolation)
  1205, // lock wait timeout (innodb_rollback_on_timeout)
  1206, // too many locks
  1213, // deadlock; conflict in a Galera cluster
  1613, // XA timeout
  1614, // XA deadlock
  1402, // XA rollback
]);

/** What a driver has to offer. */
export interface SessionDriver {
  /** The flags of the last answer; `undefined` if they are not known, as after an error. */
  readonly flags: () => number | undefined;
  /** Whether a statement waits for its answer; `undefined` if that is not known. */
  readonly busy: () => boolean | undefined;
  /** Runs a statement. */
  readonly run: (text: string) => Promise<unknown>;
  /**
   * Sends statements at once: ahead of what the caller sends when it learns of the error that is being read. They turn
   * autocommit off, and find out whether a transaction was open before the next statement.
   */
  readonly holdTransaction: () => Promise<boolean>;
}

/** A transaction of `engine.begin`. */
interface Transaction {
  /** Its first error, or the first one that may have ended it. */
  error?: unknown;
  /** Whether an error has ended it. */
  ended: boolean;
  /** Settled when it is known whether an error that may have ended it has done so. */
  held?: Promise<void>;
}

/** The session of one connection. */
export class MysqlSession {
  readonly #driver: SessionDriver;
  /** The setting of autocommit that a reset puts back. */
  #autocommit: boolean | undefined;
  /** The transaction that `begin` began and that is still to be committed. */
  #transaction: Transaction | undefined;

  /** @param driver The driver's connection, which has just logged in. */
  constructor(driver: SessionDriver) {
    this.#driver = driver;
    this.keepSettings();
  }

  /**
   * Notes the settings of a new session. The answer to the login does not tell what the server's `init_connect` did to
   * it; the next answer does.
   */
  async askSettings(): Promise<void> {
    await this.#driver.run("DO 0");
    this.keepSettings();
  }

  /** Notes the setting of autocommit that a reset puts back: the present one. */
  keepSettings(): void {
    const flags = this.#driver.flags();
    if (flags !== undefined) this.#autocommit = (flags & AUTOCOMMIT) !== 0;
  }

  /** The status of the transaction; `undefined` if it is not known, or if `reset` has more to do than to end it. */
  get transactionStatus(): TransactionStatus | undefined {
    if (this.#driver.busy() !== false) return undefined;
    if (this.#transaction?.ended) return "failed";
    const flags = this.#driver.flags();
    if (flags === undefined || this.#hasOtherAutocommit(flags)) return undefined;
    return (flags & IN_TRANSACTION) !== 0 ? "open" : "idle";
  }

  /**
   * Whether what a single statement has just done is not committed, because autocommit is off: the checkin would undo it
   * although it was acknowledged.
   */
  get isUncommitted(): boolean {
    const flags = this.#driver.flags();
    return flags !== undefined && (flags & AUTOCOMMIT) === 0 && (flags & IN_TRANSACTION) !== 0 &&
      this.#transaction === undefined;
  }

  /** Commits what a single statement has done. */
  async commitStatement(): Promise<void> {
    await this.#driver.run("COMMIT");
  }

  /** Ends the transaction, and puts the setting of autocommit back. */
  async reset(how: "rollback" | "commit"): Promise<void> {
    this.#transaction = undefined;
    await this.#driver.run(endStatement(how));
    await this.restoreAutocommit();
  }

  /** Puts the setting of autocommit back: to what it was after the connect. */
  async restoreAutocommit(): Promise<void> {
    const flags = this.#driver.flags();
    // After an error there are no flags: a statement that its holder did not await may have failed meanwhile.
    if (this.#autocommit === undefined || flags !== undefined && !this.#hasOtherAutocommit(flags)) {
      return;
    }
    await this.#driver.run(`SET autocommit = ${this.#autocommit ? 1 : 0}`);
  }

  /** Begins a transaction. */
  async begin(statement = "BEGIN"): Promise<void> {
    await this.#driver.run(statement);
    this.#transaction = { ended: false };
  }

  /**
   * Takes an error of the server. If it may have ended the transaction, autocommit is turned off, before the caller
   * learns of the error: statements that follow would otherwise be committed one by one.
   *
   * @param error The error.
   */
  noteError(error: unknown): void {
    const transaction = this.#transaction;
    if (!transaction) return;
    const mayEnd = END_TRANSACTION.has(asDriverError(error).errno as number);
    if (transaction.error === undefined || mayEnd && !transaction.ended) transaction.error = error;
    if (!mayEnd || transaction.ended) return;
    const hold = this.#driver.holdTransaction().catch(() => false);
    transaction.held = hold.then((isOpen) => void (transaction.ended ||= !isOpen));
  }

  /**
   * Commits, unless an error has ended the transaction.
   *
   * @returns `undefined` if it was committed; otherwise why not.
   */
  async commit(): Promise<NotCommitted | undefined> {
    const { error: cause, held } = this.#transaction ?? {};
    let { ended = false } = this.#transaction ?? {};
    if (cause !== undefined) {
      await held;
      await this.#driver.run("DO 0");
      ended = this.#transaction?.ended || !this.#isOpen();
    }
    this.#transaction = undefined;
    await this.#driver.run(ended ? "ROLLBACK" : "COMMIT");
    return ended ? { cause } : undefined;
  }

  #isOpen(): boolean {
    return ((this.#driver.flags() ?? 0) & IN_TRANSACTION) !== 0;
  }

  #hasOtherAutocommit(flags: number): boolean {
    return this.#autocommit !== undefined && this.#autocommit !== ((flags & AUTOCOMMIT) !== 0);
  }
}

/** The adapter methods for transactions and their end. */
type TransactionMethods<C> = Required<
  Pick<
    Adapter<C>,
    "transactionStatus" | "keepSettings" | "reset" | "begin" | "planTransaction" | "commit"
  >
>;

/**
 * Makes the adapter methods for transactions and their end.
 *
 * @param sessionOf Returns the session of a client.
 */
export function mysqlTransactionMethods<C>(
  sessionOf: (client: C) => MysqlSession,
): TransactionMethods<C> {
  return {
    transactionStatus: (client: C) => sessionOf(client).transactionStatus,
    keepSettings: (client: C) => sessionOf(client).keepSettings(),
    reset: (client: C, how: "rollback" | "commit") => sessionOf(client).reset(how),
    begin: (client: C, statement?: string) => sessionOf(client).begin(statement),
    planTransaction: planMysqlTransaction,
    commit: (client: C) => sessionOf(client).commit(),
  };
}
