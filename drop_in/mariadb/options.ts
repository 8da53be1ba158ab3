/**
 * The options of mariadb and those of dnspool beside them: how mariadb reads its own, and what becomes of them in a
 * connection that follows DNS.
 *
 * @module
 */

import type { MariadbConfig, MariadbLogger } from "../../adapters/mariadb.ts";
import { withServerName } from "../../adapters/shared/tls.ts";
import type { EngineOptions } from "../../engine/options.ts";
import { mustBeUndisclosed, mustNotBeGiven } from "../../internal/argument_error.ts";
import type { Logger } from "../../internal/log.ts";
import { type DriverForm, type HostList, readHostList, withHost } from "../shared/host_list.ts";
import {
  copyOptions,
  type DnsPoolOptions,
  dnsPoolOptions,
  driverOptions,
  isDnsPoolOption,
  type RawOptions,
  refuseIgnored,
  refuseOptions,
} from "../shared/options.ts";
import type { ConnectionOptions, CoreConnection, MariadbClasses } from "./module.ts";

/** dnspool's options that mariadb's pool does not have, beside those of every drop-in. Durations are in seconds. */
export interface MariadbPoolExtras extends Pick<EngineOptions, "poolRecycle"> {
  /** The URI, `mariadb://…` or `mysql://…`: mariadb itself takes it only in place of all options. */
  uri?: string;
}

/** Names of these options. */
export const EXTRA_NAMES: readonly string[] = ["poolRecycle", "uri"] satisfies (
  keyof MariadbPoolExtras
)[];

/**
 * Refuses options that cannot be used in a pool or a connection that follows DNS.
 *
 * @param given The options.
 * @throws {TypeError} if one of them is given.
 */
export function checkMariadbOptions(given: RawOptions): void {
  const bypass = "it would bypass DNS, because it opens the socket itself";
  refuseOptions(given, {
    ...(!isOwnStream(given.stream) && { stream: bypass }),
    ...(Boolean(given.permitRedirect) && {
      permitRedirect: "it would bypass DNS, because the server names another one",
    }),
    poolSize: 'use "connectionLimit" of mariadb',
    maxOverflow: 'it is part of "connectionLimit" of mariadb',
    poolTimeout: 'use "acquireTimeout" of mariadb, in milliseconds',
    minIdle: 'use "minimumIdle" of mariadb',
    minSize: 'use "minimumIdle" of mariadb',
  });
  refuseIgnored(given, {
    own: ["connectTimeout", "idleTimeout", ...EXTRA_NAMES],
    uri: given.uri,
    obeyed: { asOption: [], inUri: [] },
    options: {
      connectTimeout: "connectTimeout",
      keepAlive: "keepAliveDelay",
      tls: 'give "ssl"',
    },
  });
}

/** How mariadb takes hosts. */
const FORM: DriverForm = {
  dialect: "mysql",
  uriOption: "uri",
  optionsWin: true,
  defaultPort: 3306,
};

/**
 * Copies options that were given as an object, as a URI, or as an object with a URI.
 *
 * @param given The options, or the URI.
 * @param classes The module's classes, which parse the URI.
 * @param srv Whether the host of all connections is a service.
 * @returns The options as one object, for the first one of several hosts; `list` is `undefined` if there is one host.
 * @throws {TypeError} if the URI is none of mariadb, or contains options of dnspool.
 */
export function optionsOf(
  given: unknown,
  { ConnectionOptions }: MariadbClasses,
  srv: boolean = false,
): { readonly list: HostList | undefined; readonly options: RawOptions } {
  const all = typeof given === "string"
    ? { uri: given }
    : withoutUndefined(copyOptions((given ?? {}) as RawOptions));
  const list = hostsOf(all, srv);
  const { uri, ...options } = list ? withHost(all, list.hosts[0]!, FORM) : all;
  if (uri === undefined) return { list, options };
  const url = typeof uri === "string" && URL.canParse(uri) ? new URL(uri) : undefined;
  // The driver's own error would show the password.
  if (!url || !/^(mariadb|mysql):$/.test(url.protocol) || url.pathname.length < 2) {
    throw mustBeUndisclosed("uri", 'like "mariadb://user@host:3306/database"', "something else");
  }
  for (const name of url.searchParams.keys()) {
    if (!isDnsPoolOption(name) && !EXTRA_NAMES.includes(name)) continue;
    throw mustNotBeGiven(`${name} in the URI`, 'give it as an option beside "uri"');
  }
  const parsed = ConnectionOptions.parse((uri as string).replace(/^mysql:/i, "mariadb:"));
  return { list, options: { ...ofPool(parsed), ...options } };
}

/** Reads several hosts, or a service, which mariadb cannot read. */
function hostsOf(given: RawOptions, srv: boolean): HostList | undefined {
  const { uri, host, port, socketPath, dnsSrv = srv } = given;
  return socketPath ? undefined : readHostList({ uri, host, port, srv: dnsSrv === true }, FORM);
}

/** Reads a pool's own options in a URI, as mariadb does for a pool that is made with a URI. */
function ofPool(parsed: Record<string, unknown>): RawOptions {
  for (const name of ["resetAfterUse", "noControlAfterUse"]) {
    if (parsed[name] !== undefined) parsed[name] = parsed[name] === "true";
  }
  return withoutUndefined(parsed);
}

function withoutUndefined(options: RawOptions): RawOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** Picks the options that mariadb itself knows. */
export function mariadbOptions(given: RawOptions): Record<string, unknown> {
  const options = Object.entries(driverOptions(given))
    .filter(([name]) => !EXTRA_NAMES.includes(name));
  const { logger } = given;
  if (logger !== undefined && !isOwnLogger(logger)) options.push(["logger", logger]);
  return Object.fromEntries(options);
}

/** Picks dnspool's options, those of the module first. */
export function ownOptions(module: DnsPoolOptions, given: RawOptions): DnsPoolOptions {
  const { logger, ...options } = dnsPoolOptions(given);
  return { ...module, ...options, ...(isOwnLogger(logger) && { logger: logger as Logger }) };
}

/** Returns whether a logger is dnspool's: both have an option of that name. */
function isOwnLogger(logger: unknown): boolean {
  const { info, warn } = (logger ?? {}) as Partial<Logger>;
  return typeof info === "function" && typeof warn === "function";
}

const ownStreams: WeakSet<object> = new WeakSet();

/** Returns whether the option `stream` comes from the settings of a connection that follows DNS. */
export function isOwnStream(stream: unknown): boolean {
  return typeof stream === "function" && ownStreams.has(stream);
}

/**
 * Makes the settings of a connection good for another one, to the same address: the driver uses them to kill a
 * statement, and libraries to cancel one.
 *
 * @param core The connection, which has its socket.
 * @param stream Opens another socket to the same address.
 * @param connectTimeout The timeout that the settings had.
 */
export function makeReusable(
  { opts }: CoreConnection,
  stream: MariadbConfig["stream"],
  connectTimeout: number,
): void {
  ownStreams.add(stream);
  Object.assign(opts, { stream, connectTimeout });
}

/**
 * Returns a connection's logger, with the tap of the adapter on its errors.
 *
 * @param own The logger as mariadb reads it.
 * @param tap The adapter's logger.
 */
export function withLogger(own: MariadbLogger, tap: MariadbLogger): MariadbLogger {
  return {
    ...own,
    error(error) {
      tap.error?.(error);
      own.error?.(error);
    },
  };
}

/**
 * Returns the TLS settings of a connection, with the name that the certificate is checked for. Without one, TLS would
 * take the name to which the socket was connected, which here is an address.
 *
 * @param host The name.
 */
export function securedFor(
  { ssl }: Pick<ConnectionOptions, "ssl">,
  host: string,
): Pick<ConnectionOptions, "ssl"> {
  if (!ssl || typeof ssl === "string") return { ssl };
  return { ssl: withServerName(host, ssl === true ? {} : ssl) };
}

/**
 * Keeps the password of one login out of what an inspected connection shows. The driver copies the settings for the
 * connection by which it kills a statement, so the property stays one that is copied.
 */
export function concealPassword({ opts }: CoreConnection): void {
  let { password } = opts;
  Object.defineProperty(opts, "password", {
    configurable: true,
    enumerable: true,
    get: () => password,
    set: (next: unknown) => void (password = next),
  });
}

/** Returns the login that the option `credentials` gave. */
export function loginOf(
  { user, password }: Pick<MariadbConfig, "user" | "password">,
  options: ConnectionOptions,
): Pick<ConnectionOptions, "user" | "password"> {
  const name = user ?? options.user;
  return { ...(name !== undefined && { user: name }), password };
}
