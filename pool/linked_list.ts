/**
 * A doubly linked list that its own members carry: adding and taking out cost the same, however long it is.
 *
 * @module
 */

/** What a member carries. It is in one list at a time. */
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
  /** How many there are. */
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

  /** Takes a member out; it must be in this list. */
  remove(member: T): void {
    const { before, after } = member;
    if (before) before.after = after;
    else this.first = after;
    if (after) after.before = before;
    else this.last = before;
    member.before = member.after = undefined;
    this.size--;
  }

  /** The members as they are now, oldest first: the list may change while one goes through them. */
  members(): T[] {
    const members: T[] = [];
    for (let member = this.first; member; member = member.after) members.push(member);
    return members;
  }
}
