/**
 * The error of a lookup without an answer.
 *
 * @module
 */

import { LookupError, type LookupErrorOptions } from "../../errors.ts";
import type { Question } from "../lookup.ts";

/**
 * Makes the error for a question without an answer.
 *
 * @param question The question.
 * @param server The server that was asked, such as `"127.0.0.1:53"`, if known.
 * @param reason The reason, for the message.
 * @param options The meaning of the failure.
 */
export function lookupFailure(
  { name, family }: Pick<Question, "name" | "family">,
  server: string | undefined,
  reason: string,
  options: LookupErrorOptions,
): LookupError {
  const record = family === "srv" ? "SRV" : family === 4 ? "A" : "AAAA";
  const at = server === undefined ? "" : ` at ${server}`;
  return new LookupError(`Cannot look up ${record} of "${name}"${at}: ${reason}`, options);
}
