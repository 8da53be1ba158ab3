/**
 * Checks of what callers pass to the DNS server, and the messages of the errors that refuse it.
 *
 * @module
 */

import { isIP } from "node:net";

/** Largest TTL that fits into a record: 32 bits, unsigned (RFC 1035 section 3.2.1). */
const LARGEST_TTL = 2 ** 32 - 1;
/** Longest time that a timer keeps, in seconds (`setTimeout` counts milliseconds in 31 bits). */
export const LONGEST_SECONDS = 2_147_483;

/** What is being done, for the start of a message, and the argument that is looked at. */
export interface Subject {
  /** `Cannot set "db.internal"`. */
  readonly action: string;
  /** `ttl`. */
  readonly argument: string;
}

/** A subject one level further in: `every` of `data`. */
export function part(subject: Subject, name: string): Subject {
  return { action: subject.action, argument: `${subject.argument}${name}` };
}

/** The error for a value of the wrong kind. */
export function wrongType(subject: Subject, allowed: string, got: unknown): TypeError {
  return new TypeError(message(subject, allowed, got));
}

/** The error for a number that is out of range. */
function outOfRange(subject: Subject, allowed: string, got: unknown): RangeError {
  return new RangeError(message(subject, allowed, got));
}

function message({ action, argument }: Subject, allowed: string, got: unknown): string {
  return `${action}: ${argument} must be ${allowed}, got ${show(got)}`;
}

function show(value: unknown): string {
  if (typeof value === "string") return `"${value}"`;
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return String(value);
  try {
    return JSON.stringify(value);
  } catch {
    return "an object";
  }
}

/** A number between `least` and `most`, both allowed. */
export function checkNumber(
  subject: Subject,
  value: unknown,
  { least, most, whole = false, unit = "" }: {
    least: number;
    most: number;
    whole?: boolean;
    unit?: string;
  },
): number {
  const allowed = `a ${whole ? "whole " : ""}number${
    unit && ` of ${unit}`
  } from ${least} to ${most}`;
  if (typeof value !== "number") throw wrongType(subject, allowed, value);
  if (!(value >= least && value <= most) || (whole && !Number.isInteger(value))) {
    throw outOfRange(subject, allowed, value);
  }
  return value;
}

/** A TTL: whole seconds, 0 to 2^32-1. */
export function checkTtl(subject: Subject, value: unknown): number {
  return checkNumber(subject, value, { least: 0, most: LARGEST_TTL, whole: true, unit: "seconds" });
}

/** A host name; comes back without the trailing dot and in the case it was written in. */
export function checkName(subject: Subject, value: unknown): string {
  const allowed =
    'a host name of at most 253 characters, each label 1 to 63 letters, digits, "-" or "_"';
  if (typeof value !== "string") throw wrongType(subject, allowed, value);
  const name = value.replace(/\.$/, "");
  const label = /^[a-z0-9_-]{1,63}$/i;
  if (name.length > 253 || !name.split(".").every((part) => label.test(part))) {
    throw wrongType(subject, allowed, value);
  }
  return name;
}

/** An IP address without a zone; with `family`, of that family. */
export function checkAddress(subject: Subject, value: unknown): string {
  if (typeof value !== "string" || value.includes("%") || isIP(value) === 0) {
    throw wrongType(subject, "an IPv4 or IPv6 address", value);
  }
  return value;
}

/** A list of IP addresses, copied. */
export function checkAddresses(subject: Subject, value: unknown): readonly string[] {
  if (!Array.isArray(value)) throw wrongType(subject, "a list of IP addresses", value);
  return value.map((address, index) => checkAddress(part(subject, `[${index}]`), address));
}

/** An object that has no key but the ones allowed; a misspelt option is refused rather than ignored. */
export function checkKeys(
  subject: Subject,
  value: unknown,
  keys: readonly string[],
): Record<string, unknown> {
  const allowed = `an object with ${keys.join(", ")}`;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrongType(subject, allowed, value);
  }
  const unknown = Object.keys(value).find((key) => !keys.includes(key));
  if (unknown !== undefined) {
    throw new TypeError(
      `${subject.action}: ${subject.argument} has no "${unknown}", only ${keys.join(", ")}`,
    );
  }
  return value as Record<string, unknown>;
}

/** How names are compared: lower case, no trailing dot (RFC 4343). */
export function keyOf(name: string): string {
  return name.replace(/\.$/, "").toLowerCase();
}
