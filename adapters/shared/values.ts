/**
 * Reads the bind values of drivers without named placeholders.
 *
 * @module
 */

import { mustBe } from "../../internal/argument_error.ts";
import type { BindValues } from "../adapter.ts";

/**
 * Copies bind values, because a driver may change them.
 *
 * @throws {TypeError} if they are not a list.
 */
export function listOf(values: BindValues): unknown[] {
  if (!Array.isArray(values)) throw mustBe("values", "an array", values);
  return [...values];
}
