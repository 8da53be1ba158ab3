/**
 * A doubly linked list whose members hold the links: adding and removing take constant time.
 *
 * @module
 */

/** The links that a member holds. It is in one list at a time. */
export interface Linked<T> {
  /** The member before it. */
  before: T | undefined;
  /** The member after it. */
  after: T | undefined;
}

/** The list. The caller keeps track of which list a member is in. */
export class LinkedList<T extends Linked<T>> {
  /** The oldest member. */
  first: T | undefined;
  /** The newest member. */
  last: T | undefined;
  /** Number of members. */
  size = 0;

  /** Adds a member at the end. */
  push(member: T): void {
    const { last } = this;
    member.before = last;
    member.after = undefined;
    if (last) last.after = member;
    else this.first = member;
    this.last = member;
    this.size++;
  }

  /** Removes a member; it must be in this list. */
  remove(member: T): void {
    const { before, after } = member;
    if (before) before.after = after;
    else this.first = after;
    if (after) after.before = before;
    else this.last = before;
    member.before = member.after = undefined;
    this.size--;
  }

  /** Returns the members, oldest first, as an array of their own: the list may change while a caller goes through them. */
  toArray(): T[] {
    const all: T[] = [];
    for (let member = this.first; member; member = member.after) all.push(member);
    return all;
  }
}
