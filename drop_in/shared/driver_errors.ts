/**
 * Converts the engine's errors to the driver's: an ORM reads the codes and messages of its driver.
 *
 * @module
 */

import { ConnectError, PoolClosedError, PoolTimeoutError, ResolveError } from "../../errors.ts";
import { isOf, isTimeout, messageOf } from "../../internal/thrown.ts";
import { WrongRoleError } from "../../pool/connection/server_role.ts";

/** Messages of a driver's own pool. */
export interface DriverMessages {
  /** Message if no connection became free in time; `undefined` if the driver has none. */
  readonly timeout?: string;
  /** Message if the server did not accept a connection in time. */
  readonly connectTimeout: string;
  /** Fields of the error with that message. */
  readonly connectTimeoutFields?: object;
  /** Message if the pool is closed. */
  readonly closed: string;
}

/**
 * Converts an error of the engine to the one that the driver's own pool would have thrown, with the engine's error as
 * its `cause`. If the server or a socket reported an error, that error itself is returned.
 *
 * @param error What the engine threw.
 * @param messages The messages of the driver's pool.
 * @returns The driver's error; the engine's if the driver has none for it.
 */
export function toDriverError(error: unknown, messages: DriverMessages): Error {
  if (isOf(error, ConnectError)) return fromConnectError(error, messages);
  if (isOf(error, PoolTimeoutError)) {
    return messages.timeout === undefined ? error : new Error(messages.timeout, { cause: error });
  }
  if (isOf(error, PoolClosedError)) return new Error(messages.closed, { cause: error });
  if (isOf(error, ResolveError)) return fromResolveError(error);
  if (isTimeout(error)) return connectTimeoutError(error, messages);
  return isOf(error, Error) ? error : new Error(messageOf(error), { cause: error });
}

function fromConnectError(error: ConnectError, messages: DriverMessages): Error {
  const { cause } = error;
  if (isTimeout(cause)) return connectTimeoutError(error, messages);
  // Drivers have no error for a server with the wrong role.
  const isDrivers = isOf(cause, Error) &&
    ("code" in cause || !(isOf(cause, WrongRoleError)));
  return isDrivers ? cause : error;
}

/** Makes the error that `node:dns` makes. */
function fromResolveError(error: ResolveError): Error {
  // The kind "ambiguous" may be an outage.
  const code = error.kind === "negative" ? "ENOTFOUND" : "EAI_AGAIN";
  const message = `getaddrinfo ${code} ${error.host}: ${error.message}`;
  const fields = { code, syscall: "getaddrinfo", hostname: error.host };
  return Object.assign(new Error(message, { cause: error }), fields);
}

function connectTimeoutError(cause: unknown, messages: DriverMessages): Error {
  return Object.assign(
    new Error(messages.connectTimeout, { cause }),
    messages.connectTimeoutFields,
  );
}
