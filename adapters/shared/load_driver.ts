/**
 * Imports a driver when it is first needed. The specifiers are variables, so that no bundler or package manager takes a
 * driver for a dependency of this package.
 *
 * @module
 */

import { DriverUnavailableError } from "../../errors.ts";
import { asError } from "../../internal/thrown.ts";

/** How to find a driver. */
export interface DriverSource {
  /** Specifiers to import, in this order, until one exists. */
  readonly specifiers: readonly string[];
  /** The reason in the error if none exists, and how to install the driver. */
  readonly notFound: string;
}

/**
 * Imports the first specifier that exists.
 *
 * @param driver The driver's name in a database URL.
 * @param source Where to look for it.
 * @returns The module's default export, or the module if it has none.
 * @throws {DriverUnavailableError} if none can be imported. If a permission or an entry in deno.lock is missing, the
 *   message says so.
 */
export async function loadDriver<M>(
  driver: string,
  { specifiers, notFound }: DriverSource,
): Promise<M> {
  const errors: unknown[] = [];
  for (const specifier of specifiers) {
    try {
      const module = await import(specifier) as { default?: unknown };
      return (module.default ?? module) as M;
    } catch (error) {
      errors.push(error);
    }
  }
  const refused = errors.map(asError).find((error) => error && isRefused(error));
  const reason = refused?.message.split("\n", 1)[0] ?? notFound;
  throw new DriverUnavailableError(
    `Cannot load the driver "${driver}": ${reason}`,
    { driver, cause: refused ?? errors[0] },
  );
}

/**
 * Returns whether Deno says what is missing: a permission while the driver is loaded, or with `--frozen` the driver's
 * entry in deno.lock.
 */
function isRefused({ name, message }: Error): boolean {
  return name === "NotCapable" || message.startsWith("The lockfile is out of date");
}
