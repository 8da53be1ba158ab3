/**
 * Every option: its default, its unit, what is allowed, and the error for what is not.
 *
 * @module
 */

import { canonicalIp, ipFamily } from "./_ip.ts";
import { OptionReader, show } from "./_read_options.ts";
import type { Family } from "./_resolution.ts";
import type { Adapter } from "./adapters/adapter.ts";
import type { Lookup, NameServer } from "./lookups/lookup.ts";

/** How a host name is resolved. All durations are in seconds, fractions allowed. */
export interface DnsOptions {
  /** Seconds for one resolution, all tries together: above 0, at most 3600. Default 12. */
  dnsTimeout?: number;
  /** The DNS servers to ask, such as `["10.0.0.2", "10.0.0.3:5353", "[fd00::2]:53"]`. Default: the system's. */
  dnsNameservers?: readonly string[];
  /** Seconds a stale answer may be used when resolution fails: from 0. Default 30. */
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
  /** Who is asked: `"system"`, the runtime's own resolver, or a lookup of yours. Default `"system"`. */
  dnsLookup?: "system" | Lookup;
}

/** Where a checkout's connection comes from and how long it may take. All durations are in seconds. */
export interface EngineOptions<C = unknown> extends DnsOptions {
  /** Opens the connections. Default: by the URL's `dialect+driver`, the driver imported at the first connect. */
  adapter?: Adapter<C>;
  /**
   * `"ahead"` asks again shortly before the answer expires while the engine has a connection open, so that no
   * checkout waits; `"on-demand"` asks when a checkout needs it. Default `"ahead"`.
   */
  dnsRefresh?: "ahead" | "on-demand";
  /** Connections kept when they come back: from 0, which means unlimited. Default 5. */
  poolSize?: number;
  /** Connections above `poolSize`, closed when they come back; -1 or `Infinity` for no limit. Default 10. */
  maxOverflow?: number;
  /** Seconds a checkout may wait: from 0 (fail now) to 3600, or `Infinity`. Default 30. */
  poolTimeout?: number;
  /** Seconds for one connection attempt: above 0, at most 3600. Default 10. */
  connectTimeout?: number;
  /** Handed to the driver over what the URL gives. `host` and the like are refused: they would defeat DNS. */
  connectArgs?: Readonly<Record<string, unknown>>;
  /** Whether sockets have TCP keepalive, the first probe after 30 seconds. Default `true`. */
  keepAlive?: boolean;
  /** Connections opening at once: from 1. Default 4; 1 while the server is failing. */
  connectConcurrency?: number;
  /**
   * Whether, once the engine has connected before, a checkout whose connect fails in passing waits and tries
   * again until `poolTimeout` is over, instead of failing at once. Default `true`.
   */
  connectRetry?: boolean;
  /** Whether the last connection to come back is the first to go out. Default `false`. */
  poolUseLifo?: boolean;
  /** The pool's name in messages. Default: the URL's host. */
  poolLoggingName?: string;
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
  readonly lookup: "system" | Lookup;
}

/** {@linkcode EngineOptions}, checked, with defaults, in milliseconds. */
export interface EngineSettings<C> {
  readonly dns: DnsSettings;
  readonly adapter: Adapter<C> | undefined;
  readonly refreshAhead: boolean;
  /** Infinite where the option says 0. */
  readonly poolSize: number;
  readonly maxOverflow: number;
  readonly poolTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly connectArgs: Readonly<Record<string, unknown>>;
  readonly keepAlive: boolean;
  readonly connectConcurrency: number;
  readonly connectRetry: boolean;
  readonly useLifo: boolean;
  readonly poolName: string | undefined;
}

/** Connect arguments that would send the socket somewhere else than DNS says. */
const HOST_ARGS = ["host", "hostname", "hostaddr", "socketPath", "connectionString", "uri"];

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
  reader.done(what);
  return { settings, signal };
}

/**
 * Reads the options of an engine.
 *
 * @param options What the caller gave.
 * @returns The settings.
 */
export function readEngineOptions<C>(options: unknown): EngineSettings<C> {
  const reader = new OptionReader(options, "getDnsEngine");
  const bypass = "it opens connections by itself and would bypass DNS; write an adapter instead";
  reader.refuse("creator", bypass);
  reader.refuse("pool", bypass);
  const poolSize = reader.number("poolSize", 5, { min: 0, whole: true });
  const maxOverflow = reader.number("maxOverflow", 10, { min: -1, whole: true, infinite: true });
  const settings: EngineSettings<C> = {
    dns: dnsSettings(reader),
    adapter: reader.value<Adapter<C> | undefined>("adapter", undefined, readAdapter),
    refreshAhead: reader.oneOf("dnsRefresh", "ahead", ["ahead", "on-demand"]) === "ahead",
    poolSize: poolSize === 0 ? Infinity : poolSize,
    maxOverflow: maxOverflow === -1 ? Infinity : maxOverflow,
    poolTimeoutMs: reader.waitAsMs("poolTimeout", 30, { min: 0, infinite: true }),
    connectTimeoutMs: reader.waitAsMs("connectTimeout", 10, { above: 0 }),
    connectArgs: readConnectArgs(reader),
    keepAlive: reader.boolean("keepAlive", true),
    connectConcurrency: reader.number("connectConcurrency", 4, { min: 1, whole: true }),
    connectRetry: reader.boolean("connectRetry", true),
    useLifo: reader.boolean("poolUseLifo", false),
    poolName: reader.text("poolLoggingName"),
  };
  reader.done("getDnsEngine");
  return settings;
}

function dnsSettings(reader: OptionReader): DnsSettings {
  const settings: DnsSettings = {
    timeoutMs: reader.waitAsMs("dnsTimeout", 12, { above: 0 }),
    nameservers: reader.value("dnsNameservers", [], readNameservers),
    graceMs: reader.secondsAsMs("dnsGraceTtl", 30, { min: 0 }),
    extendGrace: reader.boolean("dnsExtendGrace", true),
    maxStaleMs: reader.secondsAsMs("dnsMaxStale", 86_400, { min: 0 }),
    fallback: reader.boolean("dnsFallback", true),
    maxRetries: reader.number("dnsMaxRetries", 3, { min: 1, max: 100, whole: true }),
    minTtlMs: reader.secondsAsMs("dnsMinTtl", 0.25, { min: 0 }),
    maxTtlMs: reader.secondsAsMs("dnsMaxTtl", 300, { min: 0 }),
    family: reader.oneOf<Family>("dnsFamily", "auto", ["auto", 4, 6, "both"]),
    lookup: reader.value<"system" | Lookup>("dnsLookup", "system", readLookup),
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

function readAdapter<C>(value: unknown): Adapter<C> {
  const adapter = value as Partial<Adapter<C>> | null;
  if (
    typeof adapter?.connect === "function" && typeof adapter.name === "string" &&
    typeof adapter.defaultPort === "number"
  ) return adapter as Adapter<C>;
  throw new TypeError(
    `Cannot use ${
      show(value)
    } for "adapter": it is an object with "name", "defaultPort" and a method "connect", such as pgAdapter(pg)`,
  );
}

function readLookup(value: unknown): "system" | Lookup {
  if (value === "system") return value;
  const lookup = value as Lookup | null;
  if (typeof lookup?.lookup === "function") return lookup;
  throw new TypeError(
    `Cannot use ${show(value)} for "dnsLookup": it is "system" or an object with a method "lookup"`,
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

function readConnectArgs(reader: OptionReader): Readonly<Record<string, unknown>> {
  const args = reader.object<Record<string, unknown>>("connectArgs", {});
  for (const name of HOST_ARGS) {
    if (name in args) {
      throw new TypeError(
        `Cannot use "${name}" in "connectArgs": the address comes from DNS, put the host into the URL`,
      );
    }
  }
  return { ...args };
}
