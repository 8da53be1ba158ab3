/**
 * Runs a command line in its process: on its outputs, with its signals.
 *
 * @module
 */

import { processContext } from "./context.ts";
import { run } from "./main.ts";

/**
 * Runs a command line, on the process's outputs. Ctrl-C ends it.
 *
 * @param args The arguments, without the program's name, such as `["resolve", "db.internal"]`.
 * @returns The exit status: 0 for success, 1 for a failure, 2 if the command line is wrong, 3 if `check` has only
 *   warnings, 130 or 143 if a signal ended it.
 */
export async function main(args: readonly string[]): Promise<number> {
  const { context, release } = processContext(args);
  try {
    return await run(args, context);
  } finally {
    release();
  }
}
