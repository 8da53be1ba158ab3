/**
 * Reads hosts in the forms that postgres.js itself cannot read: services with SRV records, hosts in the parameters of the
 * connection string, IPv6 addresses, a list of ports.
 *
 * @module
 */

import { mustBe, mustBeUndisclosed } from "../../internal/argument_error.ts";
import { canonicalIp } from "../../internal/ip.ts";
import { process } from "../../internal/process.ts";
import type { UrlHost } from "../../engine/url.ts";
import { type DriverForm, readHostList, withHost } from "../shared/host_list.ts";
import { paramNames, type RawOptions } from "../shared/options.ts";
import type { GivenOptions } from "./settings.ts";

const FORM: DriverForm = {
  dialect: "postgresql",
  uriOption: "url",
  optionsWin: true,
  defaultPort: 5432,
  readsOne: true,
};

const SERVICE = /^[a-z][a-z\d+.-]*\+srv:\/\//i;
const AUTHORITY = /^[a-z][a-z\d+.-]*:\/\/(?:[^/?#]*@)?([^/?#]*)/i;

/**
 * Returns the arguments with the hosts in arrays, and a service as the option `dnsSrv`, where the driver would read
 * something else.
 *
 * @param given The arguments.
 * @throws {TypeError} if a host cannot be one, or hosts and ports do not fit.
 * @throws {RangeError} if a port is not from 1 to 65535.
 */
export function withHosts(given: GivenOptions): GivenOptions {
  const { url, options } = given;
  if (options.path) return given;
  const { PGHOST, PGPORT } = process.env;
  const named = options.hostname || options.host;
  if (Array.isArray(named)) {
    return { url, options: inArrays(options, hostsOfArrays(named, options.port || PGPORT)) };
  }
  if (named && typeof named !== "string") {
    throw mustBe("host", "a host or an array of hosts", named);
  }
  const params = paramNames(url);
  const authority = AUTHORITY.exec(url ?? "")?.[1] ?? "";
  const isInUrl = authority !== "" || params.includes("host");
  const host = named || (isInUrl ? undefined : PGHOST || "localhost");
  const port = options.port || (params.includes("port") ? undefined : PGPORT);
  const text = String(host ?? decodeURIComponent(authority));
  const srv = options.dnsSrv === true || SERVICE.test(url ?? "");
  const isForDriver = !srv && !params.some((name) => name === "host" || name === "port") &&
    !text.includes("[") && !canonicalIp(text)?.includes(":") && !String(port).includes(",");
  if (isForDriver) return given;
  const list = readHostList({ uri: url, host, port, srv }, FORM);
  // The connection string without them; the options count more.
  const { url: rest } = withHost({ url }, { host: "localhost" }, FORM) as { url?: string };
  if (list) return { url: rest, options: { ...inArrays(options, list.hosts), dnsSrv: list.srv } };
  const inParams = new URLSearchParams(url?.slice(url.indexOf("?") + 1));
  const path = named || inParams.get("host");
  return path
    ? {
      url: rest,
      options: { port: inParams.get("port"), ...options, path: undefined, host: path },
    }
    : given;
}

/** Returns options with hosts as the driver takes them. */
function inArrays(options: RawOptions, hosts: readonly UrlHost[]): RawOptions {
  return {
    ...options,
    hostname: undefined,
    host: hosts.map(({ host }) => host),
    port: hosts.map(({ port }) => port ?? FORM.defaultPort),
  };
}

/** Reads an array of hosts: the driver itself takes one only beside an array of ports. */
function hostsOfArrays(hosts: readonly unknown[], port: unknown): UrlHost[] {
  const ports = (Array.isArray(port) ? port : [port || FORM.defaultPort]).map(Number);
  if (hosts.length === 0) throw mustBeUndisclosed("host", "an array of hosts", "an empty one");
  if (ports.length !== 1 && ports.length !== hosts.length) {
    const allowed = `one port, or one for each of the ${hosts.length} hosts`;
    throw mustBeUndisclosed("port", allowed, `${ports.length} ports`);
  }
  return hosts.map((host, index) => {
    if (typeof host !== "string") throw mustBe("host", "a name or an IP address", host);
    return { host, port: ports[index] ?? ports[0]! };
  });
}
