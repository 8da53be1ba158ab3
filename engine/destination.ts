/**
 * What an adapter is told about the database: the parts of the URL, and the options that concern its connections.
 *
 * @module
 */

import { mustBe, mustBeUndisclosed } from "../internal/argument_error.ts";
import { canonicalHost } from "../internal/host_name.ts";
import { isSecretName, Secrets } from "../internal/redact.ts";
import type { Adapter, Destination } from "../adapters/adapter.ts";
import type { EngineSettings } from "./options.ts";
import { type DatabaseUrl, isPort, PORT_RULE } from "./url.ts";

/**
 * Joins the URL with the options that concern each connection.
 *
 * @param url The database URL.
 * @param adapter The adapter, for its default port.
 * @param settings The engine's options.
 * @throws {TypeError} if the port in `connectArgs` is not a port.
 */
export function destinationOf<C>(
  url: DatabaseUrl,
  adapter: Adapter<C>,
  settings: EngineSettings<C>,
): Destination {
  const { user, password, database, params } = url;
  const { connectArgs, keepAlive } = settings;
  return {
    host: hostOf(url, adapter),
    port: portOf(url, adapter, settings),
    user,
    password,
    database,
    params,
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
    secrets.add(password);
    if (typeof password === "string") return password;
    const found = `a value of type ${typeof password}`;
    throw mustBeUndisclosed("password that connectArgs.password returns", "a string", found);
  };
}

/** Returns the port: the one in `connectArgs`, which overrides the URL's, or else the default. */
function portOf<C>(
  { port }: DatabaseUrl,
  { defaultPort, local }: Adapter<C>,
  { connectArgs }: EngineSettings<C>,
): number {
  const given = connectArgs.port;
  if (local || given === undefined) return port ?? defaultPort;
  const number = typeof given === "string" && /^\d+$/.test(given) ? Number(given) : given;
  if (typeof number === "number" && isPort(number)) return number;
  throw mustBe("connectArgs.port", PORT_RULE, given);
}

/** Returns the host in its canonical form. For an adapter without a network it is the database. */
function hostOf<C>(url: DatabaseUrl, adapter: Adapter<C>): string {
  return adapter.local ? url.database ?? ":memory:" : canonicalHost(url.host!);
}
