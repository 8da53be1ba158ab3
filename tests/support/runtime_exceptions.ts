/**
 * What a runtime does otherwise than the tests of adapters and drop-ins expect, and why. A test that meets one asserts
 * what really happens there. Those of the lookups are in tests/support/lookup_exceptions.ts.
 *
 * @module
 */

import process from "node:process";

const { bun } = process.versions as Partial<Record<string, string>>;

/** What is different, and where. */
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

/** Whether a test meets an exception here; it is counted then, once for all tests of a file. */
export function meets(exception: RuntimeException): boolean {
  if (exception.here) met.add(exception);
  return exception.here;
}

/** How many exceptions the tests met. */
export function countMet(): number {
  return met.size;
}
