/**
 * The lookup of the operating system, getaddrinfo: it knows the hosts file, search domains and whatever else the
 * machine is set up with, but no TTL, and it cannot be aborted.
 *
 * @module
 */

import { lookup as getaddrinfo } from "node:dns/promises";
import { abortable } from "../internal/async.ts";
import { canonicalIp, ipFamily } from "../internal/ip.ts";
import type { LookupError, LookupErrorKind } from "../errors.ts";
import { codeOf, lookupFailure, textOf } from "./internal/failure.ts";
import type { Answer, Lookup, Question } from "./lookup.ts";

/** Seconds that its answer counts for: it does not tell. */
const TTL = 5;

/** The part of `node:dns/promises` that is used here. */
export type GetAddrInfo = (
  name: string,
  options: { family: 4 | 6; all: true; verbatim: true },
) => Promise<readonly { readonly address: string }[]>;

/**
 * Asks the operating system, one name at a time; the question's `server` makes no difference.
 *
 * An aborted lookup rejects at once, but the call under way goes on (it cannot be ended) and the next name waits
 * for it: a second slow name at the same time would block every other lookup, and on Deno and Bun the file system as
 * well.
 */
export const osLookup: Lookup = osLookupOver(getaddrinfo);

/**
 * A lookup over a `getaddrinfo`.
 *
 * @param call What to call, never twice at a time.
 * @returns The lookup.
 */
export function osLookupOver(call: GetAddrInfo): Lookup {
  let last: Promise<unknown> = Promise.resolve();
  return {
    name: "os",

    async lookup(question: Question): Promise<Answer> {
      const { family, signal } = question;
      const name = question.absolute ? `${question.name}.` : question.name;
      signal.throwIfAborted();
      const asked = last.then(() => {
        signal.throwIfAborted();
        return call(name, { family, all: true, verbatim: true });
      });
      last = asked.catch(() => {});
      try {
        const found = await abortable(asked, signal);
        const addresses = found.flatMap(({ address }) => canonicalIp(address) ?? [])
          .filter((address) => ipFamily(address) === family);
        if (addresses.length > 0) return { addresses: [...new Set(addresses)], ttl: TTL };
      } catch (error) {
        signal.throwIfAborted();
        throw failure(error, question);
      }
      throw failure(Object.assign(new Error("no address"), { code: "ENOTFOUND" }), question);
    },
  };
}

function failure(error: unknown, question: Question): LookupError {
  const reason = codeOf(error);
  let kind: LookupErrorKind = "transient";
  let what = reason ?? textOf(error);
  // It says ENOTFOUND for a failing server as well.
  if (reason === "ENOTFOUND") kind = "ambiguous";
  if (reason === "EPERM") {
    kind = "config";
    what = `the permission is missing, run with --allow-net=${question.name}`;
  }
  const whom = "the operating system";
  return lookupFailure(question, whom, what, { kind, reason, cause: error });
}
