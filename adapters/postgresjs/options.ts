/**
 * What postgres.js is asked for: its options, from the URL and from `connectArgs`.
 *
 * @module
 */

import { only, type ParamKind, readParams } from "../shared/params.ts";
import { SESSION_PARAMS } from "../shared/postgres.ts";
import type { Destination } from "../adapter.ts";
import type { PostgresjsOptions } from "./driver.ts";

const PARAMS: Readonly<Record<string, ParamKind>> = {
  ...SESSION_PARAMS,
  fetch_types: "boolean",
  prepare: "boolean",
  sslnegotiation: "text",
};

/** Options of the driver that would defeat the pool, or DNS, and what to use in their place. */
const REFUSED: Readonly<Record<string, string>> = {
  backoff: 'the pool dials, see the option "connectRetry"',
  connect_timeout: 'use the option "connectTimeout"',
  idle_timeout: 'use the option "idleTimeout"',
  keep_alive: 'use the option "keepAlive"',
  max: 'each client is one connection, use the option "poolSize"',
  max_lifetime: 'use the option "poolRecycle"',
  path: "the address comes from DNS",
  socket: "the address comes from DNS",
  target_session_attrs: 'use the option "targetSessionAttrs"',
  timeout: 'use the option "idleTimeout"',
};

/** Other names that the driver has for an option. */
const ALIASES: Readonly<Record<string, string>> = {
  db: "database",
  password: "pass",
  username: "user",
};

/**
 * Everything but TLS, whose files are still to be read, and the address.
 *
 * @param destination What the URL and `connectArgs` say.
 * @returns The options.
 * @throws {TypeError} for what cannot be meant.
 */
export function configure(
  { user, password, database, params, connectArgs, port }: Destination,
): Omit<PostgresjsOptions, "host" | "socket"> {
  for (const [name, instead] of Object.entries(REFUSED)) {
    if (!(name in connectArgs)) continue;
    throw new TypeError(`Cannot use "${name}" in "connectArgs": ${instead}`);
  }
  const { prepare, fetch_types, sslnegotiation: _, ...session } = readParams(params, {
    name: "postgresjs",
    known: PARAMS,
  });
  const { ssl: _ssl, sslnegotiation: _direct, connection, ...args } = connectArgs;
  return {
    ...(user !== undefined && { user }),
    ...(password !== undefined && { pass: password }),
    ...(database !== undefined && { database }),
    ...(prepare !== undefined && { prepare }),
    ...(fetch_types !== undefined && { fetch_types }),
    onnotice: () => {},
    port,
    ...Object.fromEntries(Object.entries(args).map(([name, arg]) => [ALIASES[name] ?? name, arg])),
    connection: { ...sessionOf(session), ...(connection as Record<string, string> | undefined) },
    max: 1,
    ssl: false,
    idle_timeout: undefined,
    max_lifetime: null,
    connect_timeout: 0,
    backoff: false,
    keep_alive: null,
  };
}

/** As text: the driver leaves out a setting that is the number 0. */
function sessionOf(
  { fallback_application_name, ...session }: Readonly<Record<string, unknown>>,
): Record<string, string> {
  const all = {
    ...(fallback_application_name !== undefined && { application_name: fallback_application_name }),
    ...session,
  };
  return Object.fromEntries(Object.entries(all).map(([name, value]) => [name, String(value)]));
}

/** A password that is asked for at each connect: a refusal is nothing that the driver could pass on. */
export async function withPassword<O extends { pass?: unknown }>(options: O): Promise<O> {
  return typeof options.pass === "function" ? { ...options, pass: await options.pass() } : options;
}

/** Whether TLS is to begin without a question. */
export function isDirect({ params, connectArgs }: Destination): boolean {
  const how = connectArgs.sslnegotiation ?? only(params, "sslnegotiation");
  if (how === undefined || how === null || how === "postgres") return false;
  if (how === "direct") return true;
  throw new TypeError(`Cannot use sslnegotiation=${how}: it is one of postgres, direct`);
}
