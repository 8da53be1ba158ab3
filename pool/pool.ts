/**
 * The pool: checkout, checkin and waiters.
 *
 * There is one way from a free connection to a waiter, `#handOver()`: `dispatch()` takes it for idle connections, and
 * `#putBack()` for one that is returned. If the connection needs a check, `decide()` says what comes of it.
 *
 * @module
 */

import { ageClock } from "../internal/clock.ts";
import { PoolClosedError, type PoolCounts } from "../errors.ts";
import { AnswerWait } from "./answer_wait.ts";
import { connectionInUseError, poolTimeoutError } from "./checkout_errors.ts";
import { ConnectLimiter } from "./connect_limiter.ts";
import type {
  CheckoutOptions,
  Connections,
  OpenedConnection,
  PoolEvents,
  PoolParts,
  PoolSettings,
} from "./contract.ts";
import type { TerminateOptions } from "./connection/close.ts";
import { awaitCheck, type Check, decide } from "./handover_check.ts";
import { Inventory } from "./inventory.ts";
import type { Lease } from "./lease.ts";
import type { LinkedList } from "./linked_list.ts";
import type { SafeObserver } from "./observer.ts";
import type { PendingCloses } from "./pending_closes.ts";
import { type LeaseOwner, PoolLease } from "./pool_lease.ts";
import type { Slot } from "./slot.ts";
import type { ReadonlySlots, Slots } from "./slots.ts";
import { UseRecorder } from "./use_recorder.ts";
import { type Waiter, WaitQueue } from "./wait_queue.ts";

/** Maximum number of open connections, retired ones included, as a multiple of the limit for the others. */
const MAX_OPEN_FACTOR = 2;

const DONE: Promise<void> = Promise.resolve();

type LeaseWaiter<C> = Waiter<Lease<C>>;

/** Hands out connections within limits, first come, first served. */
export class Pool<C> implements LeaseOwner<C>, PoolEvents<C> {
  /** The pool's connections. */
  readonly slots: ReadonlySlots<C>;
  /** Waits for the connections that are being closed. */
  readonly pendingCloses: PendingCloses;

  readonly #answer: PoolParts<C>["answer"];
  readonly #connections: Connections<C>;
  readonly #settings: PoolSettings;
  readonly #observer: SafeObserver | undefined;
  readonly #uses: UseRecorder | undefined;
  readonly #inventory: Inventory<C>;
  readonly #slots: Slots<C>;
  /** The list of `#slots`: a field of its own, because each checkin reads it. */
  readonly #idle: LinkedList<Slot<C>>;
  readonly #waiters: WaitQueue<Lease<C>>;
  readonly #limiter: ConnectLimiter<OpenedConnection<C>>;
  /** Made for the first caller that has to wait for an answer, and dropped after the last one. */
  #answerWait: AnswerWait | undefined;
  /** Number of checkouts by `warm()`, for which `minIdle` need not be opened. */
  #warming = 0;
  #end: AbortController | undefined;
  /** Why the pool is closed; `undefined` while it is open. */
  #closedBecause: string | undefined;

  /**
   * @param parts The answer and the connections.
   * @param settings The pool's options.
   */
  constructor(parts: PoolParts<C>, settings: PoolSettings) {
    const { answer, connections } = parts;
    this.#answer = answer;
    this.#connections = connections;
    this.#settings = settings;
    this.#observer = settings.observer;
    this.#uses = UseRecorder.for(settings);
    this.#inventory = new Inventory(parts, settings, this, this.#uses);
    this.slots = this.#slots = this.#inventory.slots;
    this.pendingCloses = this.#inventory.pendingCloses;
    this.#idle = this.#slots.idle;
    this.#limiter = new ConnectLimiter(connections, settings.connectConcurrency, this);
    this.#waiters = new WaitQueue(this, settings.observer);
  }

  /** Whether `close()` was called. */
  get isClosed(): boolean {
    return this.#closedBecause !== undefined;
  }

  /** Aborted by `close()`, with the error for callers. */
  get closed(): AbortSignal {
    this.#end ??= new AbortController();
    if (this.#closedBecause !== undefined) {
      this.#end.abort(new PoolClosedError(this.#closedBecause));
    }
    return this.#end.signal;
  }

  /** Whether a caller waits for a connection. */
  get isWaitedFor(): boolean {
    return this.#waiters.waiting > 0;
  }

  /** The pool's counters. */
  get counts(): PoolCounts {
    const { poolSize, maxOverflow } = this.#settings;
    return {
      poolSize,
      maxOverflow,
      inUse: this.#slots.inUse.size,
      retired: this.#slots.retired,
      idle: this.#idle.size,
      connecting: this.#limiter.size,
      waiting: this.#waiters.size,
    };
  }

  /**
   * Takes a connection: without a wait, if one is idle and the answer is fresh.
   *
   * @param options The options of this checkout.
   * @param deliver Takes the lease in place of the promise, if a caller has to wait for one that is given back: in the
   *   call that gives it back, and not some microtasks later. It must not throw.
   * @returns The lease.
   * @throws {PoolTimeoutError} if no connection is available in time.
   * @throws {PoolClosedError} if the pool is closed, before or meanwhile.
   */
  checkout(options?: CheckoutOptions, deliver?: (lease: Lease<C>) => void): Promise<Lease<C>> {
    const lease = options === undefined ? this.tryCheckout() : undefined;
    if (lease !== undefined) return Promise.resolve(lease);
    if (this.#closedBecause !== undefined) {
      return Promise.reject(new PoolClosedError(this.#closedBecause));
    }
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason);
    if (this.#settings.single) {
      // A connection that came back, and whose rollback is under way, is waited for.
      const [slot] = this.#slots.leased;
      if (slot !== undefined || this.#waiters.waiting > 0) {
        return Promise.reject(connectionInUseError(this.#settings.name, slot?.takenAt));
      }
    }
    const { signal, timeoutMs = this.#settings.poolTimeoutMs } = options ?? {};
    const waiter = this.#waiters.create(timeoutMs, signal);
    waiter.stack = this.#uses?.stack();
    const { newest } = this.#waiters;
    this.#waiters.push(waiter);
    // If the previous waiter of the same tick could not be served, neither can this one.
    if (newest !== waiter.since || this.#capacity > 0) this.dispatch();
    if (waiter.timeoutMs <= 0) this.rejectLate();
    waiter.deliver = deliver;
    return waiter.promise;
  }

  /** Takes a connection as `checkout()` does, but returns `undefined` if something would have to be awaited. */
  tryCheckout(): Lease<C> | undefined {
    if (this.#waiters.size > 0 || this.isClosed || !this.#answer.isFresh()) return undefined;
    const slot = this.#inventory.nextIdle();
    if (slot === undefined || this.#connections.needsCheck(slot)) return undefined;
    this.#slots.toInUse(slot);
    this.#connections.onTaken(slot);
    if (this.#observer !== undefined) this.#observer.served();
    return this.#lend(slot, this.#uses?.stack());
  }

  /** Takes a connection back. Called once per lease. */
  checkin(slot: Slot<C>, error: unknown): Promise<void> {
    if (slot.cancel !== undefined) return slot.cancel.then(() => this.checkin(slot, error));
    this.#uses?.end(slot, error);
    if (error !== undefined && error !== null) {
      const invalid = this.#connections.classifyError(error);
      if (invalid?.doubtful) slot.doubt = invalid;
      else if (invalid) {
        this.#inventory.discard(slot, invalid);
        return DONE;
      }
    }
    if (slot.doubt !== undefined) this.#inventory.holdBack(slot);
    const reset = slot.broken ? undefined : this.#connections.reset(slot);
    if (reset === undefined) return this.#giveBack(slot);
    return reset.then(() => this.#giveBack(slot), (reason) => {
      this.#inventory.closeInUse(slot, reason);
    });
  }

  /** Puts a connection back, if its server is not in doubt or proves to be good. */
  #giveBack(slot: Slot<C>): Promise<void> {
    if (slot.doubt === undefined) return this.#putBack(slot);
    return this.#inventory.settleDoubt(slot).then((isGood) =>
      isGood ? this.#putBack(slot) : undefined
    );
  }

  invalidate(slot: Slot<C>, error: unknown): void {
    this.#uses?.end(slot, error);
    const invalid = error === undefined ? undefined : this.#connections.classifyError(error);
    if (invalid?.doubtful) {
      slot.evicted = true;
      slot.doubt = invalid;
      this.#giveBack(slot);
    } else if (invalid) this.#inventory.discard(slot, invalid);
    else this.#inventory.closeInUse(slot, error ?? new Error("The connection was invalidated"));
  }

  evict(slot: Slot<C>): void {
    slot.evicted = true;
  }

  noteError(slot: Slot<C>, error: unknown): void {
    // A closed pool has no others to condemn, and nothing to ask DNS for.
    if (this.#closedBecause === undefined) this.#inventory.noteError(slot, error);
  }

  detach(slot: Slot<C>): void {
    this.#inventory.detach(slot);
  }

  /** Hands out no connection again that is open now, to an address or any; those in use are closed at checkin. */
  evictAll(address?: string): void {
    for (const slot of this.#slots.to(address)) slot.evicted = true;
  }

  /**
   * Closes the idle connections to an address that departed. Those in use are closed at checkin, and no longer count
   * against the limit.
   *
   * @param address The address.
   * @returns The number of connections to it that are still in use.
   */
  retireAddress(address: string): number {
    const inUse = this.#inventory.retireAddress(address);
    this.retryNow();
    return inUse;
  }

  /** Counts the connections in use to an address that is back against the limit again; they need not be closed. */
  restoreAddress(address: string): void {
    this.#inventory.restoreAddress(address);
  }

  /** Ends the pause between failed connects: the addresses changed. */
  retryNow(): void {
    this.#limiter.resetBackoff();
    this.dispatch();
  }

  /** Terminates a connection in use; the signal of its lease is aborted with the reason. */
  terminate(slot: Slot<C>, reason: Error, options?: TerminateOptions): void {
    this.#inventory.closeInUse(slot, reason, options);
  }

  /** Closes idle connections that are too many or too long idle, and opens missing ones. */
  maintain(): void {
    this.#inventory.closeSurplus();
    this.#inventory.closeExpiring(this.#capacity > 0);
    this.dispatch();
  }

  /**
   * Opens connections ahead of need.
   *
   * @param count The number of connections that are open at once.
   * @param checkout Checks out one of them.
   * @throws What `checkout` throws.
   */
  async warm(count: number, checkout: () => Promise<Lease<C>>): Promise<void> {
    this.#warming += count;
    const results = await Promise.allSettled(Array.from({ length: count }, () => checkout()));
    for (const result of results) if (result.status === "fulfilled") await result.value.release();
    this.#warming -= count;
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  /**
   * Closes the pool: rejects the waiters and closes the idle connections; those in use are closed at checkin.
   *
   * @param why The message for waiters and later callers.
   */
  close(why: string): void {
    if (this.#closedBecause !== undefined) return;
    this.#closedBecause = why;
    this.#limiter.resetBackoff();
    this.#end?.abort(new PoolClosedError(why));
    this.#waiters.close(new PoolClosedError(why));
    this.#limiter.abortAll(new PoolClosedError(why));
    this.#inventory.closeIdle(() => true);
  }

  /**
   * Gives waiters the idle connections, and opens missing ones. Called when either may have become possible; `answered`: by
   * an answer that is good for those that waited for it.
   */
  dispatch(answered = false): void {
    if (this.#closedBecause !== undefined) return;
    if (this.#waiters.size > 0) {
      if (!answered && !this.#answer.isFresh()) return this.#waitForAnswer();
      for (;;) {
        const waiter = this.#waiters.first;
        const slot = waiter && this.#inventory.takeIdle();
        if (!slot) break;
        this.#handOver(waiter, slot);
      }
      if (this.isClosed) return; // by a hook that the check of a connection called
    }
    this.#limiter.start({
      waiting: this.#waiters.size,
      prefill: this.#inventory.missing(this.#waiters.size, this.#warming),
      capacity: this.#capacity,
      newest: this.#waiters.created,
    });
    if (this.#waiters.size === 0 && this.#idle.size > this.#settings.poolSize) {
      this.#inventory.closeIdle(() => this.#idle.size > this.#settings.poolSize);
    }
  }

  #waitForAnswer(): void {
    const parts = { answer: this.#answer, connections: this.#connections };
    (this.#answerWait ??= new AnswerWait(parts, this)).start();
  }

  /** Gives a usable connection to a waiter, at once or after its check. */
  #handOver(waiter: LeaseWaiter<C>, slot: Slot<C>): void {
    this.#connections.onTaken(slot);
    const check = this.#connections.check(slot);
    if (check !== undefined) this.#handOverChecked(waiter, slot, check);
    else this.#waiters.serve(waiter, this.#lend(slot, waiter.stack));
  }

  async #handOverChecked(waiter: LeaseWaiter<C>, slot: Slot<C>, check: Check): Promise<void> {
    this.#waiters.setAside(waiter);
    const outcome = await awaitCheck(check, waiter, { slot, answer: this.#answer });
    const { invalid, failure } = outcome;
    switch (decide(outcome, waiter, { slot, isUsable: () => this.#inventory.isUsable(slot) })) {
      case "ok":
        return this.#waiters.serve(waiter, this.#lend(slot, waiter.stack));
      case "retry":
        if (waiter.waiting) this.#waiters.putBack(waiter);
        this.#inventory.discard(slot, invalid);
        this.dispatch();
        return this.rejectLate();
      case "reject":
        this.#waiters.reject(waiter, failure ? failure.error : invalid?.error);
        if (invalid) this.#inventory.discard(slot, invalid);
        else this.#putBack(slot);
        return;
      case "closed":
        this.#putBack(slot);
    }
  }

  #lend(slot: Slot<C>, stack: string | undefined): Lease<C> {
    slot.uses++;
    this.#slots.handedOut++;
    this.#uses?.begin(slot, stack);
    const lease = new PoolLease<C>(this, slot);
    slot.holder = lease;
    return lease;
  }

  /** Gives a connection that is free again to the next waiter, keeps it idle, or closes it. */
  #putBack(slot: Slot<C>): Promise<void> {
    if (slot.state !== "inUse") return DONE;
    const { poolSize, maxUses, minIdle, timesIdle } = this.#settings;
    const waiter = this.#waiters.first;
    // Above the limit are those whose address came back.
    const isSurplus = this.#slots.counted > this.#inventory.limit ||
      waiter === undefined && this.#idle.size >= poolSize;
    // Its address need not be looked at: one that departs retires the connections in use.
    const isWorn = slot.evicted || slot.retired || slot.borrowed || slot.uses >= maxUses ||
      this.#closedBecause !== undefined;
    if (isWorn || isSurplus) return this.#inventory.closeInUse(slot) ?? DONE;
    // Reading the clock dominates this path, so it is skipped unless the idle time is used.
    if (timesIdle || slot.uses === 0) slot.idleSinceMs = ageClock();
    // What `dispatch()` would do, without the way through the idle list.
    if (
      waiter !== undefined && this.#idle.size === 0 && this.#answer.isFresh() &&
      this.#inventory.canServe(slot)
    ) {
      this.#handOver(waiter, slot);
      return DONE;
    }
    this.#slots.toIdle(slot);
    this.#connections.onIdle(slot);
    if (waiter !== undefined || minIdle > 0) this.dispatch();
    return DONE;
  }

  isConnecting(): boolean {
    return this.#limiter.size > 0;
  }

  onOutage(): void {
    this.#limiter.setHalfOpen();
  }

  onEmpty(): void {
    this.#limiter.clearPause();
    this.#answerWait?.cancel();
    this.#answerWait = undefined;
  }

  onNoAnswer(error: unknown): void {
    if (error !== undefined) this.#waiters.rejectQueued(error);
    this.dispatch();
  }

  onOpened(opened: OpenedConnection<C>): void {
    const slot = this.#inventory.add(opened);
    const { address } = slot;
    // If the address departed during the connect, there is another connect for the waiter.
    if (this.#connections.isCurrent(address)) this.#putBack(slot);
    else this.terminate(slot, new Error(`The address ${address} departed during the connect`));
    this.dispatch();
    this.rejectLate();
  }

  /** Rejects the waiter of a failed connect, unless the failure is transient or the waiter came later. */
  onFailed(error: unknown, transient: boolean, newest: number): void {
    this.pendingCloses.notify();
    if (this.#closedBecause !== undefined) return;
    if (!transient && this.#waiters.size > this.#limiter.size) {
      this.#waiters.rejectFirst(error, newest);
    }
    this.rejectLate();
    this.dispatch();
  }

  /** Number of connections that may be opened. */
  get #capacity(): number {
    const { counted, size } = this.#slots;
    const { limit } = this.#inventory;
    return Math.min(limit - counted, MAX_OPEN_FACTOR * limit - size) - this.#limiter.size;
  }

  /** Rejects the waiters whose timeout is over, except those whose connection is being opened: that has its own. */
  rejectLate(): void {
    const count = this.#limiter.size +
      (this.#answerWait?.isActive ? this.#idle.size + this.#capacity : 0);
    const extra = { count, ms: this.#settings.maxOpenMs };
    this.#waiters.rejectLate((waited) => this.#timeoutError(waited), extra);
  }

  #timeoutError(waited: number): Error {
    const { failing, lastError } = this.#answerWait?.failing ? this.#answerWait : this.#limiter;
    if (failing) return this.#connections.timeoutError(lastError, waited);
    return poolTimeoutError(this.#settings.name, this.counts, { waited, lastError });
  }
}
