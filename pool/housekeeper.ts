/**
 * Regular maintenance of a pool: closes connections that were idle for too long or are too old, keeps `minIdle` and renews
 * it, and finds leases that take long. Its timer does not keep the process alive.
 *
 * @module
 */

import { ageClock, maintenanceTimer, now, type Timer } from "../internal/clock.ts";
import type { LinkedList } from "./linked_list.ts";
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
    /** The connections that are leased, checked or reset. */
    readonly inUse: Pick<LinkedList<Slot<C>>, "toArray">;
    /** The connections that are idle. */
    readonly idle: Pick<LinkedList<Slot<C>>, "first">;
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
  /** A lease, or a check or a reset of a connection, has taken `leaseProbeAfter`: its server is to be probed. */
  onSuspect(address: string): void;
}

/** Number of rounds within the shortest duration. */
const ROUNDS = 4;
const MIN_PERIOD_MS = 10;
/** For durations that are shorter than {@linkcode MIN_PERIOD_MS}, and for what is due before the next round. */
const MIN_DELAY_MS = 1;
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
  #probed: Map<string, number> | undefined;
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
    const shortestMs = shortestMsOf(settings);
    this.#periodMs = Housekeeper.isNeeded(settings)
      ? Math.min(periodWithin(shortestMs), Math.max(shortestMs, MIN_DELAY_MS))
      : Infinity;
  }

  /** Returns whether anything is ever due. */
  static isNeeded(settings: HousekeeperSettings): boolean {
    return settings.minIdle > 0 || shortestMsOf(settings) < Infinity;
  }

  /** Starts the timer, unless it runs or nothing is ever due: a connection was opened. */
  start(): void {
    if (this.#timer || this.#isStopped || this.#periodMs === Infinity) return;
    this.#timer = maintenanceTimer(Math.min(this.#periodMs, this.#dueInMs), () => {
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

  /** Milliseconds until an idle connection is past its maximum age or its maximum idle time; those kept are not due. */
  get #dueInMs(): number {
    const { idleTimeoutMs } = this.#settings;
    const nowMs = ageClock();
    let dueInMs = Infinity;
    for (let slot = this.#pool.slots.idle.first; slot; slot = slot.after) {
      for (const dueMs of [slot.expiresAtMs, slot.idleSinceMs + idleTimeoutMs]) {
        if (dueMs > nowMs) dueInMs = Math.min(dueInMs, dueMs - nowMs);
      }
    }
    return Math.max(dueInMs, MIN_DELAY_MS);
  }

  #run(): void {
    const { leaseWarnAfterMs, leaseProbeAfterMs, leaseTimeoutMs } = this.#settings;
    this.#pool.maintain();
    const nowMs = now();
    for (const slot of this.#pool.slots.inUse.toArray()) {
      const isLeased = slot.holder !== undefined;
      const heldMs = nowMs - (isLeased ? slot.leasedAtMs : slot.checkedSinceMs);
      if (isLeased && heldMs >= leaseTimeoutMs) {
        this.#events.onExpiredLease(slot, heldMs);
        continue;
      }
      if (isLeased && heldMs >= leaseWarnAfterMs && !slot.reported) {
        slot.reported = true;
        this.#events.onLongLease(slot, heldMs);
      }
      const lastMs = this.#probed?.get(slot.address) ?? -Infinity;
      if (heldMs >= leaseProbeAfterMs && nowMs - lastMs >= leaseProbeAfterMs) {
        (this.#probed ??= new Map()).set(slot.address, nowMs);
        this.#events.onSuspect(slot.address);
      }
    }
  }
}

function shortestMsOf(settings: HousekeeperSettings): number {
  const { idleTimeoutMs, leaseWarnAfterMs, leaseProbeAfterMs, leaseTimeoutMs, recycleMs } =
    settings;
  return Math.min(idleTimeoutMs, leaseWarnAfterMs, leaseProbeAfterMs, leaseTimeoutMs, recycleMs);
}
