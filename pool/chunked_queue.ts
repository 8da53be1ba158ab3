/**
 * A queue that its members may leave from anywhere, at the same cost however long it is. They sit in rows of so many
 * seats: that is less for a garbage collector to follow than members who point to each other, and nobody is moved
 * when it grows.
 *
 * @module
 */

/** What a member carries; the queue's own. It is in one queue at a time. */
export interface Queued<T> {
  /** Where it sits; `undefined` while it is in no queue. */
  row: Row<T> | undefined;
  /** Which seat of the row. */
  seat: number;
}

/** Seats in a row. */
const SEATS = 64;

/** Some seats; those that were left stay empty. */
export class Row<T> {
  readonly seats: (T | undefined)[] = new Array<T | undefined>(SEATS).fill(undefined);
  before: Row<T> | undefined = undefined;
  after: Row<T> | undefined = undefined;
  /** How many seats are taken. */
  taken = 0;
}

/** The queue. The caller keeps track of which queue a member is in. */
export class Queue<T extends Queued<T>> {
  /** How many there are. */
  size = 0;
  #front: Row<T> = new Row();
  #back: Row<T> = this.#front;
  /** The first member's seat in the front row. */
  #begin = 0;
  /** The seat in the last row that is taken next. */
  #end = 0;

  /** Who is first. */
  get first(): T | undefined {
    return this.#front.seats[this.#begin];
  }

  /** Adds a member at the end. */
  push(member: T): void {
    if (this.#end === SEATS) {
      const row = new Row<T>();
      row.before = this.#back;
      this.#back = this.#back.after = row;
      this.#end = 0;
    }
    this.#sit(member, this.#back, this.#end++);
  }

  /** Adds a member at the beginning. */
  unshift(member: T): void {
    if (this.size === 0) return this.push(member);
    if (this.#begin === 0) {
      const row = new Row<T>();
      row.after = this.#front;
      this.#front = this.#front.before = row;
      this.#begin = SEATS;
    }
    this.#sit(member, this.#front, --this.#begin);
  }

  /** Takes a member out; it must be in this queue. */
  remove(member: T): void {
    const row = member.row!;
    row.seats[member.seat] = undefined;
    member.row = undefined;
    row.taken--;
    this.size--;
    if (row.taken === 0) this.#leaveRow(row);
    if (this.size === 0) return;
    const { seats } = this.#front;
    while (seats[this.#begin] === undefined) this.#begin++;
  }

  /** The members as they are now, the first in front: the queue may change while one goes through them. */
  members(): T[] {
    const members: T[] = [];
    for (let row: Row<T> | undefined = this.#front; row; row = row.after) {
      for (const member of row.seats) if (member !== undefined) members.push(member);
    }
    return members;
  }

  #sit(member: T, row: Row<T>, seat: number): void {
    row.seats[seat] = member;
    row.taken++;
    member.row = row;
    member.seat = seat;
    this.size++;
  }

  /** Nobody sits in a row any more: it goes, unless it is the only one, which begins anew. */
  #leaveRow(row: Row<T>): void {
    const { before, after } = row;
    if (before) before.after = after;
    else if (after) this.#front = after;
    if (after) after.before = before;
    else if (before) this.#back = before;
    // The first of a row that is now in front is looked for; after the last of one that is now at the back, no seat
    // is taken, for others may have left it.
    if (!before) this.#begin = 0;
    if (!after) this.#end = before ? SEATS : 0;
  }
}
