/**
 * Checks URLs of DNS over HTTPS.
 *
 * @module
 */

import { ipFamily } from "../../internal/ip.ts";

/** The allowed URLs, for messages. */
export const DOH_URL_RULE =
  'a URL that begins with "https://" (or "http://" and a loopback IP address), without user name and password';

/**
 * Reads a URL of DNS over HTTPS. Template variables such as `{?dns}` are left out, as for every POST (RFC 8484
 * section 4.1).
 *
 * @param text The URL.
 * @returns The URL; `undefined` if questions may not be sent there.
 */
export function readDohUrl(text: string): URL | undefined {
  let url: URL;
  try {
    url = new URL(text.replace(/\{[^{}]*\}/g, ""));
  } catch {
    return undefined;
  }
  if (url.username !== "" || url.password !== "") return undefined;
  if (url.protocol !== "https:" && !(url.protocol === "http:" && isLoopback(url))) return undefined;
  url.hash = "";
  return url;
}

/** Returns the host of a URL in the form in which names are compared: without brackets and trailing dot. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$|\.$/g, "");
}

function isLoopback(url: URL): boolean {
  const host = hostOf(url);
  return host === "::1" || ipFamily(host) === 4 && host.startsWith("127.");
}
