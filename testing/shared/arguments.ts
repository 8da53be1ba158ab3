/**
 * Checks arguments of the testing tools. Each check takes a value and, for its error, the argument's name.
 *
 * @module
 */

import { mustBe } from "../../internal/argument_error.ts";
import { MAX_TIMER_MS } from "../../internal/clock.ts";
import { ipFamily } from "../../internal/ip.ts";
import type { Bounds } from "../../internal/option_reader.ts";

/** Maximum delay of a timer, in whole seconds. */
export const MAX_SECONDS: number = Math.floor(MAX_TIMER_MS / 1000);

/** The TTLs that fit into a record: 32 bits, unsigned (RFC 1035 section 3.2.1). */
export const TTL: Bounds = { min: 0, max: 2 ** 32 - 1, whole: true, unit: "seconds" };

/** The ports of a server, and 0 for one that is free. */
export const PORT: Bounds = { min: 0, max: 65535, whole: true };

/** The allowed names (RFC 1035 section 2.3.4 for the lengths). */
const NAME =
  'a host name of at most 253 characters in labels of 1 to 63 letters, digits, "-" and "_"';

/** Checks a host name; returns it without the trailing dot, in its letter case. */
export function checkName(value: unknown, argument: string): string {
  if (typeof value !== "string") throw mustBe(argument, NAME, value);
  const name = value.replace(/\.$/, "");
  const label = /^[a-z0-9_-]{1,63}$/i;
  if (name.length <= 253 && name.split(".").every((part) => label.test(part))) return name;
  throw mustBe(argument, NAME, value);
}

/** Checks an IP address, which must have no zone. */
export function checkAddress(value: unknown, argument: string): string {
  if (typeof value === "string" && ipFamily(value) !== undefined) return value;
  throw mustBe(argument, "an IPv4 or IPv6 address", value);
}

/** Checks an array of IP addresses; returns a copy. */
export function checkAddresses(value: unknown, argument: string): readonly string[] {
  if (!Array.isArray(value)) throw mustBe(argument, "an array of IP addresses", value);
  return value.map((address, index) => checkAddress(address, `${argument}[${index}]`));
}
