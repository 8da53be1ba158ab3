/**
 * Keeps bind values out of what a driver says of a statement that failed.
 *
 * @module
 */

import type { Logger } from "./log.ts";

/** Properties of a driver's error that name things, and never hold a value; the stack is treated apart. */
const FACTS =
  /^(code|errno|name|stack|cause|severity|schema|table|column|dataType|constraint|file|line|routine|position|sql_?state)$/i;

/**
 * Takes bind values out of an error and its causes: out of its texts, and whole where the driver keeps them in a
 * list. What the error is (class, code, constraint) stays.
 *
 * @param error What was thrown; it is changed.
 * @param statement The statement: it takes the place of one with the values filled in.
 * @param values The values.
 * @returns The error; a copy where it does not let itself be changed.
 */
export function hideValues(
  error: unknown,
  statement: string,
  values: readonly unknown[],
): unknown {
  const clean = cleaner(values);
  const seen = new Set<unknown>();
  const hide = (error: unknown): unknown => {
    if (!(error instanceof Error) || seen.has(error)) return error;
    seen.add(error);
    const open = isLocked(error) ? copyOf(error) : error;
    cleanError(open, statement, clean);
    const cause = hide(open.cause);
    if (cause !== open.cause) put(open, "cause", cause);
    return open;
  };
  return hide(error);
}

function cleanError(error: Error, statement: string, clean: (text: string) => string): void {
  const { message, stack } = error;
  for (const name of Object.getOwnPropertyNames(error)) {
    if (FACTS.test(name)) continue;
    const value = (error as unknown as Record<string, unknown>)[name];
    if (name === "sql") put(error, name, statement);
    else if (Array.isArray(value)) put(error, name, []);
    else if (typeof value === "string") put(error, name, clean(value));
    else if (isPlain(value)) put(error, name, cleanFields(value, clean));
  }
  if (stack !== undefined) put(error, "stack", stack.replace(message, () => error.message));
}

/** postgres.js sets statement, values and stack in stone. */
function isLocked(error: Error): boolean {
  return Object.values(Object.getOwnPropertyDescriptors(error))
    .some(({ configurable, writable }) => !configurable && !writable);
}

function copyOf(error: Error): Error {
  const copy = Object.setPrototypeOf(new Error(error.message), Object.getPrototypeOf(error));
  for (const [name, known] of Object.entries(Object.getOwnPropertyDescriptors(error))) {
    const { enumerable = false } = known;
    const value = (error as unknown as Record<string, unknown>)[name];
    Object.defineProperty(copy, name, { value, enumerable, configurable: true, writable: true });
  }
  return copy;
}

/** The server's own words in an object, as `@db/postgres` keeps them. */
function cleanFields(fields: object, clean: (text: string) => string): object {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) =>
      [name, typeof value === "string" && !FACTS.test(name) ? clean(value) : value] as const
    ),
  );
}

function isPlain(value: unknown): value is object {
  return typeof value === "object" && value !== null &&
    Object.getPrototypeOf(value) === Object.prototype;
}

function put(error: Error, name: string, value: unknown): void {
  const known = Object.getOwnPropertyDescriptor(error, name);
  Object.defineProperty(error, name, {
    value,
    enumerable: known?.enumerable ?? false,
    configurable: true,
    writable: true,
  });
}

/** Replaces the values where they stand by themselves, not within a longer word or number. */
function cleaner(values: readonly unknown[]): (text: string) => string {
  const texts = [...new Set(values.flatMap(spellings))].sort((a, b) => b.length - a.length);
  if (texts.length === 0) return (text) => text;
  const any = texts.map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("|");
  const pattern = new RegExp(`(?<!\\w)(?:${any})(?!\\w)`, "g");
  return (text) => text.replace(pattern, "[hidden]");
}

/** How a value may stand in a text. */
function spellings(value: unknown): string[] {
  if (value === null || value === undefined || typeof value === "boolean") return [];
  if (value instanceof Uint8Array) {
    return value.length > 0
      ? [Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("")]
      : [];
  }
  if (value instanceof Date) {
    const iso = isNaN(Number(value)) ? "" : value.toISOString();
    return iso ? [iso, iso.replace("T", " ").replace("Z", ""), iso.slice(0, 10)] : [];
  }
  if (typeof value === "object") {
    try {
      return [JSON.stringify(value), ...Object.values(value).flatMap(spellings)];
    } catch {
      return [];
    }
  }
  const text = String(value);
  return text === "" ? [] : [text, text.replaceAll("'", "''"), text.replaceAll("'", "\\'")];
}

/** A text without the password, neither as it is nor as it stands in a URL. */
export function withoutPassword(text: string, password: string | undefined): string {
  if (!password) return text;
  return text.replaceAll(password, "***")
    .replaceAll(encodeURIComponent(password.toWellFormed()), "***");
}

/** A logger that is never told the password, and that harms nobody when it fails. */
export function discreet(logger: Logger, password: string | undefined): Logger {
  const writer = (level: keyof Logger) => (message: string) => {
    try {
      logger[level](withoutPassword(message, password));
    } catch {
      // There is nowhere left to say it.
    }
  };
  return { debug: writer("debug"), info: writer("info"), warn: writer("warn") };
}
