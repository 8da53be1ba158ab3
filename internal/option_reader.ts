/**
 * Reads an options object one named value at a time: each wrong one is an error that names the option, the
 * value and what is allowed; whatever nobody asked for is unknown.
 *
 * @module
 */

/** An hour: no waiting time is longer, so that milliseconds given by mistake are noticed. */
const LONGEST_WAIT = 3600;

/** Bounds of a number, in the option's own unit. */
export interface Bounds {
  /** The smallest value allowed. */
  min?: number;
  /** The value must be larger than this. */
  above?: number;
  /** The largest value allowed. */
  max?: number;
  /** Whether `Infinity` is allowed. */
  infinite?: boolean;
}

/** Reads one options object; `done` says whether anything was left over. */
export class OptionReader {
  readonly #given: Readonly<Record<string, unknown>>;
  readonly #known: Set<string> = new Set();
  readonly #refused: Set<string> = new Set();

  /**
   * @param given What the caller gave: an object, or nothing.
   * @param what What the options are for, for the message.
   */
  constructor(given: unknown, what: string) {
    if (
      given !== undefined && (typeof given !== "object" || given === null || Array.isArray(given))
    ) {
      throw new TypeError(
        `Cannot use ${show(given)} as the options of ${what}: they are an object`,
      );
    }
    this.#given = (given ?? {}) as Record<string, unknown>;
  }

  /** The raw value of an option; `check` throws where it is not allowed, and may change it. */
  value<T>(name: string, fallback: T, check: (value: unknown) => T): T {
    this.#known.add(name);
    const value = this.#given[name];
    return value === undefined ? fallback : check(value);
  }

  /** An option that is refused whenever it is given, with the reason. */
  refuse(name: string, why: string): void {
    this.#refused.add(name);
    this.value(name, undefined, () => {
      throw new TypeError(`Cannot use the option "${name}": ${why}`);
    });
  }

  /** A number within bounds. */
  number(
    name: string,
    fallback: number,
    bounds: Bounds & { unit?: string; whole?: boolean },
  ): number {
    return this.value(name, fallback, (value) => {
      if (typeof value !== "number" || Number.isNaN(value)) {
        throw new TypeError(`Cannot use ${show(value)} for "${name}": it is ${wanted(bounds)}`);
      }
      const {
        min = -Infinity,
        above = -Infinity,
        max = Infinity,
        infinite = false,
        whole = false,
      } = bounds;
      const allowed = value === Infinity ? infinite : value >= min && value > above && value <= max;
      if (!allowed || (whole && value !== Infinity && !Number.isInteger(value))) {
        throw new RangeError(`Cannot use ${value} for "${name}": it is ${wanted(bounds)}`);
      }
      return value;
    });
  }

  /** Seconds, given back as milliseconds. */
  secondsAsMs(name: string, fallback: number, bounds: Bounds): number {
    return this.number(name, fallback, { ...bounds, unit: "seconds" }) * 1000;
  }

  /** Seconds that somebody waits: over an hour they were meant as milliseconds. Given back as milliseconds. */
  waitAsMs(name: string, fallback: number, bounds: Bounds): number {
    const seconds = this.value(name, fallback, (value) => {
      if (typeof value === "number" && value > LONGEST_WAIT && Number.isFinite(value)) {
        throw new RangeError(
          `Cannot use ${value} for "${name}": it is in seconds, at most ${LONGEST_WAIT}; did you mean ${
            value / 1000
          }?`,
        );
      }
      return value as number;
    });
    if (seconds === fallback) return fallback * 1000;
    return this.secondsAsMs(name, fallback, { max: LONGEST_WAIT, ...bounds });
  }

  /** `true` or `false`. */
  boolean(name: string, fallback: boolean): boolean {
    return this.oneOf(name, fallback, [true, false]);
  }

  /** One of a few values. */
  oneOf<T>(name: string, fallback: T, allowed: readonly T[]): T {
    return this.value(name, fallback, (value) => {
      if (allowed.includes(value as T)) return value as T;
      throw new TypeError(
        `Cannot use ${show(value)} for "${name}": it is one of ${allowed.map(show).join(", ")}`,
      );
    });
  }

  /** A text. */
  text(name: string): string | undefined {
    return this.value<string | undefined>(name, undefined, (value) => {
      if (typeof value === "string" && value !== "") return value;
      throw new TypeError(
        `Cannot use ${show(value)} for "${name}": it is a text that is not empty`,
      );
    });
  }

  /** A plain object. */
  object<T extends object>(name: string, fallback: T): T {
    return this.value(name, fallback, (value) => {
      if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as T;
      throw new TypeError(`Cannot use ${show(value)} for "${name}": it is an object`);
    });
  }

  /** An `AbortSignal`. */
  signal(): AbortSignal | undefined {
    return this.value<AbortSignal | undefined>("signal", undefined, (value) => {
      if (value instanceof AbortSignal) return value;
      throw new TypeError(`Cannot use ${show(value)} for "signal": it is an AbortSignal`);
    });
  }

  /** Throws for the first option that nobody asked for, naming the nearest one that exists. */
  done(what: string): void {
    const offered = [...this.#known].filter((name) => !this.#refused.has(name)).sort();
    for (const name of Object.keys(this.#given)) {
      if (this.#known.has(name)) continue;
      const near = nearest(name, offered);
      const hint = near ? `, did you mean "${near}"?` : `; the options are ${offered.join(", ")}`;
      throw new TypeError(
        `Cannot use the option "${name}" of ${what}: there is no such option${hint}`,
      );
    }
  }
}

/** How a value reads in a message: short, and never the inside of an object. */
export function show(value: unknown): string {
  if (typeof value === "string") {
    return JSON.stringify(value.length > 40 ? value.slice(0, 40) + "…" : value);
  }
  if (typeof value === "function") return "a function";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  return String(value);
}

function wanted(
  { min, above, max, infinite, unit, whole }: Bounds & { unit?: string; whole?: boolean },
): string {
  const kind = whole ? "a whole number" : "a number";
  const of = unit ? ` of ${unit}` : "";
  const from = above !== undefined ? ` above ${above}` : min !== undefined ? ` from ${min}` : "";
  const to = max !== undefined ? ` to ${max}` : "";
  return `${kind}${of}${from}${to}${infinite ? " or Infinity" : ""}`;
}

/** The known name that takes the fewest edits, where those are few enough to be a slip. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const plain = (text: string) => text.toLowerCase().replaceAll("_", "");
  const ranked = known
    .map((other) => ({ other, edits: distance(plain(name), plain(other)) }))
    .sort((a, b) => a.edits - b.edits);
  const best = ranked[0];
  return best && best.edits <= Math.max(2, name.length / 4) ? best.other : undefined;
}

/** Levenshtein's distance. */
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
