/**
 * Error codes of sockets, as the runtimes report them.
 *
 * @module
 */

import { codeOf, isTimeout } from "./thrown.ts";

/** Codes with which the network, not the server, says that there will be no answer. */
const UNREACHABLE = new Set(["ETIMEDOUT", "EHOSTUNREACH", "EHOSTDOWN", "ENETUNREACH", "ENETDOWN"]);

/** Codes after which a socket cannot be used, or was never opened. */
const LOST = new Set([
  ...[...UNREACHABLE, "ECONNREFUSED", "ECONNRESET", "ECONNABORTED", "EPIPE"],
  "ENETRESET", // keepalive noticed that the network was away
  "ENOTCONN", // a write to a socket that was connected
  "EADDRNOTAVAIL", // no free port, or no address of the family, on this machine
]);

/** Codes with which the system says that there is no way to an address from here. */
const NO_ROUTE = new Set(["ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL"]);

/**
 * Returns whether an error says that there is no route to an address. `undefined` for a refused connection, which is
 * what Bun says of that too (measured on 1.4).
 */
export function hasNoRoute(error: unknown): boolean | undefined {
  const code = codeOf(error);
  return code === "ECONNREFUSED" && "Bun" in globalThis ? undefined : NO_ROUTE.has(code);
}

/** Returns whether an error says that a socket is lost or could not be opened. */
export function isSocketError(error: unknown): boolean {
  return LOST.has(codeOf(error));
}

/** Returns whether an attempt ended without an answer of the server: by a timeout, or because there is no route. */
export function isSilence(error: unknown): boolean {
  return isTimeout(error) || UNREACHABLE.has(codeOf(error));
}
