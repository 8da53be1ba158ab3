/**
 * Resolves a name once: servers, rounds, backoff and address families, until there is an answer or the time is over.
 * A question that is not answered is repeated while it is open, and the next server is asked meanwhile.
 *
 * Nothing is remembered here. The timers do not keep the process alive: a caller that waits for a resolution has a
 * deadline of its own that does.
 *
 * @module
 */

import { delay } from "../internal/async.ts";
import { ageClock, maintenanceTimer, now, type Timer } from "../internal/clock.ts";
import { ipFamily } from "../internal/ip.ts";
import { answersWithoutHosts, hostsAnswer } from "../lookups/hosts.ts";
import type { Lookup, NameServer, Question } from "../lookups/lookup.ts";
import { askBoth } from "./both_families.ts";
import {
  askOnce,
  type CachedAnswer,
  checkAllowed,
  kindOf,
  NOT_ALLOWED,
  type QuestionRequest,
  reasonOf,
  type Records,
} from "./question.ts";

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
export interface ResolveRequest extends QuestionRequest, Effort {
  readonly family: Records;
  /** The servers to ask, in order; if empty, the lookup's own. */
  readonly servers: readonly NameServer[];
  /** With `"auto"`, the family that is asked for first. Default 4. */
  readonly preferred?: 4 | 6 | undefined;
  /** The last answer: its server is asked first, and with `"both"` a family that fails keeps its addresses. */
  readonly previous: CachedAnswer | undefined;
  /** Whether an ambiguous "not found" is treated as negative, whatever the last answer was. */
  readonly trustNegative: boolean;
  /** The family that is not asked for, because an earlier question for it is still open (`"both"`). */
  readonly without?: 4 | 6 | undefined;
}

/** First pause between rounds, in milliseconds. Each pause doubles, less a random part of up to its half. */
const BACKOFF_MS = 100;
/** Number of rounds in which the time for an attempt doubles. */
const MAX_DOUBLINGS = 2;
/** Minimum time for an attempt, in milliseconds, if that much is left. */
const MIN_ATTEMPT_MS = 100;
/** Share of the time that DNS gets if a fallback follows. */
export const SHARE_BEFORE_FALLBACK = 0.75;
/** Time after which the next server is asked while the one before is silent. */
const NEXT_SERVER_MS = 200;
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
