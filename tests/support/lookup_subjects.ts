/**
 * The lookups of this runtime, with the contract tests of each.
 *
 * @module
 */

import { assertEquals, assertStrictEquals } from "@std/assert";
import process from "node:process";
import { LookupError } from "../../errors.ts";
import type { Lookup } from "../../lookups/lookup.ts";
import { lookupByName, osLookup } from "../../lookups/system.ts";
import { denying, noDatagrams } from "./deno_permissions.ts";
import { dohBridge } from "./doh_bridge.ts";
import * as exceptions from "./lookup_exceptions.ts";
import { dohContract } from "../contracts/doh.ts";
import { type ContractTest, lookupContract, type Subject } from "../contracts/lookup.ts";
import { transportContract } from "../contracts/transports.ts";
import { wireContract } from "../contracts/wire.ts";

const { deno, bun, node } = process.versions as Partial<Record<string, string>>;

function builtIn(): exceptions.Exceptions {
  if (deno) return exceptions.WIRE_ON_DENO;
  if (bun) return exceptions.BUN;
  return node?.startsWith("20.") ? exceptions.NODE_20 : exceptions.NODE;
}

function opened(lookup: Lookup): Subject["open"] {
  return () => Promise.resolve({ lookup, close: () => Promise.resolve() });
}

/** Opens Deno's lookup without the permission for datagrams, so that it asks Deno's own resolver. */
function withoutDatagrams(): ReturnType<Subject["open"]> {
  const denied = denying(noDatagrams);
  const close = () => Promise.resolve(denied[Symbol.dispose]());
  return Promise.resolve({ lookup: lookupByName("system"), close });
}

const SUBJECTS: readonly Subject[] = [
  { name: "system", exceptions: builtIn(), open: opened(lookupByName("system")) },
  ...deno
    ? [{
      name: "system without datagrams",
      exceptions: exceptions.DENO,
      open: withoutDatagrams,
    }]
    : [],
  {
    name: "wire",
    exceptions: deno ? exceptions.WIRE_ON_DENO : exceptions.WIRE,
    open: opened(lookupByName("wire")),
  },
  {
    name: "doh",
    exceptions: exceptions.DOH,
    async open(dns) {
      const { url, close } = await dohBridge(dns);
      return { lookup: lookupByName(url as `http://${string}`), close };
    },
  },
];

const { signal } = new AbortController();

/** Tests of the operating system's resolver, which cannot be given a server: only what is the same on every machine. */
const OS: Readonly<Record<string, () => Promise<void>>> = {
  "reads the hosts file, and gives its answers 5 seconds": async () => {
    const answer = await osLookup.lookup({ name: "localhost", family: 4, signal });
    assertEquals(answer, { addresses: ["127.0.0.1"], ttl: 5 });
  },
  "reports a name that does not exist as ambiguous": async () => {
    const question = { name: "test.invalid", family: 4 as const, signal };
    const error = await osLookup.lookup(question).catch((error) => error);
    assertEquals([error instanceof LookupError, error.kind], [true, "ambiguous"]);
  },
  "makes no call if it is aborted before it begins": async () => {
    const reason = new Error("The caller has left");
    const question = { name: "localhost", family: 4 as const, signal: AbortSignal.abort(reason) };
    assertStrictEquals(await osLookup.lookup(question).catch((error) => error), reason);
  },
  "rejects with the signal's reason when it is aborted during the call, which goes on":
    async () => {
      const reason = new Error("The caller has left");
      const controller = new AbortController();
      const question = { name: "localhost", family: 4 as const, signal: controller.signal };
      const asked = osLookup.lookup(question);
      controller.abort(reason);
      assertStrictEquals(await asked.catch((error) => error), reason);
      await osLookup.lookup({ ...question, signal }); // which waits for the call
    },
};

/** Returns all tests of all lookups. */
export function contractTests(): ContractTest[] {
  return [
    ...SUBJECTS.flatMap(lookupContract),
    ...(["system", "wire"] as const).flatMap((name) => transportContract(name, lookupByName(name))),
    ...wireContract(),
    ...dohContract(),
    ...Object.entries(OS).map(([name, run]) => ({ name: `os ${name}`, run })),
  ];
}

/** Returns the number of declared exceptions of each lookup. */
export function declaredExceptions(): Record<string, number> {
  return Object.fromEntries(
    SUBJECTS.map(({ name, exceptions }) => [name, Object.keys(exceptions).length]),
  );
}
