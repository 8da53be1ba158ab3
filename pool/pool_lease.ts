/**
 * The leases of both kinds of pool.
 *
 * @module
 */

import { keptAlive } from "../internal/async.ts";
import { awakeTimer } from "../internal/clock.ts";
import { OptionReader } from "../internal/option_reader.ts";
import type { Lease } from "./lease.ts";
import type { Holder, Slot } from "./slot.ts";

/** What a lease asks of the pool that it came from. */
export interface LeaseOwner<C> {
  /** Takes the connection back. */
  checkin(slot: Slot<C>, error: unknown): Promise<void>;
  /** Closes the connection now. */
  invalidate(slot: Slot<C>, error: unknown): void;
  /** Closes the connection when it comes back. */
  evict(slot: Slot<C>): void;
  /** Gives the connection away. */
  detach(slot: Slot<C>): void;
  /** Is told of the error that a lease is released with after its connection was closed under it. */
  noteError?(slot: Slot<C>, error: unknown): void;
}

const DONE: Promise<void> = Promise.resolve();

/**
 * Time in which a driver reports the end of a connection to the work on it, once its socket has ended: some drivers do so
 * when the socket is closed, some turns of the event loop later.
 */
const DRIVER_REPORTS_MS = 50;

/** What is told that a connection is terminated, and the end of the work that it is about. */
interface Watcher {
  /** Rejects a promise; one whose work has ended is settled, and stays as it is. */
  readonly tell: (reason: unknown) => void;
  readonly ended: Promise<unknown>;
  /** Further ones, while their work goes on. */
  others: Map<(reason: unknown) => void, Promise<unknown>> | undefined;
}

/**
 * A lease. What only the pool and the engine may do with it is static: a caller has the lease and not the class. There
 * are no private methods, which would cost each lease a field.
 */
export class PoolLease<C> implements Lease<C>, Holder {
  readonly #owner: LeaseOwner<C>;
  readonly #slot: Slot<C>;
  #controller: AbortController | undefined = undefined;
  /** Told if the connection is terminated. */
  #watcher: Watcher | undefined = undefined;

  /**
   * @param owner Takes the connection back.
   * @param slot The connection.
   */
  constructor(owner: LeaseOwner<C>, slot: Slot<C>) {
    this.#owner = owner;
    this.#slot = slot;
  }

  /** Returns whether a value is a lease. */
  static isLease(value: unknown): boolean {
    return typeof value === "object" && value !== null && #slot in value;
  }

  /**
   * Tells a lease's caller that the connection is terminated.
   *
   * @param lease The lease.
   * @param reason Why.
   * @param options `closed`: the server or the network closed it. Then the driver's own error, which is about to
   *   reach the caller, comes first.
   * @returns Fulfilled when the caller is told; `undefined` if that is so already.
   */
  static abort(
    lease: Holder,
    reason: unknown,
    { closed = false }: { readonly closed?: boolean } = {},
  ): Promise<void> | undefined {
    return #slot in lease ? lease.#abort(reason, closed) : undefined;
  }

  /**
   * Terminates the connection of a lease; its signal is aborted with the reason.
   *
   * @param lease The lease; if it was released, nothing is done.
   * @param reason Why.
   */
  static terminate(lease: Lease<unknown>, reason: unknown): void {
    if (!(#slot in lease) || lease.#slot.holder !== lease) return;
    lease.#slot.holder = undefined;
    lease.#owner.invalidate(lease.#slot, reason);
    lease.#abort(reason, false);
  }

  /** Notes that a cancel is under way for a lease: until it has ended, its connection is not handed on. */
  static noteCancel(lease: Lease<unknown>, cancel: Promise<unknown>): void {
    if (!(#slot in lease)) return;
    const slot = lease.#slot;
    const ended = cancel.then(() => {
      if (slot.cancel === ended) slot.cancel = undefined;
    });
    slot.cancel = ended;
  }

  /** Notes that the session has an isolation level for the time of a lease. */
  static borrowIsolationLevel(lease: Lease<unknown>, level: string): void {
    if (#slot in lease) lease.#slot.isolationLevel = level;
  }

  /** Notes that the session has settings of a transaction, or that they are put back. */
  static borrowSettings(lease: Lease<unknown>, borrowed: boolean): void {
    if (#slot in lease) lease.#slot.borrowed = borrowed;
  }

  /** Returns when the connection of a lease was handed out, by the clock of timers; 0 if long leases are not reported. */
  static takenAtMs(lease: Lease<unknown>): number {
    return #slot in lease ? lease.#slot.leasedAtMs : 0;
  }

  /** Returns whether the connection of a lease could be handed out again, as far as is known of it. */
  static isGood(lease: Lease<unknown>): boolean {
    if (!(#slot in lease) || lease.#slot.holder !== lease) return false;
    const { evicted, retired, broken, doubt } = lease.#slot;
    return !evicted && !retired && !broken && doubt === undefined;
  }

  /** Returns the server's last error on a lease's connection, if it reported any since the last call, and forgets it. */
  static takeServerError(lease: Lease<unknown>): unknown {
    if (!(#slot in lease)) return undefined;
    const { serverError } = lease.#slot;
    lease.#slot.serverError = undefined;
    return serverError;
  }

  get client(): C {
    if (this.#slot.holder !== this) {
      this.#controller?.signal.throwIfAborted();
      throw new TypeError("Cannot use the client of a lease that was released or invalidated");
    }
    return this.#slot.client;
  }

  get address(): string {
    return this.#slot.endpoint.address;
  }

  get port(): number {
    return this.#slot.endpoint.port;
  }

  get host(): string {
    return this.#slot.endpoint.host;
  }

  get info(): Record<string, unknown> {
    return this.#slot.info;
  }

  get released(): boolean {
    return this.#slot.holder !== this;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  release(error?: unknown): Promise<void> {
    const slot = this.#slot;
    if (slot.holder !== this) {
      if (slot.lostUnder === this && error !== undefined && error !== null) {
        this.#owner.noteError?.(slot, error);
      }
      return DONE;
    }
    slot.holder = undefined;
    return this.#owner.checkin(slot, error);
  }

  invalidate(error?: unknown, options?: { soft?: boolean }): void {
    const reader = new OptionReader(options, "invalidate");
    const soft = reader.boolean("soft", false);
    reader.done();
    const slot = this.#slot;
    if (slot.holder !== this) return;
    if (soft) return this.#owner.evict(slot);
    slot.holder = undefined;
    this.#owner.invalidate(slot, error);
  }

  detach(): C {
    const { client } = this;
    this.#slot.info = { ...this.#slot.info };
    this.#owner.detach(this.#slot);
    return client;
  }

  untilLost<T>(work: T | Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      // Only these two handlers on that promise: so the stack of an error leads on to what awaits the returned one.
      // A driver's own kind of promise would cost another one, and its statement would begin a microtask later.
      const promise = work instanceof Promise ? work : Promise.resolve(work);
      const ended: Promise<void> = promise.then(resolve, reject);
      if (this.#watcher === undefined) this.#watcher = { tell: reject, ended, others: undefined };
      else {
        const others = this.#watcher.others ??= new Map();
        others.set(reject, ended);
        ended.then(() => others.delete(reject));
      }
      if (this.#controller?.signal.aborted) reject(this.#controller.signal.reason);
    });
  }

  #abort(reason: unknown, closed: boolean): Promise<void> | undefined {
    if (closed) this.#slot.lostUnder = this;
    const watcher = this.#watcher;
    const tell = () => {
      watcher?.tell(reason);
      for (const other of watcher?.others?.keys() ?? []) other(reason);
    };
    let told: Promise<void> | undefined;
    if (closed && watcher) {
      told = keptAlive(
        new Promise((resolve) => {
          const limit = awakeTimer(DRIVER_REPORTS_MS, () => resolve(tell()));
          Promise.all([watcher.ended, ...watcher.others?.values() ?? []]).then(() => {
            limit.clear();
            resolve();
          });
        }),
      );
    } else tell();
    (this.#controller ??= new AbortController()).abort(reason);
    return told;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
