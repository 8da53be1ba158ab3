/**
 * Resolves a name once: servers, rounds, backoff and address families, until there is an answer or the time is over.
 *
 * Nothing is remembered here. The timers do not keep the process alive: a caller that waits for a resolution has a
 * deadline of its own that does.
 *
 * @module
 */

import { deadline, delay } from "../internal/async.ts";
import { ageClock, awakeTimer, maintenanceTimer, now } from "../internal/clock.ts";
import { canonicalIp, ipFamily } from "../internal/ip.ts";
import { formatService, NO_TARGET, parseService } from "../internal/srv.ts";
import { clampTtl } from "../internal/ttl.ts";
import { LookupError, type LookupErrorKind } from "../errors.ts";
import { answersWithoutHosts, hostsAnswer, type HostsUse } from "../lookups/hosts.ts";
import type { Answer, Lookup, NameServer, Question } from "../lookups/lookup.ts";
import type { AddressRule } from "./allow_address.ts";
import { inTurn } from "./question_limit.ts";

/** Which address records are asked for. */
export type Family = "auto" | 4 | 6 | "both";

/** Which records are asked for. */
export type Records = Family | "srv";

/** An answer as it came: the limits of `dnsMinTtl` and `dnsMaxTtl` are not applied yet. */
export interface CachedAnswer {
  /** At least one address, in the server's order; or SRV records as text. */
  readonly addresses: readonly string[];
  /** Addresses of a family that failed this time (`"both"`), from an earlier answer. */
  readonly carriedOver: CarriedOver | undefined;
  /** Seconds, 0 for a TTL that DNS does not allow; `undefined` if the lookup does not know it. */
  readonly ttl: number | undefined;
  /** Time of the query by `ageClock()`. The TTL counts from here. */
  readonly askedAtMs: number;
  /** Time of the answer. */
  readonly answeredAtMs: number;
  /** Duration of the resolution, with the attempts that failed. */
  readonly tookMs: number;
  /** The server that answered, if it was one of a list. */
  readonly server: NameServer | undefined;
  /** `"dns"`; `"hosts"`, the hosts file; or `"os"` if the operating system's resolver answered in place of DNS. */
  readonly source: "dns" | "hosts" | "os";
  /** What else the lookup said. Shown, never used. */
  readonly details: Pick<Answer, "server" | "chain">;
}

/** Addresses from a family's last answer, while that family fails. */
export interface CarriedOver {
  readonly addresses: readonly string[];
  /** Time since which the family fails. */
  readonly sinceMs: number;
}

/** What to resolve, and how hard to try. */
export interface ResolveRequest {
  /** The name in lower case, without a trailing dot. */
  readonly name: string;
  /** Whether search domains are left out, because the name was given with a trailing dot. */
  readonly absolute?: boolean | undefined;
  readonly family: Records;
  readonly lookup: Lookup;
  /** The servers to ask, in order; if empty, the lookup's own. */
  readonly servers: readonly NameServer[];
  /** With `"auto"`, the family that is asked for first. Default 4. */
  readonly preferred?: 4 | 6 | undefined;
  /** When the hosts file is read. Default `"last"`. */
  readonly hosts?: HostsUse | undefined;
  /** Number of rounds over all servers, at least 1. */
  readonly rounds: number;
  /** Time limit for the whole resolution. */
  readonly timeoutMs: number;
  /** Time limit for DNS, if a fallback follows. */
  readonly dnsTimeoutMs: number;
  /** The last answer: its server is asked first, and a family that fails keeps its addresses. */
  readonly previous: CachedAnswer | undefined;
  /** Whether an ambiguous "not found" is treated as negative, whatever the last answer was. */
  readonly trustNegative: boolean;
  /** The lookup that is asked if DNS has no answer. */
  readonly fallback: Lookup | undefined;
  /** The addresses that an answer may hold, whichever lookup gave it; if absent, any. */
  readonly allow?: AddressRule | undefined;
  /** Ends the resolution: it rejects with the signal's reason. */
  readonly signal: AbortSignal;
}

/** First pause between rounds, in milliseconds. Each pause doubles, less a random part of up to its half. */
const BACKOFF_MS = 100;
/** Number of rounds in which the time for an attempt doubles. */
const MAX_DOUBLINGS = 2;
/** Minimum time for an attempt, in milliseconds, if that much is left. */
const MIN_ATTEMPT_MS = 100;
/** Share of the time that DNS gets if a fallback follows. */
const SHARE_BEFORE_FALLBACK = 0.75;
/** Maximum TTL, in seconds, of an answer in which one of two families is missing. */
const MAX_HALF_ANSWER_TTL = 5;
/** The `reason` of an answer that `allowAddress` refused. */
const NOT_ALLOWED = "ADDRESS_NOT_ALLOWED";

/**
 * Resolves a name.
 *
 * @param request The name, and how hard to try.
 * @returns The answer.
 * @throws The last lookup's error, or the signal's reason.
 */
export async function resolveName(request: ResolveRequest): Promise<CachedAnswer> {
  const { lookup, servers, previous, signal } = request;
  const known = fromHosts(request);
  if (known) return known;
  const asked = servers.map(({ host, port }) => `${host} ${port}`).join();
  // The time limits begin with the turn.
  const turn = { signal, goesFirst: previous !== undefined };
  return await inTurn(lookup, asked, turn, () => resolveInTime(request));
}

/** Returns what the hosts file says; `undefined` if DNS has to be asked. */
function fromHosts(
  { name, family, preferred = 4, hosts = "last", allow }: ResolveRequest,
): CachedAnswer | undefined {
  if (family === "srv") return undefined;
  const answer = hostsAnswer(name, { family, preferred }, hosts);
  if (!answer) return undefined;
  const { addresses, ttl, server } = answer;
  if (allow) checkAllowed(addresses, name, "The hosts file", allow);
  const nowMs = ageClock();
  return {
    addresses,
    carriedOver: undefined,
    ttl,
    askedAtMs: nowMs,
    answeredAtMs: nowMs,
    tookMs: 0,
    server: undefined,
    source: "hosts",
    details: { server },
  };
}

/** Resolves a name within the time limits, which begin now. */
async function resolveInTime(request: ResolveRequest): Promise<CachedAnswer> {
  const { name, hosts, fallback, timeoutMs, dnsTimeoutMs, signal } = request;
  const startMs = now();
  const endMs = startMs + timeoutMs;
  const dnsMs = fallback ? Math.min(timeoutMs * SHARE_BEFORE_FALLBACK, dnsTimeoutMs) : timeoutMs;
  const timed = (answer: CachedAnswer) => ({ ...answer, tookMs: now() - startMs });
  try {
    return timed(await askInRounds(request, startMs + dnsMs));
  } catch (error) {
    signal.throwIfAborted();
    if (!fallback || hosts === "never" && !answersWithoutHosts(name)) throw error;
    const osRequest = { ...request, lookup: fallback, previous: undefined };
    try {
      return { ...timed(await askServer(osRequest, undefined, endMs)), source: "os" };
    } catch (osError) {
      signal.throwIfAborted();
      throw reasonOf(osError) === NOT_ALLOWED ? osError : error;
    }
  }
}

/** Asks all servers in turn, and again after a pause, until one answers or says that there is no answer. */
async function askInRounds(request: ResolveRequest, endMs: number): Promise<CachedAnswer> {
  const { rounds, previous, signal } = request;
  const listed = request.servers.length ? request.servers : request.lookup.servers?.() ?? [];
  const servers = listed.length ? lastGoodFirst(listed, previous?.server) : [undefined];
  let failure: unknown;
  for (let round = 0; round < rounds; round++) {
    if (round > 0) {
      const pauseMs = BACKOFF_MS * 2 ** (round - 1) * (0.5 + Math.random() / 2);
      if (now() + pauseMs >= endMs) break;
      await delay(pauseMs, signal, maintenanceTimer);
    }
    for (const [index, server] of servers.entries()) {
      const startMs = now();
      const leftMs = endMs - startMs;
      if (failure !== undefined && leftMs <= 0) throw failure;
      const shareMs = leftMs * shareOfAttempt(round, rounds, index, servers.length);
      const attemptMs = Math.max(shareMs, MIN_ATTEMPT_MS);
      try {
        return await askServer(request, server, startMs + Math.min(attemptMs, leftMs));
      } catch (error) {
        signal.throwIfAborted();
        failure = error;
        const kind = kindOf(error);
        if (kind === "negative" || kind === "config") throw error;
      }
    }
  }
  throw failure;
}

/**
 * Returns the share of the remaining time for one attempt. Later rounds get more: a lost packet is noticed soon, and a
 * slow server still has a chance.
 */
function shareOfAttempt(round: number, rounds: number, index: number, servers: number): number {
  const weight = (at: number) => 2 ** Math.min(at, MAX_DOUBLINGS);
  let later = 0;
  for (let at = round + 1; at < rounds; at++) later += weight(at) * servers;
  return weight(round) / (weight(round) * (servers - index) + later);
}

function lastGoodFirst(
  servers: readonly NameServer[],
  good: NameServer | undefined,
): readonly NameServer[] {
  const isGood = ({ host, port }: NameServer) => host === good?.host && port === good.port;
  return [...servers.filter(isGood), ...servers.filter((server) => !isGood(server))];
}

/** Asks one server for the families of the request. */
async function askServer(
  request: ResolveRequest,
  server: NameServer | undefined,
  endMs: number,
): Promise<CachedAnswer> {
  const { family, preferred = 4, previous, trustNegative } = request;
  const ask = (one: Question["family"]) => askOnce(request, one, server, endMs);
  if (family === 4 || family === 6 || family === "srv") return await ask(family);
  if (family === "both") return await askBoth(ask, previous);
  try {
    return await ask(preferred);
  } catch (error) {
    const kind = kindOf(error);
    if (kind !== "ambiguous" && (kind !== "negative" || reasonOf(error) === "NXDOMAIN")) {
      throw error;
    }
    // An ambiguous "not found" may be an outage: the first one does not move a name with an A record to IPv6.
    const hadSome = previous?.addresses.some((address) => ipFamily(address) === preferred);
    if (kind === "ambiguous" && hadSome && !trustNegative) throw error;
    try {
      return await ask(preferred === 4 ? 6 : 4);
    } catch (otherError) {
      throw kindOf(otherError) === "negative" ? error : otherError;
    }
  }
}

/** Asks for A and AAAA at once. One family is enough; one that fails temporarily keeps its addresses. */
async function askBoth(
  ask: (family: 4 | 6) => Promise<CachedAnswer>,
  previous: CachedAnswer | undefined,
): Promise<CachedAnswer> {
  const results = await Promise.allSettled([ask(4), ask(6)]);
  const found = results.flatMap((result) => result.status === "fulfilled" ? [result.value] : []);
  const failed = results.map((result) => result.status === "rejected" ? result.reason : undefined);
  const first = found[0];
  const refused = failed.find((error) => reasonOf(error) === NOT_ALLOWED);
  if (refused !== undefined) throw refused;
  if (!first) throw failed.find((error) => kindOf(error) !== "negative") ?? failed[0];
  const askedAtMs = Math.min(...found.map(({ askedAtMs }) => askedAtMs));
  const isCarriedOver = (address: string) => {
    const error = failed[address.includes(":") ? 1 : 0];
    const kind = error === undefined ? "negative" : kindOf(error);
    // The second ambiguous "not found" in a row is treated as negative.
    return kind === "transient" || (kind === "ambiguous" && !previous?.carriedOver);
  };
  const known = previous?.source === "dns" ? previous : undefined;
  const knownAddresses = [...known?.addresses ?? [], ...known?.carriedOver?.addresses ?? []];
  const carried = knownAddresses.filter(isCarriedOver);
  const sinceMs = known?.carriedOver?.sinceMs ?? askedAtMs;
  const ttls = found.map(({ ttl }) => ttl);
  const ttl = ttls.includes(undefined) ? undefined : Math.min(...ttls as number[]);
  return {
    ...first,
    addresses: found.flatMap(({ addresses }) => addresses),
    carriedOver: carried.length ? { addresses: carried, sinceMs } : undefined,
    ttl: carried.length ? Math.min(ttl ?? MAX_HALF_ANSWER_TTL, MAX_HALF_ANSWER_TTL) : ttl,
    askedAtMs,
    answeredAtMs: Math.max(...found.map(({ answeredAtMs }) => answeredAtMs)),
  };
}

/** Sends one query, with a deadline of its own: the runtimes' timeouts differ. */
async function askOnce(
  { name, absolute, hosts, lookup, allow, signal }: ResolveRequest,
  family: Question["family"],
  server: NameServer | undefined,
  endMs: number,
): Promise<CachedAnswer> {
  const startMs = now();
  const askedAtMs = ageClock();
  let what = "the server did not answer";
  const readsHosts = hosts === "first" || hosts === "configured";
  const question = {
    name,
    ...(absolute && { absolute }),
    ...(readsHosts && { hosts: true }),
    family,
    server,
  };
  const onWait = (text: string) => void (what = text);
  const limitMs = (server?.timeout ?? Infinity) * 1000;
  const answer: Answer = await deadline(
    Math.min(endMs - startMs, limitMs),
    (signal) => lookup.lookup({ ...question, signal, onWait }),
    { signal, what: () => `Cannot look up "${name}": ${what}`, start: awakeTimer },
  );
  const answeredAtMs = ageClock();
  const addresses = addressesOf(answer, name, family, lookup);
  // The addresses of the targets are checked when these are resolved.
  if (allow && family !== "srv") {
    checkAllowed(addresses, name, `The lookup "${lookup.name}"`, allow);
  }
  return {
    addresses,
    carriedOver: undefined,
    ttl: readTtl(answer.ttl),
    askedAtMs,
    answeredAtMs,
    tookMs: now() - startMs,
    server,
    source: "dns",
    details: { server: answer.server, chain: answer.chain },
  };
}

/** Returns the valid addresses of the requested family, without duplicates. A lookup may be the user's own. */
function addressesOf(
  answer: Answer,
  name: string,
  family: Question["family"],
  lookup: Lookup,
): string[] {
  const given = answer.addresses ?? [];
  if (family === "srv") return servicesOf(given, name, lookup);
  const valid = given.flatMap((address) => canonicalIp(String(address)) ?? []);
  const wanted = valid.filter((address) => address.includes(":") === (family === 6));
  if (wanted.length > 0) return [...new Set(wanted)];
  // A response without an error and without a record of the type is NODATA (RFC 2308 section 2.2).
  const isNoData = valid.length === given.length;
  throw new LookupError(
    `The lookup "${lookup.name}" answered "${name}" without an IPv${family} address`,
    { kind: isNoData ? "negative" : "transient" },
  );
}

/** Returns valid SRV records, without duplicates. */
function servicesOf(given: readonly string[], name: string, lookup: Lookup): string[] {
  const refuse = (what: string, kind: LookupErrorKind) =>
    new LookupError(`The lookup "${lookup.name}" answered "${name}" with ${what}`, { kind });
  const records = given.map((text) => {
    const record = parseService(String(text));
    if (typeof record !== "string") return record;
    throw refuse(`the SRV record ${JSON.stringify(text)}: ${record}`, "transient");
  });
  const available = records.filter(({ target }) => target !== NO_TARGET);
  if (available.length > 0) return [...new Set(available.map(formatService))];
  const none = "no SRV record";
  const gone = 'the SRV target ".": the service is not available there';
  throw refuse(records.length === 0 ? none : gone, "negative");
}

/**
 * Refuses the whole answer for one address that is not allowed: an attacker who put it there may have put in the
 * others as well, or takes them out next (DNS rebinding mixes answers).
 */
function checkAllowed(
  addresses: readonly string[],
  name: string,
  source: string,
  allow: AddressRule,
): void {
  for (const address of addresses) {
    const refused = (why: string, options?: ErrorOptions) =>
      new LookupError(
        `${source} answered "${name}" with ${address}: ${why}`,
        { ...options, kind: "transient", reason: NOT_ALLOWED },
      );
    let isAllowed: boolean;
    try {
      isAllowed = allow.allows(address);
    } catch (error) {
      throw refused(`the function "allowAddress" threw`, { cause: error });
    }
    if (!isAllowed) throw refused(`"allowAddress" does not allow that address`);
  }
}

/** Returns a TTL in seconds as DNS allows it, `undefined` for a value that is not a number. */
export function readTtl(ttl: unknown): number | undefined {
  return typeof ttl === "number" && Number.isFinite(ttl) ? clampTtl(ttl) : undefined;
}

/** Returns what a lookup's error means. It is read by its field, so that a lookup need not use our class. */
export function kindOf(error: unknown): LookupErrorKind {
  const kind = (error as { kind?: unknown } | null)?.kind;
  return kind === "negative" || kind === "ambiguous" || kind === "config" ? kind : "transient";
}

function reasonOf(error: unknown): unknown {
  return (error as { reason?: unknown } | null)?.reason;
}
