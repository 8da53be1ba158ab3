/**
 * The resolvers that the lab puts between an authority and dnspool, each with settings that people run.
 *
 * @module
 */

import type { ResolverName } from "../../lab/resolvers.ts";

/** A resolver with its settings. */
export interface Setup {
  /** A short name, unique, as a label of a host name. */
  readonly id: string;
  /** The program; `undefined`: the authority itself is asked. */
  readonly program: ResolverName | undefined;
  /** Lines of its settings; none: its defaults. */
  readonly settings: readonly string[];
  /**
   * Seconds beyond TTL + 0.3 that it may hold the old address for a name with this TTL, by its own answers. Default: 0.
   */
  extra?(ttl: number): number;
  /** Why it is later than TTL + 0.3 s, and the setting that mends it. */
  readonly why?: string;
}

/** All of them, in the order of the table. */
export const SETUPS: readonly Setup[] = [
  { id: "none", program: undefined, settings: [] },
  { id: "bind", program: "BIND", settings: [] },
  {
    id: "bind-stale",
    program: "BIND",
    settings: ["stale-cache-enable yes;", "stale-answer-enable yes;"],
  },
  {
    id: "bind-stale-0",
    program: "BIND",
    settings: [
      "stale-cache-enable yes;",
      "stale-answer-enable yes;",
      "stale-answer-client-timeout 0;",
    ],
  },
  { id: "bind-min", program: "BIND", settings: ["min-cache-ttl 10;"] },
  { id: "unbound", program: "unbound", settings: [], extra: () => 1 },
  { id: "unbound-prefetch", program: "unbound", settings: ["prefetch: yes"] },
  { id: "unbound-stale", program: "unbound", settings: ["serve-expired: yes"] },
  {
    id: "unbound-stale-1800",
    program: "unbound",
    settings: ["serve-expired: yes", "serve-expired-client-timeout: 1800"],
  },
  { id: "unbound-min", program: "unbound", settings: ["cache-min-ttl: 10"] },
  { id: "dnsmasq", program: "dnsmasq", settings: [] },
  { id: "dnsmasq-stale", program: "dnsmasq", settings: ["use-stale-cache"] },
  { id: "dnsmasq-min", program: "dnsmasq", settings: ["min-cache-ttl=10"] },
  { id: "knot", program: "knot", settings: [] },
  { id: "knot-min-0", program: "knot", settings: ["cache.min_ttl(0)"], extra: () => 1 },
  { id: "knot-stale", program: "knot", settings: ["modules = { 'serve_stale < cache' }"] },
  { id: "knot-predict", program: "knot", settings: ["modules.load('predict')"] },
  { id: "pdns", program: "PowerDNS", settings: [] },
  { id: "pdns-servfail", program: "PowerDNS", settings: ["packetcache-servfail-ttl=1"] },
  { id: "pdns-stale", program: "PowerDNS", settings: ["serve-stale-extensions=10"] },
  { id: "pdns-refresh", program: "PowerDNS", settings: ["refresh-on-ttl-perc=10"] },
  { id: "pdns-min", program: "PowerDNS", settings: ["minimum-ttl-override=10"] },
  { id: "dnsdist", program: "dnsdist", settings: [] },
  {
    id: "dnsdist-cache",
    program: "dnsdist",
    settings: ['getPool(""):setCache(newPacketCache(10000))'],
  },
  {
    id: "dnsdist-stale",
    program: "dnsdist",
    settings: [
      'getPool(""):setCache(newPacketCache(10000, { staleTTL = 60 }))',
      "setStaleCacheEntriesTTL(3600)",
    ],
  },
];
