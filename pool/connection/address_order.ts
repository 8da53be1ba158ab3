/**
 * Chooses the order in which the addresses of one engine are tried, by what became of the connections to them.
 *
 * @module
 */

import { now } from "../../internal/clock.ts";
import { isListed } from "../../internal/listed.ts";
import { shuffled } from "../../internal/shuffled.ts";
import { isWriterRole, type WantedRole } from "./server_role.ts";
import { Suspicions } from "./suspicions.ts";

/** Weight of the newest connect in the usual duration of a connect. */
const USUAL_WEIGHT = 0.3;

/** An address that failed is tried after the others for this long. */
const FAILED_ADDRESS_COOLDOWN_MS = 5000;

/** For this long after that, no other connect tries it, unless the one that does succeeds. */
const ONE_TRY_MS = 1000;

/** Which of several addresses comes first. */
export type Balance = "ordered" | "random" | "round-robin" | "least-connections";

/** The order of the addresses, and what is known of them. */
export class AddressOrder {
  readonly #balance: Balance;
  /** Number of connections open or being opened, by address. */
  #counts: Map<string, number> | undefined;
  #turn = 0;
  /** Until when a failed address is tried after the others, by address. */
  #failed: Map<string, number> | undefined;
  /** Addresses whose servers let clients in and then failed them. */
  #suspicions: Suspicions | undefined;
  /** Addresses whose servers take no writes, where several others may. */
  #others: Suspicions | undefined;
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
    for (const known of [this.#failed, this.#suspicions, this.#others, this.#usualMs]) {
      for (const address of known?.keys() ?? []) {
        if (!isListed(addresses, address)) known!.delete(address);
      }
    }
    if (addresses.length < 2) return addresses;
    const balanced = this.#writerFirst(this.#balanced(addresses));
    if (!this.#failed?.size && !this.#suspicions?.size && !this.#others?.size) return balanced;
    const ranks: string[][] = [[], [], []];
    for (const address of balanced) {
      const at = { nowMs, isFirst: ranks[0]!.length === 0 };
      const rank = this.#isFailed(address, at)
        ? 2
        : this.#suspicions?.isSuspect(address, at) || this.#others?.isSuspect(address, at)
        ? 1
        : 0;
      ranks[rank]!.push(address);
    }
    return ranks.flat();
  }

  /** Returns whether an address failed lately; after that, one connect at a time tries it before all others. */
  #isFailed(
    address: string,
    { nowMs, isFirst }: { readonly nowMs: number; readonly isFirst: boolean },
  ): boolean {
    const untilMs = this.#failed?.get(address);
    if (untilMs === undefined) return false;
    if (nowMs < untilMs) return true;
    if (isFirst) this.#failed!.set(address, nowMs + ONE_TRY_MS);
    return false;
  }

  /** With a balance, each server that takes writes has its share of the connections. */
  #writerFirst(addresses: readonly string[]): readonly string[] {
    const writer = this.#balance === "ordered" ? this.#writer : undefined;
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
    (this.#suspicions ??= new Suspicions()).add(address);
  }

  /** Counts a connection that is opened, if the order depends on it. */
  count(address: string): void {
    if (this.#balance !== "least-connections") return;
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
    if (!isWriterRole(role)) return;
    this.#writer = address;
    this.#others?.delete(address);
  }

  /** Notes that a server has another role than the wanted one. */
  noteWrongRole(address: string, wanted: WantedRole): void {
    this.#failed?.delete(address);
    if (this.#writer === address) this.#writer = undefined;
    if (this.#balance === "ordered" || !isWriterRole(wanted)) return;
    (this.#others ??= new Suspicions()).add(address);
  }
}
