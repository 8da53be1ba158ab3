/**
 * The differences of runtimes from the expectations of the tests of adapters and drop-ins, with the reasons. A test that
 * meets one asserts the real behavior. Those of lookups are in tests/support/lookup_exceptions.ts.
 *
 * @module
 */

import process from "node:process";

const { bun } = process.versions as Partial<Record<string, string>>;

/** A difference. */
export interface RuntimeException {
  readonly because: string;
  /** Whether this runtime has it. */
  readonly here: boolean;
}

export const STACKS_END_AT_THEN: RuntimeException = {
  because: "JavaScriptCore's stacks lead through `await` alone, and a lease waits by then()",
  here: bun !== undefined,
};

const met = new Set<RuntimeException>();

/** Returns whether an exception applies here; it is counted then, once for all tests of a file. */
export function meets(exception: RuntimeException): boolean {
  if (exception.here) met.add(exception);
  return exception.here;
}

/** Returns the number of exceptions that the tests met. */
export function countMet(): number {
  return met.size;
}
