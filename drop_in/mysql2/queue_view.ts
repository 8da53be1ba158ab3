/**
 * The queues of mysql2's pool, for monitoring that reads their length.
 *
 * @module
 */

/** Shows what the engine knows in the form of one of mysql2's queues, which only mysql2 itself changes. */
export class QueueView {
  readonly #read: () => readonly unknown[];

  /** @param read Returns the members now. */
  constructor(read: () => readonly unknown[]) {
    this.#read = read;
  }

  /** Number of members. */
  get length(): number {
    return this.#read().length;
  }

  /** Returns the number of members. */
  size(): number {
    return this.length;
  }

  /** Returns whether there are no members. */
  isEmpty(): boolean {
    return this.length === 0;
  }

  /** Returns a member; `undefined` if there are not so many. A negative index counts from the end. */
  get(index: number): unknown {
    return this.#read().at(index);
  }

  /** Returns the members as an array of their own. */
  toArray(): unknown[] {
    return [...this.#read()];
  }
}
