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
  /** The same for what follows an outage. */
  readonly whyAfter?: string;
}

/** The copy of an expired record that comes with a TTL of its own. */
const WITH_TTL_30 = "an expired copy is answered at once, with TTL 30";
const WHOLE_SECONDS = "counts whole seconds, and serves a copy for up to 1 s more";
const PROBING =
  "a server that was silent is asked again after growing pauses: `infra-host-ttl: 1`, `infra-keep-probing: yes`";
const FAILURES =
  "a failure is kept for 60 s, and so is a server that failed: `packetcache-servfail-ttl=1` and `server-down-max-fails=0` mend it in part";
const FAILURE_OF_DNSDIST = "a failure is kept for 60 s: `temporaryFailureTTL = 1` of the cache";
const BIND_STALE = "`stale-answer-ttl 1;`, `stale-refresh-time 0;`";
/** Settings that keep every copy for 10 seconds. */
const kept = (setting: string) =>
  `a copy is kept for 10 s, whatever its TTL: leave \`${setting}\` out`;
/** Seconds more of a resolver that keeps every copy for 10 seconds. */
const upTo10 = (ttl: number) => Math.max(0, 10 - ttl);

/** All of them, in the order of the table. */
export const SETUPS: readonly Setup[] = [
  { id: "none", program: undefined, settings: [] },
  { id: "bind", program: "BIND", settings: [] },
  {
    id: "bind-stale",
    program: "BIND",
    settings: ["stale-cache-enable yes;", "stale-answer-enable yes;"],
    whyAfter:
      `after a failed query the stale copy is answered for 30 s, with TTL 30: ${BIND_STALE}`,
  },
  {
    id: "bind-stale-0",
    program: "BIND",
    settings: [
      "stale-cache-enable yes;",
      "stale-answer-enable yes;",
      "stale-answer-client-timeout 0;",
    ],
    extra: () => 1,
    why: `${WITH_TTL_30}: \`stale-answer-client-timeout off;\`, the default, or ${BIND_STALE}`,
    whyAfter: `${WITH_TTL_30}: ${BIND_STALE}`,
  },
  {
    id: "bind-stale-1",
    program: "BIND",
    settings: [
      "stale-cache-enable yes;",
      "stale-answer-enable yes;",
      "stale-answer-client-timeout 0;",
      "stale-answer-ttl 1;",
      "stale-refresh-time 0;",
    ],
    extra: () => 1,
    why:
      "an expired copy is answered once, with TTL 1: `stale-answer-client-timeout off;`, the default",
  },
  {
    id: "bind-min",
    program: "BIND",
    settings: ["min-cache-ttl 10;"],
    extra: upTo10,
    why: kept("min-cache-ttl"),
  },
  {
    id: "unbound",
    program: "unbound",
    settings: [],
    extra: () => 1,
    why: `${WHOLE_SECONDS}: \`prefetch: yes\``,
    whyAfter: PROBING,
  },
  {
    id: "unbound-prefetch",
    program: "unbound",
    settings: ["prefetch: yes"],
    whyAfter: PROBING,
  },
  {
    id: "unbound-probing",
    program: "unbound",
    settings: ["prefetch: yes", "infra-host-ttl: 1", "infra-keep-probing: yes"],
  },
  {
    id: "unbound-stale",
    program: "unbound",
    settings: ["serve-expired: yes"],
    extra: () => 1,
    why: `${WITH_TTL_30}: \`serve-expired-reply-ttl: 1\` or \`serve-expired-client-timeout: 1800\``,
    whyAfter: `${WITH_TTL_30}: \`serve-expired-reply-ttl: 1\``,
  },
  {
    id: "unbound-stale-1",
    program: "unbound",
    settings: ["serve-expired: yes", "serve-expired-reply-ttl: 1"],
    extra: () => 2,
    why: `an expired copy is answered at once, with TTL 1: \`serve-expired-client-timeout: 1800\``,
    whyAfter: PROBING,
  },
  {
    id: "unbound-stale-ede",
    program: "unbound",
    settings: ["serve-expired: yes", "ede: yes", "ede-serve-expired: yes"],
    extra: () => 60,
    why:
      `${WITH_TTL_30}, and says that it is stale, which \`wire\` reads: \`serve-expired-client-timeout: 1800\``,
    whyAfter: `${WITH_TTL_30}: \`serve-expired-reply-ttl: 1\``,
  },
  {
    id: "unbound-stale-1800",
    program: "unbound",
    settings: ["serve-expired: yes", "serve-expired-client-timeout: 1800"],
    extra: () => 1,
    why: `${WHOLE_SECONDS}: \`prefetch: yes\``,
    whyAfter: PROBING,
  },
  {
    id: "unbound-min",
    program: "unbound",
    settings: ["cache-min-ttl: 10"],
    extra: (ttl) => upTo10(ttl) + 1,
    why: kept("cache-min-ttl"),
    whyAfter: PROBING,
  },
  { id: "dnsmasq", program: "dnsmasq", settings: [] },
  {
    id: "dnsmasq-stale",
    program: "dnsmasq",
    settings: ["use-stale-cache"],
    extra: () => 1,
    why:
      "an expired copy is answered once, before the server behind is asked: leave `use-stale-cache` out",
  },
  {
    id: "dnsmasq-min",
    program: "dnsmasq",
    settings: ["min-cache-ttl=10"],
    extra: upTo10,
    why: kept("min-cache-ttl"),
  },
  {
    id: "knot",
    program: "knot",
    settings: [],
    extra: (ttl) => Math.max(0, 5 - ttl) + 1,
    why: `keeps a copy for at least 5 s, and ${WHOLE_SECONDS}: \`modules.load('predict')\``,
  },
  {
    id: "knot-min-0",
    program: "knot",
    settings: ["cache.min_ttl(0)"],
    extra: () => 1,
    why: `${WHOLE_SECONDS}: \`modules.load('predict')\``,
  },
  {
    id: "knot-stale",
    program: "knot",
    settings: ["modules = { 'serve_stale < cache' }"],
    extra: (ttl) => Math.max(0, 5 - ttl) + 1,
    why: `keeps a copy for at least 5 s, and ${WHOLE_SECONDS}: \`modules.load('predict')\``,
  },
  { id: "knot-predict", program: "knot", settings: ["modules.load('predict')"] },
  { id: "pdns", program: "PowerDNS", settings: [], whyAfter: FAILURES },
  {
    id: "pdns-failures",
    program: "PowerDNS",
    settings: ["packetcache-servfail-ttl=1", "server-down-max-fails=0"],
    whyAfter:
      "a server that was killed is left out for up to a minute, with `server-down-max-fails=0` too; no setting that mends it was found",
  },
  {
    id: "pdns-stale",
    program: "PowerDNS",
    settings: ["serve-stale-extensions=10"],
    whyAfter: FAILURES,
  },
  {
    id: "pdns-refresh",
    program: "PowerDNS",
    settings: ["refresh-on-ttl-perc=10"],
    whyAfter: FAILURES,
  },
  {
    id: "pdns-min",
    program: "PowerDNS",
    settings: ["minimum-ttl-override=10"],
    extra: upTo10,
    why: kept("minimum-ttl-override"),
    whyAfter: FAILURES,
  },
  { id: "dnsdist", program: "dnsdist", settings: [] },
  {
    id: "dnsdist-cache",
    program: "dnsdist",
    settings: ['getPool(""):setCache(newPacketCache(10000))'],
    whyAfter: FAILURE_OF_DNSDIST,
  },
  {
    id: "dnsdist-stale",
    program: "dnsdist",
    settings: [
      'getPool(""):setCache(newPacketCache(10000, { staleTTL = 60 }))',
      "setStaleCacheEntriesTTL(3600)",
    ],
    whyAfter: FAILURE_OF_DNSDIST,
  },
  {
    id: "dnsdist-stale-1",
    program: "dnsdist",
    settings: [
      'getPool(""):setCache(newPacketCache(10000, { staleTTL = 1, temporaryFailureTTL = 1 }))',
      "setStaleCacheEntriesTTL(3600)",
    ],
  },
];
