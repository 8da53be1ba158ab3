/**
 * What an adapter is told about the database: the parts of the URL, and the options that concern its connections.
 *
 * @module
 */

import { mustBe, mustBeUndisclosed, mustNotBeGiven } from "../internal/argument_error.ts";
import { canonicalHost, isSocketPath } from "../internal/host_name.ts";
import { hostPort } from "../internal/ip.ts";
import { isSecretName, Secrets } from "../internal/redact.ts";
import type { Adapter, Destination } from "../adapters/adapter.ts";
import type { EngineSettings } from "./options.ts";
import type { DatabaseUrl } from "./url.ts";
import { checkService, isPort, PORT_RULE } from "./url_hosts.ts";
import { driverParams } from "./url_options.ts";

/**
 * Joins the URL with the options that concern each connection.
 *
 * @param url The database URL.
 * @param host The host.
 * @param settings The engine's options.
 */
export function destinationOf<C>(
  url: DatabaseUrl,
  { host, port }: EngineHost,
  settings: EngineSettings<C>,
): Destination {
  const { user, password, database } = url;
  const { connectArgs, keepAlive } = settings;
  return {
    host,
    port,
    user,
    password,
    database,
    params: driverParams(url),
    connectArgs,
    keepAlive,
  };
}

/** Functions in `connectArgs` that give a password, in drivers that take one. */
const PASSWORD_NAMES = ["password", "pass"];

/**
 * Finds the secrets of a destination. A password that a function gives is added when it is given.
 *
 * @param destination What the adapter would be told.
 * @returns The secrets; and the destination, whose functions add what they give.
 */
export function withSecrets(
  destination: Destination,
): { readonly secrets: Secrets; readonly destination: Destination } {
  const { password, params, connectArgs } = destination;
  const { passphrase, key, pfx } = (connectArgs.ssl ?? {}) as Record<string, unknown>;
  const named = (all: object) =>
    Object.entries(all).filter(([name]) => isSecretName(name)).map(([, value]) => value);
  const secrets = new Secrets([
    password,
    ...named(params),
    ...named(connectArgs),
    passphrase,
    key,
    pfx,
  ]);
  const wrapped = PASSWORD_NAMES.filter((name) => typeof connectArgs[name] === "function")
    .map((name) => [name, noting(connectArgs[name] as PasswordFunction, secrets)]);
  return {
    secrets,
    destination: wrapped.length === 0
      ? destination
      : { ...destination, connectArgs: { ...connectArgs, ...Object.fromEntries(wrapped) } },
  };
}

type PasswordFunction = (...args: unknown[]) => unknown;

/** Wraps a function that gives a password: what it gives is a secret, and must be a string. */
function noting(give: PasswordFunction, secrets: Secrets): PasswordFunction {
  return async (...args) => {
    const password = await give(...args);
    secrets.addPassing(password);
    if (typeof password === "string") return password;
    const found = `a value of type ${typeof password}`;
    throw mustBeUndisclosed("password that connectArgs.password returns", "a string", found);
  };
}

/** Returns the port of a host: the one in `connectArgs`, which overrides the URL's, or else the default. */
function portOf<C>(
  port: number | undefined,
  { defaultPort, local }: Adapter<C>,
  { connectArgs }: EngineSettings<C>,
): number {
  const given = connectArgs.port;
  if (local || given === undefined) return port ?? defaultPort;
  const number = typeof given === "string" && /^\d+$/.test(given) ? Number(given) : given;
  if (typeof number === "number" && isPort(number)) return number;
  throw mustBe("connectArgs.port", PORT_RULE, given);
}

/** A host of an engine. */
export interface EngineHost {
  /** The host as it is spelled in the URL: a trailing dot means something to DNS. */
  readonly name: string;
  /** The host in its canonical form. For an adapter without a network it is the database. */
  readonly host: string;
  /** TCP port. */
  readonly port: number;
  /** The path of the Unix socket, if the host is one. */
  readonly socket?: string | undefined;
}

/**
 * Returns the hosts of an engine.
 *
 * @param url The database URL.
 * @param adapter The adapter, for its default port.
 * @param settings The engine's options.
 * @throws {TypeError} if the port in `connectArgs` is not a port, or there are several hosts beside it.
 */
export function hostsOf<C>(
  url: DatabaseUrl,
  adapter: Adapter<C>,
  settings: EngineSettings<C>,
): readonly EngineHost[] {
  if (adapter.local) {
    const name = url.database ?? ":memory:";
    return [{ name, host: name, port: portOf(url.port, adapter, settings) }];
  }
  const { port: given } = settings.connectArgs;
  if (isService(url, settings)) {
    checkService(url);
    if (given !== undefined) {
      throw mustNotBeGiven("connectArgs.port", "the ports are in the SRV records");
    }
  } else if (url.hosts.length > 1 && given !== undefined) {
    const reason = "the database URL has several hosts, put the ports there";
    throw mustNotBeGiven("connectArgs.port", reason);
  }
  return url.hosts.map(({ host, port: given }) => {
    const port = portOf(given, adapter, settings);
    if (!isSocketPath(host)) return { name: host, host: canonicalHost(host), port };
    return { name: host, host, port, socket: socketOf(host, port, adapter) };
  });
}

/** Returns the path of a Unix socket. */
function socketOf<C>(host: string, port: number, adapter: Adapter<C>): string {
  const path = adapter.socketPath?.(host, port);
  if (path !== undefined) return path;
  const name = `host ${JSON.stringify(host)} of the database URL`;
  throw mustNotBeGiven(name, `the adapter "${adapter.name}" has no Unix sockets`);
}

/**
 * Returns whether the host of a URL is a service with SRV records.
 *
 * @throws {TypeError} if the option and the URL contradict each other.
 */
export function isService<C>({ srv }: DatabaseUrl, { srv: given }: EngineSettings<C>): boolean {
  if (srv && given === false) {
    const allowed = 'true beside a database URL whose scheme ends with "+srv"';
    throw mustBe("dnsSrv", allowed, given);
  }
  return srv || given === true;
}

/** Names the hosts of a URL in messages. */
export function displayHosts(url: DatabaseUrl, hosts: readonly EngineHost[]): string {
  if (hosts.length === 1) return hosts[0]!.host;
  return url.hosts.map(({ host, port }) => hostPort(canonicalHost(host), port)).join(",");
}
