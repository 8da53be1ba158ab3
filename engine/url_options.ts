/**
 * Reads the URL parameters of libpq that are options of the engine, and not of its driver.
 *
 * @module
 */

import { mustBeUndisclosed, mustNotBeGiven, oneOf } from "../internal/argument_error.ts";
import { WANTED_ROLES } from "../pool/connection/server_role.ts";
import type { EngineOptions } from "./options.ts";
import type { DatabaseUrl } from "./url.ts";

const LOAD_BALANCE = { disable: "ordered", random: "random" } as const;
const MAX_CONNECT_TIMEOUT = 3600;

/** The parameters that are options of the engine. */
export const LIBPQ_OPTIONS: readonly string[] = [
  "target_session_attrs",
  "load_balance_hosts",
  "connect_timeout",
];

/**
 * Reads `target_session_attrs`, `load_balance_hosts` and `connect_timeout` of a PostgreSQL URL (PostgreSQL, chapter
 * "libpq", "Parameter Key Words"). An option that the caller gives counts more; the session's attributes must be the
 * same.
 *
 * @param url The database URL.
 * @param given The caller's options.
 * @returns The options of both.
 * @throws {TypeError} if a value is not valid, or the attributes contradict the option.
 */
export function readUrlOptions<C>(
  url: DatabaseUrl,
  given: EngineOptions<C> = {},
): EngineOptions<C> {
  if (url.dialect !== "postgresql") return given;
  const { target_session_attrs, load_balance_hosts, connect_timeout } = url.params;
  const options: EngineOptions<C> = { ...given };
  if (target_session_attrs !== undefined) {
    const wanted = oneOfParam("target_session_attrs", target_session_attrs, WANTED_ROLES);
    if (wanted !== (given.targetSessionAttrs ?? wanted)) {
      throw mustNotBeGiven(
        "targetSessionAttrs",
        `the database URL has target_session_attrs=${wanted}`,
      );
    }
    options.targetSessionAttrs = wanted;
  }
  if (load_balance_hosts !== undefined) {
    const names = ["disable", "random"] as const;
    const how = LOAD_BALANCE[oneOfParam("load_balance_hosts", load_balance_hosts, names)];
    options.loadBalance = given.loadBalance ?? how;
  }
  if (connect_timeout !== undefined) {
    options.connectTimeout = given.connectTimeout ?? readConnectTimeout(connect_timeout);
  }
  return options;
}

/** Returns the parameters of a URL that are for the driver. */
export function driverParams({ dialect, params }: DatabaseUrl): DatabaseUrl["params"] {
  if (dialect !== "postgresql") return params;
  return Object.fromEntries(
    Object.entries(params).filter(([name]) => !LIBPQ_OPTIONS.includes(name)),
  );
}

function oneOfParam<T extends string>(
  name: string,
  value: string | readonly string[],
  allowed: readonly T[],
): T {
  const found = allowed.find((each) => each === value);
  if (found !== undefined) return found;
  throw mustBeUndisclosed(paramName(name), oneOf([...allowed]), shown(value));
}

function readConnectTimeout(value: string | readonly string[]): number {
  const seconds = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : NaN;
  if (seconds >= 1 && seconds <= MAX_CONNECT_TIMEOUT) return seconds;
  const allowed = `a whole number of seconds from 1 to ${MAX_CONNECT_TIMEOUT}`;
  throw mustBeUndisclosed(paramName("connect_timeout"), allowed, shown(value));
}

function paramName(name: string): string {
  return `${name} of the database URL`;
}

function shown(value: string | readonly string[]): string {
  return typeof value === "string" ? JSON.stringify(value) : `${value.length} values`;
}
