/**
 * What an engine needs to know about its host: a view of the resolver's cache, or fixed addresses.
 *
 * @module
 */

import type { KnownAnswer } from "./cache_entry.ts";

/** What is known about the host's addresses. */
export interface AnswerStatus {
  /** The addresses that the host has now; empty before the first resolution. */
  readonly addresses: readonly string[];
  /** Seconds since the query of the answer; `undefined` without an answer. */
  readonly age: number | undefined;
  /** Seconds until the answer expires; negative for a stale one, `Infinity` if no DNS is needed. */
  readonly freshFor: number;
  /** Whether a stale answer is used because resolution fails. */
  readonly inGrace: boolean;
  /** Number of failed resolutions since the last answer. */
  readonly failures: number;
  /** The state of each host, if the database URL has several; the other fields are then those of the worst. */
  readonly hosts?: readonly (AnswerStatus & { readonly host: string; readonly port: number })[];
}

/** A change of the addresses of a host. */
export interface AddressChange {
  /** Addresses that were added. */
  readonly added: readonly string[];
  /** Addresses that were removed. */
  readonly removed: readonly string[];
  /** All addresses of the new answer, in the server's order. */
  readonly addresses: readonly string[];
  /** TTL of the new answer in seconds, within `dnsMinTtl` and `dnsMaxTtl`. */
  readonly ttl: number;
  /** `"dns"`; `"hosts"`, the hosts file; or `"os"` if the operating system's resolver answered in place of DNS. */
  readonly source: "dns" | "hosts" | "os";
  /** The host of the answer, if the database URL has several. */
  readonly host?: string;
}

/** Callbacks for what happens to a name; `askedAtMs` is when the resolution began. An error that one of them throws is reported as an uncaught error. */
export interface Watcher {
  /**
   * The set of addresses changed; `isFirst`: until now there was none. Called before any caller gets the new answer.
   */
  onChange?(change: AddressChange, isFirst: boolean): void;
  /** A resolution brought an answer, the same or another one. Called after `onChange`. */
  onAnswer?(askedAtMs: number): void;
  /** A resolution failed; a stale answer may be used all the same. */
  onError?(error: unknown, askedAtMs: number): void;
}

/** The addresses of one host. */
export interface AnswerSource {
  /** The addresses of the newest answer, in the server's order. */
  readonly addresses: readonly string[];
  /** Returns the addresses in the order for one connect, if it is another one each time. */
  inOrder?(): readonly string[];
  /** Returns whether the addresses may be used now: they are fresh, or in grace. No I/O, no wait. */
  isFresh(): boolean;
  /** Waits until the addresses may be used. */
  waitUntilFresh(signal?: AbortSignal): Promise<void>;
  /** Asks DNS again, whatever the TTL says. */
  refresh(): Promise<void>;
  /**
   * Is told that no address of a family has a route from here, so that addresses of the other one may be asked for.
   *
   * @param family The family.
   * @param certain Whether the system said so; if not, it may have refused.
   * @param signal Ends the wait.
   * @returns Whether there are addresses of the other family now.
   */
  switchFamily?(family: 4 | 6, certain: boolean, signal: AbortSignal): Promise<boolean>;
  /** The newest answer as it came, for addresses that came with it. */
  readonly known?: KnownAnswer | undefined;
  /**
   * Takes over addresses that came with the answer for a service, so that they are not asked for.
   *
   * @param addresses All addresses of the host.
   * @param source The answer that they came with.
   * @returns Whether they are taken: an answer with these addresses alone would be complete, and is allowed.
   */
  takeOver?(addresses: readonly string[], source: KnownAnswer): boolean;
  /** Keeps the addresses fresh ahead of expiry until the returned function is called. */
  keepFresh(): () => void;
  /** Calls a watcher until the returned function is called. */
  watch(watcher: Watcher): () => void;
  /** Returns the state of the answer. */
  status(): AnswerStatus;
}

/** Returns the answer for a host that needs no DNS. */
export function fixedAnswer(given: readonly string[]): AnswerSource {
  const addresses = Object.freeze([...given]);
  return {
    addresses,
    isFresh: () => true,
    waitUntilFresh: () => Promise.resolve(),
    refresh: () => Promise.resolve(),
    keepFresh: () => () => {},
    watch: () => () => {},
    status: () => ({
      addresses,
      age: undefined,
      freshFor: Infinity,
      inGrace: false,
      failures: 0,
    }),
  };
}
