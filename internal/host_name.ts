/**
 * Host names: what may be one, and how two are compared.
 *
 * @module
 */

import { canonicalIp } from "./ip.ts";

/**
 * A host name as it is compared: in lower case, without the trailing dot. An IP address in its one spelling.
 *
 * @param host A host name or an IP address.
 * @returns The name to compare and to look up.
 */
export function canonicalHost(host: string): string {
  return canonicalIp(host) ?? host.toLowerCase().replace(/\.$/, "");
}

/**
 * Checks a host: a name that DNS can be asked for, or an IP address (RFC 1035 section 2.3.4 for the lengths).
 *
 * @param host The host as it was given.
 * @returns The same.
 * @throws {TypeError} where it is neither.
 */
export function checkHost(host: string): string {
  if (typeof host !== "string") {
    throw new TypeError(`Cannot use a value of type ${typeof host} as a host: it is a text`);
  }
  if (isHost(host)) return host;
  if (host.includes(",")) throw noHostLists();
  if (/%2f|\/|\\/i.test(host)) {
    throw new TypeError(
      "Cannot use a socket path as the host: it is a host name or an IP address",
    );
  }
  // Beside an "@" there may be a password.
  const shown = host.includes("@")
    ? 'a host with an "@" in it'
    : `the host ${JSON.stringify(host)}`;
  throw new TypeError(
    `Cannot use ${shown}: it is a name of at most 253 characters in labels of 1 to 63, or an IP address`,
  );
}

/** Whether a text is a name that DNS can be asked for, or an IP address. */
export function isHost(text: string): boolean {
  if (canonicalIp(text) !== undefined) return true;
  const name = text.replace(/\.$/, "");
  return name.length <= 253 && !/[\s%#<>"'`{}|\\^;=&()[\]:/,@?]/.test(name) &&
    name.split(".").every((label) => label !== "" && label.length <= 63);
}

/** The error for `host1,host2`, which libpq knows. */
export function noHostLists(): TypeError {
  return new TypeError(
    "Cannot use a list of hosts: give one name, which may have several addresses",
  );
}
