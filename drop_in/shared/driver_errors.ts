/**
 * The engine's errors in a driver's words: an ORM reads the codes and messages of its driver, not ours.
 *
 * @module
 */

import { isTimeout } from "../../internal/thrown.ts";
import { WrongRoleError } from "../../pool/connection/server_role.ts";
import { ConnectError, PoolClosedError, PoolTimeoutError, ResolveError } from "../../errors.ts";

/** What the driver's own pool says. */
export interface PoolWords {
  /** No connection became free in time; missing where it has no word for that. */
  readonly timeout?: string;
  /** The server did not let one in in time. */
  readonly connectTimeout: string;
  /** What the error of that is marked with. */
  readonly connectTimeoutFields?: object;
  /** The pool is closed. */
  readonly closed: string;
}

/**
 * What the driver's own pool would have failed with, as far as it has a word for it; the engine's error is its
 * `cause`. Where a server or a socket said something, that very error is given.
 *
 * @param error What the engine threw.
 * @param words What the driver's pool says.
 * @returns The error for whoever uses the drop-in.
 */
export function inDriversWords(error: unknown, words: PoolWords): Error {
  if (error instanceof ConnectError) return fromConnect(error, words);
  if (error instanceof PoolTimeoutError) {
    return words.timeout === undefined ? error : new Error(words.timeout, { cause: error });
  }
  if (error instanceof PoolClosedError) return new Error(words.closed, { cause: error });
  if (error instanceof ResolveError) {
    // As `node:dns` calls them; "ambiguous" may be an outage.
    const code = error.kind === "negative" ? "ENOTFOUND" : "EAI_AGAIN";
    const message = `getaddrinfo ${code} ${error.host}: ${error.message}`;
    return Object.assign(new Error(message, { cause: error }), {
      code,
      syscall: "getaddrinfo",
      hostname: error.host,
    });
  }
  if (isTimeout(error)) return tookTooLong(error, words);
  return error instanceof Error ? error : new Error(String(error), { cause: error });
}

function fromConnect(error: ConnectError, words: PoolWords): Error {
  const { cause } = error;
  if (isTimeout(cause)) return tookTooLong(error, words);
  // A server's role is nothing that a driver speaks of.
  const said = cause instanceof Error && ("code" in cause || !(cause instanceof WrongRoleError));
  return said ? cause : error;
}

function tookTooLong(cause: unknown, words: PoolWords): Error {
  return Object.assign(new Error(words.connectTimeout, { cause }), words.connectTimeoutFields);
}
