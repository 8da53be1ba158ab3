/**
 * Recognizes IP addresses and gives each one spelling.
 *
 * @module
 */

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/**
 * Returns the canonical spelling of an IP address: dotted decimal, or RFC 5952's lower-case shortest form.
 *
 * @param text An IPv4 or IPv6 address, the latter without brackets or zone.
 * @returns The address, or `undefined` if `text` is not one.
 */
export function canonicalIp(text: string): string | undefined {
  if (IPV4.test(text)) return text;
  if (!text.includes(":") || !/^[\da-f:.]+$/i.test(text)) return undefined;
  try {
    return new URL(`http://[${text}]/`).hostname.slice(1, -1);
  } catch {
    return undefined;
  }
}

/** Returns 4 or 6 for an IP address, `undefined` for any other string. */
export function ipFamily(text: string): 4 | 6 | undefined {
  if (canonicalIp(text) === undefined) return undefined;
  return text.includes(":") ? 6 : 4;
}

/** Returns an address without the zone of a link-local one: `fe80::53` for `fe80::53%eth0`. */
export function withoutZone(address: string): string {
  return address.replace(/%.*$/, "");
}

/** Returns the eight 16-bit groups of an IPv6 address. */
export function ipv6Groups(address: string): number[] {
  const [head = [], tail = []] = canonicalIp(address)!.split("::")
    .map((part) => part.split(":").filter((group) => group !== ""));
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => "0");
  return [...head, ...zeros, ...tail].map((group) => parseInt(group, 16));
}

/** Joins host and port, with brackets around an IPv6 address. */
export function hostPort(host: string, port: number | undefined): string {
  const name = host.includes(":") ? `[${host}]` : host;
  return port === undefined ? name : `${name}:${port}`;
}
