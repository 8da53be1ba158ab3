/**
 * Stand-in for `@std/assert` if JSR does not answer: the functions that the tests use, over `node:assert`. They are
 * stricter than the real ones, and their messages differ.
 *
 * @module
 */

import nodeAssert from "node:assert/strict";

type ErrorClass<E extends Error> = abstract new (...args: never[]) => E;

export function assert(expr: unknown, msg?: string): asserts expr {
  hold(expr, msg ?? "Expected a true value");
}

export function assertFalse(
  expr: unknown,
  msg?: string,
): asserts expr is false | 0 | 0n | "" | null | undefined {
  hold(!expr, msg ?? "Expected a false value");
}

export function fail(msg?: string): never {
  nodeAssert.fail(msg);
}

export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  withReason(msg, () => nodeAssert.deepStrictEqual(actual, expected));
}

export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  withReason(msg, () => nodeAssert.notDeepStrictEqual(actual, expected));
}

export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  withReason(msg, () => nodeAssert.strictEqual(actual, expected));
}

export function assertNotStrictEquals<T>(actual: T, expected: T, msg?: string): void {
  withReason(msg, () => nodeAssert.notStrictEqual(actual, expected));
}

export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance = Math.abs(expected * 1e-7),
  msg?: string,
): void {
  const delta = Math.abs(expected - actual);
  hold(delta <= tolerance, msg ?? `${actual} is not within ${tolerance} of ${expected}`);
}

export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  hold(actual > expected, msg ?? `Expected ${actual} > ${expected}`);
}

export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  hold(actual < expected, msg ?? `Expected ${actual} < ${expected}`);
}

export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void {
  hold(actual <= expected, msg ?? `Expected ${actual} <= ${expected}`);
}

export function assertStringIncludes(actual: string, expected: string, msg = ""): void {
  hold(actual.includes(expected), `Expected "${actual}" to contain "${expected}": ${msg}`);
}

export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  withReason(msg, () => nodeAssert.match(actual, expected));
}

export function assertInstanceOf<T>(
  actual: unknown,
  expected: abstract new (...args: never[]) => T,
  msg = "",
): asserts actual is T {
  hold(actual instanceof expected, `Expected ${actual} to be a ${expected.name}: ${msg}`);
}

/** Throws unless a condition holds. */
function hold(condition: unknown, message: string): asserts condition {
  if (!condition) throw new nodeAssert.AssertionError({ message });
}

/** Adds a message to that of a failed assertion. */
function withReason(msg: string | undefined, check: () => void): void {
  try {
    check();
  } catch (error) {
    if (msg !== undefined && error instanceof Error) error.message += `\n${msg}`;
    throw error;
  }
}

export function assertThrows(fn: () => unknown, msg?: string): unknown;
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows(fn: () => unknown, ...expected: Expected): unknown {
  try {
    fn();
  } catch (error) {
    return checkError(error, ...expected);
  }
  nodeAssert.fail(`Expected the function to throw ${expected}`);
}

export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  ...expected: Expected
): Promise<unknown> {
  const promise = fn(); // a function that throws did not reject
  try {
    await promise;
  } catch (error) {
    return checkError(error, ...expected);
  }
  nodeAssert.fail(`Expected the function to reject ${expected}`);
}

type Expected = [
  errorClassOrMsg?: ErrorClass<Error> | string,
  msgIncludes?: string,
  msg?: string,
];

/** Checks an error, and returns it. */
function checkError(error: unknown, ...[errorClass, msgIncludes = "", msg]: Expected): unknown {
  if (typeof errorClass !== "function") return error;
  assertInstanceOf(error, errorClass, msg);
  assertStringIncludes(error.message, msgIncludes, msg);
  return error;
}
