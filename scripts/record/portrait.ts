/**
 * Portraits of errors: what a program can read in them, without what differs from run to run.
 *
 * @module
 */

/** An error as it is kept. */
export interface Portrait {
  /** The name of its class. */
  readonly class: string;
  readonly message: string;
  /** The properties by which errors are told apart. */
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly cause?: Portrait;
}

/** Properties that are kept. */
const FIELDS = [
  ...["name", "code", "errno", "syscall", "fatal", "sqlState", "sqlMessage"],
  ...["severity", "severity_local", "routine", "kind"],
];

/** Maximum number of characters of a message. */
const MAX_MESSAGE = 160;

/** Returns the portrait of an error. */
export function portraitOf(
  error: unknown,
  place: { readonly host: string; readonly port: number },
): Portrait {
  if (typeof error !== "object" || error === null) {
    return { class: typeof error, message: `${error}` };
  }
  const source = error as Record<string, unknown>;
  const text = (value: unknown) => shorten(String(value), place);
  const fields = fieldsOf(source, text);
  const nested = source.fields;
  if (typeof nested === "object" && nested !== null) {
    Object.assign(fields, { fields: fieldsOf(nested as Record<string, unknown>, text) });
  }
  const className = error.constructor?.name ?? "Object";
  if (fields.name === className || fields.name === "Error") delete fields.name;
  return {
    class: className,
    message: text(source.message ?? ""),
    ...(Object.keys(fields).length > 0 && { fields }),
    ...(source.cause !== undefined && source.cause !== null &&
      { cause: portraitOf(source.cause, place) }),
  };
}

function fieldsOf(
  source: Record<string, unknown>,
  text: (value: unknown) => string,
): Record<string, unknown> {
  const kept = FIELDS.filter((name) =>
    ["string", "number", "boolean"].includes(typeof source[name])
  );
  return Object.fromEntries(kept.map((name) => {
    const value = source[name];
    return [name, typeof value === "string" ? text(value) : value];
  }));
}

/** Removes what differs from run to run, and statements. */
function shorten(text: string, { host, port }: { host: string; port: number }): string {
  return text
    .replaceAll(`${host}:${port}`, "<address>")
    .replaceAll(host, "<address>")
    .replaceAll(/127\.\d+\.\d+\.\d+(:\d+)?/g, "<address>")
    .replaceAll(new RegExp(`\\b${port}\\b`, "g"), "<port>")
    .replaceAll(/\bconn:-?\d+/g, "conn:1")
    .replaceAll(/\b(connection|PID|process) \d+/gi, "$1 1")
    .replaceAll(/\nsql: [\s\S]*/g, "")
    .slice(0, MAX_MESSAGE);
}
