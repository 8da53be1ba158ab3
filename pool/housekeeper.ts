/**
 * Regular maintenance of a pool: closes connections that were idle for too long, keeps `minIdle` and renews it, and finds
 * leases that take long. Its timer does not keep the process alive.
 *
 * @module
 */

import { maintenanceTimer, now, type Timer } from "../internal/clock.ts";
import type { Slot } from "./slot.ts";

/** When something is due; durations in milliseconds, `Infinity` for never. */
export interface HousekeeperSettings {
  readonly idleTimeoutMs: number;
  readonly minIdle: number;
  readonly recycleMs: number;
  readonly leaseWarnAfterMs: number;
  readonly leaseProbeAfterMs: number;
  readonly leaseTimeoutMs: number;
}

/** The pool that is maintained. */
export interface MaintainedPool<C> {
  readonly slots: {
    /** Number of open connections. */
    readonly size: number;
    /** The connections that are leased. */
    readonly leased: readonly Slot<C>[];
  };
  /** Closes connections that were idle for too long or are about to become too old, and opens missing ones. */
  maintain(): void;
}

/** What a housekeeper reports. */
export interface HousekeeperEvents<C> {
  /** A lease has taken `leaseWarnAfter`. Reported once per lease. */
  onLongLease(slot: Slot<C>, heldMs: number): void;
  /** A lease has taken `leaseTimeout`: it is to be terminated. */
  onExpiredLease(slot: Slot<C>, heldMs: number): void;
  /** A lease has taken `leaseProbeAfter`: its server is to be probed. */
  onSuspect(address: string): void;
}

/** Number of rounds within the shortest duration. */
const ROUNDS = 4;
const MIN_PERIOD_MS = 10;
const MAX_PERIOD_MS = 1000;

/** Returns the time between two rounds for what is due after a duration, in milliseconds. */
export function periodWithin(durationMs: number): number {
  return Math.min(Math.max(MIN_PERIOD_MS, durationMs / ROUNDS), MAX_PERIOD_MS);
}

/** Maintains one pool while it has connections. */
export class Housekeeper<C> {
  readonly #pool: MaintainedPool<C>;
  readonly #settings: HousekeeperSettings;
  readonly #events: HousekeeperEvents<C>;
  readonly #periodMs: number;
  /** When the server of a long lease was last probed, by address. */
  readonly #probed: Map<string, number> = new Map();
  #timer: Timer | undefined;
  #isStopped = false;

  /**
   * @param pool The pool.
   * @param settings When something is due.
   * @param events What is reported.
   */
  constructor(
    pool: MaintainedPool<C>,
    settings: HousekeeperSettings,
    events: HousekeeperEvents<C>,
  ) {
    this.#pool = pool;
    this.#settings = settings;
    this.#events = events;
    const { idleTimeoutMs, leaseWarnAfterMs, leaseProbeAfterMs, leaseTimeoutMs } = settings;
    const { minIdle, recycleMs } = settings;
    const shortestMs = Math.min(
      idleTimeoutMs,
      leaseWarnAfterMs,
      leaseProbeAfterMs,
      leaseTimeoutMs,
      minIdle > 0 ? recycleMs : Infinity,
    );
    const isIdle = shortestMs === Infinity && minIdle === 0;
    this.#periodMs = isIdle ? Infinity : periodWithin(shortestMs);
  }

  /** Starts the timer, unless it runs or nothing is ever due: a connection was opened. */
  start(): void {
    if (this.#timer || this.#isStopped || this.#periodMs === Infinity) return;
    this.#timer = maintenanceTimer(this.#periodMs, () => {
      this.#timer = undefined;
      this.#run();
      if (this.#pool.slots.size > 0 || this.#settings.minIdle > 0) this.start();
    });
  }

  /** Stops the timer for good. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.clear();
    this.#timer = undefined;
  }

  #run(): void {
    const { leaseWarnAfterMs, leaseProbeAfterMs, leaseTimeoutMs } = this.#settings;
    this.#pool.maintain();
    const nowMs = now();
    for (const slot of this.#pool.slots.leased) {
      const heldMs = nowMs - slot.leasedAtMs;
      if (heldMs >= leaseTimeoutMs) {
        this.#events.onExpiredLease(slot, heldMs);
        continue;
      }
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
