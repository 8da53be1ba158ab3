/**
 * The error of a lookup that brought no answer.
 *
 * @module
 */

import { LookupError, type LookupErrorOptions } from "../../errors.ts";
import type { Question } from "../lookup.ts";

/**
 * The error for a question without an answer.
 *
 * @param question What was asked for.
 * @param whom Who was asked, such as `"127.0.0.1:53"`, where known.
 * @param what What came back.
 * @param options What the failure means.
 */
export function lookupFailure(
  { name, family }: Pick<Question, "name" | "family">,
  whom: string | undefined,
  what: string,
  options: LookupErrorOptions,
): LookupError {
  const record = family === 4 ? "A" : "AAAA";
  const where = whom === undefined ? "" : ` at ${whom}`;
  return new LookupError(`Cannot look up ${record} of "${name}"${where}: ${what}`, options);
}

/** The runtime's own code of an error, such as `"ECONNREFUSED"`, where it has one. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
}

/** An error in words. */
export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
