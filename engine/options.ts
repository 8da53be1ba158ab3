/**
 * Reads the options of an engine.
 *
 * @module
 */

import type { Adapter } from "../adapters/adapter.ts";
import {
  mustBe,
  mustBeUndisclosed,
  mustNotBeGiven,
  unknownName,
} from "../internal/argument_error.ts";
import type { Echo, Logger } from "../internal/log.ts";
import { OptionReader } from "../internal/option_reader.ts";
import { SharedObjects } from "../internal/shared.ts";
import type { Balance } from "../pool/connection/address_order.ts";
import type { CredentialsFunction } from "../pool/connection/credentials.ts";
import { HOOK_NAMES, type PoolHooks } from "../pool/connection/hooks.ts";
import { WANTED_ROLES, type WantedRole } from "../pool/connection/server_role.ts";
import { type EngineObserver, OBSERVER_NAMES, SafeObserver } from "../pool/observer.ts";
import { type DnsOptions, type DnsSettings, dnsSettings } from "../resolver/options.ts";
import type { DatabaseUrl } from "./url.ts";

export { type DnsOptions, type DnsSettings, readDnsOptions } from "../resolver/options.ts";

/** A function that may change the URL and the options of an engine, and gets the engine when it is made. */
export type Plugin<C = unknown> = (
  setup: { readonly url: DatabaseUrl; readonly options: EngineOptions<C> },
) => void | {
  /** Replaces the URL. */
  readonly url?: DatabaseUrl;
  /** Options that are added to the others, or replace them. */
  readonly options?: EngineOptions<C>;
  /** Called with the finished engine. */
  readonly created?: (engine: unknown) => void;
};

/** The options of an engine. All durations are in seconds, fractions allowed. */
export interface EngineOptions<C = unknown> extends DnsOptions {
  /** Opens the connections. Default: by the URL's `dialect+driver`, the driver imported at the first connect. */
  adapter?: Adapter<C>;
  /**
   * `"ahead"` asks DNS again shortly before the answer expires while the engine has a connection open, so that no
   * checkout waits; `"on-demand"` asks when a checkout needs the answer. Default `"ahead"`.
   */
  dnsRefresh?: "ahead" | "on-demand";
  /**
   * Seconds for which an address still counts as current after it left the answer, for endpoints that answer with one
   * of many addresses in turn: from 0. Default 0.
   */
  dnsAddressLinger?: number;
  /** Which of several addresses a new connection uses. Default `"ordered"`: the first that accepts it. */
  loadBalance?: Balance;
  /**
   * The role that a server must have (libpq): `"read-write"`, `"read-only"`, `"primary"`, `"standby"`, or
   * `"prefer-standby"`. Servers of another role are skipped, and the search goes on, with a new resolution, until
   * `poolTimeout` is over. A server is left when its role has changed: it refuses a write, or reports it (PostgreSQL from
   * 14 on, with `pg` and `postgres`). Default `"any"`.
   */
  targetSessionAttrs?: WantedRole;
  /** Maximum number of connections that are kept when they come back: from 0, which means no limit. Default 5. */
  poolSize?: number;
  /**
   * Maximum number of connections above `poolSize`, which are closed when they come back; -1 or `Infinity` for no
   * limit. Default 10.
   */
  maxOverflow?: number;
  /** Timeout of a checkout in seconds: from 0 (fail at once) to 3600, or `Infinity`. Default 30. */
  poolTimeout?: number;
  /**
   * Maximum age of a connection in seconds, less up to 2.5 % so that a fleet does not reconnect at once: above 0. An
   * idle one is closed then, one in use when it comes back. Default `Infinity`.
   */
  poolRecycle?: number;
  /** Whether a connection is pinged before it is handed out again. Default `false`. */
  poolPrePing?: boolean;
  /** Seconds since its last use within which a connection is not pinged: from 0. Default 0: always pinged. */
  prePingAfter?: number;
  /** Whether the connection that came back last is handed out first. Default `false`. */
  poolUseLifo?: boolean;
  /**
   * What is done with a connection that comes back. `"rollback"`, `"commit"`: an open transaction is ended. `"reset"`: it
   * is rolled back, and the session is made like a new one, which takes a round trip; then `isolationLevel` is set and
   * the hook `connect` called again. `null`: a transaction stays open. Default `"rollback"`.
   */
  poolResetOnReturn?: "rollback" | "commit" | "reset" | null;
  /**
   * `"queue"`: the limits above. `"null"`: each connection is opened for one lease and closed after it.
   * `"static"`: one connection, shared by all leases. `"assertion"`: one lease at a time; a second checkout is an
   * error that shows the stack of the first. Default `"queue"`.
   */
  poolClass?: "queue" | "null" | "static" | "assertion";
  /** Seconds after which an idle connection is closed: above 0. Default `Infinity`. */
  idleTimeout?: number;
  /** Number of checkouts after which a connection is replaced: from 1. Default `Infinity`. */
  maxUses?: number;
  /**
   * Number of idle connections that are opened in the background after the first use, and kept: 0 to `poolSize`. With
   * `poolRecycle`, each is replaced ahead of its maximum age. Default 0.
   */
  minIdle?: number;
  /**
   * Number of connections, idle or in use, below which `idleTimeout` closes none. It opens none either: 0 to
   * `poolSize`. Default 0.
   */
  minSize?: number;
  /**
   * Whether the URL's host is a service, whose servers are in SRV records (RFC 2782), as with `+srv` at the end of the
   * scheme. Their priorities, weights and ports are used. Default: as the URL says.
   */
  dnsSrv?: boolean;
  /**
   * The name that a certificate is checked for with SRV records: `"target"`, the name of the server in its record, or
   * `"service"`, the host of the URL. Default `"target"`.
   */
  dnsSrvTlsName?: "target" | "service";
  /** Timeout of one connection attempt in seconds, over all addresses: above 0, at most 3600. Default 10. */
  connectTimeout?: number;
  /**
   * Seconds for which the server at one address may be silent before the next one is tried beside it: above 0, or
   * `Infinity`. If its connects usually take longer, it is twice their usual time. Default 0.25.
   */
  connectStagger?: number;
  /**
   * Maximum number of connections that open at once: from 1, or `Infinity`. While the server is failing it is 1, then 4,
   * and 1 more with each that has opened. Default 4.
   */
  connectConcurrency?: number;
  /**
   * Whether a checkout whose connect fails temporarily waits and tries again until `poolTimeout` is over, instead of
   * failing at once. `true`: once the engine has connected; before that, it fails at once. `"always"`: the first connect
   * too, and if the name cannot be resolved, so that a program may start before its database. A wrong password, an unknown
   * database and the like fail at once. Default `true`.
   */
  connectRetry?: boolean | "always";
  /**
   * Gives user and password, for passwords that change. It is called when a connection is dialed: once for all dials that
   * begin together, and not while what it gave last is kept (`expiresAt`). If the server refuses the login, it is called
   * again, once. `connectTimeout` limits the wait. A password in the URL or in `connectArgs` is refused beside it. Default:
   * the URL has the password.
   */
  credentials?: CredentialsFunction;
  /**
   * Options for the driver, in addition to what the URL says. `host` and the like are refused: they would bypass DNS.
   */
  connectArgs?: Readonly<Record<string, unknown>>;
  /** Whether sockets have TCP keepalive, the first probe after 30 seconds. Default `true`. */
  keepAlive?: boolean;
  /**
   * Seconds for which a lease on a departed address may go on while that server is alive: from 0. After them, the
   * connection is terminated, and what it was running is cancelled on the server. A COMMIT that is under way may be done
   * all the same. Default `Infinity`; with `targetSessionAttrs` `"read-write"` or `"primary"` it is 0.5, because what the
   * old server still acknowledges is lost if another one has taken its role.
   */
  retireGrace?: number;
  /**
   * Seconds that a departed server with connections in use has to answer a new connection attempt, even by refusing
   * it. If it is silent, these connections are terminated: above 0, at most 3600. Default 1.5, which leaves time for
   * one lost packet to be sent again.
   */
  probeTimeout?: number;
  /**
   * Seconds after which the server of a connection that is still in use is probed likewise, also if it has not answered a
   * ping or a reset for as long: above 0. Default: off.
   */
  leaseProbeAfter?: number;
  /** Seconds after which a lease is reported, with the stack of its checkout: above 0. Default: off. */
  leaseWarnAfter?: number;
  /**
   * Seconds after which a lease is terminated, and what it is running cancelled on the server: above 0. Its holder gets a
   * {@linkcode LeaseTimeoutError} with the stack of its checkout, and another caller the place. It counts from the checkout, for
   * `use`, `begin` and `query` too, and is found out up to a second later. Default: off.
   */
  leaseTimeout?: number;
  /** Isolation level of each new connection, such as `"serializable"`. Default: the server's. */
  isolationLevel?: string;
  /** Callbacks for the life of a connection. */
  hooks?: PoolHooks<C>;
  /** Measures checkouts, connects and the use of connections. Default: none, and nothing is measured. */
  observer?: EngineObserver;
  /** Whether statements of `engine.query` are logged. Default `false`. */
  echo?: Echo;
  /**
   * Whether connections are logged when they open and close; `"debug"`: checkouts and checkins too. Default `false`.
   */
  echoPool?: Echo;
  /** Receives the log lines. Default `console`. */
  logger?: Logger;
  /** The engine's name in log lines. Default: the URL's host. */
  loggingName?: string;
  /** The pool's name in log lines and errors. Default: the URL's host. */
  poolLoggingName?: string;
  /**
   * Whether bind values are kept out of log lines, and data out of the server's errors that `query`, `use` and `begin`
   * throw: SECURITY.md says what is removed. Default `false`.
   */
  hideParameters?: boolean;
  /** Functions that may change the URL and the options, and get the engine. Default: none. */
  plugins?: readonly Plugin<C>[];
}

/** {@linkcode EngineOptions} after the check, with defaults, in milliseconds; without the adapter. */
export interface EngineSettings<C> {
  readonly dns: DnsSettings;
  /** Whether the host is a service; `undefined`: as the URL says. */
  readonly srv: boolean | undefined;
  readonly srvTlsName: "target" | "service";
  readonly refreshAhead: boolean;
  readonly lingerMs: number;
  readonly loadBalance: Balance;
  readonly targetSessionAttrs: WantedRole;
  /** `Infinity` if the option is 0. */
  readonly poolSize: number;
  readonly maxOverflow: number;
  readonly poolTimeoutMs: number;
  readonly recycleMs: number;
  readonly prePing: boolean;
  readonly prePingAfterMs: number;
  readonly useLifo: boolean;
  readonly resetOnReturn: "rollback" | "commit" | "reset" | null;
  readonly poolClass: "queue" | "null" | "static" | "assertion";
  readonly idleTimeoutMs: number;
  readonly maxUses: number;
  readonly minIdle: number;
  readonly minSize: number;
  readonly connectTimeoutMs: number;
  readonly connectStaggerMs: number;
  readonly connectConcurrency: number;
  readonly connectRetry: boolean | "always";
  readonly connectArgs: Readonly<Record<string, unknown>>;
  readonly credentials: CredentialsFunction | undefined;
  readonly keepAlive: boolean;
  readonly retireGraceMs: number;
  readonly probeTimeoutMs: number;
  readonly leaseProbeAfterMs: number;
  readonly leaseWarnAfterMs: number;
  readonly leaseTimeoutMs: number;
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

/** Driver options that would connect to another address than DNS says. */
const HOST_ARGS = ["host", "hostname", "hostaddr", "socketPath", "connectionString", "uri"];

/**
 * Default of `retireGrace`, in seconds, for engines that write. A short statement ends in it; a COMMIT that hangs on the
 * old primary until its supervisor comes back is not acknowledged, even if that is 2 seconds after the promotion and the
 * record has a TTL of 1, as in `deno task drill:patroni`: with 2 seconds in place of 0.5, each pool lost rows there.
 */
const WRITER_RETIRE_GRACE = 0.5;

/** An object option that is not given: the same one each time, so that the settings of engines can be shared. */
const NOTHING = Object.freeze({});

const LOAD_BALANCE = ["ordered", "random", "round-robin", "least-connections"] as const;

/**
 * Reads the option `adapter` alone.
 *
 * @param options The caller's options.
 * @returns The adapter; `undefined` if the URL is to choose it.
 */
export function readAdapter<C>(options: unknown): Adapter<C> | undefined {
  const reader = new OptionReader(options, "getDnsEngine");
  return reader.value<Adapter<C> | undefined>("adapter", undefined, checkAdapter);
}

/**
 * Reads all other options of an engine.
 *
 * @param options The caller's options.
 */
export function readEngineOptions<C>(options: unknown): EngineSettings<C> {
  const reader = new OptionReader(options, "getDnsEngine");
  const bypass = "it opens connections by itself and would bypass DNS; write an adapter instead";
  reader.refuse("creator", bypass);
  reader.refuse("pool", bypass);
  // These two are read before.
  for (const name of ["adapter", "plugins"]) reader.value(name, undefined, () => undefined);
  const poolSize = reader.number("poolSize", 5, { min: 0, whole: true });
  const maxOverflow = reader.number("maxOverflow", 10, { min: -1, whole: true, infinite: true });
  const targetSessionAttrs = reader.oneOf<WantedRole>("targetSessionAttrs", "any", WANTED_ROLES);
  const settings: EngineSettings<C> = {
    dns: dnsSettings(reader),
    srv: reader.oneOf<boolean | undefined>("dnsSrv", undefined, [true, false]),
    srvTlsName: reader.oneOf("dnsSrvTlsName", "target", ["target", "service"]),
    refreshAhead: reader.oneOf("dnsRefresh", "ahead", ["ahead", "on-demand"]) === "ahead",
    lingerMs: reader.secondsAsMs("dnsAddressLinger", 0, { min: 0 }),
    loadBalance: reader.oneOf<Balance>("loadBalance", "ordered", LOAD_BALANCE),
    targetSessionAttrs,
    poolSize: poolSize === 0 ? Infinity : poolSize,
    maxOverflow: maxOverflow === -1 ? Infinity : maxOverflow,
    poolTimeoutMs: reader.timeoutAsMs("poolTimeout", 30, { min: 0, infinite: true }),
    recycleMs: reader.secondsAsMs("poolRecycle", Infinity, { above: 0, infinite: true }),
    prePing: reader.boolean("poolPrePing", false),
    prePingAfterMs: reader.secondsAsMs("prePingAfter", 0, { min: 0, infinite: true }),
    useLifo: reader.boolean("poolUseLifo", false),
    resetOnReturn: reader.oneOf("poolResetOnReturn", "rollback", [
      "rollback",
      "commit",
      "reset",
      null,
    ]),
    poolClass: reader.oneOf("poolClass", "queue", ["queue", "null", "static", "assertion"]),
    idleTimeoutMs: reader.secondsAsMs("idleTimeout", Infinity, { above: 0, infinite: true }),
    maxUses: reader.number("maxUses", Infinity, { min: 1, whole: true, infinite: true }),
    minIdle: reader.number("minIdle", 0, { min: 0, max: poolSize || Infinity, whole: true }),
    minSize: reader.number("minSize", 0, { min: 0, max: poolSize || Infinity, whole: true }),
    connectTimeoutMs: reader.timeoutAsMs("connectTimeout", 10, { above: 0 }),
    connectStaggerMs: reader.secondsAsMs("connectStagger", 0.25, { above: 0, infinite: true }),
    connectConcurrency: reader.number("connectConcurrency", 4, {
      min: 1,
      whole: true,
      infinite: true,
    }),
    connectRetry: reader.oneOf<boolean | "always">("connectRetry", true, [true, false, "always"]),
    connectArgs: readConnectArgs(reader),
    credentials: reader.value<CredentialsFunction | undefined>(
      "credentials",
      undefined,
      (value, name) => {
        if (typeof value === "function") return value as CredentialsFunction;
        throw mustBeUndisclosed(name, "a function", `a value of type ${typeof value}`);
      },
    ),
    keepAlive: reader.boolean("keepAlive", true),
    retireGraceMs: reader.secondsAsMs(
      "retireGrace",
      targetSessionAttrs === "read-write" || targetSessionAttrs === "primary"
        ? WRITER_RETIRE_GRACE
        : Infinity,
      { min: 0, infinite: true },
    ),
    probeTimeoutMs: reader.timeoutAsMs("probeTimeout", 1.5, { above: 0 }),
    leaseProbeAfterMs: reader.secondsAsMs("leaseProbeAfter", Infinity, {
      above: 0,
      infinite: true,
    }),
    leaseWarnAfterMs: reader.secondsAsMs("leaseWarnAfter", Infinity, { above: 0, infinite: true }),
    leaseTimeoutMs: reader.secondsAsMs("leaseTimeout", Infinity, { above: 0, infinite: true }),
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
  return sharedSettings.of(settings) as EngineSettings<C>;
}

const sharedSettings = new SharedObjects<EngineSettings<never>>();

function readLogger(value: unknown): Logger {
  const logger = value as Partial<Logger> | null;
  const methods = [logger?.debug, logger?.info, logger?.warn];
  if (methods.every((method) => typeof method === "function")) return logger as Logger;
  throw mustBe(
    "logger",
    'an object with the methods "debug", "info" and "warn", such as console',
    value,
  );
}

function readObserver(reader: OptionReader): SafeObserver | undefined {
  const observer = readFunctions<EngineObserver>(reader, "observer", OBSERVER_NAMES);
  return Object.keys(observer).length > 0 ? new SafeObserver(observer) : undefined;
}

/** Reads an object of functions, all of which are optional. */
function readFunctions<T extends object>(
  reader: OptionReader,
  option: "hooks" | "observer",
  names: readonly string[],
): T {
  const functions = reader.object<T>(option, NOTHING as T);
  if (functions === NOTHING) return functions;
  for (const [name, value] of Object.entries(functions)) {
    if (!names.includes(name)) {
      throw unknownName(name, option === "hooks" ? "a hook" : "a method of an observer", names);
    }
    if (value !== undefined && typeof value !== "function") {
      throw mustBe(`${option}.${name}`, "a function", value);
    }
  }
  // A copy: what is changed later was not checked.
  const copy: Record<string, unknown> = {};
  for (const name of names) {
    const value = (functions as Record<string, unknown>)[name];
    if (typeof value === "function") copy[name] = value.bind(functions);
  }
  return copy as T;
}

function checkAdapter<C>(value: unknown): Adapter<C> {
  const adapter = value as Partial<Adapter<C>> | null;
  if (
    typeof adapter?.connect === "function" && typeof adapter.name === "string" &&
    typeof adapter.defaultPort === "number"
  ) return adapter as Adapter<C>;
  throw mustBe(
    "adapter",
    'an object with "name", "defaultPort" and a method "connect", such as pgAdapter(pg)',
    value,
  );
}

function readConnectArgs(reader: OptionReader): Readonly<Record<string, unknown>> {
  const args = reader.object<Readonly<Record<string, unknown>>>("connectArgs", NOTHING);
  if (args === NOTHING) return args;
  for (const name of HOST_ARGS) {
    if (!(name in args)) continue;
    const reason = "the address comes from DNS, put the host into the URL";
    throw mustNotBeGiven(`connectArgs.${name}`, reason);
  }
  return { ...args };
}
