/**
 * Reads several hosts, and services with SRV records, from a driver's options: the drivers themselves know one host.
 *
 * @module
 */

import { hostPort } from "../../internal/ip.ts";
import { DatabaseUrl, type UrlHost } from "../../engine/url.ts";
import { copyOptions, type RawOptions } from "./options.ts";

/** What a driver's options say about where to connect to. */
export interface GivenHosts {
  /** The connection string, if there is one. */
  readonly uri: unknown;
  /** The option for the host, which may come from the environment. */
  readonly host: unknown;
  /** The option for the port, which may come from the environment. */
  readonly port: unknown;
  /** Whether the host is a service, even if the connection string does not say so. */
  readonly srv: boolean;
}

/** How a driver takes them. */
export interface DriverForm {
  /** The dialect of its database URLs. */
  readonly dialect: "postgresql" | "mysql";
  /** Its option for the connection string. */
  readonly uriOption: string;
  /** Whether its other options count more than the connection string. */
  readonly optionsWin: boolean;
  /** Its default port. Libraries fill it in, so as an option it is no port beside SRV. */
  readonly defaultPort: number;
  /** Whether one host that is no service is read too. */
  readonly readsOne?: boolean;
}

/** The hosts of a driver's options, where the driver itself would not find them. */
export interface HostList {
  /** The hosts; with `srv`, the one name of the service. */
  readonly hosts: readonly UrlHost[];
  /** Whether they are a service, whose servers are in SRV records. */
  readonly srv: boolean;
}

/** The parts of a connection string, as they are spelled. Drivers take characters that are not percent-encoded. */
const URI =
  /^(?<scheme>[a-z][a-z\d+.-]*):\/\/(?<login>[^/?#]*@)?(?<authority>[^/?#]*)(?<path>[^?#]*)(?:\?(?<query>[^#]*))?(?<hash>#.*)?$/is;
const SRV_SCHEME = /\+srv$/i;

/** Names of the parameters that have hosts and ports. */
const PLACES = ["host", "port"];

/**
 * Reads several hosts, or a service.
 *
 * @param given What the options say.
 * @param form How the driver takes it.
 * @returns The hosts, with their ports unless they are a service; `undefined` if there is one host, which the driver
 *   reads by itself.
 * @throws {TypeError} if a host cannot be one, or hosts and ports do not fit.
 * @throws {RangeError} if a port is not from 1 to 65535.
 */
export function readHostList(
  { uri, host, port, srv }: GivenHosts,
  { dialect, defaultPort, optionsWin, readsOne = false }: DriverForm,
): HostList | undefined {
  const parts = partsOf(uri);
  // A path, or a text that only the driver understands.
  if (typeof uri === "string" && uri !== "" && parts === undefined) return undefined;
  const { scheme = "", login = "", authority = "", query = "" } = parts ?? {};
  const params = new URLSearchParams(query);
  const isService = srv || SRV_SCHEME.test(scheme);
  let names = params.getAll("host");
  // As in the drivers, hosts in the parameters count more than those before the path.
  let before = names.length > 0 ? "" : authority.replace(/%2c/gi, ",");
  const usesOption = typeof host === "string" && host !== "" &&
    (optionsWin || names.length === 0 && before === "");
  if (usesOption) {
    names = [host];
    before = "";
  }
  const isPath = /^(\/|%2f)/i.test(names[0] ?? before);
  const isSeveral = names.length > 1 || [before, ...names].some((text) => text.includes(","));
  if (isPath || !isService && !isSeveral && !readsOne) return undefined;
  let ports = params.getAll("port");
  const isFilledIn = isService && Number(port) === defaultPort;
  const isGiven = port !== undefined && port !== null && port !== "" && !isFilledIn;
  if (isGiven && (optionsWin || usesOption && ports.length === 0)) ports = [String(port)];
  const found = new URLSearchParams([
    ...names.map((name) => ["host", name]),
    ...ports.map((one) => ["port", one]),
  ]);
  const dialectOf = `${dialect}${isService ? "+srv" : ""}`;
  // That there is a user says that a wrong port is no password.
  const user = login === "" && !usesOption ? "" : "app@";
  const { hosts } = DatabaseUrl.parse(`${dialectOf}://${user}${before}/?${found}`);
  if (isService) return { hosts, srv: true };
  return { hosts: hosts.map(({ host, port = defaultPort }) => ({ host, port })), srv: false };
}

function partsOf(uri: unknown): Readonly<Record<string, string | undefined>> | undefined {
  return typeof uri === "string" ? URI.exec(uri)?.groups : undefined;
}

/**
 * Writes options for one of the hosts, as the driver takes them.
 *
 * @param given The options.
 * @param place The host and its port.
 * @param form How the driver takes it.
 */
export function withHost(
  given: RawOptions,
  { host, port }: UrlHost,
  { uriOption }: DriverForm,
): Record<string, unknown> {
  // The host is one server, whatever the options of all connections say.
  const one: Record<string, unknown> = { ...copyOptions(given), host, port, dnsSrv: false };
  const parts = partsOf(given[uriOption]);
  if (!parts) return one;
  const { scheme, login = "", path, query = "", hash = "" } = parts;
  const kept = query.split("&").filter((pair) => {
    const [name] = new URLSearchParams(pair).keys();
    return name !== undefined && !PLACES.includes(name);
  });
  one[uriOption] = `${scheme!.replace(SRV_SCHEME, "")}://${login}${hostPort(host, port)}${path}` +
    (kept.length > 0 ? `?${kept.join("&")}` : "") + hash;
  return one;
}
