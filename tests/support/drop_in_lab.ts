/**
 * What drop-ins are tested with: a name that points at a server, and what is opened for it.
 *
 * @module
 */

import { clearDnsCache } from "../../resolver.ts";
import { type FakeLookup, fakeLookup } from "./fake_lookup.ts";
import { pause } from "./waiting.ts";

/** A name, and pools for it. */
export interface Lab<P, O> {
  readonly dns: FakeLookup;
  make(options?: O): P;
}

/** How a pool is made, and closed. */
interface Maker<P, O> {
  /** Makes one as the test wants it, with what concerns DNS in it. */
  open(options: O & { dnsLookup: FakeLookup; dnsFallback: false }): P;
  /** Closes it, unless the test did. */
  end(pool: P): Promise<unknown>;
}

/**
 * Runs a test with pools for a name that points at a server, with a TTL of half a second.
 *
 * @param host The server's address.
 * @param maker Makes pools.
 * @param test The test; its pools are closed after it.
 */
export async function withName<P, O extends object>(
  host: string,
  { open, end }: Maker<P, O>,
  test: (lab: Lab<P, O>) => Promise<void>,
): Promise<void> {
  clearDnsCache();
  const dns = fakeLookup([host], 0.5);
  const pools: P[] = [];
  const make = (options: O = {} as O) => {
    const pool = open({ dnsLookup: dns, dnsFallback: false, ...options });
    pools.push(pool);
    return pool;
  };
  try {
    await test({ dns, make });
  } catch (error) {
    // What is still out would be waited for.
    for (const pool of pools) end(pool).catch(() => {});
    throw error;
  }
  for (const pool of pools) await end(pool);
  await pause(20); // sockets that were dropped close a moment later
}
