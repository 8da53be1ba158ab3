/**
 * Stand-in for `@std/assert` where JSR does not answer: the functions that the tests use, with the same names, rules
 * and errors. Messages are close to the real ones, not equal.
 *
 * @module
 */

import nodeAssert from "node:assert/strict";
import { inspect, stripVTControlCharacters } from "node:util";
import { equal } from "./equal.ts";

export { equal };

type ErrorConstructorOf<E extends Error> = abstract new (...args: never[]) => E;
type Falsy = false | 0 | 0n | "" | null | undefined;

/** What every function here throws when its expectation does not hold. */
export class AssertionError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AssertionError";
  }
}

function refuse(text: string, msg: string | undefined): never {
  throw new AssertionError(`${text}${msg ? `: ${msg}` : "."}`);
}

/** The difference as `node:assert` draws it; where its rules see none, both values. */
function difference(actual: unknown, expected: unknown): string {
  try {
    nodeAssert.deepStrictEqual(actual, expected);
  } catch (error) {
    if (error instanceof Error) return error.message;
  }
  return `${inspect(actual)}\n${inspect(expected)}`;
}

export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

export function assertFalse(expr: unknown, msg = ""): asserts expr is Falsy {
  if (expr) throw new AssertionError(msg);
}

export function fail(msg?: string): never {
  refuse("Failed assertion", msg);
}

export function unreachable(msg?: string): never {
  refuse("Unreachable", msg);
}

export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  if (actual == null) refuse(`Expected actual: "${actual}" to not be null or undefined`, msg);
}

export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  if (equal(actual, expected)) return;
  refuse(`Values are not equal\n${difference(actual, expected)}\n`, msg);
}

export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!equal(actual, expected)) return;
  refuse(`Expected actual: ${inspect(actual)} not to be: ${inspect(expected)}`, msg);
}

export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  if (Object.is(actual, expected)) return;
  refuse(`Values are not strictly equal\n${difference(actual, expected)}\n`, msg);
}

export function assertNotStrictEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!Object.is(actual, expected)) return;
  refuse(`Expected "actual" to not be strictly equal to: ${inspect(actual)}`, msg);
}

export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance?: number,
  msg?: string,
): void {
  if (Object.is(actual, expected)) return;
  const allowed = tolerance ?? (Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7);
  const delta = Math.abs(expected - actual);
  if (delta <= allowed) return;
  refuse(`Expected actual: "${actual}" to be within ${allowed} of "${expected}": is ${delta}`, msg);
}

function compared(holds: boolean, text: string, msg: string | undefined): void {
  if (!holds) throw new AssertionError(msg ?? `Expect ${text}`);
}

export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  compared(actual > expected, `${inspect(actual)} > ${inspect(expected)}`, msg);
}

export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void {
  compared(actual >= expected, `${inspect(actual)} >= ${inspect(expected)}`, msg);
}

export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  compared(actual < expected, `${inspect(actual)} < ${inspect(expected)}`, msg);
}

export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void {
  compared(actual <= expected, `${inspect(actual)} <= ${inspect(expected)}`, msg);
}

export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  if (!actual.includes(expected)) {
    refuse(`Expected actual: "${actual}" to contain: "${expected}"`, msg);
  }
}

export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  if (!expected.test(actual)) refuse(`Expected actual: "${actual}" to match: "${expected}"`, msg);
}

export function assertNotMatch(actual: string, expected: RegExp, msg?: string): void {
  if (expected.test(actual)) {
    refuse(`Expected actual: "${actual}" to not match: "${expected}"`, msg);
  }
}

export function assertArrayIncludes<T>(
  actual: ArrayLike<T> & object,
  expected: ArrayLike<T> & object,
  msg?: string,
): void {
  const items = Array.from(actual);
  const missing = Array.from(expected).filter((wanted) => !items.some((it) => equal(it, wanted)));
  if (missing.length === 0) return;
  refuse(
    `Expected actual: "${inspect(actual)}" to include: "${inspect(expected)}", missing: ${
      inspect(missing)
    }`,
    msg,
  );
}

export function assertInstanceOf<T>(
  actual: unknown,
  expectedType: abstract new (...args: never[]) => T,
  msg?: string,
): asserts actual is T {
  if (actual instanceof expectedType) return;
  const is = typeof actual === "object" ? actual?.constructor?.name ?? `${actual}` : typeof actual;
  refuse(`Expected object to be an instance of "${expectedType.name}" but was "${is}"`, msg);
}

/** Holds if all that `expected` names is in `actual`, at any depth; classes do not count, longer arrays do. */
export function assertObjectMatch(
  actual: object,
  expected: Record<PropertyKey, unknown>,
  msg?: string,
): void {
  if (!isContainer(actual)) throw new TypeError(`Cannot assertObjectMatch ${inspect(actual)}`);
  assertEquals(common(actual, expected, new Map()), common(expected, expected, new Map()), msg);
}

/** The part of `actual` that `wanted` speaks of. */
function common(actual: unknown, wanted: unknown, seen: Map<object, object>): unknown {
  if (!isContainer(actual) || !isContainer(wanted) || seen.get(actual) === wanted) return actual;
  seen.set(actual, wanted);
  if (Array.isArray(actual) && Array.isArray(wanted)) {
    return actual.slice(0, wanted.length).map((item, i) => common(item, wanted[i], seen));
  }
  if (actual instanceof Map && wanted instanceof Map) {
    const shared = [...actual].filter(([key]) => wanted.has(key));
    return new Map(shared.map(([key, value]) => [key, common(value, wanted.get(key), seen)]));
  }
  if (actual instanceof Set && wanted instanceof Set) {
    return new Set([...actual].filter((item) => wanted.has(item)));
  }
  const part = {};
  for (const key of Reflect.ownKeys(actual)) {
    if (!Object.hasOwn(wanted, key)) continue;
    const value = common(Reflect.get(actual, key), Reflect.get(wanted, key), seen);
    Object.defineProperty(part, key, { value, enumerable: true });
  }
  return part;
}

function isContainer(value: unknown): value is object {
  return typeof value === "object" && value !== null &&
    !(value instanceof Date || value instanceof RegExp);
}

export function assertIsError<E extends Error = Error>(
  error: unknown,
  ErrorClass?: ErrorConstructorOf<E>,
  msgMatches?: string | RegExp,
  msg?: string,
): asserts error is E {
  if (!(error instanceof Error)) refuse(`Expected "error" to be an Error object`, msg);
  const is = error.constructor?.name;
  if (ErrorClass && !(error instanceof ErrorClass)) {
    refuse(
      `Expected error to be instance of "${ErrorClass.name}", but was "${is}" (${error.message})`,
      msg,
    );
  }
  if (!msgMatches) return;
  const text = stripVTControlCharacters(error.message);
  const matches = typeof msgMatches === "string"
    ? text.includes(stripVTControlCharacters(msgMatches))
    : msgMatches.test(text);
  if (matches) return;
  refuse(
    `Expected error message to include ${inspect(msgMatches)}, but got ${inspect(text)}`,
    msg,
  );
}

/** What `assertThrows` and `assertRejects` know of the expected error. */
class ExpectedError<E extends Error> {
  readonly type: ErrorConstructorOf<E> | undefined;
  readonly includes: string | undefined;
  readonly msg: string | undefined;

  constructor(typeOrMsg?: ErrorConstructorOf<E> | string, includes?: string, msg?: string) {
    this.msg = typeof typeOrMsg === "string" ? typeOrMsg : msg;
    const isErrorType = typeof typeOrMsg === "function" &&
      (typeOrMsg.prototype instanceof Error || typeOrMsg.prototype === Error.prototype);
    this.type = isErrorType ? typeOrMsg : undefined;
    this.includes = isErrorType ? includes : undefined;
  }

  check(error: unknown, how: "thrown" | "rejected"): unknown {
    if (!this.type) return error;
    if (!(error instanceof Error)) refuse(`A non-Error object was ${how}`, this.msg);
    assertIsError(error, this.type, this.includes, this.msg);
    return error;
  }
}

export function assertThrows(fn: () => unknown, msg?: string): unknown;
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: ErrorConstructorOf<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClassOrMsg?: ErrorConstructorOf<E> | string,
  msgIncludes?: string,
  msg?: string,
): unknown {
  const expected = new ExpectedError(errorClassOrMsg, msgIncludes, msg);
  try {
    fn();
  } catch (error) {
    return expected.check(error, "thrown");
  }
  refuse("Expected function to throw", expected.msg);
}

export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: ErrorConstructorOf<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClassOrMsg?: ErrorConstructorOf<E> | string,
  msgIncludes?: string,
  msg?: string,
): Promise<unknown> {
  const expected = new ExpectedError(errorClassOrMsg, msgIncludes, msg);
  let promise: PromiseLike<unknown> | undefined;
  try {
    promise = fn();
  } catch {
    // told below: a function that throws did not reject
  }
  if (typeof promise?.then !== "function") {
    refuse("Function throws when expected to reject", expected.msg);
  }
  try {
    await promise;
  } catch (error) {
    return expected.check(error, "rejected");
  }
  refuse("Expected function to reject", expected.msg);
}
