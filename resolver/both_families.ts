/**
 * Asks for A and AAAA at once, for the family `"both"`.
 *
 * @module
 */

import { maintenanceTimer, type Timer } from "../internal/clock.ts";
import { messageOf } from "../internal/thrown.ts";
import { LookupError } from "../errors.ts";
import { type CachedAnswer, kindOf, NOT_ALLOWED, reasonOf } from "./question.ts";

/** Time that one of two families waits for the other: the resolution delay of RFC 8305 section 3. */
const OTHER_FAMILY_MS = 50;
/** Maximum TTL, in seconds, of an answer in which one of two families is missing. */
const MAX_HALF_ANSWER_TTL = 5;
/** What the last resolution left. */
interface WhatIsKnown {
  /** Its answer. */
  readonly previous: CachedAnswer | undefined;
  /** The family that is not asked for, because an earlier question for it is still open. */
  readonly without?: 4 | 6 | undefined;
}

/** One of two families. */
type Half = PromiseSettledResult<CachedAnswer>;

/**
 * Asks for A and AAAA at once. One family is enough: one that fails temporarily keeps its addresses, and one that does
 * not answer soon follows as the rest of the answer.
 */
export async function askBoth(
  ask: (family: 4 | 6) => Promise<CachedAnswer>,
  { previous, without }: WhatIsKnown,
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
