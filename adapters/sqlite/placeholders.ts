/**
 * Checks the values of a statement: the driver takes too few of them without a word, and stores NULL for the others.
 *
 * @module
 */

import { mustBeUndisclosed } from "../../internal/argument_error.ts";
import { checkValueCount } from "../shared/values.ts";

/** A placeholder, or what may hold its characters without being one: literals, quoted names, comments and names. */
const TOKEN =
  /'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|\/\*[^]*?(?:\*\/|$)|[\p{L}_][\p{L}\p{N}_$]*|\?(?<number>\d*)|[:@$](?<name>[\p{L}\p{N}_$]+(?:::[\p{L}\p{N}_$]+)*(?:\([^)\s]*\))?)/gu;

/** The placeholders of a statement. */
interface Placeholders {
  /** Number of those without a name, also of the numbers that `?3` leaves out. */
  readonly unnamed: number;
  /** The names, each with its first character. */
  readonly names: readonly string[];
}

/** Finds the placeholders as SQLite numbers them: `?` is the next number, `?3` the third, a name the next number once. */
export function placeholdersOf(text: string): Placeholders {
  const names = new Set<string>();
  let highest = 0;
  for (const { 0: token, groups } of text.matchAll(TOKEN)) {
    if (groups!.number !== undefined) {
      highest = Math.max(highest, Number(groups!.number) || highest + 1);
    } else if (groups!.name !== undefined && !names.has(token)) {
      names.add(token);
      highest++;
    }
  }
  return { unnamed: highest - names.size, names: [...names] };
}

/**
 * Checks that there is a value for each placeholder.
 *
 * @param text The statement.
 * @param values The values as the driver takes them: first an object of names, if there is one.
 * @throws {TypeError} if there is not one value per placeholder.
 */
export function checkValues(text: string, values: readonly unknown[]): void {
  const hasNames = isOfNames(values[0]);
  const { unnamed, names } = placeholdersOf(text);
  const given = new Set(hasNames ? Object.keys(values[0] as object) : []);
  const missing = names.find((name) => !given.has(name) && !given.has(name.slice(1)));
  if (missing !== undefined) {
    throw mustBeUndisclosed(
      "values",
      `an object with a value for each name in the statement, also "${missing}"`,
      hasNames ? "one without it" : "none",
    );
  }
  checkValueCount(values.slice(hasNames ? 1 : 0), unnamed);
}

/** Returns whether the driver takes a value for an object of names. */
function isOfNames(value: unknown): boolean {
  return typeof value === "object" && value !== null && !ArrayBuffer.isView(value);
}
