/**
 * What is held against the servers of some addresses, and for how long.
 *
 * @module
 */

import { now } from "../../internal/clock.ts";

/** How long an address is suspect: at first, and at most. The time doubles with each try that fails. */
const MIN_SUSPICION_MS = 5000;
const MAX_SUSPICION_MS = 80_000;

/** What is held against an address. */
interface Suspicion {
  /** When one connection may be tried, or, if it was, when the address is trusted again. */
  untilMs: number;
  lengthMs: number;
  /** Whether one connection was tried. */
  tried: boolean;
}

/** Addresses that are tried after the others for a while; then one connection is tried, and only later more. */
export class Suspicions {
  readonly #all: Map<string, Suspicion> = new Map();

  /** The number of suspect addresses. */
  get size(): number {
    return this.#all.size;
  }

  /** Returns the suspect addresses. */
  keys(): Iterable<string> {
    return this.#all.keys();
  }

  /** Holds a failure against an address. */
  add(address: string): void {
    const nowMs = now();
    const known = this.#all.get(address);
    // What happens to other connections at the same time is the same failure.
    if (known && !known.tried && nowMs < known.untilMs) return;
    const lengthMs = known ? Math.min(known.lengthMs * 2, MAX_SUSPICION_MS) : MIN_SUSPICION_MS;
    this.#all.set(address, { untilMs: nowMs + lengthMs, lengthMs, tried: false });
  }

  /** Trusts an address again. */
  delete(address: string): void {
    this.#all.delete(address);
  }

  /**
   * Returns whether an address is to be tried after the others; if not, though it is suspect, this is its one try.
   *
   * @param address The address.
   * @param at The time, and whether the address would be tried before all others.
   */
  isSuspect(
    address: string,
    { nowMs, isFirst }: { readonly nowMs: number; readonly isFirst: boolean },
  ): boolean {
    const suspicion = this.#all.get(address);
    if (suspicion === undefined) return false;
    if (nowMs < suspicion.untilMs) return true;
    if (suspicion.tried) {
      this.#all.delete(address);
      return false;
    }
    if (!isFirst) return true;
    suspicion.tried = true;
    suspicion.untilMs = nowMs + suspicion.lengthMs;
    return false;
  }
}
