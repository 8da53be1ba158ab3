/**
 * Keeps bind values out of a driver's errors, and the password out of log lines and messages.
 *
 * @module
 */

import type { Logger } from "./log.ts";

/** Properties of a driver's error that never hold a bind value. The stack is redacted separately. */
const SAFE_FIELDS =
  /^(code|errno|name|stack|cause|severity|schema|table|column|dataType|constraint|file|line|routine|position|sql_?state)$/i;

/**
 * Removes bind values from an error and its causes: from its strings, and from every array property. Class, code and
 * constraint stay.
 *
 * @param error The thrown value; it is changed in place.
 * @param statement The statement with placeholders. It replaces the driver's copy with the values filled in.
 * @param values The bind values.
 * @returns The error; a copy if its properties cannot be changed.
 */
export function redactValues(
  error: unknown,
  statement: string,
  values: readonly unknown[],
): unknown {
  const clean = valueRedactor(values);
  const seen = new Set<unknown>();
  const redact = (error: unknown): unknown => {
    if (!(error instanceof Error) || seen.has(error)) return error;
    seen.add(error);
    const open = isLocked(error) ? copyOf(error) : error;
    cleanError(open, statement, clean);
    const cause = redact(open.cause);
    if (cause !== open.cause) put(open, "cause", cause);
    return open;
  };
  return redact(error);
}

function cleanError(error: Error, statement: string, clean: (text: string) => string): void {
  const { message, stack } = error;
  for (const name of Object.getOwnPropertyNames(error)) {
    if (SAFE_FIELDS.test(name)) continue;
    const value = (error as unknown as Record<string, unknown>)[name];
    if (name === "sql") put(error, name, statement);
    else if (Array.isArray(value)) put(error, name, []);
    else if (typeof value === "string") put(error, name, clean(value));
    else if (isPlain(value)) put(error, name, cleanFields(value, clean));
  }
  if (stack !== undefined) put(error, "stack", stack.replace(message, () => error.message));
}

/** Returns whether an error has read-only properties: postgres.js makes statement, values and stack non-writable. */
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

/** Redacts the server's fields in a plain object, as `@db/postgres` keeps them. */
function cleanFields(fields: object, clean: (text: string) => string): object {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) =>
      [name, typeof value === "string" && !SAFE_FIELDS.test(name) ? clean(value) : value] as const
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

/** Makes a function that replaces whole-word occurrences of the values. */
function valueRedactor(values: readonly unknown[]): (text: string) => string {
  const texts = [...new Set(values.flatMap(representations))].sort((a, b) => b.length - a.length);
  if (texts.length === 0) return (text) => text;
  const any = texts.map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("|");
  const pattern = new RegExp(`(?<!\\w)(?:${any})(?!\\w)`, "g");
  return (text) => text.replace(pattern, "[hidden]");
}

/** Returns the strings by which a value may occur in a driver's message. */
function representations(value: unknown): string[] {
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
      return [JSON.stringify(value), ...Object.values(value).flatMap(representations)];
    } catch {
      return [];
    }
  }
  const text = String(value);
  return text === "" ? [] : [text, text.replaceAll("'", "''"), text.replaceAll("'", "\\'")];
}

/** Removes the password from a string, in plain and in URL-encoded form. */
export function redactPassword(text: string, password: string | undefined): string {
  if (!password) return text;
  return text.replaceAll(password, "***")
    .replaceAll(encodeURIComponent(password.toWellFormed()), "***");
}

/** Wraps a logger: the password is removed from each line, and what the logger throws is ignored. */
export function redactingLogger(logger: Logger, password: string | undefined): Logger {
  const writer = (level: keyof Logger) => (message: string) => {
    try {
      logger[level](redactPassword(message, password));
    } catch {
      // A logger that fails must not fail the operation that it logs.
    }
  };
  return { debug: writer("debug"), info: writer("info"), warn: writer("warn") };
}
