/**
 * Reads an options object one named value at a time. A wrong value is an error that names the option, the value and
 * the allowed values; an option that was never read is unknown.
 *
 * @module
 */

import { mustBe, mustNotBeGiven, oneOf, outOfRange, unknownName } from "./argument_error.ts";

/** Maximum of every timeout, in seconds: one hour. Milliseconds given by mistake are above it. */
export const MAX_TIMEOUT = 3600;

/** Bounds of a number, in the option's own unit. */
export interface Bounds {
  /** The smallest allowed value. */
  min?: number;
  /** The value must be larger than this. */
  above?: number;
  /** The largest allowed value. */
  max?: number;
  /** Whether `Infinity` is allowed. */
  infinite?: boolean;
  /** Whether fractions are refused. */
  whole?: boolean;
  /** The unit, such as `seconds`. */
  unit?: string;
}

/** Reads one options object; `done()` refuses the options that were not read. */
export class OptionReader {
  readonly #given: Readonly<Record<string, unknown>>;
  readonly #of: string;
  readonly #prefix: string;
  readonly #known: Set<string> = new Set();
  readonly #refused: Set<string> = new Set();

  /**
   * @param given The caller's options: an object, or `undefined` if there is no `path`.
   * @param of The function they are given to, such as `getDnsEngine`.
   * @param path The argument or option whose parts are read, such as `listen`, if it is not the options as a whole. It
   *   precedes the names in messages: `listen.port`.
   */
  constructor(given: unknown, of: string, path?: string) {
    if (!isPlainObject(given) && (given !== undefined || path !== undefined)) {
      throw mustBe(path ?? `options of ${of}()`, "an object", given);
    }
    this.#of = of;
    this.#prefix = path === undefined ? "" : `${path}.`;
    this.#given = (given ?? {}) as Record<string, unknown>;
  }

  /**
   * Reads the raw value of an option.
   *
   * @param name The option.
   * @param fallback The value if the option is not given.
   * @param check Is given the value, and the option's name for messages; throws if the value is not allowed, and may
   *   convert it.
   */
  value<T>(name: string, fallback: T, check: (value: unknown, name: string) => T): T {
    this.#known.add(name);
    const value = this.#given[name];
    return value === undefined ? fallback : check(value, this.#prefix + name);
  }

  /** Reads the raw value of an option that must be given, as `value` does: `check` is called for `undefined` too. */
  required<T>(name: string, check: (value: unknown, name: string) => T): T {
    this.#known.add(name);
    return check(this.#given[name], this.#prefix + name);
  }

  /** Refuses an option whenever it is given, with the reason. */
  refuse(name: string, reason: string): void {
    this.#refused.add(name);
    this.value(name, undefined, (_, name) => {
      throw mustNotBeGiven(name, reason);
    });
  }

  /** Reads a number within bounds. */
  number(name: string, fallback: number, bounds: Bounds): number {
    return this.value(name, fallback, (value, name) => checkNumber(name, value, bounds));
  }

  /** Reads a number of seconds; returns milliseconds. */
  secondsAsMs(name: string, fallback: number, bounds: Bounds): number {
    return this.number(name, fallback, { ...bounds, unit: "seconds" }) * 1000;
  }

  /** Reads a timeout in seconds, at most an hour; returns milliseconds. A larger number was meant as milliseconds. */
  timeoutAsMs(name: string, fallback: number, bounds: Bounds): number {
    const limits = { max: MAX_TIMEOUT, ...bounds, unit: "seconds" };
    return 1000 * this.value(name, fallback, (value, name) => {
      if (typeof value === "number" && value > MAX_TIMEOUT && value < Infinity) {
        const error = outOfRange(name, describeNumber(limits), value);
        error.message += `, did you mean ${value / 1000}?`;
        throw error;
      }
      return checkNumber(name, value, limits);
    });
  }

  /** Reads `true` or `false`. */
  boolean(name: string, fallback: boolean): boolean {
    return this.oneOf(name, fallback, [true, false]);
  }

  /** Reads one of a few values. */
  oneOf<T>(name: string, fallback: T, allowed: readonly T[]): T {
    return this.value(name, fallback, (value, name) => {
      if (allowed.includes(value as T)) return value as T;
      throw mustBe(name, oneOf(allowed), value);
    });
  }

  /** Reads a non-empty string. */
  string(name: string): string | undefined {
    return this.value<string | undefined>(name, undefined, (value, name) => {
      if (typeof value === "string" && value !== "") return value;
      throw mustBe(name, "a non-empty string", value);
    });
  }

  /** Reads an object. */
  object<T extends object>(name: string, fallback: T): T {
    return this.value(name, fallback, (value, name) => {
      if (isPlainObject(value)) return value as T;
      throw mustBe(name, "an object", value);
    });
  }

  /** Reads the option `signal`, an `AbortSignal`. */
  signal(): AbortSignal | undefined {
    return this.value<AbortSignal | undefined>("signal", undefined, (value, name) => {
      if (value instanceof AbortSignal) return value;
      throw mustBe(name, "an AbortSignal", value);
    });
  }

  /** Throws for the first option that was not read. */
  done(): void {
    for (const name of Object.keys(this.#given)) {
      if (this.#known.has(name)) continue;
      const offered = [...this.#known].filter((name) => !this.#refused.has(name)).sort()
        .map((name) => this.#prefix + name);
      throw unknownName(this.#prefix + name, `an option of ${this.#of}()`, offered);
    }
  }
}

/**
 * Checks a number.
 *
 * @param name The option or argument, for the error.
 * @param value The value.
 * @param bounds The allowed range.
 * @returns The value.
 * @throws {TypeError} if it is not a number.
 * @throws {RangeError} if it is outside its range.
 */
export function checkNumber(name: string, value: unknown, bounds: Bounds): number {
  if (typeof value !== "number" || Number.isNaN(value)) {
    throw mustBe(name, describeNumber(bounds), value);
  }
  const { min = -Infinity, above = -Infinity, max = Infinity, infinite, whole } = bounds;
  const inRange = value === Infinity
    ? infinite === true
    : value >= min && value > above && value <= max && (!whole || Number.isInteger(value));
  if (!inRange) throw outOfRange(name, describeNumber(bounds), value);
  return value;
}

/** Describes the allowed numbers: `a whole number of at least 0`. */
function describeNumber({ min, above, max, infinite, unit, whole }: Bounds): string {
  const kind = `${whole ? "a whole number" : "a number"}${unit ? ` of ${unit}` : ""}`;
  const lower = above !== undefined ? `above ${above}` : min !== undefined ? `at least ${min}` : "";
  const upper = max !== undefined ? `at most ${max}` : "";
  let range = "";
  if (min !== undefined && above === undefined && max !== undefined) {
    range = ` from ${min} to ${max}`;
  } else if (lower && upper) range = ` ${lower} and ${upper}`;
  else if (lower.startsWith("above")) range = ` ${lower}`;
  else if (lower || upper) range = `${unit ? ", " : " of "}${lower || upper}`;
  return `${kind}${range}${infinite ? " or Infinity" : ""}`;
}

function isPlainObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
