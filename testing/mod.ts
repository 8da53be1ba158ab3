/**
 * Tools for rehearsing a failover in a test: a DNS server that the test programs, an adapter for fake servers, a TCP
 * proxy with faults, and a switchover that measures how an engine or a pool follows it.
 *
 * @example A name that moves
 * ```ts
 * import { DnsServer } from "@dnspool/dnspool/testing";
 * import { assertEquals } from "@std/assert";
 * import { Resolver } from "node:dns/promises";
 *
 * await using server = await DnsServer.start();
 * const resolver = new Resolver();
 * resolver.setServers([server.address]);
 *
 * server.set("db.internal", ["127.0.0.2"]);
 * assertEquals(await resolver.resolve4("db.internal"), ["127.0.0.2"]);
 * server.set("db.internal", ["127.0.0.3"]);
 * assertEquals(await resolver.resolve4("db.internal"), ["127.0.0.3"]);
 * ```
 *
 * @module
 */

export * from "./dns_server.ts";
export * from "./fake_adapter.ts";
export * from "./switchover.ts";
export * from "./tcp_proxy.ts";
export type { Adapter, Destination, Role, Target, TlsState } from "../adapters/adapter.ts";
