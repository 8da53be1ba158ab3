/**
 * The lookup of Deno: `wire` if the permissions allow it to ask the server, else Deno's own resolver.
 *
 * Deno's own resolver needs no permission for `0.0.0.0:0`, but has limits (measured on 2.9). It says "not found" for
 * NXDOMAIN and for a failing server alike, so that is `"ambiguous"` here. It does not report the TTL of a CNAME, so the
 * TTL counts for at most 5 seconds. It reads the hosts file first. It refuses names that DNS allows, such as
 * `my_db.internal`: `wire` asks for them over TCP, or else the operating system.
 *
 * @module
 */

import type { LookupError, LookupErrorKind } from "../errors.ts";
import { hostPort, withoutZone } from "../internal/ip.ts";
import { codeOf, messageOf } from "../internal/thrown.ts";
import { clampTtl } from "../internal/ttl.ts";
import { maySetServers, missingNet, permissionMessage } from "./internal/deno_permissions.ts";
import { lookupFailure } from "./internal/failure.ts";
import { wire } from "./internal/lazy.ts";
import { hostsFile } from "./internal/system_files.ts";
import { formatService } from "../internal/srv.ts";
import { systemServers } from "./internal/system_servers.ts";
import type { Answer, Lookup, NameServer, Question } from "./lookup.ts";
import { nodeAddressesWithTtl } from "./node.ts";
import { osLookup } from "./os.ts";

/** Maximum TTL, in seconds: a CNAME before the record may have a smaller one, and Deno hides it. */
const MAX_TTL = 5;
/** A name that Deno's resolver refuses. */
const NOT_LDH = /[^a-z\d.-]|(^|\.)-|-(\.|$)/;
/** Its message then; no query was sent. */
const REFUSED_NAME = /^proto error: (Label contains invalid|Malformed label|unrecognized char)/;

/** The lookup of Deno. */
export const denoLookup: Lookup = {
  name: "deno",
  repeats: true,

  async lookup(given: Question): Promise<Answer> {
    const { signal } = given;
    signal.throwIfAborted();
    const question = { ...given, server: given.server ?? systemServers()[0] };
    const server = serverForWire(question);
    if (server) return await wire.lookup({ ...question, server });
    try {
      const { addresses, ttl } = await ask(question);
      signal.throwIfAborted();
      if (addresses.length === 0) throw new Deno.errors.NotFound("the answer holds no address");
      return { addresses, ttl, server: nameOf(question.server) };
    } catch (error) {
      signal.throwIfAborted();
      const isAddress = question.family !== "srv";
      if (isAddress && error instanceof Error && REFUSED_NAME.test(error.message)) {
        return await osLookup.lookup(question);
      }
      throw toLookupError(error, question);
    }
  },

  servers: systemServers,
};

/** Returns the server that `wire` may and should ask; `undefined` if Deno has to ask. */
function serverForWire({ name, server, hosts = false }: Question): NameServer | undefined {
  // Deno reads the hosts file without the permission that a program needs for it.
  if (!server || hosts && hostsFile() === undefined) return undefined;
  if (missingNet(server).length === 0) return server;
  // TCP needs fewer permissions. It costs more, so it is for what Deno's resolver would do wrong.
  const overTcp = { ...server, tcp: true };
  const isInHosts = !hosts && hostsFile()?.has(name) === true;
  const needsWire = server.tcp === true || server.host.includes("%") || NOT_LDH.test(name) ||
    isInHosts;
  return needsWire && missingNet(overTcp).length === 0 ? overTcp : undefined;
}

/** Asks Deno's resolver once; by `node:dns`, which reports a TTL, if that may be given the server. */
async function ask(
  question: Question,
): Promise<{ addresses: string[]; ttl: number | undefined }> {
  const { family, server, absolute, signal } = question;
  // Without the trailing dot, Deno tries search domains first.
  const name = absolute ? `${question.name}.` : question.name;
  if (family === "srv") return { addresses: await askForServices(name, question), ttl: undefined };
  if (!server || maySetServers()) {
    try {
      const { addresses, ttl } = await nodeAddressesWithTtl({ ...question, name });
      return { addresses, ttl: Math.min(clampTtl(ttl), MAX_TTL) };
    } catch (error) {
      signal.throwIfAborted();
      // No query was sent, and the other function says why.
      if (codeOf(error) !== "UNKNOWN") throw error;
    }
  }
  const records = await Deno.resolveDns(name, family === 4 ? "A" : "AAAA", {
    ...denoServer(server),
    signal,
  });
  return { addresses: [...new Set(records)], ttl: undefined };
}

async function askForServices(name: string, { server, signal }: Question): Promise<string[]> {
  const records = await Deno.resolveDns(name, "SRV", { ...denoServer(server), signal });
  return records.map(({ priority, weight, port, target }) =>
    formatService({ priority, weight, port, target })
  );
}

function denoServer(server: NameServer | undefined) {
  return server && { nameServer: { ipAddr: withoutZone(server.host), port: server.port } };
}

function nameOf(server: NameServer | undefined): string | undefined {
  return server && hostPort(server.host, server.port);
}

function toLookupError(error: unknown, question: Question): LookupError {
  const server = nameOf(question.server);
  const code = codeOf(error);
  let reason = code || (error instanceof Error ? error.name : undefined);
  let kind: LookupErrorKind = "transient";
  let what = code || messageOf(error);
  if (error instanceof Deno.errors.NotFound || code === "ENOTFOUND") {
    kind = "ambiguous";
    reason = "NotFound";
    what = "Deno says not found, which may also be a failing server";
  } else if (
    error instanceof Deno.errors.NotCapable || error instanceof Deno.errors.PermissionDenied
  ) {
    kind = "config";
    what = permissionMessage(server);
  } else if (error instanceof TypeError || /invalid characters|label/i.test(what)) {
    kind = "config";
  }
  return lookupFailure(question, server, what, { kind, reason, cause: error });
}
