/**
 * dnspool: a DNS-aware database connection pool. Every connection that it hands out is open to an address that the
 * host name has now; the next checkout after a change goes to the new one.
 *
 * @example
 * ```ts
 * import { getDnsEngine } from "@dnspool/dnspool";
 * import { DnsServer, fakeAdapter } from "@dnspool/dnspool/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const dns = await DnsServer.start();
 * dns.set("db.internal", ["127.0.0.2"], { ttl: 0 });
 * const engine = getDnsEngine("fake://app@db.internal/orders", {
 *   adapter: fakeAdapter(), // by default the URL's own driver, such as postgresql+pg
 *   dnsNameservers: [dns.address],
 *   dnsMinTtl: 0,
 * });
 * assertEquals(await engine.use((lease) => lease.address), "127.0.0.2");
 * dns.set("db.internal", ["127.0.0.3"], { ttl: 0 });
 * assertEquals(await engine.use((lease) => lease.address), "127.0.0.3");
 * await engine.close();
 * await dns.close();
 * ```
 *
 * @module
 */

export type { AllowAddress } from "./resolver/allow_address.ts";
export type { HookedConnection, PoolHooks } from "./pool/connection/hooks.ts";
export type { Lease } from "./pool/lease.ts";
export type { Echo, Logger } from "./internal/log.ts";
export type { End, Ended, EngineObserver } from "./pool/observer.ts";
export type {
  Activity,
  Adapter,
  BindValues,
  CancelOptions,
  Destination,
  NotCommitted,
  Notifications,
  Role,
  SettingValue,
  Statement,
  Target,
  TlsState,
  TransactionPlan,
  TransactionSettings,
  TransactionStatus,
  Verdict,
} from "./adapters/adapter.ts";
export * from "./engine.ts";
export * from "./errors.ts";
export type { Alias, Answer, Lookup, LookupName, NameServer, Question } from "./lookups/lookup.ts";
export type { Balance } from "./pool/connection/address_order.ts";
export type {
  Credentials,
  CredentialsFunction,
  CredentialsRequest,
} from "./pool/connection/credentials.ts";
export type { WantedRole } from "./pool/connection/server_role.ts";
export type { DnsOptions, EngineOptions, Plugin } from "./engine/options.ts";
export { type AddressChange, clearDnsCache, type GetIpOptions, getIpWithTtl } from "./resolver.ts";
export { DatabaseUrl, type DatabaseUrlParts, type UrlHost } from "./engine/url.ts";
