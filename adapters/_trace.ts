/**
 * Stacks of errors that a driver makes in a socket's event.
 *
 * @module
 */

/** Gives an error that was made in a socket's event the stack of whoever awaits it, where the runtime can. */
export function traceHere(error: unknown): void {
  const { captureStackTrace } = Error as { captureStackTrace?(error: Error, above: unknown): void };
  if (error instanceof Error) captureStackTrace?.(error, traceHere);
}
