/**
 * Tells from the texts of a session's statements whether a transaction may be open, for drivers that do not show what
 * the server says about it.
 *
 * @module
 */

/** Matches a statement that may begin a transaction. */
const BEGINS = /\b(begin|start)\b/i;
/** Matches a statement that certainly ends a transaction. */
const ENDS = /^\s*(commit|rollback|end|abort)(\s+(work|transaction))?\s*;?\s*$/i;

/** The statements of one session, which runs them in their order. */
export class StatementLog {
  #count = 0;
  /** The statement that last may have begun a transaction, unless that transaction is known to have ended. */
  #beginning: number | undefined;

  /** Whether a transaction may be open. */
  get mayBeOpen(): boolean {
    return this.#beginning !== undefined;
  }

  /**
   * Notes a statement that is about to be sent.
   *
   * @param begins Its text, or whether it may begin a transaction.
   * @returns Its number.
   */
  add(begins: string | boolean): number {
    const number = ++this.#count;
    if (begins === true || typeof begins === "string" && BEGINS.test(begins)) {
      this.#beginning = number;
    }
    return number;
  }

  /**
   * Notes that a statement has succeeded.
   *
   * @param number Its number.
   * @param ends Its text, or whether it ended the transaction.
   */
  succeeded(number: number, ends: string | boolean): void {
    if (this.#beginning === undefined || this.#beginning >= number) return;
    if (ends === true || typeof ends === "string" && ENDS.test(ends)) this.#beginning = undefined;
  }
}
