/**
 * Reads the hosts and ports in a database URL: those before the path, and those in the parameters.
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
import { checkHost, isHost, isSocketPath } from "../internal/host_name.ts";
import { canonicalIp, ipFamily } from "../internal/ip.ts";
import { checkText, decode, nameOf, syntaxError } from "./url_text.ts";

/** A host in a {@linkcode DatabaseUrl}. */
export interface UrlHost {
  /**
   * The host name or IP address as it is spelled in the URL, an IPv6 address without brackets; or the path of a Unix
   * socket.
   */
  readonly host: string;
  /** The port, from 1 to 65535. Default: the driver's. */
  readonly port?: number | undefined;
}

/** The parts of a database URL that say which hosts it has. */
export interface HostParts {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly hosts?: readonly UrlHost[] | undefined;
}

/** The hosts of a database URL that was read. */
export interface AllHosts extends HostParts {
  readonly hosts: readonly UrlHost[];
}

/** The parameters of a database URL. */
export type UrlParams = Readonly<Record<string, string | readonly string[]>>;

/** One host, with its port. */
const HOST_PATTERN = /^(?:\[(?<ipv6>[^\]]*)\]|(?<host>[^:[\]]*))(?::(?<port>.*))?$/s;

/** The path of a Unix socket, percent-encoded. */
const SOCKET_PATTERN = /^(?<path>%2f[^:]*)(?::(?<port>.*))?$/is;

/** Maximum number of hosts. */
const MAX_HOSTS = 64;

/** An `@` after the host that looks like the one before it: `…:password@host` or `…@host/database`. */
const MISPLACED_AT = /^\/[^?]*(?::[^@?]*@|@[^/?]*\/)|[?&][^=&]*@/s;

/** The parts that a pattern found, as they are spelled in the URL. */
export type RawParts = Readonly<Record<string, string | undefined>>;

/** A host as it is read, or a port without one. */
type ReadHost = { readonly host?: string | undefined; readonly port?: number | undefined };

/** Reads the hosts between user and database. */
export function hostsOfAuthority(raw: RawParts, text: string): ReadHost[] {
  const pieces = raw.hosts!.split(",");
  return pieces.map((piece) => {
    const socket = SOCKET_PATTERN.exec(piece)?.groups;
    if (socket) {
      checkAuthority({ ...raw, port: socket.port });
      const port = socket.port === undefined ? undefined : Number(socket.port);
      return { host: decode(socket.path, "host"), port };
    }
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
 * Reads the hosts and ports in the parameters, of which the result has none: `host=db1,db2&port=5432,5433`, as libpq
 * takes them, and `host=db1:5432&host=db2:5433`, as SQLAlchemy does. The ports may be for hosts before the path.
 *
 * @returns `undefined` if there are none in the parameters, or there are hosts in both places.
 */
export function hostsOfParams(
  { dialect, host, port, hosts }: HostParts & { readonly dialect?: string },
  params: UrlParams,
): HostParts & { readonly params: UrlParams } | undefined {
  if (SOCKET_PARAMS.some((name) => name in params) && dialect !== "postgresql") {
    return socketOfParams({ host, port, hosts }, params);
  }
  const { host: names, port: ports, ...others } = params;
  const before = hosts ?? (host === undefined ? [] : [{ host, port }]);
  if (!Array.isArray(before)) return undefined;
  if (names === undefined && (ports === undefined || before.length === 0)) return undefined;
  if (names !== undefined && (before.length > 0 || port !== undefined)) return undefined;
  const pieces = names === undefined ? before as readonly ReadHost[] : split(names).map(readPiece);
  const given = ports === undefined ? [] : split(ports);
  if (given.length > 1 && given.length !== pieces.length) {
    const many = `one port, or one for each of the ${pieces.length} hosts`;
    const allowed = pieces.length === 1 ? "one port" : many;
    throw mustBeUndisclosed(nameOf("parameter port"), allowed, `${given.length} ports`);
  }
  const read = pieces.map(({ host, port }, index) => {
    const text = given.length > 1 ? given[index] : given[0];
    const outer = text === undefined || text === "" ? undefined : readPort(text);
    if (port !== undefined && outer !== undefined) {
      const where = names === undefined ? "the hosts have" : "the parameter host has";
      throw mustNotBeGiven(nameOf("parameter port"), `${where} ports already`);
    }
    return { host: host!, port: port ?? outer };
  });
  return { host: undefined, port: undefined, hosts: read, params: Object.freeze(others) };
}

/** The parameters of MySQL's URLs that name a Unix socket: the drivers' own, and SQLAlchemy's. */
const SOCKET_PARAMS = ["socketPath", "unix_socket"];

/** Reads the path of a Unix socket in the parameters. The host beside it may be `localhost`, and the port is ignored. */
function socketOfParams(
  { host, port, hosts }: HostParts,
  params: UrlParams,
): HostParts & { readonly params: UrlParams } {
  const [name, another] = SOCKET_PARAMS.filter((name) => name in params);
  const { [name!]: path, ...others } = params;
  if (another !== undefined) {
    throw mustNotBeGiven(nameOf(`parameter ${another}`), `there is "${name}" already`);
  }
  if (typeof path !== "string" || !isSocketPath(path)) {
    const allowed = 'the path of a Unix socket, which begins with "/"';
    throw mustBeUndisclosed(nameOf(`parameter ${name}`), allowed, "another value");
  }
  if (hosts !== undefined || host !== undefined && host.toLowerCase() !== "localhost") {
    throw mustNotBeGiven(
      nameOf(`parameter ${name}`),
      "there is a host, which has no Unix socket here",
    );
  }
  return { host: path, port, hosts: undefined, params: Object.freeze(others) };
}

function split(value: string | readonly string[]): string[] {
  return [value].flat().flatMap((text) => text.split(","));
}

/** Reads one host in a parameter. */
function readPiece(piece: string): ReadHost {
  if (piece === "") throw emptyHostError();
  if (canonicalIp(piece) !== undefined || isSocketPath(piece)) return { host: piece };
  const { ipv6, host, port } = HOST_PATTERN.exec(piece)?.groups ?? { host: piece };
  return { host: ipv6 ?? host, port: port === undefined ? undefined : readPort(port) };
}

function readPort(text: string): number {
  if (/^\d+$/.test(text)) return checkPort(Number(text));
  throw mustBe(nameOf("port"), PORT_RULE, text);
}

/** Checks and copies the hosts of a URL. */
export function readHosts(
  { host, port, hosts }: HostParts,
): AllHosts {
  if (hosts === undefined) {
    const name = host === undefined ? undefined : checkUrlHost(host);
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
    return urlHost(checkUrlHost(host), port === undefined ? undefined : checkPort(port));
  });
  const [only] = all;
  if (all.length > 1 && all.some(({ host }) => isSocketPath(host))) {
    const allowed = "one Unix socket alone, or names and addresses";
    throw mustBeUndisclosed(nameOf("host"), allowed, "a Unix socket beside other hosts");
  }
  if (all.length === 1) return { host: only!.host, port: only!.port, hosts: Object.freeze(all) };
  return { host: undefined, port: undefined, hosts: Object.freeze(all) };
}

/** Checks a host: what a DNS name may be, or the path of a Unix socket. */
function checkUrlHost(host: string): string {
  const isPath = typeof host === "string" && isSocketPath(host);
  return isPath ? checkText(host, "host") : checkHost(host);
}

function urlHost(host: string, port: number | undefined): UrlHost {
  return Object.freeze({ host, ...(port !== undefined && { port }) });
}

/** Returns the hosts of a URL after a change. */
export function changedHosts(
  { host, port, hosts }: AllHosts,
  changes: HostParts,
): HostParts {
  if (changes.hosts !== undefined) return {};
  if ("host" in changes || hosts.length < 2) return { host, port, ...pick(changes) };
  if (changes.port === undefined) return { hosts };
  return { hosts: hosts.map(({ host }) => ({ host, port: changes.port })), port: undefined };
}

function pick(changes: HostParts): HostParts {
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
export function checkService({ host, port, hosts }: AllHosts): void {
  const allowed = "one name of a service, such as _postgresql._tcp.db.example, beside SRV";
  if (hosts.length > 1) throw mustBeUndisclosed(nameOf("host"), allowed, `${hosts.length} hosts`);
  if (port !== undefined) throw mustNotBeGiven(nameOf("port"), "the ports are in the SRV records");
  const isPath = host !== undefined && isSocketPath(host);
  if (host !== undefined && !isPath && canonicalIp(host) === undefined) return;
  const found = host === undefined ? "none" : isPath ? "a Unix socket" : "an IP address";
  throw mustBeUndisclosed(nameOf("host"), allowed, found);
}

function emptyHostError(): TypeError {
  return mustBeUndisclosed(nameOf("host"), "a name or an IP address", "nothing between commas");
}

/** Checks one host and its port as they are spelled in the URL. The message does not show what may be a password. */
function checkAuthority(raw: RawParts): void {
  const { user, ipv6, host = "", port = "1", database = "", query = "" } = raw;
  const isName = host === "" || isSocketPath(host) || isHost(host);
  const isHostValid = ipv6 === undefined ? isName : ipFamily(ipv6) === 6;
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
