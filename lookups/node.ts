/**
 * The lookup of Node and Bun: `node:dns/promises`, with a `Resolver` for each question that was never asked it before.
 *
 * With its own `Resolver`, `cancel()` ends only this question, an edited `resolv.conf` is read, and no cache of Bun or
 * c-ares is used. `node:dns` never reads the hosts file and adds no search domains. It drops the zone of a server's address, and asks
 * over TCP only if the response over UDP was truncated. So `wire` asks a server with a zone, or over TCP: at once if the
 * server's settings say so, and as well if the server is silent over UDP. Nor does `node:dns` ask for what an alias leads
 * to if the server has left that out: `wire` asks then.
 *
 * @module
 */

import { Resolver } from "node:dns/promises";
import { LookupError, type LookupErrorKind } from "../errors.ts";
import { canonicalIp, hostPort } from "../internal/ip.ts";
import { formatService, NO_TARGET } from "../internal/srv.ts";
import { codeOf, messageOf } from "../internal/thrown.ts";
import { lookupFailure } from "./internal/failure.ts";
import { wire } from "./internal/lazy.ts";
import { systemServers } from "./internal/system_servers.ts";
import { overFirstTransport } from "./internal/transport_race.ts";
import type { Answer, Lookup, NameServer, Question } from "./lookup.ts";

/**
 * Timeout of c-ares, in milliseconds, longer than any lookup: its signal ends it. (A longer one counts as 5 seconds.)
 */
const NO_TIMEOUT_MS = 3_600_000;

/** The port that `node:dns` takes for a server without one. */
const DNS_PORT = 53;

/** Errors without a response over UDP. */
const UNREACHED = new Set(["ECONNREFUSED", "ETIMEOUT"]);
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
 * Makes a lookup that asks through `node:dns/promises`.
 *
 * @param notFound The meaning of ENOTFOUND: `"negative"` on Node and Bun; `"ambiguous"` on Deno, whose `node:dns` says
 *   it for a failing server too.
 * @returns The lookup.
 */
export function nodeLookup(notFound: "negative" | "ambiguous"): Lookup {
  return {
    name: "node",
    repeats: true,
    servers: systemServers,
    async lookup(given: Question): Promise<Answer> {
      const { signal } = given;
      signal.throwIfAborted();
      const server = given.server ?? systemServers()[0];
      const question = { ...given, server };
      if (server && (needsWire(server) || given.family === "srv")) {
        return await wire.lookup(question);
      }
      try {
        return await (server ? askBothWays(question, server) : askNode(question));
      } catch (error) {
        signal.throwIfAborted();
        if (server && error instanceof NoAddress) return await wire.lookup(question);
        if (error instanceof LookupError) throw error;
        throw toLookupError(error, question, notFound);
      }
    },
  };
}

/** The reason that ends a question which is over: a signal without one makes an error, with a trace of the stack. */
const IS_OVER = new Error("the question is over");

/** How a question ended that a server answered. */
type Outcome = { readonly answer: Answer } | { readonly error: unknown };

/** Asks with `node:dns`, and with `wire` over TCP where that is silent or cannot reach the server. */
async function askBothWays(question: Question, server: NameServer): Promise<Answer> {
  const { signal, onWait } = question;
  const outcome = await overFirstTransport<Outcome>({
    ...{ server, signal, onWait },
    overUdp(listener) {
      const own = new AbortController();
      askNode({ ...question, signal: own.signal }).then(
        (answer) => listener.onResponse({ answer }),
        (error) => {
          if (UNREACHED.has(codeOf(error))) listener.onError(error);
          else listener.onResponse({ error });
        },
      );
      return () => own.abort(IS_OVER);
    },
    async overTcp(signal) {
      try {
        const overTcp = { ...question, server: { ...server, tcp: true }, signal };
        return { answer: await wire.lookup(overTcp) };
      } catch (error) {
        if (!isResponse(error)) throw error;
        return { error };
      }
    },
  });
  if ("error" in outcome) throw outcome.error;
  return outcome.answer;
}

/** Returns whether an error of `wire` is what the server said. */
function isResponse(error: unknown): boolean {
  return error instanceof LookupError && error.reason !== undefined &&
    !error.reason.startsWith("E");
}

async function askNode(question: Question): Promise<Answer> {
  const { family, server } = question;
  const { addresses, ttl } = family === "srv"
    ? await nodeServices(question)
    : await nodeAddressesWithTtl(question);
  return { addresses, ttl, server: server && hostPort(server.host, server.port) };
}

/** A success without a record: the name is an alias, and what that leads to has to be asked for. */
class NoAddress extends Error {
  readonly code = "ENODATA";

  constructor() {
    super("the answer holds no address");
  }
}

/** Returns whether `node:dns` cannot ask a server as it has to be: over TCP at once, or with the zone of its address. */
function needsWire({ host, tcp = false }: NameServer): boolean {
  return tcp || host.includes("%");
}

/**
 * Asks with `resolve4` or `resolve6`.
 *
 * @param question The question; its signal cancels the query.
 * @returns At least one address, and the smallest TTL in seconds.
 */
export async function nodeAddressesWithTtl(
  question: Question,
): Promise<{ addresses: string[]; ttl: number }> {
  const { name, family } = question;
  return await withResolver(question, async (resolver) => {
    const records = family === 4
      ? await resolver.resolve4(name, { ttl: true })
      : await resolver.resolve6(name, { ttl: true });
    const valid = records.filter(({ address }) => canonicalIp(address) !== undefined);
    if (valid.length === 0) throw new NoAddress();
    return {
      addresses: [...new Set(valid.map(({ address }) => address))],
      ttl: Math.min(...valid.map(({ ttl }) => ttl)),
    };
  });
}

/**
 * Asks with `resolveSrv`, which reports no TTL.
 *
 * @param question The question; its signal cancels the query.
 * @returns At least one record, as text.
 */
export async function nodeServices(
  question: Question,
): Promise<{ addresses: string[]; ttl: undefined }> {
  return await withResolver(question, async (resolver) => {
    const records = await resolver.resolveSrv(question.name);
    if (records.length === 0) throw new NoAddress();
    const addresses = records.map(({ priority, weight, port, name }) =>
      formatService({ priority, weight, port, target: name || NO_TARGET })
    );
    return { addresses, ttl: undefined };
  });
}

/** A resolver, and the questions that it was asked: it may remember what was answered. */
interface Used {
  readonly resolver: Resolver;
  readonly asked: Set<string>;
}

/**
 * Resolvers without an open question, while others have one. Each has much memory outside the heap: if each of thousands
 * of questions had a new one, that would be returned too late.
 */
let idle: Used[] = [];
/** Number of resolvers with an open question. */
let busy = 0;

/** Returns a resolver that was never asked this question, and has no other. */
function takeResolver(question: string): Used {
  busy++;
  if (idle.at(-1)?.asked.has(question) === false) return idle.pop()!;
  return { resolver: newResolver(), asked: new Set() };
}

function giveBack(used: Used, isUsable: boolean): void {
  if (--busy === 0) idle = [];
  else if (isUsable) idle.push(used);
}

/**
 * Names a server for `node:dns`, if possible without its port: of an IPv4 address with one, Node finds out with a large
 * expression for IPv6 that it is not an address alone; in a new process that takes longer than all else in a question.
 */
function addressOf({ host, port }: NameServer): string {
  return port === DNS_PORT ? host : hostPort(host, port);
}

function newResolver(): Resolver {
  return new Resolver({ timeout: NO_TIMEOUT_MS, tries: 1 });
}

/** Asks with a resolver that has no other question, and whose query the signal cancels. */
async function withResolver<T>(
  { name, family, server, signal }: Question,
  ask: (resolver: Resolver) => Promise<T>,
): Promise<T> {
  const question = `${family} ${name}`;
  // Without a server, it asks those that were configured when it was made.
  const used = server ? takeResolver(question) : undefined;
  const resolver = used?.resolver ?? newResolver();
  if (server) resolver.setServers([addressOf(server)]);
  used?.asked.add(question);
  const cancel = () => resolver.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  let isUsable = false;
  try {
    const answer = await ask(resolver);
    isUsable = true;
    return answer;
  } finally {
    signal.removeEventListener("abort", cancel);
    if (used) giveBack(used, isUsable);
  }
}

function toLookupError(error: unknown, question: Question, notFound: LookupErrorKind): LookupError {
  const server = question.server && hostPort(question.server.host, question.server.port);
  const reason = codeOf(error) || undefined;
  let kind: LookupErrorKind = "transient";
  if (reason !== undefined && NOT_FOUND.has(reason)) kind = notFound;
  else if (reason !== undefined && CONFIG.has(reason)) kind = "config";
  return lookupFailure(question, server, reason ?? messageOf(error), {
    kind,
    reason,
    cause: error,
  });
}
