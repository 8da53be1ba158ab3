/**
 * Resolves a name once: servers, rounds, backoff and address families, until there is an answer or the time is over.
 * A question that is not answered is repeated while it is open, and the next server is asked meanwhile.
 *
 * Nothing is remembered here. The timers do not keep the process alive: a caller that waits for a resolution has a
 * deadline of its own that does.
 *
 * @module
 */

import { deadline, delay } from "../internal/async.ts";
import { ageClock, awakeTimer, maintenanceTimer, now, type Timer } from "../internal/clock.ts";
import { canonicalIp, ipFamily } from "../internal/ip.ts";
import { formatService, NO_TARGET, parseService } from "../internal/srv.ts";
import { messageOf } from "../internal/thrown.ts";
import { clampTtl } from "../internal/ttl.ts";
import { LookupError, type LookupErrorKind } from "../errors.ts";
import { answersWithoutHosts, hostsAnswer, type HostsUse } from "../lookups/hosts.ts";
import type { Answer, Lookup, NameServer, Question } from "../lookups/lookup.ts";
import type { AddressRule } from "./allow_address.ts";

/** Which address records are asked for. */
export type Family = "auto" | 4 | 6 | "both";

/** Which records are asked for. */
export type Records = Family | "srv";

/** An answer as it came: the limits of `dnsMinTtl` and `dnsMaxTtl` are not applied yet. */
export interface CachedAnswer {
  /** At least one address, in the server's order; or SRV records as text. */
  readonly addresses: readonly string[];
  /** Addresses of a family that failed this time (`"both"`), or did not answer yet, from an earlier answer. */
  readonly carriedOver: CarriedOver | undefined;
  /** The family that has not answered yet (`"both"`). */
  readonly missing?: 4 | 6 | undefined;
  /** The rest of the answer, if one of two families has not answered yet; rejected if that family fails. */
  readonly rest?: Promise<CachedAnswer> | undefined;
  /** Why one of two families is missing, if it failed for a time. */
  readonly halfFailure?: unknown;
  /**
   * Why this is only a substitute for an answer: DNS failed and the operating system's resolver answered, or the
   * servers repeated what has expired.
   */
  readonly failure?: unknown;
  /** Seconds, 0 for a TTL that DNS does not allow; `undefined` if the lookup does not know it. */
  readonly ttl: number | undefined;
  /** Time of the query by `ageClock()`. The TTL counts from here. */
  readonly askedAtMs: number;
  /** Time of the answer. */
  readonly answeredAtMs: number;
  /** Duration of the resolution, with the attempts that failed. */
  readonly tookMs: number;
  /** Time that the answer needed, by the monotonic clock: without the time for which the machine slept. */
  readonly waitedMs: number;
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

/** How hard to try. */
export interface Effort {
  /** Number of rounds over all servers, at least 1. */
  readonly rounds: number;
  /** Time limit for the whole resolution. */
  readonly timeoutMs: number;
  /** Time that the rounds divide between them; the last one gets what is left of the time limit. Default: all of it. */
  readonly paceMs?: number | undefined;
  /** Time limit for DNS, if a fallback follows. */
  readonly dnsTimeoutMs: number;
  /** The lookup that is asked if DNS has no answer. */
  readonly fallback: Lookup | undefined;
}

/** What to resolve, and how hard to try. */
export interface ResolveRequest extends Effort {
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
  /** The last answer: its server is asked first, and a family that fails keeps its addresses. */
  readonly previous: CachedAnswer | undefined;
  /** Whether an ambiguous "not found" is treated as negative, whatever the last answer was. */
  readonly trustNegative: boolean;
  /** The family that is not asked for, because an earlier question for it is still open (`"both"`). */
  readonly without?: 4 | 6 | undefined;
  /** Is given functions that repeat a question while it is open. */
  readonly open?: Set<() => void> | undefined;
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
export const SHARE_BEFORE_FALLBACK = 0.75;
/** Times after which an open question is repeated, each after the one before; the last goes on. */
const REPEATS_MS: readonly number[] = [200, 200, 200, 200, 400, 800, 1000];
/** Minimum interval of repetitions that a caller asks for; the second is for a lookup that repeats nothing by itself. */
const MIN_REPEAT_MS = 200;
const MIN_SECOND_CALL_MS = 1000;
/** Time after which the next server is asked while the one before is silent. */
const NEXT_SERVER_MS = 200;
/** Time that one of two families waits for the other: the resolution delay of RFC 8305 section 3. */
const OTHER_FAMILY_MS = 50;
/** Maximum TTL, in seconds, of an answer in which one of two families is missing. */
const MAX_HALF_ANSWER_TTL = 5;
/** The `reason` of an answer that `allowAddress` refused. */
const NOT_ALLOWED = "ADDRESS_NOT_ALLOWED";

/**
 * Resolves a name. The time limits begin now.
 *
 * @param request The name, and how hard to try.
 * @returns The answer.
 * @throws The last lookup's error, or the signal's reason.
 */
export async function resolveName(request: ResolveRequest): Promise<CachedAnswer> {
  return fromHosts(request) ?? await resolveInTime(request);
}

/** Returns whether the hosts file has the answer, so that no server is asked. */
export function isInHosts(
  { name, family, preferred = 4, hosts = "last" }: Omit<ResolveRequest, "signal" | keyof Effort>,
): boolean {
  return family !== "srv" && hostsAnswer(name, { family, preferred }, hosts) !== undefined;
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
    waitedMs: 0,
    server: undefined,
    source: "hosts",
    details: { server },
  };
}

/** Asks DNS, and the fallback if that has no answer, within the time limits. */
async function resolveInTime(request: ResolveRequest): Promise<CachedAnswer> {
  const { name, hosts, fallback, timeoutMs, dnsTimeoutMs, signal } = request;
  const startMs = now();
  const endMs = startMs + timeoutMs;
  const dnsMs = fallback ? Math.min(timeoutMs * SHARE_BEFORE_FALLBACK, dnsTimeoutMs) : timeoutMs;
  const timed = (answer: CachedAnswer) => ({ ...answer, tookMs: now() - startMs });
  try {
    return timed(await askInRounds(request, startMs, startMs + dnsMs));
  } catch (error) {
    signal.throwIfAborted();
    if (!fallback || hosts === "never" && !answersWithoutHosts(name)) throw error;
    const osRequest = { ...request, lookup: fallback, previous: undefined, without: undefined };
    try {
      const answer = await askServer(osRequest, undefined, endMs);
      return { ...timed(answer), source: "os", failure: error };
    } catch (osError) {
      signal.throwIfAborted();
      throw reasonOf(osError) === NOT_ALLOWED ? osError : error;
    }
  }
}

/**
 * Asks all servers, and again after a pause, until one answers or says that there is no answer. If none has a better
 * answer than one that has expired, it is a substitute.
 */
async function askInRounds(
  request: ResolveRequest,
  startMs: number,
  endMs: number,
): Promise<CachedAnswer> {
  const { rounds, previous, signal } = request;
  const listed = request.servers.length ? request.servers : request.lookup.servers?.() ?? [];
  const servers = listed.length ? lastGoodFirst(listed, previous?.server) : [undefined];
  const pacedEndMs = Math.min(endMs, startMs + (request.paceMs ?? Infinity));
  let failure: unknown;
  let substitute: CachedAnswer | undefined;
  for (let round = 0; round < rounds; round++) {
    if (round > 0) {
      const pauseMs = BACKOFF_MS * 2 ** (round - 1) * (0.5 + Math.random() / 2);
      if (now() + pauseMs >= endMs) break;
      await delay(pauseMs, signal, maintenanceTimer);
    }
    // The last round gets what is left, however fast the others were.
    const ofMs = round === rounds - 1 ? endMs : pacedEndMs;
    const shareMs = (ofMs - now()) * shareOfRound(round, rounds);
    try {
      const answer = await askServers(request, servers, shareMs, endMs);
      if (answer.failure === undefined) return answer;
      substitute = answer;
    } catch (error) {
      signal.throwIfAborted();
      failure = error;
      if (isFinal(error)) throw error;
    }
  }
  if (substitute) return substitute;
  throw failure;
}

/** Returns whether no other server need be asked after an error. */
function isFinal(error: unknown): boolean {
  const kind = kindOf(error);
  return kind === "negative" || kind === "config";
}

/**
 * Returns the share of the remaining time for one round. Later rounds get more: a lost question is noticed soon, and a
 * slow server still has a chance.
 */
function shareOfRound(round: number, rounds: number): number {
  const weight = (at: number) => 2 ** Math.min(at, MAX_DOUBLINGS);
  let left = 0;
  for (let at = round; at < rounds; at++) left += weight(at);
  return weight(round) / left;
}

/**
 * Asks each server once: the next one after a failure, or when the time of the one before is over. If questions are
 * repeated, the one before stays open, and the next server is asked soon.
 *
 * @param request What to ask.
 * @param servers The servers, in order.
 * @param shareMs The time for all of them.
 * @param endMs End of all.
 * @returns The first answer; if there is none, a substitute.
 * @throws The last failure; a final one at once.
 */
function askServers(
  request: ResolveRequest,
  servers: readonly (NameServer | undefined)[],
  shareMs: number,
  endMs: number,
): Promise<CachedAnswer> {
  const { signal, lookup: { repeats = false } } = request;
  const roundEndMs = now() + shareMs;
  const questions: AbortController[] = [];
  return new Promise((resolve, reject) => {
    let open = 0;
    let isOver = false;
    let substitute: CachedAnswer | undefined;
    let nextServer: Timer | undefined;
    const end = (settle: () => void, answered?: AbortController) => {
      isOver = true;
      nextServer?.clear();
      for (const one of questions) if (one !== answered) one.abort(signal.reason);
      settle();
    };
    const askNext = () => {
      const question = new AbortController();
      const isOnly = servers.length === 1;
      const own = isOnly ? signal : AbortSignal.any([signal, question.signal]);
      const left = servers.length - questions.length;
      questions.push(question);
      open++;
      const nowMs = now();
      const ownMs = Math.max((roundEndMs - nowMs) / (repeats ? 1 : left), MIN_ATTEMPT_MS);
      nextServer?.clear();
      if (repeats && left > 1) nextServer = maintenanceTimer(NEXT_SERVER_MS, askNext);
      const server = servers[servers.length - left];
      askServer({ ...request, signal: own }, server, Math.min(nowMs + ownMs, endMs)).then(
        (answer) => {
          if (isOver) return;
          if (answer.failure === undefined) return end(() => resolve(answer), question);
          substitute ??= answer;
          onFailure(answer.failure);
        },
        (error) => {
          if (!isOver) onFailure(error);
        },
      );
    };
    const onFailure = (error: unknown) => {
      open--;
      const mayAskNext = questions.length < servers.length && now() < endMs;
      if (signal.aborted || isFinal(error)) end(() => reject(error));
      else if (mayAskNext) askNext();
      else if (open === 0) end(() => substitute ? resolve(substitute) : reject(error));
    };
    askNext();
  });
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
  if (family === "both") return await askBoth(ask, request);
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

/** The records of a question, for messages. */
const RECORDS = { 4: "A", 6: "AAAA", srv: "SRV" } as const;

/** One of two families. */
type Half = PromiseSettledResult<CachedAnswer>;

/**
 * Asks for A and AAAA at once. One family is enough: one that fails temporarily keeps its addresses, and one that does
 * not answer soon follows as the rest of the answer.
 */
async function askBoth(
  ask: (family: 4 | 6) => Promise<CachedAnswer>,
  { previous, without }: ResolveRequest,
): Promise<CachedAnswer> {
  const halves: (Half | undefined)[] = [undefined, undefined];
  const noted = ([4, 6] as const).map(async (family, index) => {
    if (family !== without) halves[index] = await settled(ask(family));
    return halves[index];
  });
  if (without === undefined) {
    const first = await Promise.race(noted);
    // A family that was silent the last time is not waited for.
    if (first?.status !== "fulfilled") await Promise.all(noted);
    else if (!previous?.missing) await inTime(Promise.all(noted), OTHER_FAMILY_MS);
  } else await Promise.all(noted);
  const answer = together(halves, previous);
  if (halves[0] && halves[1] || without !== undefined) return answer;
  const silent = halves[0] ? 1 : 0;
  const rest = noted[silent]!.then((half) => {
    if (half?.status === "rejected") throw half.reason;
    return together(halves, previous);
  });
  // It may be left alone, if no caller needs it any more.
  rest.catch(() => {});
  return { ...answer, rest };
}

async function settled(promise: Promise<CachedAnswer>): Promise<Half> {
  const [half] = await Promise.allSettled([promise]);
  return half!;
}

/** Waits for a promise, but no longer than `limitMs`. */
async function inTime(promise: Promise<unknown>, limitMs: number): Promise<void> {
  let limit: Timer | undefined;
  const over = new Promise((resolve) =>
    limit = maintenanceTimer(limitMs, () => resolve(undefined))
  );
  await Promise.race([promise, over]);
  limit?.clear();
}

/** Puts the families together. One that is still `undefined` has not answered yet. */
function together(
  halves: readonly (Half | undefined)[],
  previous: CachedAnswer | undefined,
): CachedAnswer {
  const found = halves.flatMap((half) => half?.status === "fulfilled" ? [half.value] : []);
  const failed = halves.map((half) => half?.status === "rejected" ? half.reason : undefined);
  const first = found[0];
  const refused = failed.find((error) => reasonOf(error) === NOT_ALLOWED);
  if (refused !== undefined) throw refused;
  if (!first) {
    const error = failed.find((error) => error !== undefined && kindOf(error) !== "negative") ??
      failed.find((error) => error !== undefined);
    // The other family may have an address.
    if (halves.includes(undefined) && kindOf(error) === "negative") throw asTransient(error);
    throw error;
  }
  const askedAtMs = Math.min(...found.map(({ askedAtMs }) => askedAtMs));
  const isCarriedOver = (address: string) => {
    const index = address.includes(":") ? 1 : 0;
    if (!halves[index]) return true;
    const error = failed[index];
    const kind = error === undefined ? "negative" : kindOf(error);
    // The second ambiguous "not found" in a row is treated as negative.
    return kind === "transient" || (kind === "ambiguous" && !previous?.carriedOver);
  };
  const known = previous?.source === "dns" ? previous : undefined;
  const knownAddresses = [...known?.addresses ?? [], ...known?.carriedOver?.addresses ?? []];
  const carried = [...new Set(knownAddresses.filter(isCarriedOver))];
  const sinceMs = known?.carriedOver?.sinceMs ?? askedAtMs;
  const ttls = found.map(({ ttl }) => ttl);
  const ttl = ttls.includes(undefined) ? undefined : Math.min(...ttls as number[]);
  const isHalf = carried.length > 0 || halves.includes(undefined);
  return {
    ...first,
    addresses: found.flatMap(({ addresses }) => addresses),
    carriedOver: carried.length ? { addresses: carried, sinceMs } : undefined,
    ttl: isHalf ? Math.min(ttl ?? MAX_HALF_ANSWER_TTL, MAX_HALF_ANSWER_TTL) : ttl,
    askedAtMs,
    answeredAtMs: Math.max(...found.map(({ answeredAtMs }) => answeredAtMs)),
    waitedMs: Math.max(...found.map(({ waitedMs }) => waitedMs)),
    missing: halves.includes(undefined) ? (halves[0] ? 6 : 4) : undefined,
    halfFailure: failed.find((error) => error !== undefined && kindOf(error) === "transient"),
    failure: found.find(({ failure }) => failure !== undefined)?.failure,
  };
}

function asTransient(cause: unknown): LookupError {
  return new LookupError(`${messageOf(cause)}; the other address family has not answered`, {
    kind: "transient",
    cause,
  });
}

/** Asks one question, with a deadline of its own: the runtimes' timeouts differ. */
async function askOnce(
  request: ResolveRequest,
  family: Question["family"],
  server: NameServer | undefined,
  endMs: number,
): Promise<CachedAnswer> {
  const { name, absolute, hosts, lookup, allow, signal } = request;
  const startMs = now();
  let what = "the server did not answer";
  const readsHosts = hosts === "first" || hosts === "configured";
  const question = {
    name,
    ...(absolute && { absolute }),
    ...(readsHosts && { hosts: true }),
    family,
    server,
    onWait: (text: string) => void (what = text),
  };
  const limitMs = (server?.timeout ?? Infinity) * 1000;
  const { answer, askedAtMs, sentAtMs } = await deadline(
    Math.min(endMs - startMs, limitMs),
    (signal) => askRepeatedly(lookup, question, signal, request.open),
    {
      signal,
      what: () => `Cannot look up ${RECORDS[family]} of "${name}": ${what}`,
      start: awakeTimer,
    },
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
    waitedMs: now() - sentAtMs,
    server,
    source: "dns",
    ...(answer.stale && { failure: staleError(name, lookup) }),
    details: { server: answer.server, chain: answer.chain },
  };
}

function staleError(name: string, lookup: Lookup): LookupError {
  return new LookupError(
    `The lookup "${lookup.name}" answered "${name}" with data that have expired: the server could get no others`,
    { kind: "transient", reason: "STALE" },
  );
}

/**
 * Sends a question, and again while it is open if the lookup's messages may be lost. The first outcome counts.
 *
 * @param lookup The lookup.
 * @param question The question.
 * @param signal Ends it.
 * @param open Is given a function that repeats the question at once.
 */
function askRepeatedly(
  lookup: Lookup,
  question: Omit<Question, "signal">,
  signal: AbortSignal,
  open: Set<() => void> | undefined,
): Promise<{ answer: Answer; askedAtMs: number; sentAtMs: number }> {
  const others = new AbortController();
  return new Promise((resolve, reject) => {
    let sent = 0;
    let waiting = 0;
    let lastSentAtMs = -Infinity;
    let next: Timer | undefined;
    const end = (settle: () => void, reason?: unknown) => {
      next?.clear();
      open?.delete(repeat);
      signal.removeEventListener("abort", onAbort);
      // An abort makes an error, with a trace of the stack.
      if (waiting > 0) others.abort(reason);
      settle();
    };
    const onAbort = () => end(() => reject(signal.reason), signal.reason);
    const send = () => {
      const askedAtMs = ageClock();
      const sentAtMs = lastSentAtMs = now();
      next?.clear();
      if (lookup.repeats) {
        const pauseMs = REPEATS_MS[Math.min(sent, REPEATS_MS.length - 1)]!;
        next = maintenanceTimer(pauseMs, send);
      }
      sent++;
      waiting++;
      // A lookup of the user's own may throw at once.
      const asked = async () => await lookup.lookup({ ...question, signal: others.signal });
      asked().then(
        (answer) => {
          waiting--;
          end(() => resolve({ answer, askedAtMs, sentAtMs }));
        },
        (error) => {
          waiting--;
          end(() => reject(error));
        },
      );
    };
    const repeat = () => {
      const quietMs = now() - lastSentAtMs;
      if (lookup.repeats ? quietMs >= MIN_REPEAT_MS : sent < 2 && quietMs >= MIN_SECOND_CALL_MS) {
        send();
      }
    };
    signal.addEventListener("abort", onAbort, { once: true });
    open?.add(repeat);
    send();
  });
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
