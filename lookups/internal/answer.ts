/**
 * From a response to an answer: follows the CNAME chain, and says what it means when there is no address at its end.
 *
 * @module
 */

import type { LookupError } from "../../errors.ts";
import { clampTtl } from "../../internal/ttl.ts";
import { lookupFailure } from "./failure.ts";
import { nameToAsk, type Response } from "./message.ts";
import type { Owned } from "./message_reader.ts";
import type { Alias, Answer, Question } from "../lookup.ts";

/**
 * The name to write into the question.
 *
 * @param question The question as it was put to the lookup.
 * @param whom Who is to be asked.
 * @returns The name.
 * @throws {LookupError} of kind `"config"` for a name that DNS cannot be asked for.
 */
export function nameOf(question: Question, whom: string): string {
  const name = nameToAsk(question.name);
  if (name !== undefined) return name;
  throw lookupFailure(
    question,
    whom,
    "the name is not one of at most 253 characters in labels of 1 to 63",
    { kind: "config", reason: "EBADNAME" },
  );
}

/** What was asked, and of whom. */
export interface Asked extends Pick<Question, "name" | "family"> {
  /** Who answered, such as `"127.0.0.1:53"`. */
  readonly whom: string;
  /** Seconds that the response spent on its way, in HTTP caches. Default 0. */
  readonly age?: number;
}

/**
 * What a response means. Only records on the chain that begins at the name count; their order does not.
 *
 * @param response A response that is not truncated.
 * @param asked What was asked for, with the name as it was written into the question.
 * @returns At least one address, the smallest TTL of the chain, and the chain.
 * @throws {LookupError} of kind `"negative"` for NXDOMAIN and NODATA, `"transient"` for anything else.
 */
export function answerOf(response: Response, asked: Asked): Answer {
  const { rcode } = response;
  const { whom, age = 0 } = asked;
  if (rcode !== "NOERROR" && rcode !== "NXDOMAIN") {
    throw lookupFailure(asked, whom, rcode, { kind: "transient", reason: rcode });
  }
  const { addresses, ttl, chain } = followChain(response, asked.name);
  if (rcode === "NXDOMAIN" || addresses.length === 0) throw negative(response, ttl, asked);
  const left = (ttl: number) => Math.max(0, ttl - age);
  return {
    addresses,
    ttl: left(ttl),
    server: whom,
    chain: chain.map((alias) => ({ ...alias, ttl: left(alias.ttl) })),
  };
}

/** Where a chain led. */
interface Followed {
  readonly addresses: readonly string[];
  readonly ttl: number;
  readonly chain: readonly Alias[];
}

/** The addresses at the end of the chain, none where it leads nowhere or round in circles. */
function followChain(response: Response, name: string): Followed {
  const addresses = byOwner(response.addresses);
  const aliases = byOwner(response.aliases);
  const seen = new Set<string>();
  const chain: Alias[] = [];
  let ttl = Infinity;
  for (let owner = name; !seen.has(owner);) {
    seen.add(owner);
    const found = addresses.get(owner);
    if (found) {
      for (const record of found) ttl = Math.min(ttl, clampTtl(record.ttl));
      return { addresses: [...new Set(found.map(({ address }) => address))], ttl, chain };
    }
    const alias = aliases.get(owner)?.[0];
    if (!alias) break;
    const aliasTtl = clampTtl(alias.ttl);
    chain.push({ name: owner, target: alias.target, ttl: aliasTtl });
    ttl = Math.min(ttl, aliasTtl);
    owner = alias.target;
  }
  return { addresses: [], ttl, chain };
}

function byOwner<T extends Owned>(records: readonly T[]): Map<string, T[]> {
  const owners = new Map<string, T[]>();
  for (const record of records) {
    const others = owners.get(record.owner);
    if (others) others.push(record);
    else owners.set(record.owner, [record]);
  }
  return owners;
}

/** No such name, or no such record; a no at the end of a chain lasts no longer than the chain. */
function negative(response: Response, chainTtl: number, asked: Asked): LookupError {
  const { whom, age = 0 } = asked;
  const noName = response.rcode === "NXDOMAIN";
  if (response.referral && !noName) {
    const what = "the server only names other servers";
    return lookupFailure(asked, whom, what, { kind: "transient", reason: "REFERRAL" });
  }
  const what = noName ? "there is no such name (NXDOMAIN)" : "the name has no such record (NODATA)";
  const ttl = response.negativeTtl;
  return lookupFailure(asked, whom, what, {
    kind: "negative",
    reason: noName ? "NXDOMAIN" : "NODATA",
    negativeTtl: ttl === undefined ? undefined : Math.max(0, Math.min(ttl, chainTtl) - age),
  });
}
