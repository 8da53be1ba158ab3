/**
 * The DNS server's log of queries, and the waiters for the next one.
 *
 * @module
 */

import { nameKey } from "./zone.ts";

/** One query that reached a `DnsServer`. */
export interface DnsQuery {
  /** The name, in lower case and without the trailing dot; `"."` for the root. */
  readonly name: string;
  /** The record type, such as `"A"`; `"TYPE65"` for a number without a name here (RFC 3597). */
  readonly type: string;
  /** The transport; `"cache"` is a server started with `cacheOf`. */
  readonly protocol: "udp" | "tcp" | "cache";
  /** The time of arrival, in milliseconds on the clock of `performance.now()`. */
  readonly at: number;
  /** The client, such as `"127.0.0.1:53535"`. */
  readonly from: string;
}

interface Waiter {
  readonly matches: (query: DnsQuery) => boolean;
  resolve(query: DnsQuery): void;
  reject(error: Error): void;
}

/** Queries in order of arrival. */
export class QueryLog {
  #queries: DnsQuery[] = [];
  #waiters: Waiter[] = [];

  /** Adds a query, and resolves the waiters for it. */
  add(query: DnsQuery): void {
    this.#queries.push(Object.freeze(query));
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      if (waiter.matches(query)) waiter.resolve(query);
      else this.#waiters.push(waiter);
    }
  }

  /** Returns a copy of the log. */
  all(): DnsQuery[] {
    return [...this.#queries];
  }

  /** Counts the queries for a name and a type; `undefined` is any. */
  count(name: string | undefined, type: string | undefined): number {
    return this.#queries.filter(matcher(name, type)).length;
  }

  /** Empties the log. */
  clear(): void {
    this.#queries = [];
  }

  /** Waits for the next query for a name and a type; `undefined` is any. */
  next(name: string | undefined, type: string | undefined): Promise<DnsQuery> {
    const next = new Promise<DnsQuery>((resolve, reject) => {
      this.#waiters.push({ matches: matcher(name, type), resolve, reject });
    });
    // A test that fails before it awaits this must not cause an unhandled rejection too.
    next.catch(() => {});
    return next;
  }

  /** Rejects all waiters. */
  rejectWaiters(error: Error): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }
}

function matcher(
  name: string | undefined,
  type: string | undefined,
): (query: DnsQuery) => boolean {
  const key = name === undefined ? undefined : nameKey(name) || ".";
  const upper = type?.toUpperCase();
  return (query) =>
    (key === undefined || query.name === key) && (upper === undefined || query.type === upper);
}
