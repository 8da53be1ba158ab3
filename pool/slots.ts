/**
 * Counts and lists of a pool's connections. At every moment, `opened = closed + idle + inUse + detached`.
 *
 * @module
 */

import { now } from "../internal/clock.ts";
import { LinkedList } from "./linked_list.ts";
import { Slot, type SlotInit } from "./slot.ts";

/** What others than the pool may read. */
export type ReadonlySlots<C> = Readonly<
  & Pick<Slots<C>, "opened" | "closed" | "detached" | "handedOut" | "size" | "byAddress">
  & Pick<Slots<C>, "leased" | "idle" | "inUse" | "toArray" | "to">
>;

/** The slots of one pool. A slot goes from `inUse` to `idle` and back, and leaves from either. */
export class Slots<C> {
  /** Number of connections ever opened. */
  opened = 0;
  /** Number of connections ever closed. */
  closed = 0;
  /** Number of times that a connection was handed out. */
  handedOut = 0;
  /** Number of connections ever detached. */
  detached = 0;
  /** Number of connections in use whose address departed. */
  retired = 0;
  /** Connections that may be handed out, the one that came back first in front. */
  readonly idle: LinkedList<Slot<C>> = new LinkedList();
  /** Connections that are leased, checked or reset. */
  readonly inUse: LinkedList<Slot<C>> = new LinkedList();

  /** Number of open connections. */
  get size(): number {
    return this.idle.size + this.inUse.size;
  }

  /** Number of open connections that count against the pool's limit. */
  get counted(): number {
    return this.size - this.retired;
  }

  /** Number of open connections by address. */
  get byAddress(): Record<string, { idle: number; inUse: number }> {
    const counts: Record<string, { idle: number; inUse: number }> = {};
    const of = (slot: Slot<C>) => counts[slot.address] ??= { idle: 0, inUse: 0 };
    for (const slot of this.idle.toArray()) of(slot).idle++;
    for (const slot of this.inUse.toArray()) of(slot).inUse++;
    return counts;
  }

  /** The connections that are leased. */
  get leased(): readonly Slot<C>[] {
    return this.inUse.toArray().filter(({ holder }) => holder !== undefined);
  }

  /** Returns all open connections. */
  toArray(): Slot<C>[] {
    return [...this.idle.toArray(), ...this.inUse.toArray()];
  }

  /** Returns the open connections to an address, or all of them. */
  to(address: string | undefined): Slot<C>[] {
    return this.toArray().filter((slot) => address === undefined || slot.address === address);
  }

  /** Adds a new connection. It is in use until it was checked. */
  add(opened: SlotInit<C>): Slot<C> {
    this.opened++;
    const slot = new Slot(opened);
    this.inUse.push(slot);
    return slot;
  }

  /** Moves a connection from idle to in use. */
  toInUse(slot: Slot<C>): void {
    this.idle.remove(slot);
    slot.state = "inUse";
    this.inUse.push(slot);
  }

  /** Moves a connection from in use to idle. */
  toIdle(slot: Slot<C>): void {
    this.#removeInUse(slot);
    slot.state = "idle";
    this.idle.push(slot);
  }

  /** Marks a connection in use whose address departed: it is closed when it comes back, and counts no more. */
  retire(slot: Slot<C>): void {
    slot.retired = true;
    slot.retiredAtMs = now();
    this.retired++;
  }

  /** Takes the mark back: the address came back before the connection. */
  restore(slot: Slot<C>): void {
    slot.retired = false;
    this.retired--;
  }

  /** Removes a connection in use that is given away. */
  detach(slot: Slot<C>): void {
    this.#removeInUse(slot);
    slot.state = "detached";
    this.detached++;
  }

  /** Removes a connection that is closed. */
  remove(slot: Slot<C>): void {
    if (slot.state === "idle") this.idle.remove(slot);
    else this.#removeInUse(slot);
    slot.state = "closed";
    this.closed++;
  }

  #removeInUse(slot: Slot<C>): void {
    this.inUse.remove(slot);
    if (slot.retired) this.retired--;
  }
}
