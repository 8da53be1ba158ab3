/**
 * Errors as JSON shows them.
 *
 * @module
 */

import { type DnsPoolError, LookupError, ResolveError } from "../errors.ts";

/** An error for JSON. */
export function errorJson(error: DnsPoolError): Record<string, unknown> {
  const { code, message, cause } = error;
  return {
    code,
    ...(error instanceof ResolveError && { kind: error.kind }),
    ...(cause instanceof LookupError && cause.reason !== undefined && { reason: cause.reason }),
    message,
  };
}
