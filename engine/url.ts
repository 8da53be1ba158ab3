/**
 * Parses, changes and renders database URLs. The password is hidden unless it is asked for.
 *
 * @module
 */

import {
  mustBe,
  mustBeUndisclosed,
  outOfRange,
  outOfRangeUndisclosed,
  show,
} from "../internal/argument_error.ts";
import { checkHost, hostListError, isHost } from "../internal/host_name.ts";
import { hostPort, ipFamily } from "../internal/ip.ts";
import { isSecretName } from "../internal/redact.ts";

/** The parts of a {@linkcode DatabaseUrl}. */
export interface DatabaseUrlParts {
  /** The dialect, such as `"postgresql"`, in lower case; `"postgres"` becomes `"postgresql"`. */
  dialect: string;
  /** The driver, such as `"pg"`: the part of the scheme after `+`. */
  driver?: string | undefined;
  /** The user name, decoded. */
  user?: string | undefined;
  /** The password, decoded. */
  password?: string | undefined;
  /** The host name or IP address as it is spelled in the URL, an IPv6 address without brackets. */
  host?: string | undefined;
  /** The port, from 1 to 65535. */
  port?: number | undefined;
  /** The database name or file, decoded. */
  database?: string | undefined;
  /** The query parameters; one that occurs several times has an array. */
  params?: Readonly<Record<string, string | readonly string[]>>;
}

/** The scheme: `dialect+driver`. */
const SCHEME = String.raw`(?<dialect>[a-z][a-z\d]*)(?:\+(?<driver>[a-z][\w-]*))?`;

const URL_PATTERN = new RegExp(
  [
    `^${SCHEME}://`,
    String.raw`(?:(?<user>[^:/@?]*)(?::(?<password>[^@]*))?@|(?![^/?]*@))`, // none only if there is no "@" at all
    String.raw`(?:\[(?<ipv6>[^\]/?]*)\]|(?<host>[^/:?[\]]*))`,
    String.raw`(?::(?<port>[^/?]*))?`,
    String.raw`(?:/(?<database>[^?]*))?`,
    String.raw`(?:\?(?<query>.*))?$`,
  ].join(""),
  "is",
);

/** `sqlite:file` and `sqlite::memory:`, without `//`. */
const SQLITE_PATTERN = new RegExp(
  [
    String.raw`^(?<dialect>sqlite)(?:\+(?<driver>[a-z][\w-]*))?:(?!//)`,
    String.raw`(?<database>[^?]*)(?:\?(?<query>.*))?$`,
  ].join(""),
  "is",
);

/** An `@` after the host that looks like the one before it: `…:password@host` or `…@host/database`. */
const MISPLACED_AT = /^\/[^?]*(?::[^@?]*@|@[^/?]*\/)|[?&][^=&]*@/s;
const DIALECT = /^[a-z][a-z\d]*$/i;
const DRIVER = /^[a-z][\w-]*$/i;
/** Names of the symbols whose method `console.log` calls, on Deno and on Node and Bun. */
const INSPECT = ["Deno.customInspect", "nodejs.util.inspect.custom"];

/** The parts that a pattern found, as they are spelled in the URL. */
type RawParts = Readonly<Record<string, string | undefined>>;

/**
 * A database URL and its parts: `dialect[+driver]://[user[:password]@][host][:port][/database][?query]`, with the
 * rules of SQLAlchemy. Immutable. `toString`, JSON and `console.log` show `***` in place of the password and of secret
 * parameters; a spread, `Object.entries` and `structuredClone` leave out the password and all parameters.
 *
 * @example
 * ```ts
 * import { DatabaseUrl } from "@dnspool/dnspool";
 * import { assertEquals } from "@std/assert";
 *
 * const url = DatabaseUrl.parse("postgres://app:s%40crt@db.internal:5432/orders");
 * assertEquals(url.password, "s@crt");
 * assertEquals(String(url), "postgresql://app:***@db.internal:5432/orders");
 * assertEquals(String(url.with({ host: "10.0.0.2" })), "postgresql://app:***@10.0.0.2:5432/orders");
 * ```
 */
export class DatabaseUrl {
  /** The dialect, such as `"postgresql"`. */
  readonly dialect: string;
  /** The driver: the part of the scheme after `+`. */
  readonly driver: string | undefined;
  /** The user name, decoded. */
  readonly user: string | undefined;
  /** The host name or IP address, an IPv6 address without brackets. */
  readonly host: string | undefined;
  /** The port, from 1 to 65535. */
  readonly port: number | undefined;
  /** The database name or file, decoded. */
  readonly database: string | undefined;
  readonly #password: string | undefined;
  readonly #params: Readonly<Record<string, string | readonly string[]>>;

  /**
   * Makes a URL from its parts.
   *
   * @param parts The parts.
   * @throws {TypeError} if a part cannot be part of a URL.
   * @throws {RangeError} if the port is not from 1 to 65535.
   */
  constructor(parts: DatabaseUrlParts) {
    const { dialect, driver, host, port } = parts;
    const name = checkWord(dialect, "dialect", DIALECT);
    this.dialect = name === "postgres" ? "postgresql" : name;
    this.driver = driver === undefined ? undefined : checkWord(driver, "driver", DRIVER);
    this.user = checkText(parts.user, "user name") || undefined;
    this.#password = checkText(parts.password, "password");
    this.host = host === undefined ? undefined : checkHost(host);
    this.port = port === undefined ? undefined : checkPort(port);
    this.database = checkText(parts.database, "database") || undefined;
    this.#params = freezeParams(parts.params ?? {});
    Object.freeze(this);
  }

  /** The query parameters; one that occurs several times has an array. They may be secret, so a copy has none. */
  get params(): Readonly<Record<string, string | readonly string[]>> {
    return this.#params;
  }

  /** The password, decoded. */
  get password(): string | undefined {
    return this.#password;
  }

  /**
   * Parses a database URL.
   *
   * @param url The URL: a string, a `URL`, or a `DatabaseUrl`, which is returned as it is.
   * @returns The parts.
   * @throws {TypeError} if it is not a database URL; the message shows nothing of user or password.
   * @throws {RangeError} if the port is not from 1 to 65535.
   */
  static parse(url: string | URL | DatabaseUrl): DatabaseUrl {
    if (url instanceof DatabaseUrl) return url;
    if (typeof url !== "string" && !(url instanceof URL)) {
      throw mustBe("database URL", "a string, a URL or a DatabaseUrl", url);
    }
    const text = String(url);
    checkCharacters(text);
    const sqlite = SQLITE_PATTERN.exec(text)?.groups;
    const raw: RawParts | undefined = sqlite ?? URL_PATTERN.exec(text)?.groups;
    if (!raw) throw syntaxError(text);
    if (!sqlite) checkAuthority(raw);
    const { dialect, driver, user, password, ipv6, host, port, database, query } = raw;
    return new DatabaseUrl({
      dialect: dialect!,
      driver,
      user: decode(user, "user name"),
      password: decode(password, "password"),
      host: ipv6 ?? (host || undefined),
      port: port === undefined ? undefined : Number(port),
      database: decode(database, "database"),
      params: parseParams(query),
    });
  }

  /**
   * Returns a copy with some parts changed.
   *
   * @param changes The parts to change; `undefined` removes a part.
   */
  with(changes: Partial<DatabaseUrlParts>): DatabaseUrl {
    const { dialect, driver, user, password, host, port, database, params } = this;
    return new DatabaseUrl({
      dialect,
      driver,
      user,
      password,
      host,
      port,
      database,
      params,
      ...changes,
    });
  }

  /**
   * Returns the URL as a string.
   *
   * @param options `hidePassword` (default `true`) puts `***` in place of the password, and of parameters with
   *   "password", "secret" or "token" in their name; with `false`, the string can be parsed to the same URL.
   */
  render(options: { hidePassword?: boolean } = {}): string {
    const hide = options.hidePassword ?? true;
    let text = this.dialect + (this.driver ? `+${this.driver}` : "") + "://";
    if (this.user !== undefined || this.#password !== undefined) {
      text += encode(this.user ?? "");
      if (this.#password !== undefined) text += ":" + (hide ? "***" : encode(this.#password));
      text += "@";
    }
    if (this.host !== undefined) text += hostPort(this.host, undefined);
    if (this.port !== undefined) text += `:${this.port}`;
    if (this.database !== undefined) {
      text += "/" + encode(this.database).replace(/%2F|%3A/g, (c) => decodeURIComponent(c));
    }
    const pairs = Object.entries(this.params).flatMap(([name, value]) =>
      [value].flat().map((one) =>
        [name, hide && isSecretName(name) ? "***" : one] as [string, string]
      )
    );
    if (pairs.length) text += "?" + new URLSearchParams(pairs).toString().replaceAll("%2F", "/");
    return text;
  }

  /** Returns the URL as a string, with the password hidden. */
  toString(): string {
    return this.render();
  }

  /** Returns the URL as a string for JSON, with the password hidden. */
  toJSON(): string {
    return this.render();
  }

  // `console.log` shows the string with the password hidden.
  static {
    const value = function (this: DatabaseUrl) {
      return `DatabaseUrl ${JSON.stringify(this.render())}`;
    };
    for (const name of INSPECT) Object.defineProperty(this.prototype, Symbol.for(name), { value });
  }
}

/** Percent-encodes a string: as `encodeURIComponent`, and the characters `!'()*`, which some parsers do not accept. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase(),
  );
}

function decode<T extends string | undefined>(text: T, part: string): T {
  try {
    return (text && decodeURIComponent(text)) as T;
  } catch {
    const allowed = 'percent-encoded, with %25 in place of "%"';
    throw mustBeUndisclosed(nameOf(part), allowed, 'a "%" that does not begin a valid code');
  }
}

function parseParams(query = ""): Record<string, string[]> {
  decode(query, "query");
  const params = new URLSearchParams(query);
  return Object.fromEntries([...params.keys()].map((name) => [name, params.getAll(name)]));
}

/** Copies and freezes parameters. An array of one becomes its element, an empty one is left out. */
function freezeParams(params: DatabaseUrlParts["params"] & object): DatabaseUrl["params"] {
  const pairs = Object.entries(params).map(([name, value]) => {
    checkText(name, "parameters");
    const list = [value].flat().map((one) => checkText(one, `parameter ${name}`));
    return [name, list.length > 1 ? Object.freeze(list) : list[0]] as [string, string];
  });
  return Object.freeze(Object.fromEntries(pairs.filter(([, value]) => value !== undefined)));
}

/** The name of a part in messages. */
function nameOf(part: string): string {
  return `${part} of the database URL`;
}

/** Checks a part. The message does not show it: it may be the password. */
function checkText<T extends string | undefined>(text: T, part: string): T {
  if (text === undefined) return text;
  if (typeof text !== "string") {
    throw mustBeUndisclosed(nameOf(part), "a string", `a value of type ${typeof text}`);
  }
  if (text.includes("\0")) {
    throw mustBeUndisclosed(nameOf(part), "without a NUL character", "one with U+0000");
  }
  try {
    encodeURIComponent(text);
    return text;
  } catch {
    throw mustBeUndisclosed(nameOf(part), "a string of whole characters", "a lone surrogate");
  }
}

/** A control character anywhere, or a space at either end: from a file, a heredoc or a copied line. */
const STRAY = /^\s|\s$|[\p{Cc}\u2028\u2029]/u;

/** Refuses characters that would silently become part of a name, usually the database's. */
function checkCharacters(text: string): void {
  const index = text.search(STRAY);
  if (index === -1) return;
  const code = text.codePointAt(index)!.toString(16).toUpperCase().padStart(4, "0");
  const where = index === 0 ? "at its start" : index === text.length - 1 ? "at its end" : "in it";
  const kind = text[index] === "\n" ? "a line break" : `the character U+${code}`;
  throw mustBeUndisclosed(
    "database URL",
    "without spaces around it and without control characters",
    `${kind} ${where}`,
  );
}

function checkWord(text: string, part: string, pattern: RegExp): string {
  if (pattern.test(checkText(text, part) ?? "")) return text.toLowerCase();
  throw mustBe(nameOf(part), "a string of letters and digits that begins with a letter", text);
}

/** Checks host and port as they are spelled in the URL. The message does not show what may be part of the password. */
function checkAuthority(raw: RawParts): void {
  const { user, ipv6, host = "", port = "1", database = "", query = "" } = raw;
  const isHostValid = ipv6 === undefined ? host === "" || isHost(host) : ipFamily(ipv6) === 6;
  const isNumber = /^\d+$/.test(port);
  const isPortValid = isNumber && isPort(Number(port));
  const authority = host + port;
  const isAtMisplaced = host !== "" && MISPLACED_AT.test(`/${database}?${query}`);
  if (isAtMisplaced || authority.includes("@")) throw unencodedAtError();
  if (isPortValid && isHostValid) return;
  if (`${database}${query}`.includes("@")) throw unencodedAtError();
  if (authority.includes(",")) throw hostListError();
  if (!isPortValid) {
    // Without an "@" before it, this may be a password after which the host was forgotten.
    const found = port === "" ? "nothing" : user === undefined ? "another value" : show(port);
    const error = isNumber ? outOfRangeUndisclosed : mustBeUndisclosed;
    throw error(nameOf("port"), PORT_RULE, found);
  }
  if (ipv6 !== undefined) {
    const allowed = "an IPv6 address if it is in brackets";
    throw mustBeUndisclosed(nameOf("host"), allowed, "another value in brackets");
  }
}

/** The rule for a port, in messages. */
export const PORT_RULE = "a whole number from 1 to 65535";

/** Returns whether a number is a TCP port that can be connected to. */
export function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65535;
}

function checkPort(port: number): number {
  if (isPort(port)) return port;
  throw outOfRange(nameOf("port"), PORT_RULE, port);
}

function unencodedAtError(): TypeError {
  const allowed = 'percent-encoded, with %40 in place of "@"';
  return mustBeUndisclosed(nameOf("user name or password"), allowed, 'an "@"');
}

function syntaxError(text: string): TypeError {
  const scheme = /^([a-z][\w+.-]*):\/\//i.exec(text)?.[1];
  return mustBeUndisclosed(
    "database URL",
    "dialect[+driver]://[user[:password]@]host[:port][/database][?query]",
    scheme ? `a string that begins with ${JSON.stringify(scheme + ":")}` : "another string",
  );
}
