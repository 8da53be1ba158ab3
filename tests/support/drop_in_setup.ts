/**
 * Pools for a name that points at a server, for the tests of drop-ins.
 *
 * @module
 */

import { clearDnsCache } from "../../resolver.ts";
import { type FakeLookup, fakeLookup } from "./fake_lookup.ts";
import { untilSocketsClosed } from "./sockets.ts";

/** What a test with such pools is given. */
export interface Setup<P, O> {
  /** Answers for the name. */
  readonly dns: FakeLookup;
  /** Makes a pool for the name. */
  make(options?: O): P;
}

/** Makes and closes pools. */
interface Maker<P, O> {
  /** Makes a pool with the test's options and those for DNS. */
  open(options: O & { dnsLookup: FakeLookup; dnsFallback: false }): P;
  /** Closes a pool, unless the test did. */
  end(pool: P): Promise<unknown>;
}

/**
 * Runs a test with pools for a name that points at a server, with a TTL of half a second.
 *
 * @param host The server's address.
 * @param maker Makes and closes the pools.
 * @param test The test. Its pools are closed after it.
 */
export async function withPools<P, O extends object>(
  host: string,
  { open, end }: Maker<P, O>,
  test: (setup: Setup<P, O>) => Promise<void>,
): Promise<void> {
  clearDnsCache();
  const dns = fakeLookup([host], 0.5);
  const pools: P[] = [];
  const make = (options: O = {} as O) => {
    const pool = open({ dnsLookup: dns, dnsFallback: false, ...options });
    pools.push(pool);
    return pool;
  };
  await untilSocketsClosed(async () => {
    try {
      await test({ dns, make });
    } catch (error) {
      // Not awaited: closing would wait for clients that the failed test did not release.
      for (const pool of pools) end(pool).catch(() => {});
      throw error;
    }
    for (const pool of pools) await end(pool);
  });
}
