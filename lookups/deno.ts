/**
 * The lookup of Deno: `Deno.resolveDns` for the addresses, `node:dns` beside it for the TTL.
 *
 * Its limits are Deno's (measured on 2.9): it says "not found" for NXDOMAIN and for a failing server alike, so
 * that is `"ambiguous"` here; it does not report the TTL of a CNAME, so the TTL read beside it counts for at
 * most 5 s; and it reads the hosts file first. Names that DNS allows and Deno refuses, such as `my_db.internal`, are
 * asked for with `wire` where the permissions allow that, else of the operating system.
 *
 * @module
 */

import { hostPort } from "../internal/ip.ts";
import { clampTtl } from "../internal/ttl.ts";
import type { LookupError, LookupErrorKind } from "../errors.ts";
import { lookupFailure, textOf } from "./internal/failure.ts";
import { wire } from "./internal/lazy.ts";
import { maySetServers, missingNet } from "./internal/deno_permissions.ts";
import type { Answer, Lookup, Question } from "./lookup.ts";
import { nodeAddressesWithTtl, nodeServers } from "./node.ts";
import { osLookup } from "./os.ts";

/** Seconds: a CNAME in front of the record may allow less than the record's own TTL, and Deno hides it. */
const LONGEST_TTL = 5;
/** How long the TTL may come after the addresses, in milliseconds. */
const TTL_WAIT_MS = 250;
/** What Deno says of a name that it will not ask for; no question was sent. */
const REFUSED_NAME = /^proto error: (Label contains invalid|Malformed label|unrecognized char)/;

/** Asks through `Deno.resolveDns`. */
export const denoLookup: Lookup = {
  name: "deno",

  async lookup(question: Question): Promise<Answer> {
    const { family, server, signal } = question;
    // Of its own accord, Deno tries search domains first.
    const name = question.absolute ? `${question.name}.` : question.name;
    signal.throwIfAborted();
    const beside = new AbortController();
    const stopBeside = () => beside.abort();
    signal.addEventListener("abort", stopBeside, { once: true });
    try {
      const ttl = readTtl(question, beside.signal);
      const records = await Deno.resolveDns(name, family === 4 ? "A" : "AAAA", {
        ...(server && { nameServer: { ipAddr: server.host, port: server.port } }),
        signal,
      });
      signal.throwIfAborted();
      const addresses = [...new Set(records)];
      if (addresses.length === 0) throw new Deno.errors.NotFound("the answer holds no address");
      const late = setTimeout(stopBeside, TTL_WAIT_MS);
      try {
        return { addresses, ttl: await ttl, server: server && hostPort(server.host, server.port) };
      } finally {
        clearTimeout(late);
      }
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Error && REFUSED_NAME.test(error.message)) return await detour(question);
      throw describe(error, question);
    } finally {
      beside.abort();
      signal.removeEventListener("abort", stopBeside);
    }
  },

  servers: nodeServers,
};

/** Asks for a name that Deno refuses. */
function detour(question: Question): Promise<Answer> {
  const server = question.server ?? nodeServers()[0];
  const permitted = server !== undefined && missingNet(server).length === 0;
  return (permitted ? wire : osLookup).lookup({ ...question, server });
}

/** The TTL by a second question; `undefined` where it cannot be had. Never rejects. */
async function readTtl(question: Question, signal: AbortSignal): Promise<number | undefined> {
  if (question.server && !maySetServers()) return undefined;
  try {
    const { ttl } = await nodeAddressesWithTtl({ ...question, signal });
    return Math.min(clampTtl(ttl), LONGEST_TTL);
  } catch {
    return undefined;
  }
}

function describe(error: unknown, question: Question): LookupError {
  const { server } = question;
  const whom = server && hostPort(server.host, server.port);
  let kind: LookupErrorKind = "transient";
  let what = textOf(error);
  if (error instanceof Deno.errors.NotFound) {
    kind = "ambiguous";
    what = "Deno says not found, which may also be a failing server";
  } else if (
    error instanceof Deno.errors.NotCapable || error instanceof Deno.errors.PermissionDenied
  ) {
    kind = "config";
    what = `the permission is missing, run with --allow-net${whom ? `=${whom}` : ""}`;
  } else if (error instanceof TypeError || /invalid characters|label/i.test(what)) {
    kind = "config";
  }
  const reason = error instanceof Error ? error.name : undefined;
  return lookupFailure(question, whom, what, { kind, reason, cause: error });
}
