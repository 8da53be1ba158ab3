/**
 * The lookup of the operating system, getaddrinfo: it knows the hosts file, search domains and whatever else the
 * machine is set up with, but no TTL, and it cannot be aborted.
 *
 * @module
 */

import { lookup as getaddrinfo } from "node:dns/promises";
import { LookupError } from "../errors.ts";
import type { Answer, Lookup, Question } from "./lookup.ts";

/** Seconds that its answer counts for: it does not tell. */
const TTL = 5;

/** The one call under way; a second slow name at the same time would block every other lookup of the process. */
let last: Promise<unknown> = Promise.resolve();

/** Asks the operating system, one name at a time; `server` makes no difference. */
export const osLookup: Lookup = {
  name: "os",

  async lookup({ name, family, signal }: Question): Promise<Answer> {
    signal.throwIfAborted();
    const before = last;
    const { promise: turn, resolve: done } = gate();
    last = turn;
    let stop!: () => void;
    const stopped = new Promise<never>((_, reject) => stop = () => reject(signal.reason));
    stopped.catch(() => {});
    signal.addEventListener("abort", stop, { once: true });
    try {
      const asked = before.then(() => {
        signal.throwIfAborted();
        return getaddrinfo(name, { family, all: true, verbatim: true });
      });
      asked.then(done, done);
      const found = await Promise.race([asked, stopped]);
      const addresses = [...new Set(found.map(({ address }) => address))];
      if (addresses.length === 0) {
        throw Object.assign(new Error("no address"), { code: "ENOTFOUND" });
      }
      return { addresses, ttl: TTL };
    } catch (error) {
      signal.throwIfAborted();
      const code = (error as { code?: unknown }).code;
      const reason = typeof code === "string" ? code : undefined;
      const text = reason ?? (error instanceof Error ? error.message : String(error));
      throw new LookupError(`Cannot look up "${name}" with the operating system: ${text}`, {
        // It says ENOTFOUND for a failing server as well.
        kind: reason === "ENOTFOUND" ? "ambiguous" : "transient",
        reason,
        cause: error,
      });
    } finally {
      signal.removeEventListener("abort", stop);
    }
  },
};

function gate(): { promise: Promise<void>; resolve: () => void } {
  let resolve!: () => void;
  const promise = new Promise<void>((r) => resolve = r);
  return { promise, resolve };
}
