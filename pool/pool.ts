/**
 * The pool: slots, waiters, checkout and checkin. It knows addresses, but no DNS and no driver: what it needs
 * of those is a {@linkcode Source}.
 *
 * @module
 */

import { now } from "../internal/clock.ts";
import type { Lease } from "./lease.ts";
import { type LeaseOwner, PoolLease } from "./pool_lease.ts";
import type { Slot } from "./slot.ts";
import type { LinkedList } from "./linked_list.ts";
import type { SafeObserver } from "./observer.ts";
import { ConnectLimiter } from "./connect_limiter.ts";
import type { Adopter, CheckoutOptions, Opened, PoolSettings, Source, Unfit } from "./contract.ts";
import { Slots } from "./slots.ts";
import { type Waiter, WaitQueue } from "./wait_queue.ts";
import {
  ConnectionInUseError,
  PoolClosedError,
  type PoolCounts,
  PoolTimeoutError,
} from "../errors.ts";

/** A connection that fails its check is replaced so often within one checkout. */
const MOST_TRIES = 2;

const DONE: Promise<void> = Promise.resolve();

/** Hands out connections of one source, within limits, first come first served. */
export class Pool<C> implements LeaseOwner<C>, Adopter<C> {
  /** Leases that are taken only to be given back: they stand for connections opened ahead of need. */
  warming = 0;

  readonly #source: Source<C>;
  readonly #settings: PoolSettings;
  readonly #observer: SafeObserver | undefined;
  /** Whether anybody asks since when, and where, a connection is in use. */
  readonly #notesUse: boolean;
  readonly #limit: number;
  /** Idle for longer than that, a connection is not handed out; those that are kept all the same may be. */
  readonly #restMs: number;
  readonly #slots: Slots<C>;
  /** The books' own lists: at hand, for checkouts are many. */
  readonly #idle: LinkedList<Slot<C>>;
  readonly #inUse: LinkedList<Slot<C>>;
  readonly #waiters: WaitQueue<Lease<C>>;
  /** Waiters who left the line while a connection is checked for them. */
  readonly #examined: Set<Waiter<Lease<C>>> = new Set();
  readonly #dials: ConnectLimiter<Opened<C>>;
  #resolving: AbortController | undefined;
  #ended: string | undefined;
  #onEmpty: (() => void)[] = [];

  /**
   * @param source Where connections come from.
   * @param settings The pool's numbers.
   */
  constructor(source: Source<C>, settings: PoolSettings) {
    this.#source = source;
    this.#settings = settings;
    this.#observer = settings.observer;
    this.#notesUse = settings.traces || settings.observer?.timesUse === true;
    this.#slots = new Slots(source, () => this.#notifyEmpty());
    this.#idle = this.#slots.idle;
    this.#inUse = this.#slots.inUse;
    this.#limit = settings.poolSize + settings.maxOverflow;
    const { minIdle, minSize, idleTimeoutMs } = settings;
    this.#restMs = minIdle > 0 || minSize > 0 ? Infinity : idleTimeoutMs;
    this.#dials = new ConnectLimiter(source, settings.connectConcurrency, {
      onOpened: (opened) => this.#onOpened(opened),
      onFailed: (error, passing) => this.#onDialFailed(error, passing),
      onReady: () => this.#pump(),
    });
    this.#waiters = new WaitQueue({
      observer: settings.observer,
      onLate: () => this.#rejectLate(),
      onEmpty: () => this.#onNobodyWaits(),
    });
  }

  /** The counters at this moment. */
  get counts(): PoolCounts {
    const { poolSize, maxOverflow } = this.#settings;
    return {
      poolSize,
      maxOverflow,
      inUse: this.#inUse.size,
      retired: this.#slots.retired,
      idle: this.#idle.size,
      connecting: this.#dials.size,
      waiting: this.#waiters.size,
    };
  }

  /** Finished dials, ever. */
  get opened(): number {
    return this.#slots.opened;
  }

  /** Connections closed, ever. */
  get closed(): number {
    return this.#slots.closed;
  }

  /** Connections given away, ever. */
  get detached(): number {
    return this.#slots.detached;
  }

  /** Open connections by address: idle, in use. */
  get byAddress(): Record<string, { idle: number; inUse: number }> {
    return this.#slots.byAddress;
  }

  /** Open connections, idle or in use. */
  get size(): number {
    return this.#slots.size;
  }

  /** The connections that are out. */
  get leased(): readonly Slot<C>[] {
    return this.#slots.leased;
  }

  /**
   * Takes a connection. With an idle one at hand and a fresh answer, nothing is waited for.
   *
   * @param options How this checkout differs.
   * @returns The lease.
   * @throws {PoolTimeoutError} when the time is up.
   * @throws {PoolClosedError} when the pool is closed, before or meanwhile.
   */
  checkout(options?: CheckoutOptions): Promise<Lease<C>> {
    if (options === undefined && this.#waiters.size === 0 && this.#ended === undefined) {
      if (this.#source.isFresh()) {
        const slot = this.#take();
        if (slot) {
          const check = this.#source.check(slot);
          if (check === undefined) {
            if (this.#observer !== undefined) this.#observer.served();
            return Promise.resolve(this.#lend(slot, this.#trace()));
          }
          const waiter = this.#welcome(undefined);
          this.#examine(waiter, slot, check);
          return waiter.promise;
        }
      }
    }
    if (this.#ended !== undefined) return Promise.reject(new PoolClosedError(this.#ended));
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason);
    if (this.#settings.single && this.#busy) return Promise.reject(this.#inUseError());
    const waiter = this.#welcome(options);
    const { newest } = this.#waiters;
    this.#waiters.push(waiter);
    // Where there was nothing for the one before, who came in the same moment, there is nothing now.
    if (newest !== waiter.since || this.#free > 0) this.#pump();
    if (waiter.timeoutMs <= 0) this.#rejectLate();
    return waiter.promise;
  }

  /** Takes a connection back; only a lease calls this, once. */
  checkin(slot: Slot<C>, error: unknown): Promise<void> {
    this.#endUse(slot, error);
    if (error !== undefined && error !== null) {
      const unfit = this.#source.judge(error);
      if (unfit) {
        this.#discard(slot, unfit);
        return DONE;
      }
    }
    const reset = slot.broken ? undefined : this.#source.reset(slot);
    if (reset === undefined) return this.#return(slot);
    return slot.whileOpen(reset).then(
      () => this.#return(slot),
      (reason) => this.#drop(slot, reason),
    );
  }

  /** Closes a connection that somebody holds, and marks its siblings where the error says so. */
  invalidate(slot: Slot<C>, error: unknown): void {
    this.#endUse(slot, error);
    const unfit = error === undefined ? undefined : this.#source.judge(error);
    if (unfit) this.#discard(slot, unfit);
    else this.#drop(slot, error ?? new Error("The connection was invalidated"));
  }

  /** Closes a connection when it comes back. */
  evict(slot: Slot<C>): void {
    slot.evicted = true;
  }

  /** Gives a connection away. */
  detach(slot: Slot<C>): void {
    this.#endUse(slot, undefined);
    slot.holder = undefined;
    this.#slots.detach(slot);
    this.#source.part(slot);
    this.#pump();
  }

  /** No connection that is open now is handed out again; those in use are closed when they come back. */
  invalidateAll(): void {
    for (const slot of this.#slots.members()) slot.evicted = true;
  }

  /**
   * An address departed: idle connections to it are closed now, those in use when they come back, and they do
   * not count against the limit any more.
   *
   * @param address The address that left the answer.
   * @returns How many connections to it are still in use.
   */
  retire(address: string): number {
    for (const slot of this.#idle.toArray()) {
      if (slot.address === address) this.#slots.close(slot);
    }
    let out = 0;
    for (const slot of this.#inUse.toArray()) {
      if (slot.address !== address) continue;
      if (!slot.holder) {
        // Nobody works on it: a check or a reset that may hang there is not waited for.
        this.#drop(slot, new Error(`The address ${address} departed`));
        continue;
      }
      out++;
      if (!slot.retired) this.#slots.retire(slot);
    }
    this.#dials.hurry();
    this.#pump();
    return out;
  }

  /** The addresses changed: whoever was pausing tries again now. */
  kick(): void {
    this.#dials.hurry();
    this.#pump();
  }

  /** Waits until the addresses known may be used; `undefined` where they may now. */
  waitUntilFresh(signal: AbortSignal = new AbortController().signal): Promise<void> | undefined {
    if (this.#ended !== undefined || this.#source.isFresh()) return undefined;
    return this.#source.waitUntilFresh(signal);
  }

  /** Whether a lease's connection may be handed to somebody else as well. Its age is looked at when it was back. */
  shareable(lease: Lease<C>): boolean {
    const slot = this.#inUse.toArray().find((slot) => slot.holder === lease);
    return slot !== undefined && this.#ended === undefined && !slot.evicted &&
      this.#source.isCurrent(slot.address);
  }

  /** Whether an error says that the connection it happened on is no good. */
  breaks(error: unknown): boolean {
    return error !== undefined && error !== null && this.#source.judge(error) !== undefined;
  }

  /**
   * Drops connections in use.
   *
   * @param which Whether this one is to go.
   * @param reason Makes the error that its holder is given.
   */
  terminate(which: (slot: Slot<C>) => boolean, reason: (slot: Slot<C>) => Error): void {
    for (const slot of this.#inUse.toArray()) if (which(slot)) this.#drop(slot, reason(slot));
  }

  /** Closes what has been idle for too long, down to `minIdle` and `minSize`, and opens what `minIdle` lacks. */
  maintain(): void {
    const { idleTimeoutMs, minIdle, minSize } = this.#settings;
    const nowMs = now();
    for (const slot of this.#idle.toArray()) {
      const over = slot.evicted ||
        nowMs - slot.idleSinceMs >= idleTimeoutMs && this.#idle.size > minIdle &&
          this.size > minSize;
      if (over) this.#slots.close(slot);
    }
    this.#pump();
  }

  /** A connection died by itself. */
  lost(slot: Slot<C>, error: unknown): void {
    if (slot.state === "idle") {
      this.#slots.close(slot, error ?? new Error("The connection was closed by the server"));
      this.#pump();
    } else {
      slot.evicted = slot.broken = true;
      if (!slot.holder) {
        this.#drop(slot, error ?? new Error("The connection was closed by the server"));
      }
    }
  }

  /** A connection is unfit: it is closed when it comes back, and so are its siblings where they are no better. */
  condemn(slot: Slot<C>, { siblings }: Unfit): void {
    slot.evicted = true;
    if (!siblings || slot.evictedByOutage) return;
    this.#dials.suspect();
    for (const other of this.#slots.members()) {
      if (other.address === slot.address) other.evicted = other.evictedByOutage = true;
    }
  }

  /**
   * Closes the pool: waiters are rejected, idle connections closed, those in use when they come back.
   *
   * @param why What the waiters and later callers are told.
   */
  close(why: string): void {
    if (this.#ended !== undefined) return;
    this.#ended = why;
    this.#dials.hurry();
    this.#waiters.rejectAll(new PoolClosedError(why));
    for (const waiter of this.#examined) this.#waiters.reject(waiter, new PoolClosedError(why));
    this.#dials.abandon(new PoolClosedError(why));
    for (const slot of this.#idle.toArray()) this.#slots.close(slot);
  }

  /** Fulfilled once the goodbyes under way are said. */
  closings(): Promise<void> {
    return this.#slots.closings();
  }

  /** Fulfilled once no connection is in use, being opened or being closed. */
  async emptied(): Promise<void> {
    while (this.#inUse.size > 0 || this.#dials.size > 0) {
      await new Promise<void>((resolve) => this.#onEmpty.push(resolve));
    }
    await this.closings();
  }

  /** The next idle connection that may be handed out; those that may not are closed on the way. */
  #take(): Slot<C> | undefined {
    for (;;) {
      const slot = this.#settings.useLifo ? this.#idle.last : this.#idle.first;
      if (slot === undefined) return undefined;
      this.#slots.take(slot);
      if (this.#fit(slot)) {
        this.#source.wake(slot);
        return slot;
      }
      this.#slots.close(slot);
    }
  }

  #fit(slot: Slot<C>): boolean {
    return !slot.evicted && this.#isYoung(slot) && this.#source.isCurrent(slot.address);
  }

  #isYoung(slot: Slot<C>): boolean {
    if (slot.expiresAtMs === Infinity && this.#restMs === Infinity) return true;
    const nowMs = now();
    // A dial that takes longer than the age allowed is good for one checkout: the next one would be no younger.
    const young = nowMs < slot.expiresAtMs || slot.isJustOpened(nowMs);
    return young && nowMs - slot.idleSinceMs < this.#restMs;
  }

  /** Where the caller stands: to be taken down before anything is waited for. */
  #trace(): string | undefined {
    return this.#settings.traces ? new Error().stack : undefined;
  }

  #lend(slot: Slot<C>, takenAt: string | undefined): Lease<C> {
    slot.uses++;
    if (this.#notesUse) {
      slot.leasedAtMs = now();
      slot.takenAt = takenAt;
      slot.reported = false;
    }
    return slot.holder = new PoolLease<C>(this, slot);
  }

  /** Somebody who waits from now on. */
  #welcome(options: CheckoutOptions | undefined): Waiter<Lease<C>> {
    const { signal, timeoutMs = this.#settings.poolTimeoutMs } = options ?? {};
    const waiter = this.#waiters.create(timeoutMs, signal);
    waiter.stack = this.#trace();
    return waiter;
  }

  get #busy(): boolean {
    return this.#inUse.size > 0 || this.#waiters.size > 0;
  }

  #inUseError(): Error {
    const takenAt = this.leased[0]?.takenAt;
    return new ConnectionInUseError(
      `Cannot check out a second connection to "${this.#settings.name}": the first is in use, taken ` +
        (takenAt ? takenAt.replace(/^Error\n/, "here:\n") : "a moment ago"),
      { takenAt },
    );
  }

  #onNobodyWaits(): void {
    this.#dials.idle();
    this.#resolving?.abort(new DOMException("Nobody waits for an answer any more", "AbortError"));
  }

  /**
   * Rejects the waiters whose time is up, except those for whom a connection is on its way: a dial is bounded
   * by its own time-out.
   */
  #rejectLate(): void {
    const covered = this.#dials.size + (this.#resolving ? this.#idle.size + this.#free : 0);
    this.#waiters.rejectLate(
      (waited) => this.#timeoutError(waited),
      { count: covered, ms: this.#settings.dialMs },
    );
  }

  #timeoutError(waited: number): Error {
    const { failing, lastError } = this.#dials;
    if (failing) return this.#source.timeoutError(lastError, waited);
    const { counts } = this;
    const { poolSize, maxOverflow, inUse, idle, connecting, waiting } = counts;
    const message = `Cannot check out a connection to "${this.#settings.name}" within ` +
      `${
        Number(waited.toFixed(3))
      } seconds: ${inUse} in use, ${idle} idle, ${connecting} connecting, ` +
      `${waiting} waiting, pool size ${poolSize}, overflow ${maxOverflow}`;
    return new PoolTimeoutError(message, { counts, waited, cause: lastError });
  }

  /** Gives waiters what there is, and opens what is missing. Called whenever anything may have become free. */
  #pump(answered = false): void {
    if (this.#ended !== undefined) return;
    if (this.#waiters.size > 0) {
      if (!answered && !this.#source.isFresh()) return this.#awaitAnswer();
      for (;;) {
        const waiter = this.#waiters.first;
        const slot = waiter && this.#take();
        if (!slot) break;
        this.#handOver(waiter, slot);
      }
    }
    this.#dials.begin(this.#waiters.size, this.#ahead, this.#free);
    while (this.#waiters.size === 0 && this.#idle.size > this.#settings.poolSize) {
      this.#slots.close(this.#idle.first!);
    }
  }

  /** One wait for an answer, for all who wait. */
  #awaitAnswer(): void {
    if (this.#resolving) return;
    const controller = this.#resolving = new AbortController();
    const done = () => {
      if (this.#resolving === controller) this.#resolving = undefined;
    };
    this.#source.waitUntilFresh(controller.signal).then(
      () => {
        done();
        this.#pump(true);
        this.#rejectLate();
      },
      (error) => {
        done();
        if (!controller.signal.aborted) this.#waiters.rejectAll(error);
        this.#pump();
      },
    );
  }

  #serve(waiter: Waiter<Lease<C>>, slot: Slot<C>): void {
    this.#waiters.serve(waiter, this.#lend(slot, waiter.stack));
  }

  #handOver(waiter: Waiter<Lease<C>>, slot: Slot<C>): void {
    const check = this.#source.check(slot);
    if (check === undefined) return this.#serve(waiter, slot);
    this.#examine(waiter, slot, check);
  }

  /** Waits for a check, then judges address and answer once more: a check takes time. */
  async #examine(
    waiter: Waiter<Lease<C>>,
    slot: Slot<C>,
    check: Promise<Unfit | undefined>,
  ): Promise<void> {
    this.#waiters.dequeue(waiter);
    this.#examined.add(waiter);
    let unfit: Unfit | undefined;
    try {
      unfit = await slot.whileOpen(check);
      // Once: an answer is good for whoever waited for it, however short its TTL.
      if (!unfit && waiter.waiting && !this.#source.isFresh()) {
        await this.#answerFor(waiter, slot);
      }
    } catch (error) {
      this.#waiters.reject(waiter, error);
      this.#return(slot);
      return;
    } finally {
      this.#examined.delete(waiter);
    }
    if (unfit) {
      this.#discard(slot, unfit);
      if (++waiter.tries >= MOST_TRIES) this.#waiters.reject(waiter, unfit.error);
    } else if (slot.state !== "inUse" || !this.#fit(slot)) {
      this.#drop(slot, undefined);
    } else if (!waiter.waiting || this.#ended !== undefined) {
      this.#return(slot);
    } else {
      return this.#serve(waiter, slot);
    }
    if (!waiter.waiting) return;
    if (this.#ended !== undefined) {
      return this.#waiters.reject(waiter, new PoolClosedError(this.#ended));
    }
    this.#waiters.unshift(waiter);
    this.#pump();
    this.#rejectLate();
  }

  /** Waits for an answer, but no longer than the waiter waits and the connection that was checked for it is open. */
  async #answerFor(waiter: Waiter<Lease<C>>, slot: Slot<C>): Promise<void> {
    const controller = new AbortController();
    const end = slot.onClosed = () =>
      controller.abort(new DOMException("Nobody waits for an answer any more", "AbortError"));
    waiter.onSettled(end);
    try {
      await this.#source.waitUntilFresh(controller.signal);
    } catch (error) {
      if (!controller.signal.aborted) throw error;
    }
  }

  /** How many connections shall be ready before anybody waits for them. */
  get #ahead(): number {
    const missing = this.#settings.minIdle - this.#idle.size - this.warming;
    return this.opened > 0 ? Math.max(0, missing) : 0;
  }

  /** How many more connections may be opened. */
  get #free(): number {
    return this.#limit - this.#slots.counted - this.#dials.size;
  }

  #onOpened(opened: Opened<C>): void {
    const slot = this.#slots.add(opened);
    const { address } = slot;
    this.#source.adopt(slot, this);
    // One that was dialled before its address departed is thrown away, and dialled again for whoever waits.
    if (this.#source.isCurrent(address)) this.#return(slot);
    else this.#drop(slot, new Error(`The address ${address} departed while it was dialled`));
    this.#pump();
    this.#rejectLate();
  }

  /** A failed dial frees its place; its waiter is told, unless a better moment is worth waiting for. */
  #onDialFailed(error: unknown, passing: boolean): void {
    this.#notifyEmpty();
    if (this.#ended !== undefined) return;
    if (!passing && this.#waiters.size > this.#dials.size) {
      this.#waiters.reject(this.#waiters.first!, error);
    }
    this.#rejectLate();
    this.#pump();
  }

  /** A connection comes back: for the next holder, or to be closed. */
  #return(slot: Slot<C>): Promise<void> {
    if (slot.state !== "inUse") return DONE;
    const { poolSize, maxUses, minIdle, timesIdle } = this.#settings;
    const worn = slot.evicted || slot.uses >= maxUses || this.#ended !== undefined;
    const waiter = this.#waiters.first;
    if (waiter !== undefined && !worn && this.#idle.size === 0 && this.#handOn(slot, waiter)) {
      return DONE;
    }
    const surplus = waiter === undefined && this.#idle.size >= poolSize;
    // Its address need not be looked at here: one that departs marks those in use.
    if (worn || surplus) {
      const closing = this.#slots.close(slot);
      this.#pump();
      return closing ?? DONE;
    }
    // The clock is the dearest thing here: it is read where somebody will ask.
    if (timesIdle || slot.uses === 0) slot.idleSinceMs = now();
    this.#slots.rest(slot);
    this.#source.rest(slot);
    if (waiter !== undefined || minIdle > 0) this.#pump();
    return DONE;
  }

  /** Straight to the next waiter, without a rest: what `#pump` would do by way of the idle list. */
  #handOn(slot: Slot<C>, waiter: Waiter<Lease<C>>): boolean {
    if (this.#settings.timesIdle) slot.idleSinceMs = now();
    if (!this.#source.isFresh() || !this.#fit(slot)) return false;
    this.#source.wake(slot);
    this.#handOver(waiter, slot);
    return true;
  }

  /** Closes a connection in use at once; its holder's signal is aborted. */
  #drop(slot: Slot<C>, reason: unknown): void {
    if (slot.state !== "inUse") return;
    const { holder } = slot;
    if (holder) this.#endUse(slot, reason);
    slot.holder = undefined;
    this.#slots.close(slot, reason);
    if (holder) PoolLease.abort(holder, reason);
    this.#pump();
  }

  /** Closes a connection that proved to be broken. Only the first victim of an outage condemns its siblings. */
  #discard(slot: Slot<C>, unfit: Unfit): void {
    this.condemn(slot, unfit);
    this.#drop(slot, unfit.error);
  }

  #endUse(slot: Slot<C>, error: unknown): void {
    if (!this.#observer?.timesUse) return;
    const { leasedAtMs, address } = slot;
    const seconds = (now() - leasedAtMs) / 1000;
    this.#observer.used({ seconds, address, ...(error !== undefined && { error }) });
  }

  #notifyEmpty(): void {
    if (this.#onEmpty.length === 0 || this.#inUse.size > 0 || this.#dials.size > 0) return;
    const listeners = this.#onEmpty;
    this.#onEmpty = [];
    for (const listener of listeners) listener();
  }
}
