/**
 * `wire` and `doh` by name: they are loaded when they are first asked, so that a program that uses neither does not
 * pay for them. The same name is always the same lookup.
 *
 * @module
 */

import { LookupError } from "../../errors.ts";
import { textOf } from "./failure.ts";
import type { Lookup } from "../lookup.ts";
import { nodeServers } from "../node.ts";

/** `wire`, loaded at its first question. */
export const wire: Lookup = {
  ...lazy("wire", async () => (await import("../wire.ts")).wireLookup),
  servers: nodeServers,
};

const dohByUrl: Map<string, Lookup> = new Map();

/**
 * `doh` for a URL, loaded at its first question.
 *
 * @param url A URL that may be asked, as `readDohUrl` gives it.
 * @returns The lookup, the same for the same URL.
 */
export function doh(url: string): Lookup {
  let lookup = dohByUrl.get(url);
  if (!lookup) {
    lookup = lazy("doh", async () => (await import("../doh.ts")).dohLookup(url));
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
        const message = `Cannot load the lookup "${name}": ${textOf(cause)}`;
        throw new LookupError(message, { kind: "config", cause });
      });
      return await (await loading).lookup(question);
    },
  };
}
