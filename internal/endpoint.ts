/**
 * Names the endpoints of an engine that has several hosts. Pools, events and messages know an endpoint by its name.
 *
 * @module
 */

import { hostPort } from "./ip.ts";

/** Where a connection is open to. */
export interface Endpoint {
  /** IP address. */
  readonly address: string;
  /** TCP port, 1 to 65535. */
  readonly port: number;
  /** The host whose answer has the address. */
  readonly host: string;
}

const NAME = /^(?:\[([^\]]+)\]|([^[\]:]+)):(\d+)(?: \((.+)\))?$/;

/** Returns the name of an endpoint: `10.0.0.1:5432 (db1.internal)`, without the host if that is the address. */
export function endpointName({ address, port, host }: Endpoint): string {
  const place = hostPort(address, port);
  return host === address ? place : `${place} (${host})`;
}

/**
 * Reads the name of an endpoint.
 *
 * @param name What {@linkcode endpointName} returned.
 * @throws {Error} for any other string.
 */
export function endpointOf(name: string): Endpoint {
  const [, ipv6, ipv4, port, host] = NAME.exec(name) ?? [];
  const address = ipv6 ?? ipv4;
  if (address === undefined) throw new Error(`Cannot read the endpoint ${name}`);
  return { address, port: Number(port), host: host ?? address };
}
