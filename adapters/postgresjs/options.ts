/**
 * Reads the options of `postgres()` from the URL and from `connectArgs`.
 *
 * @module
 */

import { mustBe, mustNotBeGiven, oneOf } from "../../internal/argument_error.ts";
import { process } from "../../internal/process.ts";
import type { Destination } from "../adapter.ts";
import {
  type ParamTypes,
  readParams,
  refuseArgs,
  refuseLibpqArgs,
  singleParam,
} from "../shared/params.ts";
import { SESSION_PARAMS } from "../shared/postgres.ts";
import type { PostgresjsOptions } from "./driver.ts";

const PARAMS: ParamTypes = {
  ...SESSION_PARAMS,
  fetch_types: "boolean",
  prepare: "boolean",
  sslnegotiation: "string",
};

/** Options of the driver that would work against the pool or DNS, and what to use instead. */
const REFUSED: Readonly<Record<string, string>> = {
  backoff: 'the pool reconnects, see the option "connectRetry"',
  idle_timeout: 'use the option "idleTimeout"',
  keep_alive: 'use the option "keepAlive"',
  max: 'each client is one connection, use the option "poolSize"',
  max_lifetime: 'use the option "poolRecycle"',
  path: "the address comes from DNS",
  socket: "the address comes from DNS",
  timeout: 'use the option "idleTimeout"',
};

/** Other names that the driver accepts for an option. */
const ALIASES: Readonly<Record<string, string>> = {
  db: "database",
  password: "pass",
  username: "user",
};

/** Options of the driver, with its own defaults, that it would take from the environment (`PGPREPARE`) otherwise. */
const NOT_FROM_ENVIRONMENT = {
  debug: false,
  fetch_types: true,
  max_pipeline: 100,
  prepare: true,
  publications: "alltables",
  sslnegotiation: null,
};

/**
 * Refuses libpq's variable for the role of the server. The driver obeys it by itself, closes each connection to a server
 * of another role without a word, and fails at some of libpq's values.
 *
 * @throws {TypeError} if it is set.
 */
export function refuseEnvironment(): void {
  if (!process.env.PGTARGETSESSIONATTRS) return;
  throw mustNotBeGiven(
    "PGTARGETSESSIONATTRS of the environment",
    'the driver would obey it, use the option "targetSessionAttrs"',
  );
}

/**
 * Reads the options, except the address, and TLS, whose files are not read yet.
 *
 * @param destination What the URL and `connectArgs` say.
 * @returns The options.
 * @throws {TypeError} for a URL parameter or an argument that is not allowed.
 */
export function readOptions(
  destination: Destination,
): Omit<PostgresjsOptions, "host" | "socket" | "onnotify"> {
  const { user, password, database, params, connectArgs, port } = destination;
  refuseArgs(destination, REFUSED);
  refuseLibpqArgs(destination, ["sslnegotiation"]);
  const { prepare, fetch_types, sslnegotiation: _, ...session } = readParams(
    params,
    "postgresjs",
    PARAMS,
  );
  const { ssl: _ssl, sslnegotiation: _direct, connection, ...args } = connectArgs;
  return {
    ...NOT_FROM_ENVIRONMENT,
    ...(user !== undefined && { user }),
    ...(password !== undefined && { pass: password }),
    ...(database !== undefined && { database }),
    ...(prepare !== undefined && { prepare }),
    ...(fetch_types !== undefined && { fetch_types }),
    onnotice: () => {},
    ...Object.fromEntries(Object.entries(args).map(([name, arg]) => [ALIASES[name] ?? name, arg])),
    port,
    connection: {
      ...sessionSettings(session),
      ...(connection as Record<string, string> | undefined),
    },
    max: 1,
    ssl: false,
    idle_timeout: undefined,
    max_lifetime: null,
    connect_timeout: 0,
    backoff: false,
    keep_alive: null,
  };
}

/** Returns the settings of the session as strings: the driver leaves out a setting that is the number 0. */
function sessionSettings(
  { fallback_application_name, ...session }: Readonly<Record<string, unknown>>,
): Record<string, string> {
  const all = {
    ...(fallback_application_name !== undefined && { application_name: fallback_application_name }),
    ...session,
  };
  return Object.fromEntries(Object.entries(all).map(([name, value]) => [name, String(value)]));
}

/** Calls a password function before the driver would: the driver does not pass on its error. */
export async function resolvePassword<O extends { pass?: unknown }>(options: O): Promise<O> {
  return typeof options.pass === "function" ? { ...options, pass: await options.pass() } : options;
}

/**
 * Returns whether TLS starts without a request (`sslnegotiation=direct`).
 *
 * @param destination What the URL and `connectArgs` say.
 * @throws {TypeError} for another value than `postgres` and `direct`.
 */
export function usesDirectTls({ params, connectArgs }: Destination): boolean {
  const value = connectArgs.sslnegotiation ?? singleParam(params, "sslnegotiation");
  if (value === undefined || value === null || value === "postgres") return false;
  if (value === "direct") return true;
  throw mustBe("sslnegotiation", oneOf(["postgres", "direct"]), value);
}
