/**
 * What becomes of an address that leaves the answer.
 *
 * @module
 */

import { maintenanceTimer, now, type Timer } from "../../internal/clock.ts";

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
  removed(address: string): void {
    if (this.#lingerMs === 0) return this.#onEnd(address);
    const timer = maintenanceTimer(this.#lingerMs, () => {
      this.#until.delete(address);
      this.#onEnd(address);
    });
    this.#until.set(address, { untilMs: now() + this.#lingerMs, timer });
  }

  /** An address came into the answer. */
  added(address: string): void {
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

/** Leases on addresses that departed. */
export interface DepartedLeases {
  /** When the first of those that are still out was retired; `undefined` where none is out. */
  oldest(address: string): number | undefined;
  /** Terminates those that were retired by then. */
  terminate(address: string, retiredByMs: number, why: string): void;
  /** Whether the server there answers a new connection attempt. */
  probe(address: string, signal: AbortSignal): Promise<boolean>;
}

/** While leases are out on a departed address, its server is probed so often. */
const PROBE_EVERY_MS = 5000;

/** One departed address that is watched. */
interface Watched {
  readonly end: AbortController;
  /** The next look at the server, unless one is being taken. */
  look: Timer | undefined;
  /** The end of the oldest lease's grace. */
  grace: Timer | undefined;
}

/**
 * Watches over leases on departed addresses: they may run on while the server is alive, each until its
 * `retireGrace` is over; a server that no longer answers loses them at once.
 */
export class DepartureWatch {
  readonly #graceMs: number;
  readonly #leases: DepartedLeases;
  readonly #watched: Map<string, Watched> = new Map();

  /**
   * @param graceMs How long a lease may still run.
   * @param leases The leases.
   */
  constructor(graceMs: number, leases: DepartedLeases) {
    this.#graceMs = graceMs;
    this.#leases = leases;
  }

  /** An address departed, perhaps not for the first time, and leases on it are out. */
  watch(address: string): void {
    const known = this.#watched.get(address);
    const watched = known ?? { end: new AbortController(), look: undefined, grace: undefined };
    if (!known) this.#watched.set(address, watched);
    this.#awaitGrace(address, watched);
    if (known && !known.look) return;
    known?.look?.clear();
    this.#look(address, watched);
  }

  /** Stops watching; a probe under way is given up. */
  clear(): void {
    for (const [address, watched] of [...this.#watched]) this.#end(address, watched);
  }

  async #look(address: string, watched: Watched): Promise<void> {
    const { signal } = watched.end;
    watched.look = undefined;
    if (this.#leases.oldest(address) === undefined) return this.#end(address, watched);
    const alive = await this.#leases.probe(address, signal);
    if (signal.aborted) return;
    if (alive) {
      watched.look = maintenanceTimer(PROBE_EVERY_MS, () => this.#look(address, watched));
    } else {
      this.#end(address, watched);
      const why = "its address departed, and the server no longer answers";
      this.#leases.terminate(address, Infinity, why);
    }
  }

  /** An address may come back and depart again: each lease's grace counts from when it was retired. */
  #awaitGrace(address: string, watched: Watched): void {
    const oldestMs = this.#leases.oldest(address);
    watched.grace?.clear();
    watched.grace = undefined;
    if (this.#graceMs === Infinity || oldestMs === undefined) return;
    watched.grace = maintenanceTimer(oldestMs + this.#graceMs - now(), () => {
      const retiredByMs = now() - this.#graceMs;
      if (oldestMs <= retiredByMs) {
        const why = `its address departed ${this.#graceMs / 1000} seconds ago`;
        this.#leases.terminate(address, retiredByMs, why);
      }
      if (!watched.end.signal.aborted) this.#awaitGrace(address, watched);
    });
  }

  #end(address: string, watched: Watched): void {
    watched.end.abort();
    watched.look?.clear();
    watched.grace?.clear();
    this.#watched.delete(address);
  }
}
