/**
 * The options of a resolution: their defaults, their units, what is allowed, and the error for what is not.
 *
 * @module
 */

import { type AddressRule, type AllowAddress, readAllowAddress } from "./allow_address.ts";
import { canonicalIp, ipFamily } from "../internal/ip.ts";
import { show } from "../internal/argument_error.ts";
import { OptionReader } from "../internal/option_reader.ts";
import type { Family } from "./resolution.ts";
import { DOH_URL_RULE, readDohUrl } from "../lookups/internal/doh_url.ts";
import type { Lookup, LookupName, NameServer } from "../lookups/lookup.ts";

/** How a host name is resolved. All durations are in seconds, fractions allowed. */
export interface DnsOptions {
  /** Seconds for one resolution, all tries together: above 0, at most 3600. Default 12. */
  dnsTimeout?: number;
  /** The DNS servers to ask, such as `["10.0.0.2", "10.0.0.3:5353", "[fd00::2]:53"]`. Default: the system's. */
  dnsNameservers?: readonly string[];
  /**
   * Seconds a stale answer may be used when resolution fails, or has taken 1.8 seconds (RFC 8767, section 5): from 0.
   * Default 30.
   */
  dnsGraceTtl?: number;
  /** Whether grace doubles each time it runs out without an answer, up to 300 seconds. Default `true`. */
  dnsExtendGrace?: boolean;
  /** Seconds after which a stale answer is no longer used at all (RFC 8767): from 0. Default 86400. */
  dnsMaxStale?: number;
  /**
   * Whether the operating system's resolver (hosts file, search domains) is asked when DNS has no answer and
   * nothing stale is left. Default `true`.
   */
  dnsFallback?: boolean;
  /** Tries, with jittered exponential backoff, inside `dnsTimeout`: from 1 to 100. Default 3. */
  dnsMaxRetries?: number;
  /** Seconds that an answer counts for at least, whatever its TTL: from 0, at most `dnsMaxTtl`. Default 0.25. */
  dnsMinTtl?: number;
  /** Seconds that an answer counts for at most, whatever its TTL: from 0. Default 300. */
  dnsMaxTtl?: number;
  /**
   * Which records to ask for: A with 4, AAAA with 6, `"both"`, or `"auto"`: A, and AAAA when there is no A or
   * the runtime cannot tell. Default `"auto"`.
   */
  dnsFamily?: "auto" | 4 | 6 | "both";
  /**
   * Who is asked: `"system"`, the runtime's own resolver; `"wire"`, the DNS servers with exact messages of our own;
   * the URL of a server that speaks DNS over HTTPS, such as `"https://10.0.0.2/dns-query"` (`dnsNameservers` makes
   * no difference then); or a lookup of yours. Default `"system"`.
   */
  dnsLookup?: LookupName | Lookup;
  /**
   * Which addresses an answer may hold: a list of addresses and ranges, such as `["10.0.0.0/8", "fd00::/8"]`, or a
   * function that says `true` to an address that may be connected to (an IPv4-mapped IPv6 address is given to it as
   * IPv4). An answer with any other address is refused as a whole, and counts as a failed resolution: never as a
   * change. Two callers share answers where their lists say the same, or their function is the same one, so keep it in
   * a constant. An IP address or `localhost` in the place of the name is not checked. Default: any address.
   */
  allowAddress?: AllowAddress;
}

/** {@linkcode DnsOptions}, checked, with defaults, in milliseconds. */
export interface DnsSettings {
  readonly timeoutMs: number;
  readonly nameservers: readonly NameServer[];
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
 * Reads the options of a resolution.
 *
 * @param options What the caller gave.
 * @param what Whose options they are, for messages.
 * @returns The settings, and the signal where there is one.
 */
export function readDnsOptions(
  options: unknown,
  what: string,
): { settings: DnsSettings; signal: AbortSignal | undefined } {
  const reader = new OptionReader(options, what);
  const settings = dnsSettings(reader);
  const signal = reader.signal();
  reader.done();
  return { settings, signal };
}

/** Reads them where they stand among others. */
export function dnsSettings(reader: OptionReader): DnsSettings {
  const settings: DnsSettings = {
    timeoutMs: reader.timeoutAsMs("dnsTimeout", 12, { above: 0 }),
    nameservers: reader.value("dnsNameservers", [], readNameservers),
    graceMs: reader.secondsAsMs("dnsGraceTtl", 30, { min: 0 }),
    extendGrace: reader.boolean("dnsExtendGrace", true),
    maxStaleMs: reader.secondsAsMs("dnsMaxStale", 86_400, { min: 0 }),
    fallback: reader.boolean("dnsFallback", true),
    maxRetries: reader.number("dnsMaxRetries", 3, { min: 1, max: 100, whole: true }),
    minTtlMs: reader.secondsAsMs("dnsMinTtl", 0.25, { min: 0 }),
    maxTtlMs: reader.secondsAsMs("dnsMaxTtl", 300, { min: 0 }),
    family: reader.oneOf<Family>("dnsFamily", "auto", ["auto", 4, 6, "both"]),
    lookup: reader.value<LookupName | Lookup>("dnsLookup", "system", readLookup),
    allow: reader.value<AddressRule | undefined>("allowAddress", undefined, readAllowAddress),
  };
  if (settings.minTtlMs > settings.maxTtlMs) {
    throw new RangeError(
      `Cannot use ${
        settings.minTtlMs / 1000
      } for "dnsMinTtl": it is at most "dnsMaxTtl", which is ${settings.maxTtlMs / 1000}`,
    );
  }
  return settings;
}

function readLookup(value: unknown): LookupName | Lookup {
  if (value === "system" || value === "wire") return value;
  const lookup = value as Lookup | null;
  if (typeof lookup?.lookup === "function") return lookup;
  const url = typeof value === "string" ? readDohUrl(value) : undefined;
  if (url) return url.href as LookupName;
  // Beside an "@" there may be a password.
  const shown = typeof value === "string" && value.includes("@") ? "this URL" : show(value);
  throw new TypeError(
    `Cannot use ${shown} for "dnsLookup": it is "system", "wire", ${DOH_URL_RULE}, or an object with a method "lookup"`,
  );
}

function readNameservers(value: unknown): readonly NameServer[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw new TypeError(
      `Cannot use ${show(value)} for "dnsNameservers": it is a list of at least one address`,
    );
  }
  return value.map((server) => {
    const text = typeof server === "string" ? server : "";
    const [, v6, v4, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(text) ??
      [, text, undefined, undefined];
    const host = v6 === undefined || ipFamily(v6) === 6 ? canonicalIp(v6 ?? v4 ?? "") : undefined;
    const number = port === undefined ? 53 : Number(port);
    if (host === undefined || number < 1 || number > 65535) {
      throw new TypeError(
        `Cannot use ${
          show(server)
        } in "dnsNameservers": it is an IP address with an optional port from 1 to 65535, such as "10.0.0.2:5353" or "[fd00::2]:53"`,
      );
    }
    return { host, port: number };
  });
}
