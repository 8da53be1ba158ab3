/**
 * The pool's books: where each connection is, and what became of all that ever were. At every moment,
 * `opened = closed + idle + inUse + detached`.
 *
 * @module
 */

import { now } from "../internal/clock.ts";
import { Slot } from "./slot.ts";
import { LinkedList } from "./linked_list.ts";
import type { Opened, Source } from "./contract.ts";

/** The slots of one pool. A connection goes from `inUse` to `idle` and back, and leaves from either. */
export class Slots<C> {
  /** Finished dials, ever. */
  opened = 0;
  /** Connections closed, ever. */
  closed = 0;
  /** Connections given away, ever. */
  detached = 0;
  /** Connections in use whose address departed. */
  retired = 0;
  /** Connections that may be handed out, the one that came back first in front. */
  readonly idle: LinkedList<Slot<C>> = new LinkedList();
  /** Connections that somebody holds, or that are looked at or reset. */
  readonly inUse: LinkedList<Slot<C>> = new LinkedList();

  readonly #source: Pick<Source<C>, "close">;
  readonly #onLeft: () => void;
  readonly #closing: Set<Promise<void>> = new Set();

  /**
   * @param source Closes connections.
   * @param onLeft A connection is in use no more.
   */
  constructor(source: Pick<Source<C>, "close">, onLeft: () => void) {
    this.#source = source;
    this.#onLeft = onLeft;
  }

  /** Open connections, idle or in use. */
  get size(): number {
    return this.idle.size + this.inUse.size;
  }

  /** Open connections that count against the limit. */
  get counted(): number {
    return this.size - this.retired;
  }

  /** Open connections by address: idle, in use. */
  get byAddress(): Record<string, { idle: number; inUse: number }> {
    const counts: Record<string, { idle: number; inUse: number }> = {};
    const of = (slot: Slot<C>) => counts[slot.address] ??= { idle: 0, inUse: 0 };
    for (const slot of this.idle.toArray()) of(slot).idle++;
    for (const slot of this.inUse.toArray()) of(slot).inUse++;
    return counts;
  }

  /** Those that somebody holds. */
  get leased(): readonly Slot<C>[] {
    return this.inUse.toArray().filter(({ holder }) => holder !== undefined);
  }

  /** All open connections, as they are now. */
  members(): Slot<C>[] {
    return [...this.idle.toArray(), ...this.inUse.toArray()];
  }

  /** A connection was opened; it counts as in use until it was looked at. */
  add(opened: Opened<C>): Slot<C> {
    this.opened++;
    const slot = new Slot(opened);
    this.inUse.push(slot);
    return slot;
  }

  /** An idle connection goes out. */
  take(slot: Slot<C>): void {
    this.idle.remove(slot);
    slot.state = "inUse";
    this.inUse.push(slot);
  }

  /** A connection in use becomes idle. */
  rest(slot: Slot<C>): void {
    this.#leaveUse(slot);
    slot.state = "idle";
    this.idle.push(slot);
  }

  /** A connection in use is on an address that departed: it is closed when it comes back, and counts no more. */
  retire(slot: Slot<C>): void {
    slot.evicted = slot.retired = true;
    slot.retiredAtMs = now();
    this.retired++;
  }

  /** A connection in use is given away. */
  detach(slot: Slot<C>): void {
    this.#leaveUse(slot);
    slot.state = "detached";
    this.detached++;
  }

  /**
   * Closes a connection, idle or in use.
   *
   * @param slot The connection.
   * @param reason What is wrong with it; without, it is closed politely.
   * @returns Fulfilled when the goodbye is said; `undefined` where there is none.
   */
  close(slot: Slot<C>, reason?: unknown): Promise<void> | undefined {
    if (slot.state === "idle") this.idle.remove(slot);
    else this.#leaveUse(slot);
    slot.state = "closed";
    this.closed++;
    slot.onClosed?.();
    const closing = this.#source.close(slot, reason);
    if (!closing) return undefined;
    this.#closing.add(closing);
    return closing.finally(() => this.#closing.delete(closing));
  }

  /** Fulfilled once the goodbyes under way are said. */
  async closings(): Promise<void> {
    await Promise.all(this.#closing);
  }

  #leaveUse(slot: Slot<C>): void {
    this.inUse.remove(slot);
    if (slot.retired) this.retired--;
    this.#onLeft();
  }
}
