/**
 * Errors in JSON output.
 *
 * @module
 */

import { type DnsPoolError, LookupError, ResolveError } from "../errors.ts";

/** Converts an error for JSON output. */
export function errorJson(error: DnsPoolError): Record<string, unknown> {
  const { code, message, cause } = error;
  return {
    code,
    ...(error instanceof ResolveError && { kind: error.kind }),
    ...(cause instanceof LookupError && cause.reason !== undefined && { reason: cause.reason }),
    message,
  };
}
