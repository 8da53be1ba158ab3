/**
 * Reads and checks bind values.
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

/** Returns whether there are values to bind. */
export function hasValues(values: BindValues | undefined): values is BindValues {
  return values !== undefined && (!isList(values) || values.length > 0);
}

/** Returns whether values are a list, and not an object of names. */
export function isList(values: BindValues): values is readonly unknown[] {
  return Array.isArray(values);
}

/**
 * Checks the number of bind values, for drivers that would send too many, of which the server would take the wrong ones,
 * or too few.
 *
 * @throws {TypeError} if the statement has another number of placeholders.
 */
export function checkValueCount(values: readonly unknown[], placeholders: number): void {
  if (values.length === placeholders) return;
  throw mustBe(
    "values",
    `one value per placeholder, ${placeholders} for this statement`,
    values.length,
  );
}
