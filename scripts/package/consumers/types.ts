/**
 * A consumer's code in TypeScript, checked with every supported version of TypeScript, with and without Node's types.
 * It is never run.
 *
 * @module
 */

import {
  ConnectError,
  DatabaseUrl,
  type Engine,
  type EngineOptions,
  getDnsEngine,
  getIpWithTtl,
  type Lease,
} from "@dnspool/dnspool";
import { dohLookup } from "@dnspool/dnspool/lookups/doh";
import { wireLookup } from "@dnspool/dnspool/lookups/wire";
import { DnsServer, fakeAdapter, type FakeClient } from "@dnspool/dnspool/testing";

const options: EngineOptions<FakeClient> = {
  adapter: fakeAdapter(),
  dnsLookup: wireLookup,
  dnsNameservers: ["10.0.0.2:5353"],
  poolSize: 3,
};

/** The client's type comes from the adapter. */
export const engine: Engine<FakeClient> = getDnsEngine("fake://db.internal/orders", options);

/** Leases, events, errors. */
export async function use(signal: AbortSignal): Promise<string> {
  const lease: Lease<FakeClient> = await engine.connect({ signal });
  const id: number = lease.client.id;
  await lease.release();
  engine.addEventListener("addresschange", ({ detail }) => {
    const added: readonly string[] = detail.added;
    return added;
  }, { once: true, signal });
  const rows: readonly unknown[] = await engine.query("SELECT 1", [id]);
  return await engine.use(({ address }) => `${address} ${rows.length}`);
}

/** The rest of the exports. */
export async function others(error: unknown): Promise<readonly unknown[]> {
  const server: DnsServer = await DnsServer.start();
  const [ip, ttl]: [string, number] = await getIpWithTtl("db.internal", {
    dnsLookup: dohLookup("https://127.0.0.1/dns-query"),
  });
  const attempts = error instanceof ConnectError
    ? error.attempts.map(({ address }) => address)
    : [];
  const url: DatabaseUrl = DatabaseUrl.parse("postgresql://app@db.internal/orders");
  return [server.address.length, ip, ttl, attempts, url.host];
}

// @ts-expect-error There is no such option.
getDnsEngine("postgresql://app@db.internal/orders", { poolSiz: 3 });
// @ts-expect-error Only the package creates leases.
export const lease: Lease<FakeClient> = { address: "10.0.0.1", client: {} as FakeClient };
