/**
 * A queue with removal from the middle in constant time, stored in chunks of 64 items: cheaper to garbage-collect
 * than a linked list, and growing moves nothing.
 *
 * ```text
 *   #front                                             #back
 *   +---------------+      +---------------+      +---------------+
 *   | - - a b - c d |  <-> | e f g - h i j |  <-> | k l - - - - - |
 *   +-----^---------+      +---------------+      +-----^---------+
 *       #begin                                        #end
 * ```
 *
 * A removed item leaves a gap (`-`). A chunk without items is removed. An empty queue has none: that would be a large part
 * of a pool without waiters.
 *
 * @module
 */

/** The fields that an item carries for the queue. It is in one queue at a time. */
export interface Queued<T> {
  /** The chunk that holds the item; `undefined` while it is in no queue. */
  chunk: Chunk<T> | undefined;
  /** The item's index in the chunk. */
  index: number;
}

const CHUNK_SIZE = 64;

/** A part of the queue. */
export class Chunk<T> {
  readonly items: (T | undefined)[] = new Array<T | undefined>(CHUNK_SIZE).fill(undefined);
  before: Chunk<T> | undefined = undefined;
  after: Chunk<T> | undefined = undefined;
  /** Number of items, gaps not counted. */
  count = 0;
}

/** The chunk of every queue that had no item yet: most pools never have a waiter. It stays empty. */
const NO_CHUNK: Chunk<never> = new Chunk();

/** The chunk of the queue that became empty last, for the next one that is not. */
let spare: Chunk<unknown> | undefined;

/** Returns an empty chunk. */
function takeChunk<T>(): Chunk<T> {
  const chunk = spare as Chunk<T> | undefined ?? new Chunk<T>();
  spare = undefined;
  return chunk;
}

/** The queue. The caller keeps track of which queue an item is in. */
export class ChunkedQueue<T extends Queued<T>> {
  /** Number of items. */
  size = 0;
  #front: Chunk<T> = NO_CHUNK as Chunk<T>;
  #back: Chunk<T> = this.#front;
  /** Index of the first item in the front chunk. */
  #begin = 0;
  /** Index behind the last used one in the back chunk. */
  #end = CHUNK_SIZE;

  /** The first item. */
  get first(): T | undefined {
    return this.#front.items[this.#begin];
  }

  /** Adds an item at the end. */
  push(item: T): void {
    if (this.#end === CHUNK_SIZE) this.#addBack();
    this.#put(item, this.#back, this.#end++);
  }

  /** Adds an item at the beginning. */
  unshift(item: T): void {
    if (this.size === 0) return this.push(item);
    if (this.#begin === 0) {
      const chunk = takeChunk<T>();
      chunk.after = this.#front;
      this.#front = this.#front.before = chunk;
      this.#begin = CHUNK_SIZE;
    }
    this.#put(item, this.#front, --this.#begin);
  }

  /** Removes an item; it must be in this queue. */
  remove(item: T): void {
    const chunk = item.chunk!;
    chunk.items[item.index] = undefined;
    item.chunk = undefined;
    chunk.count--;
    this.size--;
    if (chunk.count === 0) this.#removeChunk(chunk);
    if (this.size === 0) return;
    const { items } = this.#front;
    while (items[this.#begin] === undefined) this.#begin++;
  }

  /**
   * Goes through the items in order, until one is the last to be looked at. The queue must not change meanwhile.
   *
   * @param isLast Is given each item and its index.
   */
  walk(isLast: (item: T, index: number) => boolean): void {
    let index = 0;
    for (let chunk: Chunk<T> | undefined = this.#front; chunk; chunk = chunk.after) {
      for (const item of chunk.items) if (item !== undefined && isLast(item, index++)) return;
    }
  }

  /** Returns the items in order, as an array of their own: the queue may change while a caller goes through them. */
  toArray(): T[] {
    const all: T[] = [];
    for (let chunk: Chunk<T> | undefined = this.#front; chunk; chunk = chunk.after) {
      for (const item of chunk.items) if (item !== undefined) all.push(item);
    }
    return all;
  }

  #addBack(): void {
    const chunk = takeChunk<T>();
    if (this.#back === NO_CHUNK) {
      this.#front = chunk;
    } else {
      chunk.before = this.#back;
      this.#back.after = chunk;
    }
    this.#back = chunk;
    this.#end = 0;
  }

  #put(item: T, chunk: Chunk<T>, index: number): void {
    chunk.items[index] = item;
    chunk.count++;
    item.chunk = chunk;
    item.index = index;
    this.size++;
  }

  /** Removes an empty chunk. */
  #removeChunk(chunk: Chunk<T>): void {
    const { before, after } = chunk;
    if (before) before.after = after;
    else if (after) this.#front = after;
    if (after) after.before = before;
    else if (before) this.#back = before;
    if (!before && !after) {
      spare = chunk;
      this.#front = this.#back = NO_CHUNK as Chunk<T>;
      this.#begin = 0;
      this.#end = CHUNK_SIZE;
      return;
    }
    // `remove()` moves #begin on to the first item. The last index of a new back chunk may be a gap: it stays unused.
    if (!before) this.#begin = 0;
    if (!after) this.#end = CHUNK_SIZE;
  }
}
