/**
 * Database URLs: read, changed and rendered, the password hidden unless it is asked for.
 *
 * @module
 */

import { checkHost, hostListError, isHost } from "../internal/host_name.ts";
import { hostPort, ipFamily } from "../internal/ip.ts";

export { canonicalHost, checkHost } from "../internal/host_name.ts";

/** The parts of a {@linkcode DatabaseUrl}. */
export interface DatabaseUrlParts {
  /** Such as `"postgresql"`, in lower case; `"postgres"` reads as `"postgresql"`. */
  dialect: string;
  /** What stands after `+` in the scheme, such as `"pg"`. */
  driver?: string | undefined;
  /** The user name, decoded. */
  user?: string | undefined;
  /** The password, decoded. */
  password?: string | undefined;
  /** Host name or IP address, an IPv6 address without brackets, in the case it was written in. */
  host?: string | undefined;
  /** 1 to 65535. */
  port?: number | undefined;
  /** The database name or file, decoded. */
  database?: string | undefined;
  /** The query parameters; one that stands there several times is a list. */
  params?: Readonly<Record<string, string | readonly string[]>>;
}

/** Scheme; user and password, which are there if an `@` is in the authority; host; port; database; query. */
const URL_PATTERN =
  /^([a-z][a-z\d]*)(?:\+([a-z][\w-]*))?:\/\/(?:([^:/@?]*)(?::([^@]*))?@|(?![^/?]*@))(?:\[([^\]/?]*)\]|([^/:?[\]]*))(?::([^/?]*))?(?:\/([^?]*))?(?:\?(.*))?$/is;
const SQLITE_SHORT = /^(sqlite)(?:\+([a-z][\w-]*))?:(?!\/\/)([^?]*)(?:\?(.*))?$/is;
/** An `@` after the host that looks like the one before it: `…:password@host` or `…@host/database`. */
const MISPLACED_AT = /^\/[^?]*(?::[^@?]*@|@[^/?]*\/)|[?&][^=&]*@/s;
const DIALECT = /^[a-z][a-z\d]*$/i;
const DRIVER = /^[a-z][\w-]*$/i;
const SECRET_PARAM = /pass|pwd|secret|token/i;
/** Names of the symbols under which `console.log` asks for its text, on Deno and on Node and Bun. */
const INSPECT = ["Deno.customInspect", "nodejs.util.inspect.custom"];

/**
 * A database URL, taken apart: `dialect[+driver]://[user[:password]@][host][:port][/database][?query]`, as
 * SQLAlchemy reads it. Immutable. Wherever it is shown (`toString`, JSON, `console.log`) the password reads `***`.
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
  /** Such as `"postgresql"`. */
  readonly dialect: string;
  /** What stands after `+` in the scheme. */
  readonly driver: string | undefined;
  /** The user name, decoded. */
  readonly user: string | undefined;
  /** Host name or IP address, an IPv6 address without brackets. */
  readonly host: string | undefined;
  /** 1 to 65535. */
  readonly port: number | undefined;
  /** The database name or file, decoded. */
  readonly database: string | undefined;
  /** The query parameters; one that stands there several times is a list. */
  readonly params: Readonly<Record<string, string | readonly string[]>>;
  readonly #password: string | undefined;

  /**
   * Makes a URL from its parts.
   *
   * @param parts What the URL consists of.
   * @throws {TypeError} where a part cannot stand in a URL.
   * @throws {RangeError} where the port is not between 1 and 65535.
   */
  constructor(parts: DatabaseUrlParts) {
    const { dialect, driver, host, port } = parts;
    const plain = checkWord(dialect, "dialect", DIALECT);
    this.dialect = plain === "postgres" ? "postgresql" : plain;
    this.driver = driver === undefined ? undefined : checkWord(driver, "driver", DRIVER);
    this.user = checkText(parts.user, "user name") || undefined;
    this.#password = checkText(parts.password, "password");
    this.host = host === undefined ? undefined : checkHost(host);
    this.port = port === undefined ? undefined : checkPort(port);
    this.database = checkText(parts.database, "database") || undefined;
    this.params = freezeParams(parts.params ?? {});
    Object.freeze(this);
  }

  /** The password, decoded. */
  get password(): string | undefined {
    return this.#password;
  }

  /**
   * Reads a database URL.
   *
   * @param url The URL: text, a `URL`, or a `DatabaseUrl`, which is returned as it is.
   * @returns The parts.
   * @throws {TypeError} where it is no database URL; the message shows nothing of user or password.
   */
  static parse(url: string | URL | DatabaseUrl): DatabaseUrl {
    if (url instanceof DatabaseUrl) return url;
    if (typeof url !== "string" && !(url instanceof URL)) {
      throw new TypeError(
        `Cannot read a database URL from a value of type ${typeof url}: it is a string, a URL or a DatabaseUrl`,
      );
    }
    const text = String(url);
    const short = SQLITE_SHORT.exec(text);
    if (short) {
      return new DatabaseUrl({
        dialect: short[1]!,
        driver: short[2],
        database: decode(short[3]!, "database"),
        params: parseParams(short[4]),
      });
    }
    const match = URL_PATTERN.exec(text);
    if (!match) throw unreadable(text);
    const [, dialect, driver, user, password, ipv6, host, port, database, query] = match;
    checkAuthority(match);
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
   * A copy with some parts changed.
   *
   * @param changes The parts to change; `undefined` takes a part away.
   * @returns The changed copy; this one stays as it is.
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
   * The URL as text.
   *
   * @param options `hidePassword` (default `true`) puts `***` for the password and for parameters whose name
   *   speaks of a password, secret or token; with `false`, the text reads back as the same URL.
   * @returns The text.
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
        [name, hide && SECRET_PARAM.test(name) ? "***" : one] as [string, string]
      )
    );
    if (pairs.length) text += "?" + new URLSearchParams(pairs).toString().replaceAll("%2F", "/");
    return text;
  }

  /** The URL as text, the password hidden. */
  toString(): string {
    return this.render();
  }

  /** What JSON shows: the text, the password hidden. */
  toJSON(): string {
    return this.render();
  }

  // What `console.log` shows: the text, the password hidden.
  static {
    const value = function (this: DatabaseUrl) {
      return `DatabaseUrl ${JSON.stringify(this.render())}`;
    };
    for (const name of INSPECT) Object.defineProperty(this.prototype, Symbol.for(name), { value });
  }
}

/** `encodeURIComponent`, and what it leaves alone though some readers stumble over it. */
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
    throw new TypeError(
      `Cannot read the ${part} of the database URL: a "%" must be written %25 or begin a two-digit code`,
    );
  }
}

function parseParams(query = ""): Record<string, string[]> {
  decode(query, "query");
  const params = new URLSearchParams(query);
  return Object.fromEntries([...params.keys()].map((name) => [name, params.getAll(name)]));
}

/** A copy that nobody can change; a list of one is its member, an empty list is nothing. */
function freezeParams(params: DatabaseUrlParts["params"] & object): DatabaseUrl["params"] {
  const pairs = Object.entries(params).map(([name, value]) => {
    const what = `parameter ${JSON.stringify(name)}`;
    checkText(name, "parameters");
    const list = [value].flat().map((one) => checkText(one, what));
    return [name, list.length > 1 ? Object.freeze(list) : list[0]] as [string, string];
  });
  return Object.freeze(Object.fromEntries(pairs.filter(([, value]) => value !== undefined)));
}

/** What a part is called goes into the message, what it holds does not. */
function checkText<T extends string | undefined>(text: T, part: string): T {
  if (text === undefined) return text;
  if (typeof text !== "string") {
    throw new TypeError(
      `Cannot use a value of type ${typeof text} for the ${part} of a database URL: it is a text`,
    );
  }
  try {
    encodeURIComponent(text);
    return text;
  } catch {
    throw new TypeError(
      `Cannot use this text for the ${part} of a database URL: it holds half a character (a lone surrogate)`,
    );
  }
}

function checkWord(text: string, part: string, pattern: RegExp): string {
  if (pattern.test(checkText(text, part) ?? "")) return text.toLowerCase();
  throw new TypeError(
    `Cannot use ${
      JSON.stringify(text)
    } for the ${part} of a database URL: it is letters and digits, a letter first`,
  );
}

/** Host and port as they stand in the text. What may be a piece of the password is not shown. */
function checkAuthority(match: RegExpExecArray): void {
  const [, , , user, , ipv6, host = "", port = "1", database = "", query = ""] = match;
  const goodHost = ipv6 === undefined ? host === "" || isHost(host) : ipFamily(ipv6) === 6;
  const goodPort = /^\d+$/.test(port) && isPort(Number(port));
  const authority = host + port;
  if (host && MISPLACED_AT.test(`/${database}?${query}`) || authority.includes("@")) throw rawAt();
  if (goodPort && goodHost) return;
  if (`${database}${query}`.includes("@")) throw rawAt();
  if (authority.includes(",")) throw hostListError();
  if (!goodPort) {
    // Without an "@" before it, this may be a password after which the host was forgotten.
    const found = port === "" ? "nothing" : user === undefined ? "something else" : `"${port}"`;
    const Kind = /^\d+$/.test(port) ? RangeError : TypeError;
    throw new Kind(
      `Cannot read the port of the database URL: it is a number from 1 to 65535, and ${found} stands there`,
    );
  }
  if (ipv6 !== undefined) {
    throw new TypeError(
      "Cannot read the database URL: brackets hold an IPv6 address, and this is not one",
    );
  }
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65535;
}

function rawAt(): TypeError {
  return new TypeError(
    'Cannot read the database URL: an "@" in the user name or password must be written %40',
  );
}

function checkPort(port: number): number {
  if (isPort(port)) return port;
  throw new RangeError(`Cannot use port ${port}: it is a number from 1 to 65535`);
}

function unreadable(text: string): TypeError {
  const wanted = "it is dialect[+driver]://[user[:password]@]host[:port][/database][?query]";
  const scheme = /^([a-z][\w+.-]*):\/\//i.exec(text)?.[1];
  if (!scheme) return new TypeError(`Cannot read the database URL: ${wanted}`);
  return new TypeError(
    `Cannot read the database URL that begins with ${JSON.stringify(scheme + ":")}: ${wanted}`,
  );
}
