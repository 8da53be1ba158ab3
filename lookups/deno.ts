/**
 * The lookup of Deno: `Deno.resolveDns` for the addresses, and `node:dns` at the same time for the TTL.
 *
 * Its limits are Deno's (measured on 2.9). It says "not found" for NXDOMAIN and for a failing server alike, so that is
 * `"ambiguous"` here. It does not report the TTL of a CNAME, so the TTL counts for at most 5 seconds. It reads the
 * hosts file first. It refuses names that DNS allows, such as `my_db.internal`: `wire` asks for them if the permissions
 * allow that, else the operating system.
 *
 * @module
 */

import type { LookupError, LookupErrorKind } from "../errors.ts";
import { hostPort } from "../internal/ip.ts";
import { messageOf } from "../internal/thrown.ts";
import { clampTtl } from "../internal/ttl.ts";
import { maySetServers, missingNet, permissionMessage } from "./internal/deno_permissions.ts";
import { lookupFailure } from "./internal/failure.ts";
import { wire } from "./internal/lazy.ts";
import type { Answer, Lookup, Question } from "./lookup.ts";
import { nodeAddressesWithTtl, nodeServers } from "./node.ts";
import { osLookup } from "./os.ts";

/** Maximum TTL, in seconds: a CNAME before the record may have a smaller one, and Deno hides it. */
const MAX_TTL = 5;
/** Maximum delay of the TTL after the addresses, in milliseconds. */
const MAX_TTL_DELAY_MS = 250;
/** Deno's message for a name that it refuses; no query was sent. */
const REFUSED_NAME = /^proto error: (Label contains invalid|Malformed label|unrecognized char)/;

/** The lookup that asks through `Deno.resolveDns`. */
export const denoLookup: Lookup = {
  name: "deno",

  async lookup(question: Question): Promise<Answer> {
    const { family, server, signal } = question;
    // Without the trailing dot, Deno tries search domains first.
    const name = question.absolute ? `${question.name}.` : question.name;
    signal.throwIfAborted();
    const ttlQuery = new AbortController();
    const stopTtlQuery = () => ttlQuery.abort();
    signal.addEventListener("abort", stopTtlQuery, { once: true });
    try {
      const ttl = readTtl(question, ttlQuery.signal);
      const records = await Deno.resolveDns(name, family === 4 ? "A" : "AAAA", {
        ...(server && { nameServer: { ipAddr: server.host, port: server.port } }),
        signal,
      });
      signal.throwIfAborted();
      const addresses = [...new Set(records)];
      if (addresses.length === 0) throw new Deno.errors.NotFound("the answer holds no address");
      const limit = setTimeout(stopTtlQuery, MAX_TTL_DELAY_MS);
      try {
        return { addresses, ttl: await ttl, server: server && hostPort(server.host, server.port) };
      } finally {
        clearTimeout(limit);
      }
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Error && REFUSED_NAME.test(error.message)) {
        return await resolveNonLdhName(question);
      }
      throw toLookupError(error, question);
    } finally {
      ttlQuery.abort();
      signal.removeEventListener("abort", stopTtlQuery);
    }
  },

  servers: nodeServers,
};

/** Resolves a name that Deno refuses: one with other characters than letters, digits and hyphens. */
function resolveNonLdhName(question: Question): Promise<Answer> {
  const server = question.server ?? nodeServers()[0];
  const isPermitted = server !== undefined && missingNet(server).length === 0;
  return (isPermitted ? wire : osLookup).lookup({ ...question, server });
}

/** Reads the TTL by a second query; `undefined` if that brings none. Never rejects. */
async function readTtl(question: Question, signal: AbortSignal): Promise<number | undefined> {
  if (question.server && !maySetServers()) return undefined;
  try {
    const { ttl } = await nodeAddressesWithTtl({ ...question, signal });
    return Math.min(clampTtl(ttl), MAX_TTL);
  } catch {
    return undefined;
  }
}

function toLookupError(error: unknown, question: Question): LookupError {
  const server = question.server && hostPort(question.server.host, question.server.port);
  let kind: LookupErrorKind = "transient";
  let what = messageOf(error);
  if (error instanceof Deno.errors.NotFound) {
    kind = "ambiguous";
    what = "Deno says not found, which may also be a failing server";
  } else if (
    error instanceof Deno.errors.NotCapable || error instanceof Deno.errors.PermissionDenied
  ) {
    kind = "config";
    what = permissionMessage(server);
  } else if (error instanceof TypeError || /invalid characters|label/i.test(what)) {
    kind = "config";
  }
  const reason = error instanceof Error ? error.name : undefined;
  return lookupFailure(question, server, what, { kind, reason, cause: error });
}
