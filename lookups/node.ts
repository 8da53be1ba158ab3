/**
 * The lookup of Node and Bun: `node:dns/promises`, a fresh `Resolver` for each question.
 *
 * A `Resolver` of its own makes `cancel()` end this question and no other, sees an edited `resolv.conf`, and
 * goes around Bun's cache. `node:dns` never reads the hosts file and adds no search domains.
 *
 * @module
 */

import { Resolver } from "node:dns/promises";
import { canonicalIp, hostPort } from "../internal/ip.ts";
import type { LookupError, LookupErrorKind } from "../errors.ts";
import { codeOf, lookupFailure, textOf } from "./internal/failure.ts";
import { maySetServers } from "./internal/deno_permissions.ts";
import type { Answer, Lookup, NameServer, Question } from "./lookup.ts";

/** The resolver ends a lookup by its signal. (c-ares makes 5 seconds of anything longer.) */
const NEVER_MS = 3_600_000;

const NOT_FOUND = new Set(["ENOTFOUND", "ENODATA"]);
const CONFIG = new Set([
  "EBADNAME",
  "EBADFAMILY",
  "EBADHINTS",
  "EBADFLAGS",
  "EBADSTR",
  "ERR_INVALID_IP_ADDRESS",
]);

/**
 * A lookup that asks through `node:dns/promises`.
 *
 * @param notFound What ENOTFOUND means: `"negative"` on Node and Bun; Deno's `node:dns` says it for a failing
 *   server as well, so there it is `"ambiguous"`.
 * @returns The lookup.
 */
export function nodeLookup(notFound: "negative" | "ambiguous"): Lookup {
  return {
    name: "node",
    servers: nodeServers,
    async lookup(question: Question): Promise<Answer> {
      const { server, signal } = question;
      signal.throwIfAborted();
      try {
        const { addresses, ttl } = await nodeAddressesWithTtl(question);
        signal.throwIfAborted();
        return { addresses, ttl, server: server && hostPort(server.host, server.port) };
      } catch (error) {
        signal.throwIfAborted();
        throw describe(error, question, notFound);
      }
    },
  };
}

/**
 * Addresses and the smallest TTL, from `resolve4` or `resolve6`.
 *
 * @param question What to ask whom; its signal cancels the query.
 * @returns At least one address, and the TTL in seconds.
 */
export async function nodeAddressesWithTtl(
  { name, family, server, signal }: Question,
): Promise<{ addresses: string[]; ttl: number }> {
  const resolver = new Resolver({ timeout: NEVER_MS, tries: 1 });
  if (server) resolver.setServers([hostPort(server.host, server.port)]);
  const cancel = () => resolver.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  try {
    const records = family === 4
      ? await resolver.resolve4(name, { ttl: true })
      : await resolver.resolve6(name, { ttl: true });
    const good = records.filter(({ address }) => canonicalIp(address) !== undefined);
    // Success without a record is what Node makes of a CNAME that leads nowhere.
    if (good.length === 0) {
      throw Object.assign(new Error("the answer holds no address"), { code: "ENODATA" });
    }
    return {
      addresses: [...new Set(good.map(({ address }) => address))],
      ttl: Math.min(...good.map(({ ttl }) => ttl)),
    };
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

/** The servers of the system's configuration, each once; none where they may not be read. */
export function nodeServers(): readonly NameServer[] {
  if (!maySetServers()) return [];
  const listed = [...new Set(new Resolver().getServers())];
  return listed.map((text) => {
    const match = /^\[(.*)\](?::(\d+))?$/.exec(text) ?? /^([^:]*)(?::(\d+))?$/.exec(text);
    return match ? { host: match[1]!, port: Number(match[2] ?? 53) } : { host: text, port: 53 };
  });
}

function describe(error: unknown, question: Question, notFound: LookupErrorKind): LookupError {
  const { server } = question;
  const reason = codeOf(error);
  let kind: LookupErrorKind = "transient";
  if (reason !== undefined && NOT_FOUND.has(reason)) kind = notFound;
  else if (reason !== undefined && CONFIG.has(reason)) kind = "config";
  const whom = server && hostPort(server.host, server.port);
  return lookupFailure(question, whom, reason ?? textOf(error), { kind, reason, cause: error });
}
