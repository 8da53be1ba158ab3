/**
 * IP addresses as text: telling them from names, and one spelling for each.
 *
 * @module
 */

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/**
 * The one spelling of an IP address: dotted decimal, or RFC 5952's lower-case shortest form.
 *
 * @param text An IPv4 or IPv6 address, the latter without brackets or zone.
 * @returns The address, or `undefined` where `text` is not one.
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

/** 4 or 6 for an IP address, `undefined` for anything else. */
export function ipFamily(text: string): 4 | 6 | undefined {
  if (canonicalIp(text) === undefined) return undefined;
  return text.includes(":") ? 6 : 4;
}

/** `host:port`, with brackets around an IPv6 address. */
export function hostPort(host: string, port: number | undefined): string {
  const name = host.includes(":") ? `[${host}]` : host;
  return port === undefined ? name : `${name}:${port}`;
}
