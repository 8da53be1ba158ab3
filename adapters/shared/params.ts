/**
 * Reads the driver's settings from a destination: the login, URL parameters in the type that the driver expects, and
 * arguments in `connectArgs` that are refused.
 *
 * @module
 */

import {
  mustBe,
  mustBeUndisclosed,
  mustNotBeGiven,
  unknownName,
} from "../../internal/argument_error.ts";
import type { Destination, Target } from "../adapter.ts";
import { refuseLibpq } from "./libpq.ts";

/** The URL parameters for TLS, as in libpq; the last three are paths of PEM files. */
export const TLS_PARAMS: readonly string[] = ["sslmode", "sslrootcert", "sslcert", "sslkey"];

/** The type that a driver expects of a URL parameter. */
export type ParamType = "string" | "number" | "boolean";

/** The URL parameters that a driver takes, each with its type. */
export type ParamTypes = Readonly<Record<string, ParamType>>;

const BOOLEANS: Readonly<Record<string, boolean>> = { true: true, 1: true, false: false, 0: false };

/** Names a URL parameter in an error. */
export function paramName(name: string): string {
  return `${name} of the database URL`;
}

/** Names an argument in `connectArgs` in an error. */
export function argName(name: string): string {
  return `connectArgs.${name}`;
}

/**
 * Reads the URL's parameters except those for TLS.
 *
 * @param params The parameters in the URL.
 * @param driver The driver's name.
 * @param types The parameters that the driver takes.
 * @returns The driver's settings.
 * @throws {TypeError} for a parameter that the driver would ignore, that is given twice or that has another type.
 */
export function readParams(
  params: Destination["params"],
  driver: string,
  types: ParamTypes,
): Record<string, string | number | boolean> {
  const settings: Record<string, string | number | boolean> = {};
  const obeyed = [...Object.keys(types), ...TLS_PARAMS];
  refuseLibpq(Object.keys(params), { obeyed, nameOf: paramName });
  for (const name of Object.keys(params)) {
    if (TLS_PARAMS.includes(name)) continue;
    if (!Object.hasOwn(types, name)) {
      const known = obeyed.toSorted();
      const what = `a URL parameter of the driver ${driver} (others go into "connectArgs")`;
      throw unknownName(name, what, known);
    }
    settings[name] = convert(name, singleParam(params, name)!, types[name]!);
  }
  return settings;
}

/**
 * Reads the value of one parameter.
 *
 * @param params The parameters in the URL.
 * @param name The parameter's name.
 * @returns The value; `undefined` if the parameter is not given.
 * @throws {TypeError} if it is given several times.
 */
export function singleParam(params: Destination["params"], name: string): string | undefined {
  const value = Object.hasOwn(params, name) ? params[name] : undefined;
  if (value === undefined || typeof value === "string") return value;
  throw mustBeUndisclosed(paramName(name), "given once", `${value.length} values`);
}

/** Returns user, password and database without those that are `undefined`: to a driver, that may be a value. */
export function loginOf(
  { user, password, database }: Destination,
): { user?: string; password?: string; database?: string } {
  return {
    ...(user !== undefined && { user }),
    ...(password !== undefined && { password }),
    ...(database !== undefined && { database }),
  };
}

/**
 * Makes the function that opens another connection to a target's server. It keeps no password that may expire.
 *
 * @param target The target of the first connection.
 * @param open Opens a connection.
 */
export function reopener<C>(
  target: Target,
  open: (target: Target) => Promise<C>,
): (signal: AbortSignal) => Promise<C> {
  const { again } = target;
  return again ? (signal) => again(signal, open) : (signal) => open({ ...target, signal });
}

/**
 * Hides a password that was given for one login from those who print the driver's object, which needs it. It becomes a
 * getter, because Bun prints properties that are not enumerable too.
 *
 * @param holder The object, if the driver has it where it is expected.
 */
export function hidePassword(holder: { password?: string | undefined } | undefined): void {
  let password = holder?.password;
  if (password === undefined) return;
  Object.defineProperty(holder, "password", {
    get: () => password,
    set: (next: string | undefined) => void (password = next),
    enumerable: false,
    configurable: true,
  });
}

/**
 * Refuses a password that is no string: drivers fail at it late, and one in a way that ends the process and shows it.
 *
 * @param destination The destination with the `connectArgs`.
 * @param options `functions`: whether the driver takes a function that returns the password. Default: no.
 * @throws {TypeError} for another type; the message does not show the password.
 */
export function checkPasswords(
  { connectArgs }: Destination,
  { functions = false }: { readonly functions?: boolean } = {},
): void {
  for (const name of ["password", "pass", "password1", "password2", "password3"]) {
    const value = connectArgs[name];
    if (value === undefined || value === null || typeof value === "string") continue;
    if (functions && typeof value === "function") continue;
    const allowed = functions ? "a string or a function" : "a string";
    throw mustBeUndisclosed(argName(name), allowed, `a value of type ${typeof value}`);
  }
}

/**
 * Refuses arguments that would work against the pool.
 *
 * @param destination The destination with the `connectArgs`.
 * @param reasons The refused arguments, each with the reason.
 * @throws {TypeError} for the first one that is given.
 */
export function refuseArgs(
  { connectArgs }: Destination,
  reasons: Readonly<Record<string, string>>,
): void {
  for (const [name, reason] of Object.entries(reasons)) {
    if (name in connectArgs) throw mustNotBeGiven(argName(name), reason);
  }
}

/**
 * Refuses arguments with the names of libpq's parameters: a driver takes most of them without a word and ignores them.
 *
 * @param destination The destination with the `connectArgs`.
 * @param obeyed The parameters that the driver obeys if they are in `connectArgs`.
 * @throws {TypeError} for the first one that would be ignored.
 */
export function refuseLibpqArgs(
  { connectArgs }: Destination,
  obeyed: readonly string[] = [],
): void {
  refuseLibpq(Object.keys(connectArgs), { obeyed, nameOf: argName });
}

function convert(name: string, text: string, type: ParamType): string | number | boolean {
  switch (type) {
    case "string":
      return text;
    case "number":
      if (/^\d+$/.test(text)) return Number(text);
      throw mustBe(paramName(name), "a whole number of at least 0", text);
    case "boolean": {
      const value = BOOLEANS[text];
      if (value !== undefined) return value;
      throw mustBe(paramName(name), '"true" or "false"', text);
    }
  }
}
