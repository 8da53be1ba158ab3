/**
 * The pool class `"static"`: one connection, shared by all callers.
 *
 * @module
 */

import { abortable } from "../internal/async.ts";
import { ageClock } from "../internal/clock.ts";
import { connectionLost } from "./connection/close.ts";
import type { CheckoutOptions, InvalidConnection, PoolParts } from "./contract.ts";
import type { Lease } from "./lease.ts";
import type { Pool } from "./pool.ts";
import { type LeaseOwner, PoolLease } from "./pool_lease.ts";
import { Slot } from "./slot.ts";

/** Why a share ends before it is released. */
const ENDED_FOR_ALL = "another holder found it broken, or took it out of the pool";

/** The lease that is shared, and the slots of the leases that share it. */
interface Base<C> {
  readonly lease: Lease<C>;
  readonly shares: Set<Slot<C>>;
}

/** Gives all callers the same connection, which goes back to the pool when the last lease is released. */
export class StaticPool<C> implements LeaseOwner<C> {
  readonly #pool: Pool<C>;
  readonly #answer: PoolParts<C>["answer"];
  readonly #connections: PoolParts<C>["connections"];
  readonly #bases: Map<Slot<C>, Base<C>> = new Map();
  #base: Base<C> | undefined;
  /** The checkout of the connection to be shared. */
  #opening: Promise<void> | undefined;
  /** Number of checkouts under way. */
  #waiters = 0;

  /**
   * @param pool A pool of one connection.
   * @param parts What the pool is made of.
   */
  constructor(pool: Pool<C>, { answer, connections }: PoolParts<C>) {
    this.#pool = pool;
    this.#answer = answer;
    this.#connections = connections;
  }

  /**
   * Takes a share of the connection.
   *
   * @param options The options of this checkout; the signal ends this wait and no other.
   * @returns A lease of the caller's own.
   */
  async checkout(options?: CheckoutOptions): Promise<Lease<C>> {
    options?.signal?.throwIfAborted();
    this.#waiters++;
    try {
      if (!this.#pool.isClosed && !this.#answer.isFresh()) {
        await this.#waitUntilFresh(options?.signal);
      }
      while (!this.#base || !this.#canShare(this.#base)) {
        this.#dropUnwanted();
        await this.#waitForOpen(options);
      }
      return this.#share(this.#base);
    } finally {
      this.#waiters--;
      this.#dropUnwanted();
    }
  }

  /** Takes a share as `checkout()` does, but returns `undefined` if something would have to be awaited. */
  tryCheckout(): Lease<C> | undefined {
    if (this.#waiters > 0 || !this.#answer.isFresh()) return undefined;
    if (!this.#base) {
      const lease = this.#pool.tryCheckout();
      if (lease) this.#base = this.#makeBase(lease);
    }
    return this.#base && this.#canShare(this.#base) ? this.#share(this.#base) : undefined;
  }

  checkin(slot: Slot<C>, error: unknown): Promise<void> {
    const base = this.#removeShare(slot);
    if (!base) return Promise.resolve();
    if (slot.isolationLevel !== undefined) {
      PoolLease.borrowIsolationLevel(base.lease, slot.isolationLevel);
    }
    if (slot.borrowed) PoolLease.borrowSettings(base.lease, true);
    const invalid = error !== undefined && error !== null
      ? this.#connections.classifyError(error)
      : undefined;
    // The other holders are not to blame: the role of the server is asked when they have released their leases.
    if (invalid?.doubtful) this.#noteDoubt(base, invalid);
    else if (invalid) this.#endShares(base);
    if (base.shares.size > 0 || this.#isWanted(base)) return Promise.resolve();
    return this.#giveBack(base, error);
  }

  invalidate(slot: Slot<C>, error: unknown): void {
    const base = this.#removeShare(slot);
    if (!base) return;
    this.#endShares(base);
    base.lease.invalidate(error);
  }

  evict(slot: Slot<C>): void {
    this.#bases.get(slot)?.lease.invalidate(undefined, { soft: true });
  }

  detach(slot: Slot<C>): void {
    slot.holder = undefined;
    const base = this.#removeShare(slot);
    if (!base) return;
    this.#endShares(base);
    base.lease.detach();
  }

  async #waitUntilFresh(signal: AbortSignal | undefined): Promise<void> {
    const { closed } = this.#pool;
    try {
      await this.#answer.waitUntilFresh(signal ? AbortSignal.any([signal, closed]) : closed);
    } catch (error) {
      // Without a connection to share, the checkout of one waits.
      if (this.#base || !this.#connections.isTransient(error)) throw error;
    }
  }

  /** Waits for the checkout of the connection, or starts it. */
  async #waitForOpen(options: CheckoutOptions | undefined): Promise<void> {
    const isFirst = this.#opening === undefined;
    this.#opening ??= this.#open(options).finally(() => this.#opening = undefined);
    try {
      await abortable(this.#opening, options?.signal);
    } catch (error) {
      // The caller that started it may have had a smaller timeout than this one, which starts it again.
      if (isFirst || options?.signal?.aborted) throw error;
    }
  }

  async #open(options: CheckoutOptions | undefined): Promise<void> {
    const { timeoutMs } = options ?? {};
    const base = this.#makeBase(await this.#pool.checkout({ timeoutMs }));
    // One that could not be shared may be shareable again by now, and wait for callers.
    const former = this.#base;
    this.#base = base;
    if (former && !this.#isWanted(former)) this.#giveBack(former, undefined);
    this.#dropUnwanted();
  }

  #makeBase(lease: Lease<C>): Base<C> {
    const base: Base<C> = { lease, shares: new Set() };
    lease.signal.addEventListener("abort", () => this.#endShares(base, lease.signal.reason));
    return base;
  }

  /** Returns whether one more caller may have the connection. Its age is looked at when it is back in the pool. */
  #canShare(base: Base<C>): boolean {
    const slot = this.#slotOf(base);
    return slot !== undefined && !slot.evicted && slot.doubt === undefined &&
      !this.#pool.isClosed &&
      this.#connections.isCurrent(slot.address);
  }

  #slotOf({ lease }: Base<C>): Slot<C> | undefined {
    return this.#pool.slots.leased.find(({ holder }) => holder === lease);
  }

  #noteDoubt(base: Base<C>, doubt: InvalidConnection): void {
    const slot = this.#slotOf(base);
    if (slot) slot.doubt = doubt;
  }

  #share(base: Base<C>): Lease<C> {
    const { client, info } = base.lease;
    const { address, endpoint } = this.#slotOf(base)!;
    const times = { openedAtMs: ageClock(), expiresAtMs: Infinity };
    const slot = new Slot({ client, address, endpoint, role: "any", info, ...times });
    base.shares.add(slot);
    this.#bases.set(slot, base);
    const lease = new PoolLease<C>(this, slot);
    slot.holder = lease;
    return lease;
  }

  /** Returns whether a caller has the connection, or one that waits may have it. */
  #isWanted(base: Base<C>): boolean {
    return base.shares.size > 0 || base === this.#base && this.#waiters > 0 && this.#canShare(base);
  }

  /** Gives the connection back if no caller has it and none can have it: another one may need its place. */
  #dropUnwanted(): void {
    if (this.#base && !this.#isWanted(this.#base)) this.#giveBack(this.#base, undefined);
  }

  #removeShare(slot: Slot<C>): Base<C> | undefined {
    const base = this.#bases.get(slot);
    this.#bases.delete(slot);
    base?.shares.delete(slot);
    return base;
  }

  #giveBack(base: Base<C>, error: unknown): Promise<void> {
    if (this.#base === base) this.#base = undefined;
    return base.lease.release(error);
  }

  /** Ends all leases that share a connection, because it can no longer be used. */
  #endShares(base: Base<C>, reason?: unknown): void {
    if (this.#base === base) this.#base = undefined;
    for (const slot of base.shares) {
      this.#removeShare(slot);
      const { holder, address } = slot;
      slot.holder = undefined;
      if (holder) PoolLease.abort(holder, reason ?? connectionLost(address, ENDED_FOR_ALL));
    }
  }
}
