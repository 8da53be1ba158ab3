/**
 * Chooses the order in which the addresses of one engine are tried, by what became of the connections to them.
 *
 * @module
 */

import { now } from "../../internal/clock.ts";
import { isListed } from "../../internal/listed.ts";
import { shuffled } from "../../internal/shuffled.ts";
import { isWriterRole, type WantedRole } from "./server_role.ts";

/** Weight of the newest connect in the usual duration of a connect. */
const USUAL_WEIGHT = 0.3;

/** An address that failed is tried after the others for this long. */
const FAILED_ADDRESS_COOLDOWN_MS = 5000;

/**
 * An address whose server lets clients in and then fails them is tried after the others for as long: at first, and at
 * most. The time doubles each time that the next connection fails as well.
 */
const MIN_SUSPICION_MS = 5000;
const MAX_SUSPICION_MS = 80_000;

/** What is held against an address. */
interface Suspicion {
  /** When one connection is tried again, or, if it was, when the address is trusted again. */
  untilMs: number;
  lengthMs: number;
  /** Whether one connection was tried again. */
  tried: boolean;
}

/** Which of several addresses comes first. */
export type Balance = "ordered" | "random" | "round-robin" | "least-connections";

/** The order of the addresses, and what is known of them. */
export class AddressOrder {
  readonly #balance: Balance;
  /** Number of connections open or being opened, by address. */
  #counts: Map<string, number> | undefined;
  #turn = 0;
  /** When the cooldown of a failed address is over, by address. */
  #failed: Map<string, number> | undefined;
  #suspicions: Map<string, Suspicion> | undefined;
  /** The usual duration of a connect in milliseconds, by address. */
  #usualMs: Map<string, number> | undefined;
  /** Where the server that takes writes was found last. */
  #writer: string | undefined;

  /** @param balance Which of several addresses comes first. */
  constructor(balance: Balance) {
    this.#balance = balance;
  }

  /**
   * Returns the addresses in the order in which they are tried: those that failed lately come last.
   *
   * @param addresses The current addresses, in order of preference.
   */
  of(addresses: readonly string[]): readonly string[] {
    const nowMs = now();
    for (const [address, untilMs] of this.#failed ?? []) {
      if (untilMs <= nowMs || !isListed(addresses, address)) this.#failed!.delete(address);
    }
    for (const known of [this.#suspicions, this.#usualMs]) {
      for (const address of known?.keys() ?? []) {
        if (!isListed(addresses, address)) known!.delete(address);
      }
    }
    if (addresses.length < 2) return addresses;
    const balanced = this.#writerFirst(this.#balanced(addresses));
    if (!this.#failed?.size && !this.#suspicions?.size) return balanced;
    const ranks: string[][] = [[], [], []];
    for (const address of balanced) {
      const rank = this.#failed?.has(address) ? 2 : this.#isSuspect(address, nowMs) ? 1 : 0;
      ranks[rank]!.push(address);
    }
    return ranks.flat();
  }

  #writerFirst(addresses: readonly string[]): readonly string[] {
    const writer = this.#writer;
    if (writer === undefined || !isListed(addresses, writer)) return addresses;
    return [writer, ...addresses.filter((address) => address !== writer)];
  }

  #balanced(addresses: readonly string[]): readonly string[] {
    switch (this.#balance) {
      case "ordered":
        return addresses;
      case "random":
        return shuffled(addresses);
      case "round-robin": {
        // Sorted, because a DNS server may rotate its answer.
        const sorted = [...addresses].sort();
        const start = this.#turn++ % sorted.length;
        return [...sorted.slice(start), ...sorted.slice(0, start)];
      }
      case "least-connections": {
        const count = (address: string) => this.#counts?.get(address) ?? 0;
        return [...addresses].sort((a, b) => count(a) - count(b));
      }
    }
  }

  /** Returns the usual duration of a connect to an address in milliseconds; 0 if there was none. */
  usualMs(address: string): number {
    return this.#usualMs?.get(address) ?? 0;
  }

  /**
   * Notes that a server failed a connection that was open. Its address is tried after the others for a while; then one
   * connection to it is tried, and only if nothing happens to that, more.
   */
  suspect(address: string): void {
    const nowMs = now();
    const known = this.#suspicions?.get(address);
    // What happens to the other connections that are open is the same failure.
    if (known && !known.tried && nowMs < known.untilMs) return;
    const lengthMs = known ? Math.min(known.lengthMs * 2, MAX_SUSPICION_MS) : MIN_SUSPICION_MS;
    (this.#suspicions ??= new Map()).set(address, {
      untilMs: nowMs + lengthMs,
      lengthMs,
      tried: false,
    });
  }

  /** Returns whether an address is to be tried after the others; if not, though it is suspect, this is its one try. */
  #isSuspect(address: string, nowMs: number): boolean {
    const suspicion = this.#suspicions?.get(address);
    if (suspicion === undefined) return false;
    if (nowMs < suspicion.untilMs) return true;
    if (suspicion.tried) {
      this.#suspicions?.delete(address);
    } else {
      suspicion.tried = true;
      suspicion.untilMs = nowMs + suspicion.lengthMs;
    }
    return false;
  }

  /** Counts a connection that is opened. */
  count(address: string): void {
    const counts = this.#counts ??= new Map();
    counts.set(address, (counts.get(address) ?? 0) + 1);
  }

  /** Counts one connection less. */
  uncount(address: string): void {
    const count = (this.#counts?.get(address) ?? 1) - 1;
    if (count > 0) this.#counts?.set(address, count);
    else this.#counts?.delete(address);
  }

  /** Notes that a connection could not be opened, or not yet. */
  noteFailure(address: string): void {
    (this.#failed ??= new Map()).set(address, now() + FAILED_ADDRESS_COOLDOWN_MS);
  }

  /** Notes that a connection was opened, to a server that has a role. */
  noteSuccess(address: string, role: WantedRole, tookMs: number): void {
    this.#failed?.delete(address);
    const usualMs = this.#usualMs?.get(address) ?? tookMs;
    (this.#usualMs ??= new Map()).set(address, usualMs + USUAL_WEIGHT * (tookMs - usualMs));
    if (isWriterRole(role)) this.#writer = address;
  }

  /** Notes that a server has another role than the wanted one. */
  noteWrongRole(address: string): void {
    this.#failed?.delete(address);
    if (this.#writer === address) this.#writer = undefined;
  }
}
