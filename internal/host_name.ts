/**
 * Validates and compares host names.
 *
 * @module
 */

import { mustBe, mustBeUndisclosed } from "./argument_error.ts";
import { canonicalIp } from "./ip.ts";

/** The values that a host may have (RFC 1035 section 2.3.4 for the lengths). */
const HOST = "a host name of at most 253 characters in labels of 1 to 63, or an IP address";

/**
 * Returns a host in the form in which hosts are compared, asked for in DNS and named in TLS: lower case, without the
 * trailing dot, in its `xn--` form if it is not ASCII; an IP address in its canonical spelling.
 *
 * @param host A host name or an IP address.
 */
export function canonicalHost(host: string): string {
  const name = (toAscii(host) ?? host).toLowerCase().replace(/\.$/, "");
  return canonicalIp(name) ?? name;
}

/**
 * Converts a name that is not ASCII as browsers do (UTS 46): `"dätenbank.internal"` to `"xn--dtenbank-0za.internal"`.
 *
 * @returns The name; `undefined` if it cannot be converted.
 */
function toAscii(name: string): string | undefined {
  if (!/[^\p{ASCII}]/u.test(name)) return name;
  // The URL would end before one of these.
  if (/[\s/?#@:%\\]/.test(name)) return undefined;
  try {
    return new URL(`http://${name}/`).hostname;
  } catch {
    return undefined;
  }
}

/**
 * Checks that a host is a name that DNS can be asked for, or an IP address.
 *
 * @param host The host as it was given.
 * @returns The same.
 * @throws {TypeError} if it is neither.
 */
export function checkHost(host: string): string {
  if (typeof host === "string" && isHost(host)) return host;
  if (typeof host !== "string") throw mustBe("host", HOST, host);
  if (host.includes(",")) {
    throw mustBeUndisclosed("host", 'one name (several go into "hosts")', "a list");
  }
  if (/%2f|\/|\\/i.test(host)) throw mustBeUndisclosed("host", HOST, "a socket path");
  // Beside an "@" there may be a password.
  if (host.includes("@")) throw mustBeUndisclosed("host", HOST, 'a string with an "@"');
  throw mustBe("host", HOST, host);
}

/** Returns whether a host is the path of a Unix socket, or of its directory. */
export function isSocketPath(host: string): boolean {
  return host.startsWith("/");
}

/** Returns whether a string is a name that DNS can be asked for, or an IP address. */
export function isHost(text: string): boolean {
  if (canonicalIp(text) !== undefined) return true;
  const name = toAscii(text)?.replace(/\.$/, "");
  return name !== undefined && name.length <= 253 && !/[\s%#<>"'`{}|\\^;=&()[\]:/,@?]/.test(name) &&
    name.split(".").every((label) => label !== "" && label.length <= 63);
}
