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

/** A resolution's place in the queue. */
interface Turn {
  /** Ends the wait for the turn. */
  readonly signal: AbortSignal;
  /** Whether it goes before those that do not, as one does whose last answer is in use. */
  readonly goesFirst: boolean;
}

/** The turns of the resolutions at the same servers. */
class Turns {
  #limit = MAX_UNDER_WAY;
  #underWay = 0;
  /** The callbacks that begin the resolutions that wait, in order of arrival: those that go first, and the others. */
  readonly #first = new Set<() => void>();
  readonly #others = new Set<() => void>();
  #silence: Timer | undefined;

  /** Whether nothing is under way. */
  get isIdle(): boolean {
    return this.#underWay === 0;
  }

  /** Takes a turn: returns nothing if that is possible at once, else a promise. */
  take({ signal, goesFirst }: Turn): Promise<void> | undefined {
    if (this.#underWay < this.#limit) {
      this.#underWay++;
      return undefined;
    }
    const waiting = goesFirst ? this.#first : this.#others;
    return new Promise((resolve, reject) => {
      const begin = () => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const leave = () => {
        waiting.delete(begin);
        if (!this.#isAwaited) this.#endWatch();
        reject(signal.reason);
      };
      signal.addEventListener("abort", leave, { once: true });
      waiting.add(begin);
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
      this.#endWatch();
    }
    this.#beginNext();
  }

  get #isAwaited(): boolean {
    return this.#first.size > 0 || this.#others.size > 0;
  }

  #beginNext(): void {
    for (const waiting of [this.#first, this.#others]) {
      for (const begin of waiting) {
        if (this.#underWay >= this.#limit) break;
        waiting.delete(begin);
        this.#underWay++;
        begin();
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

/**
 * Runs a resolution in its turn.
 *
 * @param lookup The lookup that is asked.
 * @param servers The servers, as text.
 * @param turn Its place in the queue, and the signal that ends the wait.
 * @param resolve Begins the resolution; called before the function returns if no other has to end first.
 * @returns What `resolve` returned.
 * @throws What `resolve` threw; the signal's reason if it is aborted before the turn.
 */
export async function inTurn<T>(
  lookup: object,
  servers: string,
  turn: Turn,
  resolve: () => Promise<T>,
): Promise<T> {
  let byServers = turnsOf.get(lookup);
  if (!byServers) turnsOf.set(lookup, byServers = new Map());
  let turns = byServers.get(servers);
  if (!turns) byServers.set(servers, turns = new Turns());
  const wait = turns.take(turn);
  if (wait) await wait;
  try {
    return await resolve();
  } finally {
    turns.giveBack(!turn.signal.aborted);
    if (turns.isIdle && byServers.delete(servers) && byServers.size === 0) turnsOf.delete(lookup);
  }
}
