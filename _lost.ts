/**
 * What the holder of a connection is told when it is taken away.
 *
 * @module
 */

import { ConnectionLostError } from "./errors.ts";

/**
 * The error.
 *
 * @param address Where the connection was open to.
 * @param why What became of it.
 */
export function lost(address: string, why: string): ConnectionLostError {
  return new ConnectionLostError(
    `Lost the connection to ${address}: ${why}; work under way may or may not have been done`,
    { address },
  );
}
