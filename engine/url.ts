/**
 * Parses, changes and renders database URLs. The password is hidden unless it is asked for.
 *
 * @module
 */

import { mustBe } from "../internal/argument_error.ts";
import { isSocketPath } from "../internal/host_name.ts";
import { hostPort } from "../internal/ip.ts";
import { isSecretName } from "../internal/redact.ts";
import {
  changedHosts,
  checkService,
  hostsOfAuthority,
  hostsOfParams,
  type RawParts,
  readHosts,
  type UrlHost,
} from "./url_hosts.ts";
import { checkCharacters, checkText, checkWord, decode, encode, syntaxError } from "./url_text.ts";

export type { UrlHost } from "./url_hosts.ts";

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
  /**
   * The host name or IP address as it is spelled in the URL, an IPv6 address without brackets; or the path of a Unix
   * socket: of its directory with PostgreSQL, of the socket itself with MySQL and MariaDB.
   */
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

/** `sqlite:file` and `sqlite::memory:`, without `//`. */
const SQLITE_PATTERN = new RegExp(
  [
    String.raw`^(?<dialect>sqlite)(?:\+(?<driver>[a-z][\w-]*))?:(?!//)`,
    String.raw`(?<database>[^?]*)(?:\?(?<query>.*))?$`,
  ].join(""),
  "is",
);

const DIALECT = /^[a-z][a-z\d]*$/i;
const DRIVER = /^[a-z][\w-]*$/i;
/** Names of the symbols whose method `console.log` calls, on Deno and on Node and Bun. */
const INSPECT = ["Deno.customInspect", "nodejs.util.inspect.custom"];

/**
 * A database URL and its parts: `dialect[+driver]://[user[:password]@][host][:port][/database][?query]`, with the
 * rules of SQLAlchemy. There may be several hosts: `db1:5432,db2:5433`, or in the query, as libpq and SQLAlchemy take
 * them, `?host=db1,db2&port=5432,5433` or `?host=db1:5432&host=db2:5433`. A Unix socket is a host that begins with `/`:
 * `postgresql://app@/orders?host=/var/run/postgresql`, `mysql://app@/orders?socketPath=/run/mysqld/mysqld.sock`, or with `%2F`
 * before the database. With `+srv` at the end of the scheme, the host
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
  /**
   * The host name or IP address, an IPv6 address without brackets, or the path of a Unix socket; `undefined` with several
   * hosts.
   */
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
    text += this.hosts.map(({ host, port }) =>
      hostPort(isSocketPath(host) ? encode(host) : host, port)
    ).join(",");
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
