/**
 * The lookup of the operating system, getaddrinfo. It reads the hosts file, search domains and every other source that
 * the machine is configured with, but gives no TTL and cannot be aborted.
 *
 * @module
 */

import { lookup as getaddrinfo } from "node:dns/promises";
import type { LookupError, LookupErrorKind } from "../errors.ts";
import { abortable } from "../internal/async.ts";
import { canonicalIp, ipFamily } from "../internal/ip.ts";
import { codeOf, messageOf } from "../internal/thrown.ts";
import { permissionMessage } from "./internal/deno_permissions.ts";
import { lookupFailure } from "./internal/failure.ts";
import type { Answer, Lookup, Question } from "./lookup.ts";

/** The TTL of its answers, in seconds: the operating system does not report one. */
const TTL = 5;

/** The part of `node:dns/promises` that is used here. */
export type GetAddrInfo = (
  name: string,
  options: { family: 4 | 6; all: true; verbatim: true },
) => Promise<readonly { readonly address: string }[]>;

/**
 * The lookup that asks the operating system for one name at a time. The `server` of a question is ignored.
 *
 * An aborted lookup rejects at once, but its call cannot be ended, and the next name waits for it: two slow calls at
 * the same time would block every other lookup, and on Deno and Bun the file system as well.
 */
export const osLookup: Lookup = osLookupOver(getaddrinfo);

/**
 * Makes a lookup over a `getaddrinfo`.
 *
 * @param call The function, of which no two calls run at a time.
 * @returns The lookup.
 */
export function osLookupOver(call: GetAddrInfo): Lookup {
  let lastCall: Promise<unknown> = Promise.resolve();
  return {
    name: "os",

    async lookup(question: Question): Promise<Answer> {
      const { family, signal } = question;
      const name = question.absolute ? `${question.name}.` : question.name;
      signal.throwIfAborted();
      const found = lastCall.then(() => {
        signal.throwIfAborted();
        return call(name, { family, all: true, verbatim: true });
      });
      lastCall = found.catch(() => {});
      try {
        const addresses = (await abortable(found, signal))
          .flatMap(({ address }) => canonicalIp(address) ?? [])
          .filter((address) => ipFamily(address) === family);
        if (addresses.length > 0) return { addresses: [...new Set(addresses)], ttl: TTL };
      } catch (error) {
        signal.throwIfAborted();
        throw toLookupError(error, question);
      }
      throw toLookupError(Object.assign(new Error("no address"), { code: "ENOTFOUND" }), question);
    },
  };
}

function toLookupError(error: unknown, question: Question): LookupError {
  const reason = codeOf(error) || undefined;
  let kind: LookupErrorKind = "transient";
  let what = reason ?? messageOf(error);
  // It says ENOTFOUND for a failing server too.
  if (reason === "ENOTFOUND") kind = "ambiguous";
  if (reason === "EPERM") {
    kind = "config";
    what = permissionMessage(question.name);
  }
  const server = "the operating system";
  return lookupFailure(question, server, what, { kind, reason, cause: error });
}
