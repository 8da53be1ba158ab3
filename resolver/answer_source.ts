/**
 * What an engine needs to know about its host: a view of the resolver's cache, or fixed addresses.
 *
 * @module
 */

/** The addresses of one host. */
export interface AnswerSource {
  /** The addresses of the newest answer, in the server's order. */
  readonly addresses: readonly string[];
  /** Returns whether the addresses may be used now: they are fresh, or in grace. No I/O, no wait. */
  isFresh(): boolean;
  /** Waits until the addresses may be used. */
  waitUntilFresh(signal?: AbortSignal): Promise<void>;
  /** Asks DNS again, whatever the TTL says. */
  refresh(): Promise<void>;
  /** Keeps the addresses fresh ahead of expiry until the returned function is called. */
  keepFresh(): () => void;
}

/** Returns the answer for a host that needs no DNS. */
export function fixedAnswer(addresses: readonly string[]): AnswerSource {
  return {
    addresses,
    isFresh: () => true,
    waitUntilFresh: () => Promise.resolve(),
    refresh: () => Promise.resolve(),
    keepFresh: () => () => {},
  };
}
