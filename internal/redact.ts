/**
 * Keeps bind values out of a driver's errors, and secrets out of log lines and messages.
 *
 * @module
 */

import { isOf } from "./thrown.ts";
import type { Logger } from "./log.ts";

/**
 * Text properties of an error that never hold a value of the data. All others are dropped: detail, where, hint, an inner
 * query and so on. Message, statement and stack are redacted separately.
 */
const SAFE_FIELDS =
  /^(code|errno|name|cause|severity(_local)?|schema(_name)?|table(_name)?|column(_name)?|data_?type(_name)?|constraint(_name)?|file|line|routine|(internal_?)?position|sql_?state|syscall|address|host|hostname|query_?id)$/i;
/** Properties with a statement. */
const STATEMENT_FIELDS = /^(sql|query)$/;
const MESSAGE_FIELDS = /^(message|sqlMessage)$/;

const HIDDEN = "[hidden]";

/** How the messages of MySQL and MariaDB quote values, which are cut at 64 bytes or more and escaped. */
const MYSQL_QUOTES: readonly RegExp[] = [
  /(?<=Duplicate entry ').*(?=' for key)/s,
  /(?<=value:? ').*?(?='(?: for (?:column|function)\b|\n|$))/s,
  /(?<=value:? ').*(?=')/s,
  /(?<=out of range in ').*(?=')/s,
  /(?<=Invalid JSON text.*?").*(?=")/s,
];
/** A statement of the caller's, as far as the server quotes it. */
const NEAR = [/(?<=near ').*(?=' at line)/s, /(?<=at or near ").*(?=")/s];
/** What the driver of MariaDB appends to a message. */
const MARIADB_STATEMENT = /\nsql: .*$/s;
/** SQLSTATE class 22: data exceptions, whose messages quote the value, in the language of the server. */
const DATA_EXCEPTION = /^22/;
const QUOTED = /["„“”«»「『'‘].*["“”„«»」』'’]/s;

/**
 * Removes bind values from an error and its causes, and all text in which the server repeats data in its own spelling.
 * Class, code and names (constraint, table, column) stay.
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
  return redactEach(error, () => true, {
    statement,
    cleanMessage: (text) => clean(text.replace(MARIADB_STATEMENT, () => `\nsql: ${statement}`)),
  });
}

/**
 * Removes from the errors of a server, and from those among the causes of another error, what may hold data or a
 * statement: for errors of the caller's own calls, whose statements and values are not known.
 *
 * @param error The thrown value; it is changed in place.
 * @returns The error; a copy if its properties cannot be changed.
 */
export function redactServerErrors(error: unknown): unknown {
  return redactEach(error, isServerError, {
    statement: HIDDEN,
    cleanMessage(text) {
      const message = text.replace(MARIADB_STATEMENT, "");
      return NEAR.reduce((text, near) => text.replace(near, HIDDEN), message);
    },
  });
}

/** How the text of an error is redacted. */
interface Redaction {
  /** Takes the place of the statement. */
  readonly statement: string;
  /** Removes what must not be seen from a message. */
  readonly cleanMessage: (text: string) => string;
}

function redactEach(
  error: unknown,
  concerns: (error: Error) => boolean,
  redaction: Redaction,
): unknown {
  const seen = new Set<unknown>();
  const redact = (error: unknown): unknown => {
    if (!isOf(error, Error) || seen.has(error)) return error;
    seen.add(error);
    const open = concerns(error)
      ? cleanError(isLocked(error) ? copyOf(error) : error, redaction)
      : error;
    const cause = redact(open.cause);
    if (cause !== open.cause) put(open, "cause", cause);
    return open;
  };
  return redact(error);
}

/** Returns whether an error is what a server reported, by what the drivers keep of it. */
function isServerError(error: Error): boolean {
  const { code, severity, sqlState, errno, fields } = error as unknown as Record<string, unknown>;
  if (typeof sqlState === "string" && typeof errno === "number") return true;
  if (typeof (fields as { code?: unknown } | null | undefined)?.code === "string") return true;
  // Bun.SQL has the SQLSTATE in `errno`, and a code of its own.
  const isState = (value: unknown) => typeof value === "string" && /^[\dA-Z]{5}$/.test(value);
  return (isState(code) || isState(errno)) && severity !== undefined;
}

function cleanError(error: Error, { statement, cleanMessage }: Redaction): Error {
  const { message, stack } = error;
  const clean = (text: string) => cleanMessage(hideQuoted(text, error));
  for (const name of Object.getOwnPropertyNames(error)) {
    const value = (error as unknown as Record<string, unknown>)[name];
    if (name === "stack" || SAFE_FIELDS.test(name)) continue;
    if (Array.isArray(value)) put(error, name, []);
    else if (typeof value === "string") {
      if (MESSAGE_FIELDS.test(name)) put(error, name, clean(value));
      else if (STATEMENT_FIELDS.test(name)) put(error, name, statement);
      else delete (error as unknown as Record<string, unknown>)[name];
    } else if (isPlain(value)) put(error, name, cleanFields(value, clean));
  }
  if (stack !== undefined) put(error, "stack", stack.replace(message, () => error.message));
  return error;
}

/** Hides the values that a server quotes in its messages. */
function hideQuoted(text: string, error: Error): string {
  const { code, errno, sqlState, fields } = error as unknown as Record<string, unknown>;
  if (typeof errno === "number" || sqlState !== undefined) {
    return MYSQL_QUOTES.reduce((text, quoted) => text.replace(quoted, HIDDEN), text);
  }
  const own = typeof errno === "string" ? errno : code;
  const state = (fields as { code?: unknown } | null | undefined)?.code ?? own;
  const isData = typeof state === "string" && DATA_EXCEPTION.test(state);
  return isData ? text.replace(QUOTED, `"${HIDDEN}"`) : text;
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
    Object.entries(fields).flatMap(([name, value]) => {
      if (typeof value !== "string" || SAFE_FIELDS.test(name)) return [[name, value] as const];
      return MESSAGE_FIELDS.test(name) ? [[name, clean(value)] as const] : [];
    }),
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
  return (text) => text.replace(pattern, HIDDEN);
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

/** Returns whether the value of a parameter or an option with this name is secret. */
export function isSecretName(name: string): boolean {
  return /pass|pwd|secret|token/i.test(name);
}

/** Number of passwords of limited life that are remembered: those of the newest connects. */
const MAX_PASSING = 16;

/** The secrets of one destination, which must be in no log line and no message. */
export class Secrets {
  #texts: Set<string> | undefined;
  /** Passwords that come and go; the newest is the last. */
  #passing: Set<string> | undefined;

  /** @param values The secrets; what is no text, as a key in bytes, is read as text, and anything else ignored. */
  constructor(values: readonly unknown[] = []) {
    for (const value of values) this.add(value);
  }

  /** Adds a secret: a string, bytes, or a list or an object of them. */
  add(value: unknown): void {
    if (value instanceof Uint8Array) this.add(new TextDecoder().decode(value));
    else if (Array.isArray(value)) { for (const each of value) this.add(each); }
    else if (isPlain(value)) this.add(Object.values(value));
    else if (typeof value === "string" && value !== "") {
      (this.#texts ??= new Set()).add(value).add(encodeURIComponent(value.toWellFormed()));
    }
  }

  /** Adds a password that a function gave, which may give another one each time: the oldest are forgotten. */
  addPassing(value: unknown): void {
    if (typeof value !== "string" || value === "") return this.add(value);
    const passing = this.#passing ??= new Set();
    passing.delete(value);
    passing.add(value);
    if (passing.size <= MAX_PASSING) return;
    const [oldest] = passing;
    passing.delete(oldest!);
  }

  /** Removes the secrets from a string, in plain and in URL-encoded form. */
  redact(text: string): string {
    for (const secret of this.#texts ?? []) text = text.replaceAll(secret, "***");
    for (const secret of this.#passing ?? []) {
      text = text.replaceAll(secret, "***")
        .replaceAll(encodeURIComponent(secret.toWellFormed()), "***");
    }
    return text;
  }
}

/** Removes the password from a string, in plain and in URL-encoded form. */
export function redactPassword(text: string, password: string | undefined): string {
  return new Secrets([password]).redact(text);
}

/** Wraps a logger: secrets are removed from each line, and what the logger throws is ignored. */
export function redactingLogger(logger: Logger, secrets: Secrets): Logger {
  return new RedactingLogger(logger, secrets);
}

class RedactingLogger implements Logger {
  readonly #logger: Logger;
  readonly #secrets: Secrets;

  constructor(logger: Logger, secrets: Secrets) {
    this.#logger = logger;
    this.#secrets = secrets;
  }

  debug(message: string): void {
    this.#write("debug", message);
  }

  info(message: string): void {
    this.#write("info", message);
  }

  warn(message: string): void {
    this.#write("warn", message);
  }

  #write(level: keyof Logger, message: string): void {
    try {
      this.#logger[level](this.#secrets.redact(message));
    } catch {
      // A logger that fails must not fail the operation that it logs.
    }
  }
}
