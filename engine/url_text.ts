/**
 * Reads the texts in a database URL, and describes those that cannot be part of one.
 *
 * @module
 */

import { mustBe, mustBeUndisclosed } from "../internal/argument_error.ts";

/** Percent-encodes a string: as `encodeURIComponent`, and the characters `!'()*`, which some parsers do not accept. */
export function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase(),
  );
}

export function decode<T extends string | undefined>(text: T, part: string): T {
  try {
    return (text && decodeURIComponent(text)) as T;
  } catch {
    const allowed = 'percent-encoded, with %25 in place of "%"';
    throw mustBeUndisclosed(nameOf(part), allowed, 'a "%" that does not begin a valid code');
  }
}

/** The name of a part in messages. */
export function nameOf(part: string): string {
  return `${part} of the database URL`;
}

/** Checks a part. The message does not show it: it may be the password. */
export function checkText<T extends string | undefined>(text: T, part: string): T {
  if (text === undefined) return text;
  if (typeof text !== "string") {
    throw mustBeUndisclosed(nameOf(part), "a string", `a value of type ${typeof text}`);
  }
  if (text.includes("\0")) {
    throw mustBeUndisclosed(nameOf(part), "without a NUL character", "one with U+0000");
  }
  try {
    encodeURIComponent(text);
    return text;
  } catch {
    throw mustBeUndisclosed(nameOf(part), "a string of whole characters", "a lone surrogate");
  }
}

/** A control character anywhere, or a space at either end: from a file, a heredoc or a copied line. */
const STRAY = /^\s|\s$|[\p{Cc}\u2028\u2029]/u;

/** Refuses characters that would silently become part of a name, usually the database's. */
export function checkCharacters(text: string): void {
  const index = text.search(STRAY);
  if (index === -1) return;
  const code = text.codePointAt(index)!.toString(16).toUpperCase().padStart(4, "0");
  const where = index === 0 ? "at its start" : index === text.length - 1 ? "at its end" : "in it";
  const kind = text[index] === "\n" ? "a line break" : `the character U+${code}`;
  throw mustBeUndisclosed(
    "database URL",
    "without spaces around it and without control characters",
    `${kind} ${where}`,
  );
}

export function checkWord(text: string, part: string, pattern: RegExp): string {
  if (pattern.test(checkText(text, part) ?? "")) return text.toLowerCase();
  throw mustBe(nameOf(part), "a string of letters and digits that begins with a letter", text);
}

export function syntaxError(text: string): TypeError {
  const scheme = /^([a-z][\w+.-]*):\/\//i.exec(text)?.[1];
  return mustBeUndisclosed(
    "database URL",
    "dialect[+driver]://[user[:password]@]host[:port][/database][?query]",
    scheme ? `a string that begins with ${JSON.stringify(scheme + ":")}` : "another string",
  );
}
