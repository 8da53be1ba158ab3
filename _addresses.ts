/**
 * The addresses of an engine's host: the resolver's answer and the addresses that linger, or a fixed list where
 * no DNS is needed. And what becomes of an address that leaves.
 *
 * @module
 */

import { now, type Timer, upkeepTimer } from "./_clock.ts";

/** Where the answer comes from: a view of the resolver's cache. */
export interface AnswerSource {
  /** The addresses in the newest answer, in order. */
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

/** The answer for a host that needs no DNS. */
export function fixedAnswer(addresses: readonly string[]): AnswerSource {
  return {
    addresses,
    usable: () => true,
    wait: () => Promise.resolve(),
    refresh: () => Promise.resolve(),
    keepFresh: () => () => {},
  };
}

/** Addresses that left the answer and still count as current for a while. */
export class Lingering {
  readonly #lingerMs: number;
  readonly #onEnd: (address: string) => void;
  readonly #until: Map<string, { readonly untilMs: number; readonly timer: Timer }> = new Map();

  /**
   * @param lingerMs For how long; 0: not at all.
   * @param onEnd An address is current no more.
   */
  constructor(lingerMs: number, onEnd: (address: string) => void) {
    this.#lingerMs = lingerMs;
    this.#onEnd = onEnd;
  }

  /** An address left the answer. */
  left(address: string): void {
    if (this.#lingerMs === 0) return this.#onEnd(address);
    const timer = upkeepTimer(this.#lingerMs, () => {
      this.#until.delete(address);
      this.#onEnd(address);
    });
    this.#until.set(address, { untilMs: now() + this.#lingerMs, timer });
  }

  /** An address came into the answer. */
  came(address: string): void {
    this.#until.get(address)?.timer.clear();
    this.#until.delete(address);
  }

  /** Whether an address lingers: by the clock, whatever the timers do. */
  has(address: string): boolean {
    const entry = this.#until.get(address);
    return entry !== undefined && now() < entry.untilMs;
  }

  /** Forgets all, and nobody hears of it. */
  clear(): void {
    for (const { timer } of this.#until.values()) timer.clear();
    this.#until.clear();
  }
}

/** What happens to leases on an address that departed. */
export interface DepartedLeases {
  /** How many are out. */
  count(address: string): number;
  /** Terminates them. */
  terminate(address: string, why: string): void;
  /** Whether the server there answers a new connection attempt. */
  probe(address: string): Promise<boolean>;
}

/** While leases are out on a departed address, its server is probed so often. */
const PROBE_EVERY_MS = 5000;

/**
 * Watches over leases on departed addresses: they may run on while the server is alive, until `retireGrace` is
 * over; a server that no longer answers loses them at once.
 */
export class DepartureWatch {
  readonly #graceMs: number;
  readonly #leases: DepartedLeases;
  readonly #watched: Map<string, () => void> = new Map();

  /**
   * @param graceMs How long a lease may still run.
   * @param leases The leases.
   */
  constructor(graceMs: number, leases: DepartedLeases) {
    this.#graceMs = graceMs;
    this.#leases = leases;
  }

  /** An address departed, and leases on it are out. */
  watch(address: string): void {
    this.#watched.get(address)?.();
    const timers: Timer[] = [];
    let over = false;
    this.#watched.set(address, () => {
      over = true;
      for (const timer of timers) timer.clear();
      this.#watched.delete(address);
    });
    if (this.#graceMs < Infinity) {
      const why = `its address departed ${this.#graceMs / 1000} seconds ago`;
      timers[0] = upkeepTimer(this.#graceMs, () => this.#end(address, why));
    }
    const look = async () => {
      if (this.#leases.count(address) === 0) return this.#watched.get(address)?.();
      const alive = await this.#leases.probe(address);
      if (over) return;
      if (!alive) {
        return this.#end(address, "its address departed, and the server no longer answers");
      }
      timers[1] = upkeepTimer(PROBE_EVERY_MS, look);
    };
    look();
  }

  /** Stops watching. */
  clear(): void {
    for (const stop of [...this.#watched.values()]) stop();
  }

  #end(address: string, why: string): void {
    this.#watched.get(address)?.();
    this.#leases.terminate(address, why);
  }
}
