/**
 * Asks one server one question, once or, while it is not answered, again; and checks what a lookup answers, which may be
 * the user's own.
 *
 * @module
 */

import { deadline } from "../internal/async.ts";
import { ageClock, awakeTimer, maintenanceTimer, now, type Timer } from "../internal/clock.ts";
import { canonicalIp } from "../internal/ip.ts";
import { formatService, NO_TARGET, parseService } from "../internal/srv.ts";
import { clampTtl } from "../internal/ttl.ts";
import { LookupError, type LookupErrorKind } from "../errors.ts";
import type { HostsUse } from "../lookups/hosts.ts";
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

/** What to ask for. */
export interface QuestionRequest {
  /** The name in lower case, without a trailing dot. */
  readonly name: string;
  /** Whether search domains are left out, because the name was given with a trailing dot. */
  readonly absolute?: boolean | undefined;
  readonly lookup: Lookup;
  /** When the hosts file is read. Default `"last"`. */
  readonly hosts?: HostsUse | undefined;
  /** Is given functions that repeat a question while it is open. */
  readonly open?: Set<() => void> | undefined;
  /** The addresses that an answer may hold, whichever lookup gave it; if absent, any. */
  readonly allow?: AddressRule | undefined;
  /** Ends the question: it is rejected with the signal's reason. */
  readonly signal: AbortSignal;
}

/** Times after which an open question is repeated, each after the one before; the last goes on. */
const REPEATS_MS: readonly number[] = [200, 200, 200, 200, 400, 800, 1000];
/** The same where a question costs more than a packet. */
const SPARING_REPEATS_MS: readonly number[] = [250, 500, 1000, 2000];
/** Minimum interval of repetitions that a caller asks for; the second is for a lookup that repeats nothing by itself. */
const MIN_REPEAT_MS = 200;
const MIN_SECOND_CALL_MS = 1000;
/** The `reason` of an answer that `allowAddress` refused. */
export const NOT_ALLOWED = "ADDRESS_NOT_ALLOWED";

/** The records of a question, for messages. */
const RECORDS = { 4: "A", 6: "AAAA", srv: "SRV" } as const;

/** Asks one question, with a deadline of its own: the runtimes' timeouts differ. */
export async function askOnce(
  request: QuestionRequest,
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
        const pausesMs = lookup.repeats === "sparingly" ? SPARING_REPEATS_MS : REPEATS_MS;
        next = maintenanceTimer(pausesMs[Math.min(sent, pausesMs.length - 1)]!, send);
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
export function checkAllowed(
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

export function reasonOf(error: unknown): unknown {
  return (error as { reason?: unknown } | null)?.reason;
}
