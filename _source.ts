/**
 * What a pool's connections come from: the name's addresses on one side, the dialer and the adapter on the
 * other. Here the checks stand that a connection passes on its way in and out.
 *
 * @module
 */

import { now, upkeepTimer } from "./_clock.ts";
import type { Slot } from "./_lease.ts";
import type { Adapter } from "./adapters/adapter.ts";
import type { Dialer } from "./dialer.ts";
import type { Opened, Source, Unfit } from "./pool.ts";

/** The addresses that a name has. */
export interface Addresses {
  /** The current ones, in order. */
  readonly addresses: readonly string[];
  /** Whether they may be used now: no I/O, no wait. */
  usable(nowMs: number): boolean;
  /** Waits until they may. */
  wait(signal?: AbortSignal): Promise<void>;
  /** Asks again, whatever the TTL says. */
  refresh(): Promise<void>;
  /** Keeps them fresh ahead of expiry until the returned function is called. */
  keepFresh(): () => void;
}

/** The addresses of a host that needs no DNS. */
export function fixedAddresses(addresses: readonly string[]): Addresses {
  return {
    addresses,
    usable: () => true,
    wait: () => Promise.resolve(),
    refresh: () => Promise.resolve(),
    keepFresh: () => () => {},
  };
}

/** A polite goodbye may take so long; after that the socket is dropped. */
const GOODBYE_MS = 2000;

/** Opens, checks, resets and closes the connections of one engine. */
export class NameSource<C> implements Source<C> {
  readonly #names: Addresses;
  readonly #dialer: Dialer<C>;
  readonly #adapter: Adapter<C>;
  readonly #settings: { readonly refreshAhead: boolean; readonly connectRetry: boolean };
  #connectedBefore = false;
  /** Connections open now. */
  #open = 0;
  #stopRefresh: (() => void) | undefined;

  /**
   * @param names The addresses.
   * @param dialer Opens a connection to one of them.
   * @param adapter Knows the driver.
   * @param settings Whether to ask ahead of expiry, and whether connects are tried again.
   */
  constructor(
    names: Addresses,
    dialer: Dialer<C>,
    adapter: Adapter<C>,
    settings: { readonly refreshAhead: boolean; readonly connectRetry: boolean },
  ) {
    this.#names = names;
    this.#dialer = dialer;
    this.#adapter = adapter;
    this.#settings = settings;
  }

  usable(nowMs: number): boolean {
    return this.#names.usable(nowMs);
  }

  resolve(signal: AbortSignal): Promise<void> {
    return this.#names.wait(signal);
  }

  isCurrent(address: string): boolean {
    return this.#names.addresses.includes(address);
  }

  async open(signal: AbortSignal): Promise<Opened<C>> {
    const openedAtMs = now();
    try {
      const { client, address } = await this.#dialer.dial(this.#names.addresses, signal);
      this.#connectedBefore = true;
      return { client, address, openedAtMs, expiresAtMs: Infinity, info: {} };
    } catch (error) {
      if (!signal.aborted) this.#names.refresh();
      throw error;
    }
  }

  mayPass(error: unknown): boolean {
    return this.#settings.connectRetry && this.#connectedBefore && this.#dialer.mayPass(error);
  }

  giveUp(lastError: unknown, waited: number): Error {
    return this.#dialer.giveUp(lastError, waited);
  }

  adopt(slot: Slot<C>, pool: { lost(slot: Slot<C>, error: unknown): void }): void {
    if (this.#open++ === 0 && this.#settings.refreshAhead) {
      this.#stopRefresh = this.#names.keepFresh();
    }
    this.#adapter.onClose?.(slot.client, (error) => {
      if (slot.state === "closed" || slot.state === "detached") return;
      this.#names.refresh();
      pool.lost(slot, error);
    });
  }

  part(): void {
    if (--this.#open > 0) return;
    this.#stopRefresh?.();
    this.#stopRefresh = undefined;
  }

  wake({ client }: Slot<C>): void {
    this.#adapter.ref?.(client);
  }

  rest({ client }: Slot<C>): void {
    this.#adapter.unref?.(client);
  }

  check(): undefined {
    return undefined;
  }

  reset(slot: Slot<C>): Promise<void> | undefined {
    const adapter = this.#adapter;
    if (!adapter.reset || adapter.inTransaction?.(slot.client) === false) return undefined;
    return adapter.reset(slot.client, "rollback");
  }

  judge(error: unknown): Unfit | undefined {
    const verdict = this.#adapter.classify?.(error);
    if (verdict === undefined) return undefined;
    this.#names.refresh();
    return { error: error as Error, siblings: true };
  }

  close({ client }: Slot<C>, reason: unknown): Promise<void> | undefined {
    const adapter = this.#adapter;
    this.part();
    if (reason !== undefined || !adapter.close) {
      this.#dialer.discard(client, reason instanceof Error ? reason : undefined);
      return undefined;
    }
    return this.#sayGoodbye(client);
  }

  async #sayGoodbye(client: C): Promise<void> {
    const limit = upkeepTimer(GOODBYE_MS, () => this.#dialer.discard(client));
    try {
      await this.#adapter.close!(client);
    } catch {
      this.#dialer.discard(client);
    } finally {
      limit.clear();
    }
  }
}
