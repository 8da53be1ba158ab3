/**
 * One resolution: servers, tries, backoff and address families, until there is an answer or no time is left.
 * It keeps nothing: what is remembered between resolutions is the resolver's. Its timers hold no process up:
 * whoever waits for a resolution has a deadline of his own that does.
 *
 * @module
 */

import { now, sleep, upkeepTimer } from "./_clock.ts";
import type { LookupErrorKind } from "./errors.ts";
import type { Answer, Lookup, NameServer } from "./lookups/lookup.ts";

/** Which records are asked for. */
export type Family = "auto" | 4 | 6 | "both";

/** What a resolution found out, as it came: nobody's clamps are in it. */
export interface Fact {
  /** At least one address, in the server's order. */
  readonly addresses: readonly string[];
  /** Seconds, as the server said; `undefined` where the lookup could not tell. */
  readonly ttl: number | undefined;
  /** When the question was sent, in milliseconds of the monotonic clock. The TTL counts from here. */
  readonly askedAtMs: number;
  /** How long the lookup took. */
  readonly tookMs: number;
  /** Who answered, where known. */
  readonly server: string | undefined;
  /** `"dns"`, or `"os"` where the operating system's resolver had to help out. */
  readonly source: "dns" | "os";
}

/** What to resolve, and how hard to try. */
export interface Inquiry {
  readonly name: string;
  readonly family: Family;
  readonly lookup: Lookup;
  /** The servers to ask, in order; empty: the lookup's own. */
  readonly servers: readonly NameServer[];
  /** Rounds over all servers, at least 1. */
  readonly rounds: number;
  /** For everything together. */
  readonly timeoutMs: number;
  /** For DNS, where a fallback comes after it. */
  readonly dnsTimeoutMs: number;
  /** What the last resolution found, so that a family that fails in passing is not taken for gone. */
  readonly previous: Fact | undefined;
  /** Asked when DNS has nothing to say. */
  readonly fallback: Lookup | undefined;
  /** Ends the resolution: it rejects with the signal's reason. */
  readonly signal: AbortSignal;
}

/** First pause between rounds; it doubles, and each is drawn from its upper half. */
const BACKOFF_MS = 100;
/** With a fallback to come, DNS gets this share of the time. */
const SHARE_BEFORE_FALLBACK = 0.75;

/**
 * Resolves a name.
 *
 * @param inquiry What to resolve, and how hard to try.
 * @returns What was found.
 * @throws The last lookup's error, or the signal's reason.
 */
export async function resolveName(inquiry: Inquiry): Promise<Fact> {
  const { fallback, timeoutMs, dnsTimeoutMs, signal } = inquiry;
  const endMs = now() + timeoutMs;
  if (!fallback) return await askInRounds(inquiry, endMs);
  try {
    const shareMs = Math.min(timeoutMs * SHARE_BEFORE_FALLBACK, dnsTimeoutMs);
    return await askInRounds(inquiry, now() + shareMs);
  } catch (error) {
    signal.throwIfAborted();
    try {
      const own = { ...inquiry, lookup: fallback, servers: [], rounds: 1 };
      return { ...await askServer(own, undefined, endMs, false), source: "os" };
    } catch {
      signal.throwIfAborted();
      throw error;
    }
  }
}

/** All servers in turn, and again after a pause, until one has an answer or says that there is none. */
async function askInRounds(inquiry: Inquiry, endMs: number): Promise<Fact> {
  const { rounds, signal } = inquiry;
  const own = inquiry.servers.length ? inquiry.servers : inquiry.lookup.servers?.() ?? [];
  const servers = own.length ? own : [undefined];
  let failure: unknown;
  for (let round = 0; round < rounds; round++) {
    if (round > 0) {
      const pauseMs = BACKOFF_MS * 2 ** (round - 1) * (0.5 + Math.random() / 2);
      if (now() + pauseMs >= endMs) break;
      await sleep(pauseMs, signal, upkeepTimer);
    }
    for (const [index, server] of servers.entries()) {
      // Later rounds are given more time: a lost packet is noticed soon, a slow server still gets its chance.
      const parts = servers.length * (2 ** (rounds - round) - 1) - index;
      const tryEndMs = now() + (endMs - now()) / parts;
      try {
        return await askServer(inquiry, server, tryEndMs, round + 1 === rounds);
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

/** One server, the families that are wanted. */
async function askServer(
  inquiry: Inquiry,
  server: NameServer | undefined,
  endMs: number,
  last: boolean,
): Promise<Fact> {
  const { family, previous } = inquiry;
  const ask = (one: 4 | 6) => askOnce(inquiry, one, server, endMs);
  if (family === 4 || family === 6) return await ask(family);
  if (family === "both") return await askBoth(ask, previous);
  try {
    return await ask(4);
  } catch (error) {
    const kind = kindOf(error);
    if (kind !== "ambiguous" && (kind !== "negative" || reasonOf(error) === "NXDOMAIN")) {
      throw error;
    }
    // An ambiguous no may be an outage: a name that had an A record is not moved to IPv6 for the first of them.
    const hadV4 = previous?.addresses.some((address) => !address.includes(":"));
    if (kind === "ambiguous" && hadV4 && !last) throw error;
    try {
      return await ask(6);
    } catch (second) {
      throw kindOf(second) === "negative" ? error : second;
    }
  }
}

/** A and AAAA together; one family failing is not failure, and a family that fails in passing keeps its addresses. */
async function askBoth(
  ask: (family: 4 | 6) => Promise<Fact>,
  previous: Fact | undefined,
): Promise<Fact> {
  const results = await Promise.allSettled([ask(4), ask(6)]);
  const found = results.flatMap((result) => result.status === "fulfilled" ? [result.value] : []);
  const failed = results.map((result) => result.status === "rejected" ? result.reason : undefined);
  const first = found[0];
  if (!first) throw failed.find((error) => kindOf(error) !== "negative") ?? failed[0];
  const kept = (previous?.addresses ?? []).filter((address) => {
    const error = failed[address.includes(":") ? 1 : 0];
    return error !== undefined && kindOf(error) === "transient";
  });
  const ttls = found.map(({ ttl }) => ttl);
  return {
    ...first,
    addresses: [...found.flatMap(({ addresses }) => addresses), ...kept],
    ttl: ttls.includes(undefined) ? undefined : Math.min(...ttls as number[]),
    askedAtMs: Math.min(...found.map(({ askedAtMs }) => askedAtMs)),
  };
}

/** One question, with its own end: no runtime's time-out is trusted. */
async function askOnce(
  { name, lookup, signal }: Inquiry,
  family: 4 | 6,
  server: NameServer | undefined,
  endMs: number,
): Promise<Fact> {
  const askedAtMs = now();
  const controller = new AbortController();
  const waitMs = Math.max(1, endMs - askedAtMs);
  let stop!: (reason: unknown) => void;
  const stopped = new Promise<never>((_, reject) => stop = reject);
  stopped.catch(() => {});
  const onAbort = () => {
    controller.abort(signal.reason);
    stop(signal.reason);
  };
  const limit = upkeepTimer(waitMs, () => {
    const error = new DOMException(
      `Cannot look up "${name}" within ${
        (waitMs / 1000).toFixed(3)
      } seconds: the server did not answer`,
      "TimeoutError",
    );
    controller.abort(error);
    stop(error);
  });
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    const question = { name, family, server, signal: controller.signal };
    const answer: Answer = await Promise.race([lookup.lookup(question), stopped]);
    if (!answer.addresses?.length) {
      throw Object.assign(
        new Error(`The lookup "${lookup.name}" answered "${name}" without an address`),
        {
          kind: "transient",
        },
      );
    }
    return {
      addresses: [...answer.addresses],
      ttl: answer.ttl,
      askedAtMs,
      tookMs: now() - askedAtMs,
      server: answer.server,
      source: "dns",
    };
  } finally {
    limit.clear();
    signal.removeEventListener("abort", onAbort);
  }
}

/** What a lookup's error means, read by its field: a lookup need not use our class. */
export function kindOf(error: unknown): LookupErrorKind {
  const kind = (error as { kind?: unknown } | null)?.kind;
  return kind === "negative" || kind === "ambiguous" || kind === "config" ? kind : "transient";
}

function reasonOf(error: unknown): unknown {
  return (error as { reason?: unknown } | null)?.reason;
}
