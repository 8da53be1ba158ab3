/**
 * Keeps bind values out of what a driver says of a statement that failed.
 *
 * @module
 */

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
 */
export function hideValues(error: unknown, statement: string, values: readonly unknown[]): void {
  const clean = cleaner(values);
  const seen = new Set<unknown>();
  for (let each = error; each instanceof Error && !seen.has(each); each = each.cause) {
    seen.add(each);
    cleanError(each, statement, clean);
  }
}

function cleanError(error: Error, statement: string, clean: (text: string) => string): void {
  const { message, stack } = error;
  for (const name of Object.getOwnPropertyNames(error)) {
    if (FACTS.test(name)) continue;
    const value = (error as unknown as Record<string, unknown>)[name];
    if (name === "sql") put(error, name, statement);
    else if (Array.isArray(value)) put(error, name, []);
    else if (typeof value === "string") put(error, name, clean(value));
  }
  if (stack !== undefined) put(error, "stack", stack.replace(message, () => error.message));
}

function put(error: Error, name: string, value: unknown): void {
  const known = Object.getOwnPropertyDescriptor(error, name);
  if (known?.configurable === false && !known.writable) return;
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
