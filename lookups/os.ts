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

/**
 * Maximum number of calls at a time, if no name server answers them. Node's thread pool runs two, and no other lookup
 * meanwhile; Bun's has a thread for each core, for files too; Deno's has many (measured on Node 20 to 24, Bun 1.4 and
 * Deno 2.9).
 */
const MAX_CALLS = "Deno" in globalThis
  ? 8
  : "Bun" in globalThis
  ? Math.min(Math.max(navigator.hardwareConcurrency - 1, 1), 8)
  : 2;

/** Names what is asked, in messages. */
const OS = "the operating system";

/** The part of `node:dns/promises` that is used here. */
export type GetAddrInfo = (
  name: string,
  options: { family: 4 | 6; all: true; verbatim: true },
) => Promise<readonly { readonly address: string }[]>;

/**
 * The lookup that asks the operating system, for a few names at a time. The `server` of a question is ignored.
 *
 * An aborted lookup rejects at once, but its call cannot be ended. A question for the same name waits for that call;
 * other names wait only while all calls are under way.
 */
export const osLookup: Lookup = osLookupOver(getaddrinfo, MAX_CALLS);

/** The addresses that a call returned. */
type Found = readonly { readonly address: string }[];

/**
 * Makes a lookup over a `getaddrinfo`.
 *
 * @param call The function.
 * @param maxCalls Maximum number of its calls at a time.
 * @returns The lookup.
 */
export function osLookupOver(call: GetAddrInfo, maxCalls: number): Lookup {
  /** The calls under way, by question. */
  const calls = new Map<string, Promise<Found>>();
  /** Questions that wait for the end of a call. */
  const waiting = new Set<() => void>();

  function start(key: string, name: string, family: 4 | 6): Promise<Found> {
    const found = Promise.resolve(call(name, { family, all: true, verbatim: true }));
    calls.set(key, found);
    const onEnd = () => {
      calls.delete(key);
      // All look again: some may have the same question.
      for (const proceed of waiting) proceed();
      waiting.clear();
    };
    found.then(onEnd, onEnd);
    return found;
  }

  async function find(question: Question, family: 4 | 6): Promise<Found> {
    const { signal, absolute = false } = question;
    const name = absolute ? `${question.name}.` : question.name;
    const key = `${family} ${name}`;
    for (;;) {
      signal.throwIfAborted();
      const running = calls.get(key);
      if (running) return await abortable(running, signal);
      if (calls.size < maxCalls) return await abortable(start(key, name, family), signal);
      let proceed!: () => void;
      const turn = new Promise<void>((resolve) => waiting.add(proceed = resolve));
      await abortable(turn, signal).finally(() => waiting.delete(proceed));
    }
  }

  return {
    name: "os",

    async lookup(question: Question): Promise<Answer> {
      const { family, signal } = question;
      if (family === "srv") {
        const what = "it cannot be asked for SRV records";
        throw lookupFailure(question, OS, what, { kind: "config", reason: "ENOTSUP" });
      }
      try {
        const addresses = (await find(question, family))
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
  return lookupFailure(question, OS, what, { kind, reason, cause: error });
}
