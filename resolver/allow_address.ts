/**
 * `allowAddress`: which addresses an answer may hold.
 *
 * @module
 */

import { type Cidr, inCidr, parseCidr, withoutMapping } from "./cidr.ts";
import { show } from "../internal/argument_error.ts";

/** What `allowAddress` may be: a function that says `true` to an address, or ranges that hold it. */
export type AllowAddress = ((ip: string) => boolean) | readonly string[];

/** The option, read. */
export interface AddressRule {
  /** The same for two rules that allow the same: a function is only like itself. */
  readonly key: string;
  /**
   * Whether an address is allowed. It throws what the function throws.
   *
   * @param ip The address, in its one spelling.
   */
  allows(ip: string): boolean;
}

const functionIds: WeakMap<object, number> = new WeakMap();
let functionCount = 0;

/**
 * Reads the option.
 *
 * @param value What the caller gave.
 * @returns The rule.
 * @throws {TypeError} for what is neither a function nor a list of addresses and ranges.
 */
export function readAllowAddress(value: unknown): AddressRule {
  if (typeof value === "function") {
    // A promise, say, is no permission.
    const allows = (ip: string) => value(withoutMapping(ip)) === true;
    return { key: `function ${idOf(value)}`, allows };
  }
  if (!Array.isArray(value) || value.length === 0) {
    throw new TypeError(
      `Cannot use ${
        show(value)
      } for "allowAddress": it is a function of an address, or a list of at least one address or range`,
    );
  }
  const ranges = value.map(readRange);
  const key = ranges.map(({ text }) => text).join(" ");
  return { key, allows: (ip) => ranges.some((range) => inCidr(range, withoutMapping(ip))) };
}

function readRange(value: unknown): Cidr {
  const range = typeof value === "string" ? parseCidr(value) : undefined;
  if (range) return range;
  throw new TypeError(
    `Cannot use ${
      show(value)
    } in "allowAddress": it is an IP address or a range with zeros after its prefix, such as "10.0.0.0/8" or "fd00::/8"`,
  );
}

function idOf(rule: object): number {
  let id = functionIds.get(rule);
  if (id === undefined) functionIds.set(rule, id = ++functionCount);
  return id;
}
