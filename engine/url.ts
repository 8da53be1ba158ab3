/**
 * Parses, changes and renders database URLs. The password is hidden unless it is asked for.
 *
 * @module
 */

import {
  mustBe,
  mustBeUndisclosed,
  mustNotBeGiven,
  outOfRange,
  outOfRangeUndisclosed,
  show,
} from "../internal/argument_error.ts";
import { checkHost, isHost } from "../internal/host_name.ts";
import { canonicalIp, hostPort, ipFamily } from "../internal/ip.ts";
import { isSecretName } from "../internal/redact.ts";

/** A host in a {@linkcode DatabaseUrl}. */
export interface UrlHost {
  /** The host name or IP address as it is spelled in the URL, an IPv6 address without brackets. */
  readonly host: string;
  /** The port, from 1 to 65535. Default: the driver's. */
  readonly port?: number | undefined;
}

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
  /** The port, from 1 to 65535; with several hosts, for each of them. */
  port?: number | undefined;
  /** Several hosts, at most 64, in place of `host` and `port`. */
  hosts?: readonly UrlHost[] | undefined;
  /** Whether `host` is a service, whose servers are in SRV records (RFC 2782). Default `false`. */
  srv?: boolean | undefined;
  /** The database name or file, decoded. */
  database?: string | undefined;
  /** The query parameters; one that occurs several times has an array. */
  params?: Readonly<Record<string, string | readonly string[]>>;
}

/** The scheme: `dialect+driver`, or `dialect+driver+srv`. */
const SCHEME = String
  .raw`(?<dialect>[a-z][a-z\d]*)(?:\+(?!srv:)(?<driver>[a-z][\w-]*))?(?<srv>\+srv)?`;

const URL_PATTERN = new RegExp(
  [
    `^${SCHEME}://`,
    String.raw`(?:(?<user>[^:/@?]*)(?::(?<password>[^@]*))?@|(?![^/?]*@))`, // none only if there is no "@" at all
    String.raw`(?<hosts>[^/?]*)`,
    String.raw`(?:/(?<database>[^?]*))?`,
    String.raw`(?:\?(?<query>.*))?$`,
  ].join(""),
  "is",
);

/** One host, with its port. */
const HOST_PATTERN = /^(?:\[(?<ipv6>[^\]]*)\]|(?<host>[^:[\]]*))(?::(?<port>.*))?$/s;

/** Maximum number of hosts. */
const MAX_HOSTS = 64;

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
 * rules of SQLAlchemy. There may be several hosts: `db1:5432,db2:5433`, or in the query, as libpq and SQLAlchemy take
 * them, `?host=db1,db2&port=5432,5433` or `?host=db1:5432&host=db2:5433`. With `+srv` at the end of the scheme, the host
 * is a service with SRV records. Immutable. `toString`, JSON and `console.log` show `***` in place of the password and of secret
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
  /** The host name or IP address, an IPv6 address without brackets; `undefined` with several hosts. */
  readonly host: string | undefined;
  /** The port, from 1 to 65535; `undefined` with several hosts. */
  readonly port: number | undefined;
  /** All hosts, in the order of preference. */
  readonly hosts: readonly UrlHost[];
  /** Whether the host is a service, whose servers are in SRV records: the scheme ends with `+srv`. */
  readonly srv: boolean;
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
    const { dialect, driver } = parts;
    const name = checkWord(dialect, "dialect", DIALECT);
    this.dialect = name === "postgres" ? "postgresql" : name;
    this.driver = driver === undefined ? undefined : checkWord(driver, "driver", DRIVER);
    this.user = checkText(parts.user, "user name") || undefined;
    this.#password = checkText(parts.password, "password");
    const params = freezeParams(parts.params ?? {});
    const inParams = this.dialect === "sqlite" ? undefined : hostsOfParams(parts, params);
    const { host, port, hosts } = readHosts({ ...parts, ...inParams });
    this.host = host;
    this.port = port;
    this.hosts = hosts;
    this.srv = parts.srv === true;
    if (this.srv) checkService(this);
    this.database = checkText(parts.database, "database") || undefined;
    this.#params = inParams?.params ?? params;
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
    const { dialect, driver, srv, user, password, database, query } = raw;
    const hosts = sqlite ? [] : hostsOfAuthority(raw, text);
    return new DatabaseUrl({
      dialect: dialect!,
      driver,
      srv: srv !== undefined,
      user: decode(user, "user name"),
      password: decode(password, "password"),
      ...(hosts.length > 1 ? { hosts: hosts as UrlHost[] } : hosts[0]),
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
    const { dialect, driver, srv, user, password, database, params } = this;
    return new DatabaseUrl({
      dialect,
      driver,
      srv,
      user,
      password,
      database,
      params,
      ...changes,
      ...changedHosts(this, changes),
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
    let text = this.dialect + (this.driver ? `+${this.driver}` : "");
    text += (this.srv ? "+srv" : "") + "://";
    if (this.user !== undefined || this.#password !== undefined) {
      text += encode(this.user ?? "");
      if (this.#password !== undefined) text += ":" + (hide ? "***" : encode(this.#password));
      text += "@";
    }
    text += this.hosts.map(({ host, port }) => hostPort(host, port)).join(",");
    if (this.hosts.length === 0 && this.port !== undefined) text += `:${this.port}`;
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

/** A host as it is read, or a port without one. */
type ReadHost = { readonly host?: string | undefined; readonly port?: number | undefined };

/** Reads the hosts between user and database. */
function hostsOfAuthority(raw: RawParts, text: string): ReadHost[] {
  const pieces = raw.hosts!.split(",");
  return pieces.map((piece) => {
    const parts = HOST_PATTERN.exec(decodeHost(piece))?.groups;
    if (!parts) throw syntaxError(text);
    checkAuthority({ ...raw, ...parts });
    const { ipv6, host, port } = parts;
    const name = ipv6 ?? (host || undefined);
    if (name === undefined && pieces.length > 1) throw emptyHostError();
    return { host: name, port: port === undefined ? undefined : Number(port) };
  });
}

/** Decodes the characters of a host that are not ASCII: a `URL` percent-encodes them, except for `http:` and the like. */
function decodeHost(host: string): string {
  return host.replace(/(?:%[89a-f][\da-f])+/gi, (encoded) => {
    try {
      return decodeURIComponent(encoded);
    } catch {
      return encoded;
    }
  });
}

/**
 * Reads the hosts in the parameters, of which the result has none: `host=db1,db2&port=5432,5433`, as libpq takes them,
 * and `host=db1:5432&host=db2:5433`, as SQLAlchemy does.
 *
 * @returns `undefined` if there are no hosts in the parameters, or there is one before them.
 */
function hostsOfParams(
  { host, port, hosts }: DatabaseUrlParts,
  params: DatabaseUrl["params"],
): Pick<DatabaseUrlParts, "hosts"> & { readonly params: DatabaseUrl["params"] } | undefined {
  if (params.host === undefined || host !== undefined || port !== undefined || hosts) {
    return undefined;
  }
  const split = (value: string | readonly string[]) =>
    [value].flat().flatMap((text) => text.split(","));
  const pieces = split(params.host);
  const { host: _, port: ports, ...others } = params;
  const given = ports === undefined ? [] : split(ports);
  if (given.length > 1 && given.length !== pieces.length) {
    const allowed = `one port, or one for each of the ${pieces.length} hosts`;
    throw mustBeUndisclosed(nameOf("parameter port"), allowed, `${given.length} ports`);
  }
  const read = pieces.map((piece, index) => {
    const text = given.length > 1 ? given[index] : given[0];
    const outer = text === undefined || text === "" ? undefined : readPort(text);
    if (piece === "") throw emptyHostError();
    if (canonicalIp(piece) !== undefined) return { host: piece, port: outer };
    const parts = HOST_PATTERN.exec(piece)?.groups ?? { host: piece };
    const inner = parts.port === undefined ? undefined : readPort(parts.port);
    if (inner !== undefined && outer !== undefined) {
      const reason = "the parameter host has ports already";
      throw mustNotBeGiven(nameOf("parameter port"), reason);
    }
    return { host: parts.ipv6 ?? parts.host!, port: inner ?? outer };
  });
  return { hosts: read, params: Object.freeze(others) };
}

function readPort(text: string): number {
  if (/^\d+$/.test(text)) return checkPort(Number(text));
  throw mustBe(nameOf("port"), PORT_RULE, text);
}

/** Checks and copies the hosts of a URL. */
function readHosts(
  { host, port, hosts }: DatabaseUrlParts,
): Required<Pick<DatabaseUrl, "host" | "port" | "hosts">> {
  if (hosts === undefined) {
    const name = host === undefined ? undefined : checkHost(host);
    const number = port === undefined ? undefined : checkPort(port);
    const all = name === undefined ? [] : [urlHost(name, number)];
    return { host: name, port: number, hosts: Object.freeze(all) };
  }
  if (!Array.isArray(hosts) || hosts.length === 0 || hosts.length > MAX_HOSTS) {
    const found = Array.isArray(hosts) ? `${hosts.length} hosts` : show(hosts);
    throw mustBeUndisclosed(nameOf("hosts"), `an array of 1 to ${MAX_HOSTS} hosts`, found);
  }
  if (host !== undefined || port !== undefined) {
    throw mustNotBeGiven(nameOf(host === undefined ? "port" : "host"), "there are several hosts");
  }
  const all = hosts.map((each: UrlHost) => {
    const { host, port } = Object(each) as UrlHost;
    return urlHost(checkHost(host), port === undefined ? undefined : checkPort(port));
  });
  const [only] = all;
  if (all.length === 1) return { host: only!.host, port: only!.port, hosts: Object.freeze(all) };
  return { host: undefined, port: undefined, hosts: Object.freeze(all) };
}

function urlHost(host: string, port: number | undefined): UrlHost {
  return Object.freeze({ host, ...(port !== undefined && { port }) });
}

/** Returns the hosts of a URL after a change. */
function changedHosts(
  { host, port, hosts }: DatabaseUrl,
  changes: Partial<DatabaseUrlParts>,
): Partial<DatabaseUrlParts> {
  if (changes.hosts !== undefined) return {};
  if ("host" in changes || hosts.length < 2) return { host, port, ...pick(changes) };
  if (changes.port === undefined) return { hosts };
  return { hosts: hosts.map(({ host }) => ({ host, port: changes.port })), port: undefined };
}

function pick(changes: Partial<DatabaseUrlParts>): Partial<DatabaseUrlParts> {
  return {
    ...("host" in changes && { host: changes.host }),
    ...("port" in changes && { port: changes.port }),
  };
}

/**
 * Checks that a URL names a service, and nothing that its SRV records say.
 *
 * @param url The URL.
 * @throws {TypeError} if there is a port, an IP address in place of the name, or more than one host.
 */
export function checkService({ host, port, hosts }: DatabaseUrl): void {
  const allowed = "one name of a service, such as _postgresql._tcp.db.example, beside SRV";
  if (hosts.length > 1) throw mustBeUndisclosed(nameOf("host"), allowed, `${hosts.length} hosts`);
  if (port !== undefined) throw mustNotBeGiven(nameOf("port"), "the ports are in the SRV records");
  if (host !== undefined && canonicalIp(host) === undefined) return;
  throw mustBeUndisclosed(nameOf("host"), allowed, host === undefined ? "none" : "an IP address");
}

function emptyHostError(): TypeError {
  return mustBeUndisclosed(nameOf("host"), "a name or an IP address", "nothing between commas");
}

/** Checks one host and its port as they are spelled in the URL. The message does not show what may be a password. */
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
