/**
 * What adapters read in the errors of their drivers. The properties are read whatever the error's class, because an
 * error may come from another realm, as in Jest, and then is no `instanceof Error`.
 *
 * @module
 */

/** The properties by which drivers tell their errors apart. */
export interface DriverError {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly errno?: unknown;
  readonly cause?: unknown;
}

/** Views any value as a driver's error; of a value that is none, the properties are `undefined`. */
export function asDriverError(error: unknown): DriverError {
  return (error ?? {}) as DriverError;
}

/** Returns whether a value is a string that matches a pattern. */
export function matches(pattern: RegExp, value: unknown): boolean {
  return typeof value === "string" && pattern.test(value);
}

/** Makes the error for a connection that was closed without a reason. */
export function connectionClosed(code: string): Error {
  return Object.assign(new Error("The connection was closed"), { code });
}
