/**
 * Converts the options of `postgres()` to the engine's.
 *
 * @module
 */

import type { EngineOptions } from "../../engine/options.ts";
import { DatabaseUrl } from "../../engine/url.ts";
import { mustBe, mustBeUndisclosed } from "../../internal/argument_error.ts";
import { checkNumber, MAX_TIMEOUT } from "../../internal/option_reader.ts";
import type { DriverMessages } from "../shared/driver_errors.ts";
import { type HostKind, hostKind } from "../shared/host_kind.ts";
import {
  defaultTimeoutMs,
  dnsPoolOptions,
  driverOptions,
  type RawOptions,
  readNumber,
  refuseIgnored,
  refuseOptions,
  refusePassword,
} from "../shared/options.ts";
import type { DriverFunction, DriverSql, ParsedOptions } from "./module.ts";

/** The option of dnspool that only this drop-in has. */
const POOL_TIMEOUT = "poolTimeout";

/** What a call of `postgres()` asks for. */
export interface GivenOptions {
  /** The connection string, if there is one. */
  readonly url: string | undefined;
  /** The driver's options and dnspool's. */
  readonly options: RawOptions;
}

/** Reads the arguments of `postgres()`, as the driver does. */
export function readArguments(first: unknown, second: unknown, defaults: RawOptions): GivenOptions {
  const url = typeof first === "string" && first !== "" ? first : undefined;
  const given = (!first || typeof first === "string" ? second : first) ?? {};
  if (typeof given !== "object") throw mustBe("options", "an object", given);
  return { url, options: { ...defaults, ...given } };
}

/**
 * Refuses options that cannot be used here.
 *
 * @param given What was given.
 * @throws {TypeError} for the first one.
 */
export function checkOptions({ url, options }: GivenOptions): void {
  refuseOptions(options, {
    socket: "it would bypass DNS, because it opens the socket itself",
    backoff: 'the pool reconnects by itself, see the option "connectRetry"',
    connectTimeout: 'use "connect_timeout" of postgres.js',
    idleTimeout: 'use "idle_timeout" of postgres.js',
    poolRecycle: 'use "max_lifetime" of postgres.js',
    poolSize: 'use "max" of postgres.js',
    maxOverflow: 'it is part of "max" of postgres.js',
    keepAlive: 'use "keep_alive" of postgres.js',
  });
  const obeyed = ["connect_timeout", "sslnegotiation", "target_session_attrs"];
  const inUri = [...obeyed, "application_name", "client_encoding", "options", "replication"];
  refusePassword(options, url);
  // The driver would make an array of that length.
  if (typeof options.max === "number") checkNumber("max", options.max, { min: 1, whole: true });
  const rootsOfSystem = url !== undefined && /[?&]sslrootcert=system(&|$)/.test(url);
  refuseIgnored(options, {
    own: [POOL_TIMEOUT],
    uri: url,
    obeyed: {
      asOption: obeyed,
      inUri: [...inUri, "sslmode", ...(rootsOfSystem ? ["sslrootcert"] : [])],
    },
    options: {
      connectTimeout: "connect_timeout",
      keepAlive: "keep_alive",
      tls: 'give "ssl", or sslmode in the connection string',
    },
  });
}

/**
 * Calls the driver's function with the options that are its own. It opens no connection before a statement.
 *
 * @param postgres The function.
 * @param given What was given.
 */
export function callDriver(postgres: DriverFunction, { url, options }: GivenOptions): DriverSql {
  const { [POOL_TIMEOUT]: _, ...own } = driverOptions(options);
  if (url === undefined) return postgres(own);
  try {
    return postgres(url, own);
  } catch (error) {
    // The driver's own error would show the password.
    if (!(error instanceof TypeError && /\bURL\b/.test(error.message))) throw error;
    const allowed = 'like "postgres://user@host:5432/database"';
    throw mustBeUndisclosed("url", allowed, "something else");
  }
}

/**
 * Returns the kind of the host.
 *
 * @param options The driver's options.
 */
export function kindOf({ path, host }: ParsedOptions): HostKind {
  return path ? "socket" : host.length > 1 ? "name" : hostKind(host[0]!);
}

/** Settings of a pool. */
export interface PostgresjsSettings {
  /** What the connections are opened to. */
  readonly url: DatabaseUrl;
  /** Options of the engine, without the adapter. */
  readonly engine: EngineOptions<never>;
  /** Maximum number of connections. */
  readonly max: number;
  /** Messages of the driver. */
  readonly messages: DriverMessages;
}

/**
 * Reads the settings of a pool.
 *
 * @param given What was given.
 * @param options The same as the driver has read it.
 * @throws {TypeError} if a value is of the wrong kind.
 * @throws {RangeError} if a number is outside its range.
 */
export function readSettings(given: GivenOptions, options: ParsedOptions): PostgresjsSettings {
  const max = readMax(options);
  const ours = dnsPoolOptions(given.options);
  const role = ours.targetSessionAttrs ?? options.target_session_attrs ?? "any";
  const connectTimeout = readNumber(options, "connect_timeout", "seconds") || Infinity;
  const wait = given.options[POOL_TIMEOUT] ??
    defaultTimeoutMs({ targetSessionAttrs: role }) / 1000;
  const poolTimeout = checkNumber(POOL_TIMEOUT, wait, { min: 0, infinite: true, unit: "seconds" });
  const connect = connectionError("CONNECT_TIMEOUT", options);
  return {
    url: readUrl(options, {
      hasPassword: ours.credentials === undefined,
      isService: ours.dnsSrv === true,
    }),
    max,
    messages: {
      connectTimeout: connect.message,
      connectTimeoutFields: connect,
      closed: connectionError("CONNECTION_ENDED", options).message,
    },
    engine: {
      // Without a timeout, a caller would never learn of the failure.
      connectRetry: poolTimeout < Infinity,
      ...ours,
      targetSessionAttrs: role as "any",
      poolSize: max,
      maxOverflow: 0,
      poolTimeout: poolTimeout > MAX_TIMEOUT ? Infinity : poolTimeout,
      connectTimeout: Math.min(connectTimeout, MAX_TIMEOUT),
      idleTimeout: readDuration(options, "idle_timeout"),
      poolRecycle: readDuration(options, "max_lifetime"),
      keepAlive: Boolean(options.keep_alive),
    },
  };
}

/** Reads a duration in seconds; the driver also takes a function that returns it. */
function readDuration(options: ParsedOptions, name: string): number {
  const { [name]: given } = options;
  const value = typeof given === "function" ? given() : given;
  return readNumber({ [name]: value }, name, "seconds") || Infinity;
}

function readMax(options: ParsedOptions): number {
  const max = readNumber(options, "max", "connections");
  return checkNumber("max", max ?? options.max, { min: 1, whole: true });
}

function readUrl(
  { host, port, user, database, pass }: ParsedOptions,
  { hasPassword, isService }: { readonly hasPassword: boolean; readonly isService: boolean },
): DatabaseUrl {
  return new DatabaseUrl({
    dialect: "postgresql",
    driver: "postgresjs",
    user: user as string,
    database: database as string,
    password: hasPassword && typeof pass === "string" ? pass : undefined,
    hosts: host.map((name, index) => ({
      host: name,
      port: isService ? undefined : Number(port[index] ?? port[0]),
    })),
  });
}

/** Makes an error as the driver makes them for a connection. */
export function connectionError(
  code: string,
  { host, port, path }: Pick<ParsedOptions, "host" | "port" | "path">,
): Error {
  const where = path || `${host}:${port}`;
  return Object.assign(new Error(`write ${code} ${where}`), {
    code,
    errno: code,
    address: path || host,
    ...(!path && { port }),
  });
}
