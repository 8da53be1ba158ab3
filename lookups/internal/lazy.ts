/**
 * `wire` and `doh`, loaded when they are first asked, so that a program that uses neither does not load them. The same
 * name is always the same lookup.
 *
 * @module
 */

import { LookupError } from "../../errors.ts";
import { messageOf } from "../../internal/thrown.ts";
import type { Lookup } from "../lookup.ts";
import { systemServers } from "./system_servers.ts";

/** The lookup `wire`, loaded at its first question. */
export const wire: Lookup = {
  ...lazy("wire", async () => (await import("../wire.ts")).wireLookup),
  servers: systemServers,
  repeats: true,
};

const dohByUrl: Map<string, Lookup> = new Map();

/**
 * Returns the lookup `doh` for a URL, loaded at its first question.
 *
 * @param url A URL that `readDohUrl` returned.
 * @returns The lookup, the same for the same URL.
 */
export function doh(url: string): Lookup {
  let lookup = dohByUrl.get(url);
  if (!lookup) {
    lookup = {
      ...lazy("doh", async () => (await import("../doh.ts")).dohLookup(url)),
      repeats: "sparingly",
    };
    dohByUrl.set(url, lookup);
  }
  return lookup;
}

function lazy(name: string, load: () => Promise<Lookup>): Lookup {
  let loading: Promise<Lookup> | undefined;
  return {
    name,
    async lookup(question) {
      question.signal.throwIfAborted();
      loading ??= load().catch((cause) => {
        loading = undefined;
        const message = `Cannot load the lookup "${name}": ${messageOf(cause)}`;
        throw new LookupError(message, { kind: "config", cause });
      });
      return await (await loading).lookup(question);
    },
  };
}
