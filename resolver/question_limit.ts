/**
 * Limits the number of names that are resolved at the same time by the same servers: a thousand questions at once
 * overflow the buffers of sockets, and those that are lost cost seconds.
 *
 * @module
 */

import { maintenanceTimer, type Timer } from "../internal/clock.ts";

/** Number of resolutions under way at a server that answers. */
export const MAX_UNDER_WAY = 64;
/** Milliseconds without any end of a resolution after which the limit is doubled: the server does not answer. */
const SILENCE_MS = 100;

/** A resolution that takes its turn. */
export interface Resolution {
  /** Whether it goes before those that do not, as one does whose last answer is in use. */
  readonly goesFirst: boolean;
  /** Begins it. */
  begin(): void;
}

/** The turns of the resolutions at the same servers. A resolution that waits for its turn costs no more than its place. */
export class Turns {
  #limit = MAX_UNDER_WAY;
  #underWay = 0;
  /** The resolutions that wait, in order of arrival: those that go first, and the others. */
  readonly #first = new Set<Resolution>();
  readonly #others = new Set<Resolution>();
  #silence: Timer | undefined;
  /** Called when nothing is under way any more. */
  readonly #onIdle: () => void;

  private constructor(onIdle: () => void) {
    this.#onIdle = onIdle;
  }

  /**
   * Returns the turns at some servers.
   *
   * @param lookup The lookup that is asked.
   * @param servers The servers, as text.
   */
  static at(lookup: object, servers: string): Turns {
    let byServers = turnsOf.get(lookup);
    if (!byServers) turnsOf.set(lookup, byServers = new Map());
    let turns = byServers.get(servers);
    if (!turns) {
      const forget = () => {
        if (byServers.delete(servers) && byServers.size === 0) turnsOf.delete(lookup);
      };
      byServers.set(servers, turns = new Turns(forget));
    }
    return turns;
  }

  /** Begins a resolution, before it returns if no other has to end first. Each that has begun gives its turn back. */
  take(resolution: Resolution): void {
    if (this.#underWay < this.#limit) {
      this.#underWay++;
      return resolution.begin();
    }
    (resolution.goesFirst ? this.#first : this.#others).add(resolution);
    this.#watch();
  }

  /** Takes a resolution out of the queue, if it has not begun; returns whether it was there. */
  leave(resolution: Resolution): boolean {
    const left = this.#first.delete(resolution) || this.#others.delete(resolution);
    if (left && !this.#isAwaited) this.#endWatch();
    return left;
  }

  /**
   * Gives a turn back.
   *
   * @param isEnded Whether the server let the resolution end: it answered, or refused to.
   */
  giveBack(isEnded: boolean): void {
    this.#underWay--;
    if (isEnded) {
      this.#limit = MAX_UNDER_WAY;
      this.#endWatch();
    }
    this.#beginNext();
    if (this.#underWay === 0) this.#onIdle();
  }

  get #isAwaited(): boolean {
    return this.#first.size > 0 || this.#others.size > 0;
  }

  #beginNext(): void {
    for (const waiting of [this.#first, this.#others]) {
      for (const resolution of waiting) {
        if (this.#underWay >= this.#limit) break;
        waiting.delete(resolution);
        this.#underWay++;
        resolution.begin();
      }
    }
    if (this.#isAwaited) this.#watch();
    else this.#endWatch();
  }

  /** Lets more resolutions begin while the server is silent: they wait for nothing that will come. */
  #watch(): void {
    this.#silence ??= maintenanceTimer(SILENCE_MS, () => {
      this.#silence = undefined;
      this.#limit *= 2;
      this.#beginNext();
    });
  }

  #endWatch(): void {
    this.#silence?.clear();
    this.#silence = undefined;
  }
}

/** The turns of each lookup and its servers, while any is taken. */
const turnsOf = new Map<object, Map<string, Turns>>();
