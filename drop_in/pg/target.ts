/**
 * What a client of `pg` connects to, as `pg` reads it from options, connection string, environment and defaults; and as
 * libpq does, for what `pg` cannot read.
 *
 * @module
 */

import { mustBe } from "../../internal/argument_error.ts";
import { process } from "../../internal/process.ts";
import { DatabaseUrl } from "../../engine/url.ts";
import { LIBPQ_OPTIONS, readUrlOptions } from "../../engine/url_options.ts";
import { type DriverForm, type HostList, readHostList, withHost } from "../shared/host_list.ts";
import { copyOptions, dnsPoolOptions, type RawOptions } from "../shared/options.ts";
import type { DnsPoolOptions } from "../shared/options.ts";
import { NO_CONNECTION, type PgInternalDriver } from "./module.ts";

const DEFAULT_PORT = 5432;

/** Returns how `pg` takes hosts. */
function form(): DriverForm {
  const port = Number(process.env.PGPORT);
  return {
    dialect: "postgresql",
    uriOption: "connectionString",
    optionsWin: false,
    defaultPort: Number.isInteger(port) && port > 0 ? port : DEFAULT_PORT,
  };
}

/** What a client connects to. */
export interface PgTarget {
  /** The host as `pg` reads it; of several, the first. */
  readonly host: string;
  readonly port: number;
  /** Several hosts, or a service; `undefined` for one host. */
  readonly list: HostList | undefined;
  readonly user: string | undefined;
  readonly database: string | undefined;
  /** The password; `undefined` if a function gives it. The environment's does not count beside such a function. */
  readonly password: string | undefined;
}

/**
 * Reads several hosts, or a service, which `pg` cannot read.
 *
 * @param given The client's options.
 * @param srv Whether the host of all clients is a service.
 * @returns `undefined` if there is one host.
 */
export function readList(given: RawOptions, srv: boolean = false): HostList | undefined {
  const { connectionString: uri, host, port, dnsSrv = srv } = given;
  const { PGHOST, PGPORT } = process.env;
  const own = uri ? {} : { host, port };
  return readHostList({
    uri: uri || undefined,
    host: own.host || PGHOST,
    port: own.port || PGPORT,
    srv: dnsSrv === true,
  }, form());
}

/**
 * Returns options for one host, as `pg` takes them.
 *
 * @param given The client's options.
 * @param place The host and its port.
 */
export function forHost(
  given: RawOptions,
  place: { readonly host: string; readonly port?: number | undefined },
): Record<string, unknown> {
  return withHost(given, place, form());
}

/**
 * Reads what a client connects to.
 *
 * @param Client The client's class.
 * @param given The client's options.
 * @throws {TypeError} if the class is not `pg`'s.
 */
export function readTarget(Client: PgInternalDriver["Client"], given: RawOptions): PgTarget {
  const connection = NO_CONNECTION;
  const list = readList(given);
  const options = list ? forHost(given, list.hosts[0]!) : copyOptions(given);
  const client = new Client({ ...options, connection });
  const { host, port, user, database, password } = client;
  if (client.connection !== connection || typeof host !== "string") {
    throw mustBe("Client", "the client class of pg, or a subclass of it (not pg-native's)", Client);
  }
  return {
    host,
    port,
    list,
    user: user ?? undefined,
    database: database ?? undefined,
    password: typeof password === "string" && given.credentials === undefined
      ? password
      : undefined,
  };
}

/** Parameters of libpq that are options of dnspool. */
export interface LibpqOptions {
  /** dnspool's options, with what the parameters say. */
  readonly options: DnsPoolOptions;
  /** Whether a parameter asks for a role. */
  readonly asksForRole: boolean;
  /** Timeout of a connect in milliseconds, if there is a parameter for it. */
  readonly connectTimeoutMs: number | undefined;
}

/**
 * Reads `target_session_attrs`, `load_balance_hosts` and `connect_timeout`, in the connection string or beside it: a
 * library that parses the connection string by itself gives its parameters as options.
 *
 * @param given The options of a client or a pool.
 * @param options dnspool's options, which count more.
 * @throws {TypeError} if a value is not valid, or contradicts dnspool's option.
 */
export function readLibpq(
  given: RawOptions,
  options: DnsPoolOptions = dnsPoolOptions(given),
): LibpqOptions {
  const { connectionString: uri } = given;
  const query = typeof uri === "string" && uri.includes("?") ? uri.slice(uri.indexOf("?")) : "";
  const inUri = new URLSearchParams(query.replace(/#.*/s, ""));
  const params: Record<string, string | string[]> = {};
  for (const name of LIBPQ_OPTIONS) {
    const own = given[name] === undefined || given[name] === null ? [] : [String(given[name])];
    const values = inUri.has(name) ? inUri.getAll(name) : own;
    if (values.length > 0) params[name] = values.length > 1 ? values : values[0]!;
  }
  const url = new DatabaseUrl({ dialect: "postgresql", params });
  const { connectTimeout, ...read } = readUrlOptions(url, options);
  return {
    options: read,
    asksForRole: (params.target_session_attrs ?? "any") !== "any",
    connectTimeoutMs: connectTimeout === undefined ? undefined : connectTimeout * 1000,
  };
}
