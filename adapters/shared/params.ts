/**
 * What a URL says on its way to a driver: who logs in; parameters that the driver knows, in the type it wants, and a
 * clear error for the others.
 *
 * @module
 */

import type { Destination } from "../adapter.ts";

/** The URL parameters about TLS, as in libpq; the last three are paths of PEM files. */
export const TLS_PARAMS: readonly string[] = ["sslmode", "sslrootcert", "sslcert", "sslkey"];

/** What a driver wants a parameter to be. */
export type ParamKind = "text" | "number" | "boolean";

const BOOLEANS: Readonly<Record<string, boolean>> = { true: true, 1: true, false: false, 0: false };

/**
 * Reads the URL's parameters, but for those about TLS.
 *
 * @param params As they stand in the URL.
 * @param driver Whose they are: its name, and the parameters that it knows.
 * @returns The driver's settings.
 * @throws {TypeError} for a parameter that the driver would ignore, that stands there twice or has another type.
 */
export function readParams(
  params: Destination["params"],
  driver: { readonly name: string; readonly known: Readonly<Record<string, ParamKind>> },
): Record<string, string | number | boolean> {
  const settings: Record<string, string | number | boolean> = {};
  for (const name of Object.keys(params)) {
    if (TLS_PARAMS.includes(name)) continue;
    if (!Object.hasOwn(driver.known, name)) {
      const known = [...Object.keys(driver.known), ...TLS_PARAMS].sort().join(", ");
      throw new TypeError(
        `Cannot use the URL parameter "${name}": ${driver.name} would ignore it; those it knows are ${known}, others go into "connectArgs"`,
      );
    }
    settings[name] = typed(name, only(params, name)!, driver.known[name]!);
  }
  return settings;
}

/**
 * The one value of a parameter.
 *
 * @param params As they stand in the URL.
 * @param name The parameter's name.
 * @returns The value; `undefined` where the parameter is missing.
 * @throws {TypeError} where it stands there several times.
 */
export function only(params: Destination["params"], name: string): string | undefined {
  const value = Object.hasOwn(params, name) ? params[name] : undefined;
  if (value === undefined || typeof value === "string") return value;
  throw new TypeError(
    `Cannot use the URL parameter "${name}": it stands there ${value.length} times`,
  );
}

/** User, password and database, where there are any: to a driver, `undefined` may be a value. */
export function loginOf(
  { user, password, database }: Destination,
): { user?: string; password?: string; database?: string } {
  return {
    ...(user !== undefined && { user }),
    ...(password !== undefined && { password }),
    ...(database !== undefined && { database }),
  };
}

function typed(name: string, text: string, kind: ParamKind): string | number | boolean {
  if (kind === "text") return text;
  const value = kind === "number" ? readNumber(text) : BOOLEANS[text];
  if (value !== undefined) return value;
  throw new TypeError(
    `Cannot use ${JSON.stringify(text)} for the URL parameter "${name}": it is ${
      kind === "number" ? "a number from 0" : '"true" or "false"'
    }`,
  );
}

function readNumber(text: string): number | undefined {
  return /^\d+$/.test(text) ? Number(text) : undefined;
}
