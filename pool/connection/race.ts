/**
 * Tries several addresses at once if the first is silent (after the idea of RFC 8305).
 *
 * @module
 */

import { type Timer, timer } from "../../internal/clock.ts";

/** Maximum number of attempts of one race at the same time. */
const MAX_ATTEMPTS_AT_ONCE = 3;

/** Milliseconds after which servers that failed are tried once more while an attempt is silent. */
const AGAIN_MS = 500;

/** The attempts of a race. */
export interface Race<T> {
  /**
   * Tries one address.
   *
   * @param address The address.
   * @param onBegun Called if the attempt waited for something else first, such as a login, and turns to the server now.
   * @returns What it brought; `undefined` if it failed. Rejects if the others would fail as well.
   */
  attempt(address: string, onBegun: () => void): Promise<T | undefined>;
  /** Returns whether an address is skipped. */
  isSkipped(address: string): boolean;
  /**
   * Returns how long an attempt may be silent before the next one begins.
   *
   * @param address The address of the attempt.
   * @param waiting Number of addresses after it.
   * @param hasBegun Whether it has turned to the server for sure.
   */
  staggerMs(address: string, waiting: number, hasBegun: boolean): number;
  /**
   * Called when the next address is tried because an attempt was silent.
   *
   * @param address The address of the attempt.
   * @param hasBegun Whether it has turned to the server for sure.
   */
  onSilent(address: string, hasBegun: boolean): void;
  /** Returns the addresses that are tried once more while an attempt is silent: they failed, and may soon be ready. */
  again(): readonly string[];
  /** Called once when it is decided, while other attempts may be running. */
  onDecided(): void;
  /** Takes what an attempt brings after that. */
  discard(result: T): void;
}

/**
 * Tries the addresses one after the other, without waiting for those that are silent; the first that is ready wins.
 *
 * @param order The addresses.
 * @param race The attempts.
 * @returns What the first one that was ready brought; `undefined` if all failed.
 */
export function firstReady<T>(order: readonly string[], race: Race<T>): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const waiting = [...order];
    let running = 0;
    let isOver = false;
    let stagger: Timer | undefined;
    const end = () => {
      isOver = true;
      stagger?.clear();
      race.onDecided();
    };
    const start = (address: string, onBegun: () => void) => {
      running++;
      race.attempt(address, onBegun).then((result) => {
        running--;
        // Two may be ready in the same turn: neither has lost when it ends.
        if (isOver) return result && race.discard(result);
        if (!result) return startNext();
        end();
        resolve(result);
      }, (error) => {
        running--;
        if (isOver) return;
        end();
        reject(error);
      });
    };
    const startNext = () => {
      stagger?.clear();
      stagger = undefined;
      const address = waiting.find((address) => !race.isSkipped(address));
      if (address === undefined) {
        if (running > 0) return tryAgain();
        end();
        return resolve(undefined);
      }
      waiting.splice(0, waiting.indexOf(address) + 1);
      let own: Timer | undefined;
      const wait = (hasBegun: boolean) => {
        stagger = own = timer(race.staggerMs(address, waiting.length, hasBegun), () => {
          race.onSilent(address, hasBegun);
          startNext();
        });
      };
      start(address, () => {
        if (isOver || own === undefined || stagger !== own) return;
        own.clear();
        wait(true);
      });
      if (waiting.length === 0) return tryAgain();
      if (running < MAX_ATTEMPTS_AT_ONCE) wait(false);
    };
    // A silent server takes the whole time of the connect, in which another one may become ready.
    const tryAgain = () => {
      if (running >= MAX_ATTEMPTS_AT_ONCE) return;
      stagger = timer(AGAIN_MS, () => {
        waiting.push(...race.again());
        if (waiting.length === 0) tryAgain();
        else startNext();
      });
    };
    startNext();
  });
}
