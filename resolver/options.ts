/**
 * Reads the options of a resolution.
 *
 * @module
 */

import {
  mustBe,
  mustBeUndisclosed,
  mustNotBeGiven,
  outOfRange,
} from "../internal/argument_error.ts";
import { canonicalIp, ipFamily } from "../internal/ip.ts";
import { OptionReader } from "../internal/option_reader.ts";
import { SharedObjects } from "../internal/shared.ts";
import { resolvConf } from "../lookups/internal/system_files.ts";
import { DOH_URL_RULE, readDohUrl } from "../lookups/internal/doh_url.ts";
import type { HostsUse } from "../lookups/hosts.ts";
import type { Lookup, LookupName, NameServer } from "../lookups/lookup.ts";
import { type AddressRule, type AllowAddress, readAllowAddress } from "./allow_address.ts";
import type { Family } from "./question.ts";

/** How a host name is resolved. All durations are in seconds, fractions allowed. */
export interface DnsOptions {
  /** Timeout of one resolution, with all its attempts: above 0, at most 3600. Default 12. */
  dnsTimeout?: number;
  /**
   * The DNS servers to ask, such as `["10.0.0.2", "10.0.0.3:5353", "[fd00::2]:53", "fe80::53%eth0"]`. Default: the
   * system's.
   */
  dnsNameservers?: readonly string[];
  /**
   * Whether the hosts file answers before DNS is asked: `true`, it does; `false`, it never answers. Its answers count
   * for 5 seconds. Must not be `true` with `dnsNameservers`. Default: `false` with `dnsNameservers`; for the lookups
   * `"system"` and `"wire"` as `/etc/nsswitch.conf` has it, which is first if there is no such file; for any other, only
   * the operating system's resolver reads the file (`dnsFallback`).
   */
  dnsHosts?: boolean;
  /**
   * Seconds for which a stale answer may be used if resolution fails, or takes longer than 1.8 seconds (RFC 8767
   * section 5): from 0. Default 30.
   */
  dnsGraceTtl?: number;
  /** Whether grace doubles each time it runs out without an answer, up to 300 seconds. Default `true`. */
  dnsExtendGrace?: boolean;
  /** Seconds after its TTL from which a stale answer is not used at all (RFC 8767): from 0. Default 86400. */
  dnsMaxStale?: number;
  /**
   * Whether the operating system's resolver (search domains, hosts file) is asked if DNS has no answer and there is no
   * stale one. It is not asked for a name in the hosts file if that must not answer. Default `true`.
   */
  dnsFallback?: boolean;
  /**
   * Number of attempts, with jittered exponential backoff, within `dnsTimeout`: from 1 to 100. Within an attempt, a
   * question that is not answered is asked again. Default 3; for the
   * system's servers what `options attempts:` in `/etc/resolv.conf` says.
   */
  dnsMaxRetries?: number;
  /** Minimum TTL in seconds: from 0, at most `dnsMaxTtl`. Default 0.25. */
  dnsMinTtl?: number;
  /** Maximum TTL in seconds: from 0. Default 300. */
  dnsMaxTtl?: number;
  /**
   * Which records to ask for: A with 4, AAAA with 6, both with `"both"`. `"auto"` asks for A, and for AAAA if there is
   * no A record or the runtime cannot tell; also if an engine finds no route to any address of the A records, and then
   * for AAAA first. Default `"auto"`.
   */
  dnsFamily?: "auto" | 4 | 6 | "both";
  /**
   * The lookup: `"system"`, the runtime's own resolver; `"wire"`, which sends DNS messages to the servers itself and
   * knows the exact TTL; the URL of a server for DNS over HTTPS, such as `"https://10.0.0.2/dns-query"`
   * (`dnsNameservers` has no effect then); or a lookup of your own. Default `"system"`.
   */
  dnsLookup?: LookupName | Lookup;
  /**
   * The addresses that an answer may hold: a list of addresses and ranges, such as `["10.0.0.0/8", "fd00::/8"]`, or a
   * function that returns `true` for an allowed address (it gets an IPv4-mapped IPv6 address as IPv4). An answer with
   * any other address is refused as a whole, and counts as a failed resolution: never as a change. Two callers share
   * answers if their lists say the same, or if their function is the same one, so keep it in a constant. An IP address
   * or `localhost` in place of the name is not checked. Default: any address.
   */
  allowAddress?: AllowAddress;
}

/** {@linkcode DnsOptions} after the check, with defaults, in milliseconds. */
export interface DnsSettings {
  readonly timeoutMs: number;
  readonly nameservers: readonly NameServer[];
  readonly hosts: HostsUse;
  readonly graceMs: number;
  readonly extendGrace: boolean;
  readonly maxStaleMs: number;
  readonly fallback: boolean;
  readonly maxRetries: number;
  readonly minTtlMs: number;
  readonly maxTtlMs: number;
  readonly family: Family;
  readonly lookup: LookupName | Lookup;
  readonly allow: AddressRule | undefined;
}

/**
 * Reads an object that holds the options of a resolution, and perhaps a signal, but nothing else.
 *
 * @param options The caller's options.
 * @param of The function they are given to, for messages.
 */
export function readDnsOptions(
  options: unknown,
  of: string,
): { settings: DnsSettings; signal: AbortSignal | undefined } {
  const reader = new OptionReader(options, of);
  const settings = dnsSettings(reader);
  const signal = reader.signal();
  reader.done();
  return { settings, signal };
}

/** Reads the options of a resolution from an object that may hold others as well. */
export function dnsSettings(reader: OptionReader): DnsSettings {
  const nameservers = reader.value("dnsNameservers", NO_NAMESERVERS, readNameservers);
  const lookup = reader.value<LookupName | Lookup>("dnsLookup", "system", readLookup);
  const asksSystem = nameservers.length === 0 && (lookup === "system" || lookup === "wire");
  const attempts = asksSystem ? resolvConf()?.attempts : undefined;
  const settings: DnsSettings = {
    timeoutMs: reader.timeoutAsMs("dnsTimeout", 12, { above: 0 }),
    nameservers,
    hosts: readHosts(reader, nameservers, lookup),
    graceMs: reader.secondsAsMs("dnsGraceTtl", 30, { min: 0 }),
    extendGrace: reader.boolean("dnsExtendGrace", true),
    maxStaleMs: reader.secondsAsMs("dnsMaxStale", 86_400, { min: 0 }),
    fallback: reader.boolean("dnsFallback", true),
    maxRetries: reader.number("dnsMaxRetries", attempts ?? 3, { min: 1, max: 100, whole: true }),
    minTtlMs: reader.secondsAsMs("dnsMinTtl", 0.25, { min: 0 }),
    maxTtlMs: reader.secondsAsMs("dnsMaxTtl", 300, { min: 0 }),
    family: reader.oneOf<Family>("dnsFamily", "auto", ["auto", 4, 6, "both"]),
    lookup,
    allow: reader.value<AddressRule | undefined>("allowAddress", undefined, readAllowAddress),
  };
  const { minTtlMs, maxTtlMs } = settings;
  if (minTtlMs > maxTtlMs) {
    const allowed = `at most "dnsMaxTtl", which is ${maxTtlMs / 1000}`;
    throw outOfRange("dnsMinTtl", allowed, minTtlMs / 1000);
  }
  return sharedSettings.of(settings);
}

/** No servers are given: the same list each time, so that settings can be shared. */
const NO_NAMESERVERS: readonly NameServer[] = Object.freeze([]);

const sharedSettings = new SharedObjects<DnsSettings>();

function readHosts(
  reader: OptionReader,
  nameservers: readonly NameServer[],
  lookup: LookupName | Lookup,
): HostsUse {
  const given = reader.oneOf<boolean | undefined>("dnsHosts", undefined, [true, false]);
  if (given === true && nameservers.length > 0) {
    throw mustNotBeGiven("dnsHosts", 'with "dnsNameservers", the hosts file is not read');
  }
  if (given === false || nameservers.length > 0) return "never";
  if (given === true) return "first";
  return lookup === "system" || lookup === "wire" ? "configured" : "last";
}

function readLookup(value: unknown): LookupName | Lookup {
  if (value === "system" || value === "wire") return value;
  const lookup = value as Lookup | null;
  if (typeof lookup?.lookup === "function") return lookup;
  const url = typeof value === "string" ? readDohUrl(value) : undefined;
  if (url) return url.href as LookupName;
  const allowed = `"system", "wire", ${DOH_URL_RULE}, or an object with a method "lookup"`;
  // A string with an "@" may hold a password.
  if (typeof value === "string" && value.includes("@")) {
    throw mustBeUndisclosed("dnsLookup", allowed, 'a string with an "@"');
  }
  throw mustBe("dnsLookup", allowed, value);
}

function readNameservers(value: unknown): readonly NameServer[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw mustBe("dnsNameservers", "an array of at least one address", value);
  }
  return value.map((server, index) => {
    const nameserver = typeof server === "string" ? parseNameserver(server) : undefined;
    if (nameserver) return nameserver;
    throw mustBe(
      `dnsNameservers[${index}]`,
      'an IP address with an optional port from 1 to 65535, such as "10.0.0.2:5353" or "[fd00::2]:53"',
      server,
    );
  });
}

function parseNameserver(text: string): NameServer | undefined {
  const [, v6, v4, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(text) ??
    [, text, undefined, undefined];
  const [, address = "", zone = ""] = /^([^%]*)(%[^%\s\]]+)?$/.exec(v6 ?? v4 ?? "") ?? [];
  const isAllowed = ipFamily(address) === 6 || v6 === undefined && zone === "";
  const ip = isAllowed ? canonicalIp(address) : undefined;
  const host = ip && ip + zone;
  const number = port === undefined ? 53 : Number(port);
  return host !== undefined && number >= 1 && number <= 65535 ? { host, port: number } : undefined;
}
