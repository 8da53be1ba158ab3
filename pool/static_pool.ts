/**
 * One connection for all: the pool class `"static"`.
 *
 * @module
 */

import { abortable } from "../internal/async.ts";
import { now } from "../internal/clock.ts";
import type { Lease } from "./lease.ts";
import { type LeaseOwner, PoolLease } from "./pool_lease.ts";
import { Slot } from "./slot.ts";
import { connectionLost } from "./connection/close.ts";
import type { CheckoutOptions } from "./contract.ts";

/** Why a share ends before its holder is done. */
const TAKEN = "another holder found it broken, or took it out of the pool";

/** What is shared: a pool that opens one connection at the most. */
export interface Exclusive<C> {
  /** Takes the connection. */
  checkout(options?: CheckoutOptions): Promise<Lease<C>>;
  /** Waits until the addresses known may be used; `undefined` where they may now. */
  waitUntilFresh(signal?: AbortSignal): Promise<void> | undefined;
  /** Whether a lease's connection may be handed to somebody else now. */
  shareable(lease: Lease<C>): boolean;
  /** Whether an error says that the connection it happened on is no good. */
  breaks(error: unknown): boolean;
}

/** The lease that is shared, and the shares that are out. */
interface Base<C> {
  readonly lease: Lease<C>;
  readonly shares: Set<Slot<C>>;
}

/** Hands the same connection to everybody; it goes back when the last one is done. */
export class StaticPool<C> implements LeaseOwner<C> {
  readonly #pool: Exclusive<C>;
  readonly #bases: Map<Slot<C>, Base<C>> = new Map();
  #base: Base<C> | undefined;
  #coming: Promise<void> | undefined;
  /** Checkouts under way. */
  #comers = 0;

  /** @param pool What is shared. */
  constructor(pool: Exclusive<C>) {
    this.#pool = pool;
  }

  /**
   * Takes a share of the connection.
   *
   * @param options How this checkout differs; the signal ends this wait and no other.
   * @returns A lease of its own.
   */
  async checkout(options?: CheckoutOptions): Promise<Lease<C>> {
    options?.signal?.throwIfAborted();
    this.#comers++;
    try {
      await this.#pool.waitUntilFresh(options?.signal);
      while (!this.#base || !this.#pool.shareable(this.#base.lease)) await this.#join(options);
      return this.#share(this.#base);
    } finally {
      this.#comers--;
      if (this.#base && !this.#wanted(this.#base)) this.#giveBack(this.#base, undefined);
    }
  }

  checkin(slot: Slot<C>, error: unknown): Promise<void> {
    const base = this.#leave(slot);
    if (!base) return Promise.resolve();
    if (slot.isolationLevel !== undefined) {
      PoolLease.borrowIsolationLevel(base.lease, slot.isolationLevel);
    }
    if (this.#pool.breaks(error)) this.#revoke(base);
    else if (this.#wanted(base)) return Promise.resolve();
    return this.#giveBack(base, error);
  }

  invalidate(slot: Slot<C>, error: unknown): void {
    const base = this.#leave(slot);
    if (!base) return;
    this.#revoke(base);
    base.lease.invalidate(error);
  }

  evict(slot: Slot<C>): void {
    this.#bases.get(slot)?.lease.invalidate(undefined, { soft: true });
  }

  detach(slot: Slot<C>): void {
    slot.holder = undefined;
    const base = this.#leave(slot);
    if (!base) return;
    this.#revoke(base);
    base.lease.detach();
  }

  /** Waits for the connection to come, or sends for it. */
  async #join(options: CheckoutOptions | undefined): Promise<void> {
    const first = this.#coming === undefined;
    const coming = this.#coming ??= this.#fetch(options).finally(() => this.#coming = undefined);
    try {
      await abortable(coming, options?.signal);
    } catch (error) {
      // Whoever sent for it may have had less time than this one, who sends again.
      if (first || options?.signal?.aborted) throw error;
    }
  }

  async #fetch(options: CheckoutOptions | undefined): Promise<void> {
    const { timeoutMs } = options ?? {};
    const lease = await this.#pool.checkout({ timeoutMs });
    const base: Base<C> = { lease, shares: new Set() };
    lease.signal.addEventListener("abort", () => this.#revoke(base, lease.signal.reason));
    if (this.#comers > 0) this.#base = base;
    else await lease.release();
  }

  #share(base: Base<C>): Lease<C> {
    const { client, address, info } = base.lease;
    const slot = new Slot({ client, address, openedAtMs: now(), expiresAtMs: Infinity, info });
    base.shares.add(slot);
    this.#bases.set(slot, base);
    return slot.holder = new PoolLease<C>(this, slot);
  }

  #wanted(base: Base<C>): boolean {
    return base.shares.size > 0 || base === this.#base && this.#comers > 0;
  }

  #leave(slot: Slot<C>): Base<C> | undefined {
    const base = this.#bases.get(slot);
    this.#bases.delete(slot);
    base?.shares.delete(slot);
    return base;
  }

  #giveBack(base: Base<C>, error: unknown): Promise<void> {
    if (this.#base === base) this.#base = undefined;
    return base.lease.release(error);
  }

  /** The connection is good for nobody any more: the holders that are left are told. */
  #revoke(base: Base<C>, reason?: unknown): void {
    if (this.#base === base) this.#base = undefined;
    for (const slot of base.shares) {
      this.#leave(slot);
      const { holder, address } = slot;
      slot.holder = undefined;
      if (holder) PoolLease.abort(holder, reason ?? connectionLost(address, TAKEN));
    }
  }
}
