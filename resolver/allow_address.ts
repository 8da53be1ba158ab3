/**
 * Reads the option `allowAddress`: the addresses that an answer may hold.
 *
 * @module
 */

import { mustBe } from "../internal/argument_error.ts";
import { idOf } from "../internal/object_id.ts";
import { type Cidr, inCidr, parseCidr, withoutMapping } from "./cidr.ts";

/** The value of `allowAddress`: a function that returns `true` for an allowed address, or ranges of addresses. */
export type AllowAddress = ((ip: string) => boolean) | readonly string[];

/** The option after the check. */
export interface AddressRule {
  /** Equal for two rules that allow the same addresses. A function is only equal to itself. */
  readonly key: string;
  /**
   * Returns whether an address is allowed. Throws what the user's function throws.
   *
   * @param ip The address in its canonical spelling.
   */
  allows(ip: string): boolean;
}

/**
 * Reads the option.
 *
 * @param value The caller's value.
 * @throws {TypeError} if it is neither a function nor an array of addresses and ranges.
 */
export function readAllowAddress(value: unknown): AddressRule {
  if (typeof value === "function") {
    // Other values than true, such as a promise, are no permission.
    const allows = (ip: string) => value(withoutMapping(ip)) === true;
    return { key: `function ${idOf(value)}`, allows };
  }
  if (!Array.isArray(value) || value.length === 0) {
    throw mustBe("allowAddress", "a function, or an array of at least one address or range", value);
  }
  const ranges = value.map(readRange);
  const key = ranges.map(({ text }) => text).join(" ");
  return { key, allows: (ip) => ranges.some((range) => inCidr(range, withoutMapping(ip))) };
}

function readRange(value: unknown, index: number): Cidr {
  const range = typeof value === "string" ? parseCidr(value) : undefined;
  if (range) return range;
  throw mustBe(
    `allowAddress[${index}]`,
    'an IP address, or a range with zeros after its prefix, such as "10.0.0.0/8" or "fd00::/8"',
    value,
  );
}
