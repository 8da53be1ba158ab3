/**
 * The DNS server's log of queries, and those who wait for the next one.
 *
 * @module
 */

import { keyOf } from "./validate.ts";

/** One query that reached a `DnsServer`. */
export interface DnsQuery {
  /** The name, in lower case and without the trailing dot; `"."` for the root. */
  readonly name: string;
  /** The record type, such as `"A"`; `"TYPE65"` for a number without a name here (RFC 3597). */
  readonly type: string;
  /** How it came; `"cache"` is a server started with `cacheOf`. */
  readonly protocol: "udp" | "tcp" | "cache";
  /** When it came: milliseconds on the clock of `performance.now()`. */
  readonly at: number;
  /** Who asked, such as `"127.0.0.1:53535"`. */
  readonly from: string;
}

interface Waiter {
  readonly fits: (query: DnsQuery) => boolean;
  resolve(query: DnsQuery): void;
  reject(error: Error): void;
}

/** Queries in order of arrival. */
export class QueryLog {
  #queries: DnsQuery[] = [];
  #waiters: Waiter[] = [];

  add(query: DnsQuery): void {
    this.#queries.push(Object.freeze(query));
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      if (waiter.fits(query)) waiter.resolve(query);
      else this.#waiters.push(waiter);
    }
  }

  all(): DnsQuery[] {
    return [...this.#queries];
  }

  count(name: string | undefined, type: string | undefined): number {
    return this.#queries.filter(filterFor(name, type)).length;
  }

  clear(): void {
    this.#queries = [];
  }

  next(name: string | undefined, type: string | undefined): Promise<DnsQuery> {
    const next = new Promise<DnsQuery>((resolve, reject) => {
      this.#waiters.push({ fits: filterFor(name, type), resolve, reject });
    });
    // A test that failed before it came to await this must not end in an unhandled rejection as well.
    next.catch(() => {});
    return next;
  }

  /** Rejects those who wait. */
  rejectWaiters(error: Error): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }
}

function filterFor(
  name: string | undefined,
  type: string | undefined,
): (query: DnsQuery) => boolean {
  const key = name === undefined ? undefined : keyOf(name) || ".";
  const upper = type?.toUpperCase();
  return (query) =>
    (key === undefined || query.name === key) && (upper === undefined || query.type === upper);
}
