/**
 * A pool's connections: decides which may be handed out, and closes those that may not.
 *
 * @module
 */

import { ageClock } from "../internal/clock.ts";
import { messageOf } from "../internal/thrown.ts";
import { connectionLost, type TerminateOptions } from "./connection/close.ts";
import type {
  Connections,
  InvalidConnection,
  InventoryEvents,
  OpenedConnection,
  PoolParts,
  PoolSettings,
} from "./contract.ts";
import { periodWithin } from "./housekeeper.ts";
import type { LinkedList } from "./linked_list.ts";
import { PendingCloses } from "./pending_closes.ts";
import { PoolLease } from "./pool_lease.ts";
import type { Slot } from "./slot.ts";
import { Slots } from "./slots.ts";
import type { UseRecorder } from "./use_recorder.ts";

/** Number of rounds of the housekeeper ahead of the maximum age in which a connection of `minIdle` is replaced. */
const RENEWAL_ROUNDS = 2;

/** Time for which a connection above `maxIdle` is idle before it is closed. */
const SURPLUS_IDLE_MS = 1000;

/** The connections of one pool. Each leaves by `detach()` or by `#close()`. */
export class Inventory<C> {
  readonly slots: Slots<C> = new Slots();
  readonly pendingCloses: PendingCloses;

  // The list of `slots`: a field of its own, because each checkout reads it.
  readonly #idle: LinkedList<Slot<C>> = this.slots.idle;
  readonly #answer: PoolParts<C>["answer"];
  readonly #connections: Connections<C>;
  readonly #settings: PoolSettings;
  readonly #uses: UseRecorder | undefined;
  readonly #events: InventoryEvents;
  /** Connections that came back, and whose server is being asked for its role. */
  readonly #doubted: Set<Slot<C>> = new Set();
  /** Number of idle connections that were about to become too old in the last round of `closeExpiring()`. */
  #expiring = 0;
  /** Maximum idle time; ignored if `minIdle` or `minSize` keeps idle connections. */
  readonly #maxIdleMs: number;

  /**
   * @param parts The answer and the connections.
   * @param settings The pool's options.
   * @param events Is asked and told.
   * @param uses Records the uses, if an option needs it.
   */
  constructor(
    { answer, connections }: PoolParts<C>,
    settings: PoolSettings,
    events: InventoryEvents,
    uses: UseRecorder | undefined,
  ) {
    this.#answer = answer;
    this.#connections = connections;
    this.#settings = settings;
    this.#uses = uses;
    this.#events = events;
    this.pendingCloses = new PendingCloses(this);
    const { minIdle, minSize, idleTimeoutMs } = settings;
    this.#maxIdleMs = minIdle > 0 || minSize > 0 ? Infinity : idleTimeoutMs;
  }

  /** Returns whether connections are in use or being opened. */
  isBusy(): boolean {
    return this.slots.inUse.size > 0 || this.#events.isConnecting();
  }

  /** Maximum number of connections, retired ones not counted; with them, it is twice as many. */
  get limit(): number {
    return this.#settings.poolSize + this.#settings.maxOverflow;
  }

  /** Adds a connection that was opened, and watches it. */
  add(opened: OpenedConnection<C>): Slot<C> {
    const slot = this.slots.add(opened);
    opened.watch({
      onClosed: (error, explained) => this.#onClosed(slot, error, explained),
      onError: (error) => {
        slot.serverError = error;
        if (slot.isOpen) this.noteError(slot, error);
      },
      onDoubt: (doubt) => slot.doubt = doubt,
    });
    return slot;
  }

  /** Takes the next usable connection from the idle ones, and closes the unusable ones before it. */
  takeIdle(): Slot<C> | undefined {
    const slot = this.nextIdle();
    if (slot !== undefined) this.slots.toInUse(slot);
    return slot;
  }

  /**
   * Returns the next of the idle connections that can serve, which stays idle, and closes the unusable ones before it.
   */
  nextIdle(): Slot<C> | undefined {
    for (;;) {
      const slot = this.#settings.useLifo ? this.#idle.last : this.#idle.first;
      if (slot === undefined) return undefined;
      if (this.isUsable(slot)) return this.#doubted.size === 0 ? slot : this.#nextUndoubted();
      this.slots.toInUse(slot);
      this.#close(slot);
    }
  }

  #nextUndoubted(): Slot<C> | undefined {
    const idle = this.#idle.toArray();
    return (this.#settings.useLifo ? idle.reverse() : idle).find((slot) => this.canServe(slot));
  }

  /** Returns whether a connection may be handed out now: it is usable, and its server is not being asked for its role. */
  canServe(slot: Slot<C>): boolean {
    if (!this.isUsable(slot)) return false;
    for (const { address } of this.#doubted) if (address === slot.address) return false;
    return true;
  }

  /** Returns whether a connection may be handed out: it is current, not evicted and not too old. */
  isUsable(slot: Slot<C>): boolean {
    return !slot.evicted && slot.doubt === undefined && this.#isYoung(slot) &&
      this.#connections.isCurrent(slot.address);
  }

  #isYoung(slot: Slot<C>): boolean {
    if (slot.expiresAtMs === Infinity && this.#maxIdleMs === Infinity) return true;
    const nowMs = ageClock();
    // A connect may take longer than the maximum age: its connection is good for one checkout, or none ever would be.
    const isYoung = nowMs < slot.expiresAtMs || slot.isJustOpened(nowMs);
    return isYoung && nowMs - slot.idleSinceMs < this.#maxIdleMs;
  }

  /** Gives a connection away. */
  detach(slot: Slot<C>): void {
    this.#uses?.end(slot, undefined);
    slot.holder = undefined;
    this.slots.detach(slot);
    this.#connections.detach(slot);
    this.pendingCloses.notify();
    this.#events.dispatch();
  }

  /**
   * Closes a connection in use. Without a reason, it is closed gracefully; with one it is terminated, and the signal of
   * its lease aborted with it.
   *
   * @param slot The connection.
   * @param reason Why it is terminated.
   * @param options How it is terminated.
   * @returns Fulfilled when the connection is closed.
   */
  closeInUse(
    slot: Slot<C>,
    reason?: unknown,
    options?: TerminateOptions,
  ): Promise<void> | undefined {
    if (slot.state !== "inUse") return undefined;
    const { holder } = slot;
    if (holder) this.#uses?.end(slot, reason);
    slot.holder = undefined;
    const closing = this.#close(slot, reason, options);
    if (holder) PoolLease.abort(holder, reason);
    this.#events.dispatch();
    return closing;
  }

  /** Closes a connection in use that must not be handed out; terminates it if it is invalid. */
  discard(slot: Slot<C>, invalid: InvalidConnection | undefined): void {
    if (slot.state !== "inUse") return;
    if (invalid) this.#evictInvalid(slot, invalid);
    this.closeInUse(slot, invalid?.error);
  }

  /** Hands out no connection to the server of one that came back in doubt, until the doubt is settled. */
  holdBack(slot: Slot<C>): void {
    this.#doubted.add(slot);
  }

  /**
   * Finds out whether the server of a connection that came back has the wanted role. If not, all connections to it are
   * condemned.
   *
   * @param slot The connection, in use without a holder and reset.
   * @returns Whether the connection is good; if not, it is closed.
   */
  async settleDoubt(slot: Slot<C>): Promise<boolean> {
    const { doubt } = slot;
    this.holdBack(slot);
    try {
      if (slot.broken) {
        this.closeInUse(slot);
        return false;
      }
      // The first one of an outage speaks for all.
      const isGood = !slot.evictedByOutage && await this.#connections.hasWantedRole(slot);
      slot.doubt = undefined;
      this.#doubted.delete(slot);
      if (!isGood) this.discard(slot, doubt);
      return isGood;
    } catch (reason) {
      this.closeInUse(slot, reason);
      return false;
    }
  }

  /** Closes the idle connections that a test returns `true` for. */
  closeIdle(test: (slot: Slot<C>) => boolean): void {
    for (const slot of this.#idle.toArray()) {
      // A hook of one that is closed may have taken another one.
      if (slot.state === "idle" && test(slot)) this.#close(slot);
    }
  }

  /**
   * Closes idle connections that are past their maximum age; that were idle for too long, down to `minIdle` and
   * `minSize`; and those above `maxIdle` that no caller needed for a while.
   */
  closeSurplus(): void {
    const { idleTimeoutMs, maxIdle, minIdle, minSize } = this.#settings;
    const nowMs = ageClock();
    this.closeIdle((slot) => {
      const idleMs = nowMs - slot.idleSinceMs;
      return slot.evicted || slot.expiresAtMs <= nowMs && !slot.isJustOpened(nowMs) ||
        this.#idle.size > maxIdle && idleMs >= SURPLUS_IDLE_MS ||
        idleMs >= idleTimeoutMs && this.#idle.size > minIdle && this.slots.size > minSize;
    });
  }

  /**
   * Returns the number of connections to be opened ahead of need: by which the idle ones that are good for a while are
   * fewer than `minIdle`, or all of them fewer than `minOpen`.
   *
   * @param waiting Number of callers that wait for a connection.
   * @param warming Number of connections that are opened ahead of need already.
   */
  missing(waiting: number, warming: number): number {
    const { minIdle, minOpen, poolSize } = this.#settings;
    // Above `poolSize`, one that is opened beside the expiring ones would be closed at once.
    const wanted = Math.min(minIdle + this.#expiring, poolSize) - this.#idle.size;
    const idle = this.#connections.hasConnected ? wanted : 0;
    return Math.max(0, idle - warming, minOpen - this.slots.counted - waiting);
  }

  /**
   * Closes idle connections that are about to become too old, if `minIdle` asks for others in their place: each as soon
   * as another one is there, or first if there is no room for it.
   *
   * @param hasRoom Whether a connection may be opened.
   */
  closeExpiring(hasRoom: boolean): void {
    const { minIdle, poolSize, recycleMs } = this.#settings;
    this.#expiring = 0;
    if (minIdle === 0 || recycleMs === Infinity) return;
    const nowMs = ageClock();
    const beforeMs = nowMs + RENEWAL_ROUNDS * periodWithin(recycleMs);
    // However small the maximum age is, a new connection is good for one checkout.
    const isExpiring = (slot: Slot<C>) => slot.expiresAtMs <= beforeMs && !slot.isJustOpened(nowMs);
    let room = hasRoom && this.#idle.size < poolSize ? 0 : 1;
    this.closeIdle((slot) => isExpiring(slot) && (this.#idle.size > minIdle || room-- > 0));
    this.#expiring = this.#idle.toArray().filter(isExpiring).length;
  }

  /** Closes the idle connections to an address that departed, and retires those in use; returns the number of these. */
  retireAddress(address: string): number {
    this.closeIdle((slot) => slot.address === address);
    let inUse = 0;
    for (const slot of this.slots.inUse.toArray()) {
      if (slot.address !== address) continue;
      if (slot.holder) {
        inUse++;
        if (!slot.retired) this.slots.retire(slot);
      } else {
        // A check or a reset is under way, which may hang.
        this.closeInUse(slot, new Error(`The address ${address} departed`));
      }
    }
    return inUse;
  }

  /** Counts the retired connections to an address that came back again: they may be used on. */
  restoreAddress(address: string): void {
    for (const slot of this.slots.inUse.toArray()) {
      if (slot.retired && slot.address === address) this.slots.restore(slot);
    }
  }

  /** Evicts an invalid connection. The first one of an outage evicts all connections to the same server. */
  #evictInvalid(slot: Slot<C>, { sameServer }: InvalidConnection): void {
    slot.evicted = true;
    if (!sameServer) slot.endedAlone = true;
    if (slot.endedAlone || slot.evictedByOutage) return;
    this.#connections.onOutage(slot.address);
    this.#events.onOutage();
    for (const other of this.slots.toArray()) {
      if (other.address === slot.address) other.evicted = other.evictedByOutage = true;
    }
  }

  /** Is told that the server or the network closed a connection. */
  #onClosed(slot: Slot<C>, error: unknown, explained = false): void {
    if (!slot.isOpen) return;
    this.#answer.refresh();
    const reason = error ?? new Error("The connection was closed by the server");
    if (slot.state === "idle") {
      this.#close(slot, reason);
      this.#events.dispatch();
    } else {
      slot.evicted = slot.broken = true;
      if (!slot.holder) return void this.closeInUse(slot, reason);
      if (explained) this.#connections.onExplained(slot, error);
      this.#onLost(slot, error);
    }
  }

  /** Closes a connection that was closed under its holder. The signal of the lease is aborted, and says why. */
  #onLost(slot: Slot<C>, error: unknown): void {
    const holder = slot.holder!;
    if (error !== undefined) this.noteError(slot, error);
    const said = error === undefined ? "" : `: ${messageOf(error)}`;
    const reason = connectionLost(slot.address, `it was closed${said}`, error);
    this.#uses?.end(slot, reason);
    slot.holder = undefined;
    this.#close(slot, reason);
    const told = PoolLease.abort(holder, reason, { closed: true });
    if (told) this.pendingCloses.add(told);
    this.#events.dispatch();
  }

  /** Evicts what an error shows to be invalid: the connection that it occurred on, and perhaps others to its server. */
  noteError(slot: Slot<C>, error: unknown): void {
    const invalid = this.#connections.classifyError(error);
    if (invalid?.doubtful) slot.doubt = invalid;
    else if (invalid) this.#evictInvalid(slot, invalid);
  }

  #close(
    slot: Slot<C>,
    reason?: unknown,
    options?: TerminateOptions,
  ): Promise<void> | undefined {
    this.slots.remove(slot);
    this.#doubted.delete(slot);
    slot.onClosed?.();
    const closing = this.#connections.close(slot, reason, options);
    this.pendingCloses.notify();
    return closing && this.pendingCloses.add(closing);
  }
}
