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

/** The turns of the resolutions at the same servers. */
class Turns {
  #limit = MAX_UNDER_WAY;
  #underWay = 0;
  /** The callbacks that begin the resolutions that wait, in order of arrival. */
  readonly #waiting = new Set<() => void>();
  #silence: Timer | undefined;

  /** Whether nothing is under way. */
  get isIdle(): boolean {
    return this.#underWay === 0;
  }

  /** Takes a turn: returns nothing if that is possible at once, else a promise. */
  take(signal: AbortSignal): Promise<void> | undefined {
    if (this.#underWay < this.#limit) {
      this.#underWay++;
      return undefined;
    }
    return new Promise((resolve, reject) => {
      const begin = () => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const leave = () => {
        this.#waiting.delete(begin);
        reject(signal.reason);
      };
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting.add(begin);
      this.#watch();
    });
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
      this.#silence?.clear();
      this.#silence = undefined;
    }
    this.#beginNext();
  }

  #beginNext(): void {
    for (const begin of this.#waiting) {
      if (this.#underWay >= this.#limit) break;
      this.#waiting.delete(begin);
      this.#underWay++;
      begin();
    }
    if (this.#waiting.size > 0) this.#watch();
  }

  /** Lets more resolutions begin while the server is silent: they wait for nothing that will come. */
  #watch(): void {
    this.#silence ??= maintenanceTimer(SILENCE_MS, () => {
      this.#silence = undefined;
      this.#limit *= 2;
      this.#beginNext();
    });
  }
}

/** The turns of each lookup and its servers, while any is taken. */
const turnsOf = new Map<object, Map<string, Turns>>();

/**
 * Runs a resolution in its turn.
 *
 * @param lookup The lookup that is asked.
 * @param servers The servers, as text.
 * @param signal Ends the wait for the turn.
 * @param resolve Begins the resolution; called before the function returns if no other has to end first.
 * @returns What `resolve` returned.
 * @throws What `resolve` threw; the signal's reason if it is aborted before the turn.
 */
export async function inTurn<T>(
  lookup: object,
  servers: string,
  signal: AbortSignal,
  resolve: () => Promise<T>,
): Promise<T> {
  let byServers = turnsOf.get(lookup);
  if (!byServers) turnsOf.set(lookup, byServers = new Map());
  let turns = byServers.get(servers);
  if (!turns) byServers.set(servers, turns = new Turns());
  const wait = turns.take(signal);
  if (wait) await wait;
  try {
    return await resolve();
  } finally {
    turns.giveBack(!signal.aborted);
    if (turns.isIdle && byServers.delete(servers) && byServers.size === 0) turnsOf.delete(lookup);
  }
}
