/**
 * The errors of a checkout that explain themselves by the state of the pool.
 *
 * @module
 */

import { ConnectionInUseError, type PoolCounts, PoolTimeoutError } from "../errors.ts";

/**
 * Creates the error for a checkout whose timeout is over.
 *
 * @param name The pool's name.
 * @param counts The pool's counters.
 * @param facts The seconds waited, and the error of the last connect.
 */
export function poolTimeoutError(
  name: string,
  counts: PoolCounts,
  { waited, lastError }: { readonly waited: number; readonly lastError: unknown },
): PoolTimeoutError {
  const { poolSize, maxOverflow, inUse, idle, connecting, waiting } = counts;
  return new PoolTimeoutError(
    `Cannot check out a connection to "${name}" within ${Number(waited.toFixed(3))} seconds: ` +
      `${inUse} in use, ${idle} idle, ${connecting} connecting, ${waiting} waiting, ` +
      `pool size ${poolSize}, overflow ${maxOverflow}`,
    { counts, waited, cause: lastError },
  );
}

/**
 * Creates the error for a second checkout from a pool that allows one.
 *
 * @param name The pool's name.
 * @param takenAt The stack of the first checkout; `undefined` while its connection is being opened.
 */
export function connectionInUseError(
  name: string,
  takenAt: string | undefined,
): ConnectionInUseError {
  const where = takenAt ? takenAt.replace(/^Error\n/, "here:\n") : "a moment ago";
  return new ConnectionInUseError(
    `Cannot check out a second connection to "${name}": the first is in use, taken ${where}`,
    { takenAt },
  );
}
