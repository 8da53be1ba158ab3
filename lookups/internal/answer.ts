/**
 * Turns a response into an answer: follows the CNAME chain, or says why there is no address at its end.
 *
 * @module
 */

import type { LookupError } from "../../errors.ts";
import type { Owned } from "../../internal/dns/message_reader.ts";
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
  /** Seconds that the response spent in HTTP caches. Default 0. */
  readonly age?: number;
}

/**
 * Turns a response into an answer. Only records on the chain that begins at the name count; their order does not
 * matter.
 *
 * @param response A response that is not truncated.
 * @param asked The question, with the name as it was written into the query.
 * @returns At least one address, the smallest TTL of the chain, and the chain.
 * @throws {LookupError} of kind `"negative"` for NXDOMAIN and NODATA, `"transient"` for anything else.
 */
export function toAnswer(response: Response, asked: Asked): Answer {
  const { rcode } = response;
  const { server, age = 0 } = asked;
  if (rcode !== "NOERROR" && rcode !== "NXDOMAIN") {
    throw lookupFailure(asked, server, rcode, { kind: "transient", reason: rcode });
  }
  const { addresses, ttl, chain } = followChain(response, asked.name);
  if (rcode === "NXDOMAIN" || addresses.length === 0) throw noAddress(response, ttl, asked);
  const remaining = (ttl: number) => Math.max(0, ttl - age);
  return {
    addresses,
    ttl: remaining(ttl),
    ...(response.stale && { stale: true }),
    server,
    chain: chain.map((alias) => ({ ...alias, ttl: remaining(alias.ttl) })),
  };
}

/** A chain, and the addresses at its end. */
interface Chain {
  readonly addresses: readonly string[];
  /** The smallest TTL of all its records, in seconds. */
  readonly ttl: number;
  readonly chain: readonly Alias[];
}

/** Follows the chain; there are no addresses if it leads nowhere, or in a circle. */
function followChain(response: Response, name: string): Chain {
  const addresses = groupByOwner(response.addresses);
  const aliases = groupByOwner(response.aliases);
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
function noAddress(response: Response, chainTtl: number, asked: Asked): LookupError {
  const { server, age = 0 } = asked;
  const noName = response.rcode === "NXDOMAIN";
  if (response.referral && !noName) {
    const what = "the server only names other servers";
    return lookupFailure(asked, server, what, { kind: "transient", reason: "REFERRAL" });
  }
  if (response.stale) {
    const what = "the server repeats an expired negative answer";
    return lookupFailure(asked, server, what, { kind: "transient", reason: "STALE" });
  }
  const what = noName ? "there is no such name (NXDOMAIN)" : "the name has no such record (NODATA)";
  const ttl = response.negativeTtl;
  return lookupFailure(asked, server, what, {
    kind: "negative",
    reason: noName ? "NXDOMAIN" : "NODATA",
    negativeTtl: ttl === undefined ? undefined : Math.max(0, Math.min(ttl, chainTtl) - age),
  });
}
