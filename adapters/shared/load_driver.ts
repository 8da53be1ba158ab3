/**
 * Imports a driver, by a specifier that no tool can see: a driver is nobody's dependency.
 *
 * @module
 */

import { DriverUnavailableError } from "../../errors.ts";

/**
 * Imports the first module that there is.
 *
 * @param driver The driver's name in a URL.
 * @param options `specifiers`, tried in turn; `otherwise`: what to say where none is there.
 * @returns Its default export, or the module where it has none.
 * @throws {DriverUnavailableError} where none can be imported, with the permission that one lacks to be.
 */
export async function loadDriver<M>(
  driver: string,
  { specifiers, otherwise }: { readonly specifiers: readonly string[]; readonly otherwise: string },
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
  // It is there, and may not do what it does when it is loaded (Deno): the error says what to allow.
  const denied = errors.find((error) => error instanceof Error && error.name === "NotCapable");
  const why = denied ? (denied as Error).message : otherwise;
  throw new DriverUnavailableError(`Cannot load the driver "${driver}": ${why}`, {
    driver,
    cause: denied ?? errors[0],
  });
}
