/**
 * Errors for arguments that cannot be used. Each message has one of three forms:
 *
 * - `"poolSize" must be a whole number of at least 0, got -1`
 * - `"creator" must not be given: the engine opens the connections`
 * - `"poolsize" is not an option of getDnsEngine(), did you mean "poolSize"?`
 *
 * @module
 */

/**
 * Makes the error for a value of the wrong kind.
 *
 * @param name The option or argument, such as `poolSize`.
 * @param allowed The allowed values, such as `a non-empty string`.
 * @param got The value. It is shown shortened, and an object is shown as `an object`.
 */
export function mustBe(name: string, allowed: string, got: unknown): TypeError {
  return new TypeError(mustBeMessage(name, allowed, show(got)));
}

/**
 * Makes the error for a value of the right kind outside its range.
 *
 * @param name The option or argument.
 * @param allowed The allowed values, such as `a number from 1 to 65535`.
 * @param got The value.
 */
export function outOfRange(name: string, allowed: string, got: unknown): RangeError {
  return new RangeError(mustBeMessage(name, allowed, show(got)));
}

/**
 * Makes the error for a value that the message must not repeat, because it may hold a secret.
 *
 * @param name The option or argument.
 * @param allowed The allowed values.
 * @param description A description of the value without the value, such as `a string with an "@"`.
 */
export function mustBeUndisclosed(name: string, allowed: string, description: string): TypeError {
  return new TypeError(mustBeMessage(name, allowed, description));
}

/**
 * Makes the error for a value outside its range that the message must not repeat.
 *
 * @param name The option or argument.
 * @param allowed The allowed values.
 * @param description A description of the value without the value.
 */
export function outOfRangeUndisclosed(
  name: string,
  allowed: string,
  description: string,
): RangeError {
  return new RangeError(mustBeMessage(name, allowed, description));
}

/**
 * Makes the error for an option that cannot be used at all, or not beside another one.
 *
 * @param name The option or argument.
 * @param reason The reason, and what to use instead.
 */
export function mustNotBeGiven(name: string, reason: string): TypeError {
  return new TypeError(`"${name}" must not be given: ${reason}`);
}

/**
 * Makes the error for a name that does not exist, with the nearest existing name or, if none is near, the whole list.
 *
 * @param name The unknown name.
 * @param what What it was taken for, with an article: `an option of getDnsEngine()`.
 * @param known The existing names.
 */
export function unknownName(name: string, what: string, known: readonly string[]): TypeError {
  const near = nearest(name, known);
  const hint = near ? `, did you mean "${near}"?` : `; there are ${known.join(", ")}`;
  return new TypeError(`"${name}" is not ${what}${hint}`);
}

function mustBeMessage(name: string, allowed: string, got: string): string {
  return `"${name}" must be ${allowed}, got ${got}`;
}

/** Shows a value in a message: short, and never the contents of an object. */
export function show(value: unknown): string {
  if (typeof value === "string") {
    return JSON.stringify(value.length > 40 ? value.slice(0, 40) + "…" : value);
  }
  if (typeof value === "function") return "a function";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  return String(value);
}

/** Lists the allowed values of an option: `one of "a", "b"`. */
export function oneOf(values: readonly unknown[]): string {
  return `one of ${values.map(show).join(", ")}`;
}

/** Finds the known name with the smallest edit distance, if that is small enough for a typing error. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const plain = (text: string) => text.toLowerCase().replaceAll("_", "");
  const ranked = known
    .map((other) => ({ other, edits: distance(plain(name), plain(other)) }))
    .sort((a, b) => a.edits - b.edits);
  const best = ranked[0];
  return best && best.edits <= Math.max(2, name.length / 4) ? best.other : undefined;
}

/** Computes the Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
