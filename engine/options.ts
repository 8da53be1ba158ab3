/**
 * Every option of an engine: its default, its unit, what is allowed, and the error for what is not.
 *
 * @module
 */

import { type DnsOptions, type DnsSettings, dnsSettings } from "../resolver/options.ts";
import { HOOK_NAMES, type PoolHooks } from "../pool/connection/hooks.ts";
import type { Echo, Logger } from "../internal/log.ts";
import { type EngineObserver, OBSERVER_NAMES, SafeObserver } from "../pool/observer.ts";
import { show } from "../internal/argument_error.ts";
import { OptionReader } from "../internal/option_reader.ts";
import type { Adapter } from "../adapters/adapter.ts";
import type { Balance } from "../pool/connection/dialer.ts";
import type { WantedRole } from "../pool/connection/server_role.ts";
import type { DatabaseUrl } from "./url.ts";

export { type DnsOptions, type DnsSettings, readDnsOptions } from "../resolver/options.ts";

/** A function that may change what an engine is made of, and see the engine when it is made. */
export type Plugin<C = unknown> = (
  setup: { readonly url: DatabaseUrl; readonly options: EngineOptions<C> },
) => void | {
  /** Takes the place of the URL. */
  readonly url?: DatabaseUrl;
  /** Laid over the options. */
  readonly options?: EngineOptions<C>;
  /** Called with the finished engine. */
  readonly created?: (engine: unknown) => void;
};

/** Where a checkout's connection comes from, how long it may take, and what the pool does with it. */
export interface EngineOptions<C = unknown> extends DnsOptions {
  /** Opens the connections. Default: by the URL's `dialect+driver`, the driver imported at the first connect. */
  adapter?: Adapter<C>;
  /**
   * `"ahead"` asks again shortly before the answer expires while the engine has a connection open, so that no
   * checkout waits; `"on-demand"` asks when a checkout needs it. Default `"ahead"`.
   */
  dnsRefresh?: "ahead" | "on-demand";
  /**
   * Seconds an address still counts as current after it left the answer, for endpoints that answer with one of
   * many in turn: from 0. Default 0.
   */
  dnsAddressLinger?: number;
  /** Which of several addresses a new connection takes. Default `"ordered"`: the first that lets it. */
  loadBalance?: Balance;
  /**
   * The role that a server must have (libpq): `"read-write"`, `"read-only"`, `"primary"`, `"standby"`, or
   * `"prefer-standby"`. A server of another role is passed over, and the search goes on, with a new resolution,
   * until `poolTimeout` is over. Default `"any"`.
   */
  targetSessionAttrs?: WantedRole;
  /** Connections kept when they come back: from 0, which means unlimited. Default 5. */
  poolSize?: number;
  /** Connections above `poolSize`, closed when they come back; -1 or `Infinity` for no limit. Default 10. */
  maxOverflow?: number;
  /** Seconds a checkout may wait: from 0 (fail now) to 3600, or `Infinity`. Default 30. */
  poolTimeout?: number;
  /**
   * Seconds after which a connection is replaced at its next checkout, up to 2.5 % sooner so that a fleet does
   * not do it in step: above 0. Default `Infinity`.
   */
  poolRecycle?: number;
  /** Whether a connection is pinged before it is handed out again. Default `false`. */
  poolPrePing?: boolean;
  /** Seconds since its last use within which a connection is not pinged: from 0. Default 0: always pinged. */
  prePingAfter?: number;
  /** Whether the last connection to come back is the first to go out. Default `false`. */
  poolUseLifo?: boolean;
  /** What ends an open transaction when a connection comes back; `null`: nothing. Default `"rollback"`. */
  poolResetOnReturn?: "rollback" | "commit" | null;
  /**
   * `"queue"`: the limits above. `"null"`: each connection is opened for one lease and closed after it.
   * `"static"`: one connection, shared by all leases. `"assertion"`: one lease at a time, and an error that
   * shows where it was taken for whoever wants a second. Default `"queue"`.
   */
  poolClass?: "queue" | "null" | "static" | "assertion";
  /** Seconds after which an idle connection is closed: above 0. Default `Infinity`. */
  idleTimeout?: number;
  /** Checkouts after which a connection is replaced: from 1. Default `Infinity`. */
  maxUses?: number;
  /** Idle connections that are opened in the background after the first use, and kept: 0 to `poolSize`. Default 0. */
  minIdle?: number;
  /**
   * Connections, idle or in use, below which `idleTimeout` closes none; none is opened for it: 0 to `poolSize`.
   * Default 0.
   */
  minSize?: number;
  /** Seconds for one connection attempt, all addresses together: above 0, at most 3600. Default 10. */
  connectTimeout?: number;
  /** Connections opening at once: from 1. Default 4; 1 while the server is failing. */
  connectConcurrency?: number;
  /**
   * Whether, once the engine has connected before, a checkout whose connect fails in passing waits and tries
   * again until `poolTimeout` is over, instead of failing at once. Default `true`.
   */
  connectRetry?: boolean;
  /** Handed to the driver over what the URL gives. `host` and the like are refused: they would defeat DNS. */
  connectArgs?: Readonly<Record<string, unknown>>;
  /** Whether sockets have TCP keepalive, the first probe after 30 seconds. Default `true`. */
  keepAlive?: boolean;
  /**
   * Seconds that a lease on a departed address may still run while that server is alive: from 0. Default
   * `Infinity`.
   */
  retireGrace?: number;
  /**
   * Seconds that a departed server with leases out has to answer a new connection attempt, anything, a refusal
   * included; if it is silent, its leases are terminated: above 0, at most 3600. Default 1.5, which leaves time for one
   * packet to be lost and sent again.
   */
  probeTimeout?: number;
  /** Seconds after which the server of a lease that is still out is probed likewise: above 0. Default: off. */
  leaseProbeAfter?: number;
  /** Seconds after which a lease that is still out is reported, with where it was taken: above 0. Default: off. */
  leaseWarnAfter?: number;
  /** Set on each new connection, such as `"serializable"`. Default: the server's. */
  isolationLevel?: string;
  /** Functions to be called at the turns of a connection's life. */
  hooks?: PoolHooks<C>;
  /** Hears how long checkouts wait, connects take, and connections are used. Default: nobody, and nothing is measured. */
  observer?: EngineObserver;
  /** Whether statements of `engine.query` are logged. Default `false`. */
  echo?: Echo;
  /** Whether connections are logged as they open and close; `"debug"`: checkouts and checkins too. Default `false`. */
  echoPool?: Echo;
  /** Where log lines go. Default `console`. */
  logger?: Logger;
  /** The engine's name in log lines. Default: the URL's host. */
  loggingName?: string;
  /** The pool's name in log lines and errors. Default: the URL's host. */
  poolLoggingName?: string;
  /** Whether bind values are kept out of log lines, and out of what `engine.query` throws. Default `false`. */
  hideParameters?: boolean;
  /** Functions that may change the URL, the options and the finished engine. Default: none. */
  plugins?: readonly Plugin<C>[];
}

/** {@linkcode EngineOptions}, checked, with defaults, in milliseconds. */
export interface EngineSettings<C> {
  readonly dns: DnsSettings;
  readonly adapter: Adapter<C> | undefined;
  readonly refreshAhead: boolean;
  readonly lingerMs: number;
  readonly loadBalance: Balance;
  readonly targetSessionAttrs: WantedRole;
  /** Infinite where the option says 0. */
  readonly poolSize: number;
  readonly maxOverflow: number;
  readonly poolTimeoutMs: number;
  readonly recycleMs: number;
  readonly prePing: boolean;
  readonly prePingAfterMs: number;
  readonly useLifo: boolean;
  readonly resetOnReturn: "rollback" | "commit" | null;
  readonly poolClass: "queue" | "null" | "static" | "assertion";
  readonly idleTimeoutMs: number;
  readonly maxUses: number;
  readonly minIdle: number;
  readonly minSize: number;
  readonly connectTimeoutMs: number;
  readonly connectConcurrency: number;
  readonly connectRetry: boolean;
  readonly connectArgs: Readonly<Record<string, unknown>>;
  readonly keepAlive: boolean;
  readonly retireGraceMs: number;
  readonly probeTimeoutMs: number;
  readonly leaseProbeAfterMs: number;
  readonly leaseWarnAfterMs: number;
  readonly isolationLevel: string | undefined;
  readonly hooks: PoolHooks<C>;
  readonly observer: SafeObserver | undefined;
  readonly echo: Echo;
  readonly echoPool: Echo;
  readonly logger: Logger;
  readonly loggingName: string | undefined;
  readonly poolName: string | undefined;
  readonly hideParameters: boolean;
}

/** Connect arguments that would send the socket somewhere else than DNS says. */
const HOST_ARGS = ["host", "hostname", "hostaddr", "socketPath", "connectionString", "uri"];

const LOAD_BALANCE = ["ordered", "random", "round-robin", "least-connections"] as const;
const SESSION_ATTRS = [
  "any",
  "read-write",
  "read-only",
  "primary",
  "standby",
  "prefer-standby",
] as const;

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
  // Applied before this, by the engine.
  reader.value("plugins", undefined, () => undefined);
  const poolSize = reader.number("poolSize", 5, { min: 0, whole: true });
  const maxOverflow = reader.number("maxOverflow", 10, { min: -1, whole: true, infinite: true });
  const settings: EngineSettings<C> = {
    dns: dnsSettings(reader),
    adapter: reader.value<Adapter<C> | undefined>("adapter", undefined, readAdapter),
    refreshAhead: reader.oneOf("dnsRefresh", "ahead", ["ahead", "on-demand"]) === "ahead",
    lingerMs: reader.secondsAsMs("dnsAddressLinger", 0, { min: 0 }),
    loadBalance: reader.oneOf<Balance>("loadBalance", "ordered", LOAD_BALANCE),
    targetSessionAttrs: reader.oneOf<WantedRole>(
      "targetSessionAttrs",
      "any",
      SESSION_ATTRS,
    ),
    poolSize: poolSize === 0 ? Infinity : poolSize,
    maxOverflow: maxOverflow === -1 ? Infinity : maxOverflow,
    poolTimeoutMs: reader.timeoutAsMs("poolTimeout", 30, { min: 0, infinite: true }),
    recycleMs: reader.secondsAsMs("poolRecycle", Infinity, { above: 0, infinite: true }),
    prePing: reader.boolean("poolPrePing", false),
    prePingAfterMs: reader.secondsAsMs("prePingAfter", 0, { min: 0, infinite: true }),
    useLifo: reader.boolean("poolUseLifo", false),
    resetOnReturn: reader.oneOf("poolResetOnReturn", "rollback", ["rollback", "commit", null]),
    poolClass: reader.oneOf("poolClass", "queue", ["queue", "null", "static", "assertion"]),
    idleTimeoutMs: reader.secondsAsMs("idleTimeout", Infinity, { above: 0, infinite: true }),
    maxUses: reader.number("maxUses", Infinity, { min: 1, whole: true, infinite: true }),
    minIdle: reader.number("minIdle", 0, { min: 0, max: poolSize || Infinity, whole: true }),
    minSize: reader.number("minSize", 0, { min: 0, max: poolSize || Infinity, whole: true }),
    connectTimeoutMs: reader.timeoutAsMs("connectTimeout", 10, { above: 0 }),
    connectConcurrency: reader.number("connectConcurrency", 4, { min: 1, whole: true }),
    connectRetry: reader.boolean("connectRetry", true),
    connectArgs: readConnectArgs(reader),
    keepAlive: reader.boolean("keepAlive", true),
    retireGraceMs: reader.secondsAsMs("retireGrace", Infinity, { min: 0, infinite: true }),
    probeTimeoutMs: reader.timeoutAsMs("probeTimeout", 1.5, { above: 0 }),
    leaseProbeAfterMs: reader.secondsAsMs("leaseProbeAfter", Infinity, {
      above: 0,
      infinite: true,
    }),
    leaseWarnAfterMs: reader.secondsAsMs("leaseWarnAfter", Infinity, { above: 0, infinite: true }),
    isolationLevel: reader.string("isolationLevel"),
    hooks: readFunctions<PoolHooks<C>>(reader, "hooks", HOOK_NAMES),
    observer: readObserver(reader),
    echo: reader.oneOf<Echo>("echo", false, [true, false, "debug"]),
    echoPool: reader.oneOf<Echo>("echoPool", false, [true, false, "debug"]),
    logger: reader.value<Logger>("logger", console, readLogger),
    loggingName: reader.string("loggingName"),
    poolName: reader.string("poolLoggingName"),
    hideParameters: reader.boolean("hideParameters", false),
  };
  reader.done();
  return settings;
}

function readLogger(value: unknown): Logger {
  const logger = value as Partial<Logger> | null;
  const methods = [logger?.debug, logger?.info, logger?.warn];
  if (methods.every((method) => typeof method === "function")) return logger as Logger;
  throw new TypeError(
    `Cannot use ${
      show(value)
    } for "logger": it has the methods "debug", "info" and "warn", as console has`,
  );
}

function readObserver(reader: OptionReader): SafeObserver | undefined {
  const observer = readFunctions<EngineObserver>(reader, "observer", OBSERVER_NAMES);
  return Object.keys(observer).length > 0 ? new SafeObserver(observer) : undefined;
}

/** An object with functions of certain names, each of which may be missing. */
function readFunctions<T extends object>(
  reader: OptionReader,
  option: "hooks" | "observer",
  names: readonly string[],
): T {
  const what = option === "hooks" ? "hook" : "member of the observer";
  const functions = reader.object<T>(option, {} as T);
  for (const [name, value] of Object.entries(functions)) {
    if (!names.includes(name)) {
      throw new TypeError(
        `Cannot use the ${what} "${name}": there is no such ${what}; there are ${names.join(", ")}`,
      );
    }
    if (value !== undefined && typeof value !== "function") {
      throw new TypeError(`Cannot use ${show(value)} for the ${what} "${name}": it is a function`);
    }
  }
  return functions;
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
