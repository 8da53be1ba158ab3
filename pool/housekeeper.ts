/**
 * What a pool needs done from time to time: idle connections closed, `minIdle` kept, leases that are out for
 * long reported or their servers probed. Never holds the process up.
 *
 * @module
 */

import { maintenanceTimer, now, type Timer } from "../internal/clock.ts";
import type { Slot } from "./slot.ts";

/** When something is due; durations in milliseconds, `Infinity` for never. */
export interface HousekeeperSettings {
  readonly idleTimeoutMs: number;
  readonly minIdle: number;
  readonly leaseWarnAfterMs: number;
  readonly leaseProbeAfterMs: number;
}

/** The pool that is looked after. */
export interface MaintainedPool<C> {
  /** Open connections. */
  readonly size: number;
  /** The connections that are out. */
  readonly leased: readonly Slot<C>[];
  /** Closes what was idle for too long, opens what is missing. */
  maintain(): void;
}

/** What comes of it. */
export interface HousekeeperEvents<C> {
  /** A lease has been out for long. */
  onLongLease(slot: Slot<C>, heldMs: number): void;
  /** The server of leases that have been out for long had better be asked whether it is alive. */
  onSuspect(address: string): void;
}

/** Things are looked at four times within the shortest of their terms, within these bounds. */
const PERIOD = { part: 4, leastMs: 10, mostMs: 1000 };

/** Looks after one pool while it has connections. */
export class Housekeeper<C> {
  readonly #pool: MaintainedPool<C>;
  readonly #settings: HousekeeperSettings;
  readonly #events: HousekeeperEvents<C>;
  readonly #periodMs: number;
  readonly #probed: Map<string, number> = new Map();
  #timer: Timer | undefined;
  #stopped = false;

  /**
   * @param pool The pool.
   * @param settings When something is due.
   * @param events What comes of it.
   */
  constructor(
    pool: MaintainedPool<C>,
    settings: HousekeeperSettings,
    events: HousekeeperEvents<C>,
  ) {
    this.#pool = pool;
    this.#settings = settings;
    this.#events = events;
    const { idleTimeoutMs, leaseWarnAfterMs, leaseProbeAfterMs, minIdle } = settings;
    const shortestMs = Math.min(idleTimeoutMs, leaseWarnAfterMs, leaseProbeAfterMs);
    const wantedMs = Math.max(PERIOD.leastMs, shortestMs / PERIOD.part);
    this.#periodMs = shortestMs === Infinity && minIdle === 0
      ? Infinity
      : Math.min(wantedMs, PERIOD.mostMs);
  }

  /** A connection was opened: there is something to look after. */
  start(): void {
    if (this.#timer || this.#stopped || this.#periodMs === Infinity) return;
    this.#timer = maintenanceTimer(this.#periodMs, () => {
      this.#timer = undefined;
      this.#look();
      if (this.#pool.size > 0 || this.#settings.minIdle > 0) this.start();
    });
  }

  /** Nothing is to be done any more, whatever is still opened. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.clear();
    this.#timer = undefined;
  }

  #look(): void {
    const { leaseWarnAfterMs, leaseProbeAfterMs } = this.#settings;
    this.#pool.maintain();
    const nowMs = now();
    for (const slot of this.#pool.leased) {
      const heldMs = nowMs - slot.leasedAtMs;
      if (heldMs >= leaseWarnAfterMs && !slot.reported) {
        slot.reported = true;
        this.#events.onLongLease(slot, heldMs);
      }
      const lastMs = this.#probed.get(slot.address) ?? -Infinity;
      if (heldMs >= leaseProbeAfterMs && nowMs - lastMs >= leaseProbeAfterMs) {
        this.#probed.set(slot.address, nowMs);
        this.#events.onSuspect(slot.address);
      }
    }
  }
}
