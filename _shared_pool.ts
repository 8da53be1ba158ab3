/**
 * One connection for all: the pool class `"static"`.
 *
 * @module
 */

import { now } from "./_clock.ts";
import { Lease, type Lender, Slot } from "./_lease.ts";
import type { CheckoutOptions } from "./pool.ts";

/** What is shared: a pool that opens one connection at the most. */
export interface Exclusive<C> {
  /** Takes the connection. */
  checkout(options?: CheckoutOptions): Promise<Lease<C>>;
  /** Waits until the addresses known may be used; `undefined` where they may now. */
  answer(signal?: AbortSignal): Promise<void> | undefined;
  /** Whether a lease's connection may be handed to somebody else now. */
  shareable(lease: Lease<C>): boolean;
}

/** Hands the same connection to everybody; it goes back when the last one is done. */
export class SharedPool<C> implements Lender<C> {
  readonly #pool: Exclusive<C>;
  #base: { readonly lease: Lease<C>; holders: number } | undefined;
  readonly #bases: Map<Slot<C>, { readonly lease: Lease<C>; holders: number }> = new Map();
  #coming: Promise<void> | undefined;

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
    await this.#pool.answer(options?.signal);
    while (!this.#base || !this.#pool.shareable(this.#base.lease)) {
      this.#coming ??= this.#fetch(options).finally(() => this.#coming = undefined);
      await this.#coming;
      options?.signal?.throwIfAborted();
    }
    const base = this.#base;
    base.holders++;
    const { client, address, info } = base.lease;
    const slot = new Slot(client, address, now(), Infinity, info);
    this.#bases.set(slot, base);
    return slot.lease = new Lease<C>(this, slot);
  }

  checkin(slot: Slot<C>, error: unknown): Promise<void> {
    const base = this.#leave(slot);
    return base && base.holders === 0 ? this.#giveBack(base, error) : Promise.resolve();
  }

  invalidate(slot: Slot<C>, error: unknown): void {
    const base = this.#leave(slot);
    if (base === this.#base) this.#base = undefined;
    base?.lease.invalidate(error);
  }

  invalidateSoftly(slot: Slot<C>): void {
    this.#bases.get(slot)?.lease.invalidate(undefined, { soft: true });
  }

  detach(slot: Slot<C>): void {
    slot.lease = undefined;
    const base = this.#leave(slot);
    if (base === this.#base) this.#base = undefined;
    base?.lease.detach();
  }

  async #fetch(options: CheckoutOptions | undefined): Promise<void> {
    const { timeoutMs } = options ?? {};
    const base = { lease: await this.#pool.checkout({ timeoutMs }), holders: 0 };
    base.lease.signal.addEventListener("abort", () => {
      for (const [slot, of] of this.#bases) {
        if (of === base) slot.lease?.abort(base.lease.signal.reason);
      }
    });
    this.#base = base;
  }

  #leave(slot: Slot<C>): { readonly lease: Lease<C>; holders: number } | undefined {
    const base = this.#bases.get(slot);
    this.#bases.delete(slot);
    if (base) base.holders--;
    return base;
  }

  #giveBack(base: { readonly lease: Lease<C> }, error: unknown): Promise<void> {
    if (this.#base === base) this.#base = undefined;
    return base.lease.release(error);
  }
}
