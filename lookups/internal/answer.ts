/**
 * Turns a response into an answer: follows the CNAME chain, or says why there is no address at its end.
 *
 * @module
 */

import type { LookupError, LookupErrorOptions } from "../../errors.ts";
import type { Owned } from "../../internal/dns/message_reader.ts";
import { formatService, parseService } from "../../internal/srv.ts";
import { clampTtl } from "../../internal/ttl.ts";
import type { Alias, Answer, Question } from "../lookup.ts";
import { lookupFailure } from "./failure.ts";
import { type Response, toQueryName } from "./message.ts";

/**
 * Returns the name to write into a query.
 *
 * @param question The lookup's question.
 * @param server The server that will be asked, for the error.
 * @throws {LookupError} of kind `"config"` if DNS cannot be asked for the name.
 */
export function queryNameOf(question: Question, server: string): string {
  const name = toQueryName(question.name);
  if (name !== undefined) return name;
  const reason = "the name must have at most 253 characters, in labels of 1 to 63";
  throw lookupFailure(question, server, reason, { kind: "config", reason: "EBADNAME" });
}

/** The question that was asked, and the server. */
export interface Asked extends Pick<Question, "name" | "family"> {
  /** The server, such as `"127.0.0.1:53"`. */
  readonly server: string;
  /** Called with what is waited for, as the question's. */
  readonly onWait?: Question["onWait"];
}

/** A response, as it came. */
export interface Received {
  /** The response, which is not truncated. */
  readonly response: Response;
  /** Seconds that it spent in HTTP caches. Default 0. */
  readonly age?: number;
}

/** Maximum number of aliases between a name and its addresses. BIND follows 16. */
const MAX_ALIASES = 16;

/**
 * Asks for the addresses of a name. A server that knows a name's alias but not what it leads to, such as that of
 * another zone, is asked for the latter as well.
 *
 * @param asked The question, with the name as it is written into the query.
 * @param ask Asks the server for the addresses of a name.
 * @returns At least one address, the smallest TTL of the chain, and the chain.
 * @throws {LookupError} of kind `"negative"` for NXDOMAIN and NODATA, `"transient"` for anything else.
 */
export async function askForAddresses(
  asked: Asked,
  ask: (name: string, onWait: Question["onWait"]) => Promise<Received>,
): Promise<Answer> {
  const { onWait } = asked;
  let answer = toAnswer(await ask(asked.name, onWait), asked);
  while (answer.addresses.length === 0) {
    const { stale, chain } = answer;
    const target = endOf(chain)!;
    if (toQueryName(target) !== target) {
      const what = "DNS cannot be asked for that name";
      throw failure(asked, chain, what, { kind: "transient", reason: "EBADNAME" });
    }
    const onWaitForTarget = (what: string) => onWait?.(`it is an alias of "${target}", ${what}`);
    onWaitForTarget("for which the server did not answer");
    const next = toAnswer(await ask(target, onWaitForTarget), asked, chain);
    answer = stale ? { ...next, stale } : next;
  }
  return answer;
}

/** An answer, whose addresses may be missing: then the end of the chain has to be asked for. */
export interface PartialAnswer extends Answer {
  readonly chain: readonly Alias[];
}

/**
 * Turns a response into an answer. Only records on the chain that begins at the name count; their order does not
 * matter.
 *
 * @param received The response to a question for the end of the known chain.
 * @param asked The first question.
 * @param known The chain, as far as it is known.
 * @returns The smallest TTL of the chain, and the chain. The addresses are missing if the chain ends at a name about
 *   which the response says nothing.
 * @throws {LookupError} as {@linkcode askForAddresses} does.
 */
export function toAnswer(
  { response, age = 0 }: Received,
  asked: Asked,
  known: readonly Alias[] = [],
): PartialAnswer {
  const { rcode, negativeTtl, stale } = response;
  if (rcode !== "NOERROR" && rcode !== "NXDOMAIN") {
    throw failure(asked, known, rcode, { kind: "transient", reason: rcode });
  }
  const { addresses, ttl, chain, isCircle } = followChain(response, asked.name, known, age);
  if (chain.length > MAX_ALIASES) {
    const what = `that is the end of a chain of more than ${MAX_ALIASES} aliases`;
    throw failure(asked, chain, what, { kind: "transient", reason: "EBADRESP" });
  }
  // Without an SOA record, a response that ends with an alias does not say that there is no more (RFC 2308 section 2.2).
  const isPart = chain.length > known.length && !isCircle && negativeTtl === undefined;
  const isAnswer = rcode === "NOERROR" && (addresses.length > 0 || isPart);
  if (!isAnswer) throw noAddress({ response, age }, asked, { chain, ttl });
  const found = asked.family === "srv"
    ? withTargets({ addresses, ttl }, response, age)
    : { addresses, ttl };
  return { ...found, ...(stale && { stale }), server: asked.server, chain };
}

/** Adds to each SRV record the addresses of its target that came along (RFC 2782), and counts their TTLs. */
function withTargets(
  { addresses, ttl }: Pick<Chain, "addresses" | "ttl">,
  { targets }: Response,
  age: number,
): Pick<Chain, "addresses" | "ttl"> {
  if (targets.length === 0) return { addresses, ttl };
  const byOwner = groupByOwner(targets);
  const ttls = [ttl];
  const services = addresses.map((text) => {
    const record = parseService(text);
    const found = typeof record === "string" ? undefined : byOwner.get(record.target);
    if (typeof record === "string" || !found) return text;
    for (const { ttl } of found) ttls.push(Math.max(0, clampTtl(ttl) - age));
    const distinct = [...new Set(found.map(({ address }) => address))];
    return formatService({ ...record, addresses: distinct });
  });
  return { addresses: services, ttl: Math.min(...ttls) };
}

/** A chain, and the addresses at its end. */
interface Chain {
  readonly addresses: readonly string[];
  /** The smallest TTL of all its records, in seconds. */
  readonly ttl: number;
  readonly chain: readonly Alias[];
  /** Whether it leads to a name that is on it. */
  readonly isCircle: boolean;
}

/** Follows the chain from its known end. TTLs are less by the age of the response. */
function followChain(
  response: Response,
  name: string,
  known: readonly Alias[],
  age: number,
): Chain {
  const addresses = groupByOwner(response.addresses);
  const aliases = groupByOwner(response.aliases);
  const remaining = ({ ttl }: Owned) => Math.max(0, clampTtl(ttl) - age);
  const seen = new Set(known.map(({ name }) => name));
  const chain: Alias[] = [...known];
  let ttl = Math.min(...known.map(({ ttl }) => ttl));
  let owner = endOf(known) ?? name;
  for (; !seen.has(owner); owner = endOf(chain)!) {
    seen.add(owner);
    const found = addresses.get(owner);
    if (found) {
      for (const record of found) ttl = Math.min(ttl, remaining(record));
      const distinct = [...new Set(found.map(({ address }) => address))];
      return { addresses: distinct, ttl, chain, isCircle: false };
    }
    const alias = aliases.get(owner)?.[0];
    if (!alias) return { addresses: [], ttl, chain, isCircle: false };
    chain.push({ name: owner, target: alias.target, ttl: remaining(alias) });
    ttl = Math.min(ttl, remaining(alias));
  }
  return { addresses: [], ttl, chain, isCircle: true };
}

function endOf(chain: readonly Alias[]): string | undefined {
  return chain.at(-1)?.target;
}

function groupByOwner<T extends Owned>(records: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const record of records) {
    const group = groups.get(record.owner);
    if (group) group.push(record);
    else groups.set(record.owner, [record]);
  }
  return groups;
}

/** Makes the error for a name or record that does not exist. It is cached no longer than the chain that led to it. */
function noAddress(
  { response, age = 0 }: Received,
  asked: Asked,
  { chain, ttl }: Pick<Chain, "chain" | "ttl">,
): LookupError {
  const { rcode, referral, stale, negativeTtl } = response;
  const noName = rcode === "NXDOMAIN";
  if (referral && !noName) {
    const what = "the server only names other servers";
    return failure(asked, chain, what, { kind: "transient", reason: "REFERRAL" });
  }
  if (stale) {
    const what = "the server repeats an expired negative answer";
    return failure(asked, chain, what, { kind: "transient", reason: "STALE" });
  }
  const what = noName ? "there is no such name (NXDOMAIN)" : "the name has no such record (NODATA)";
  return failure(asked, chain, what, {
    kind: "negative",
    reason: noName ? "NXDOMAIN" : "NODATA",
    negativeTtl: negativeTtl === undefined
      ? undefined
      : Math.min(Math.max(0, negativeTtl - age), ttl),
  });
}

/** Makes an error, which says what the name is an alias of. */
function failure(
  asked: Asked,
  chain: readonly Alias[],
  what: string,
  options: LookupErrorOptions,
): LookupError {
  const target = endOf(chain);
  const text = target === undefined ? what : `it is an alias of "${target}": ${what}`;
  return lookupFailure(asked, asked.server, text, options);
}
