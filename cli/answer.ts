/**
 * Resolves a host as an engine would, and tells all that is known of the answer.
 *
 * @module
 */

import type { DnsSettings } from "../resolver/options.ts";
import { canonicalHost, checkHost } from "../internal/host_name.ts";
import type { CachedAnswer } from "../resolver/resolution.ts";
import type { Alias } from "../lookups/lookup.ts";
import { staticAddresses } from "../lookups/static.ts";
import { viewOf } from "../resolver.ts";
import { type Cell, type Paint, rounded, span, table, type Tone } from "./format.ts";

/** An answer, and where it comes from. Times are seconds. */
export interface HostAnswer {
  readonly host: string;
  readonly addresses: readonly string[];
  /** As the server said; `undefined` where nobody could tell. */
  readonly ttl: number | undefined;
  /** `undefined` where the lookup cannot tell. */
  readonly chain: readonly Alias[] | undefined;
  /** Who answered, where that is known. */
  readonly server: string | undefined;
  /** `"dns"`; `"os"`: the operating system's resolver had to help out; `"none"`: no DNS is needed. */
  readonly source: "dns" | "os" | "none";
  /** `"system"`, `"wire"`, `"doh"`. */
  readonly lookup: string;
  /** How long it took. */
  readonly took: number;
}

/** The name as it is looked up: with the trailing dot that it may have, for that keeps search domains out. */
export function hostOf(text: string): string {
  const name = canonicalHost(checkHost(text));
  return text.endsWith(".") && !staticAddresses(name, "auto") ? `${name}.` : name;
}

/**
 * Resolves a host through the resolver that engines share.
 *
 * @param host As `hostOf` gives it.
 * @param settings How to resolve it.
 * @param signal Ends the wait.
 * @returns The answer.
 * @throws {ResolveError} when there is none.
 */
export async function answerFor(
  host: string,
  settings: DnsSettings,
  signal: AbortSignal,
): Promise<HostAnswer> {
  const lookup = lookupLabel(settings);
  const fixed = staticAddresses(host, settings.family);
  if (fixed) {
    const nothing = { ttl: undefined, chain: undefined, server: undefined, took: 0 };
    return { host, addresses: fixed, ...nothing, source: "none", lookup };
  }
  const view = viewOf(host, settings);
  await view.waitUntilFresh(signal);
  return { ...fromAnswer(view.entry.answer!, view.addresses), host, lookup };
}

function fromAnswer(
  answer: CachedAnswer,
  addresses: readonly string[],
): Omit<HostAnswer, "host" | "lookup"> {
  const { ttl, details: { chain, server }, source, tookMs } = answer;
  return { addresses, ttl, chain, server, source, took: tookMs / 1000 };
}

/** What an answer came by. */
function lookupLabel({ lookup }: DnsSettings): string {
  if (typeof lookup !== "string") return lookup.name;
  return lookup === "system" || lookup === "wire" ? lookup : "doh";
}

/** An answer for JSON. */
export function answerJson(answer: HostAnswer): Record<string, unknown> {
  const { addresses, ttl, chain, server, source, lookup, took } = answer;
  return {
    addresses,
    ttl: ttl ?? null,
    chain: chain ?? null,
    server: server ?? null,
    source,
    lookup,
    took: rounded(took),
  };
}

/**
 * An answer for people: a line for each thing that is known.
 *
 * @param answer The answer.
 * @param paint Paints it.
 * @param exactTtl The TTL of the whole chain, where it was asked for besides.
 */
export function answerLines(answer: HostAnswer, paint: Paint, exactTtl?: number): string[] {
  const { addresses, chain, source, server, lookup, took } = answer;
  const rows: [label: string, text: string, tone?: Tone][] = [
    ["addresses", addresses.join(", "), "good"],
  ];
  if (source === "none") {
    rows.push(["source", "no DNS is needed"]);
  } else {
    const who = source === "os" ? "the operating system (hosts file, search domains)" : undefined;
    rows.push(["TTL", ttlText(answer, exactTtl)]);
    if (source === "dns") rows.push(["chain", chainText(chain)]);
    rows.push(["server", who ?? server ?? "the system's"]);
    rows.push(["lookup", lookup]);
    rows.push(["time", span(took)]);
  }
  const cells = rows.map(([label, text, tone]): Cell[] => [
    { text: `  ${label}`, tone: "dim" },
    { text, tone },
  ]);
  return table(cells, paint);
}

function ttlText({ ttl, lookup }: HostAnswer, exactTtl: number | undefined): string {
  const told = ttl === undefined ? "not told, it counts for 5 s" : `${ttl} s`;
  if (exactTtl === undefined || exactTtl === ttl) return told;
  return `${exactTtl} s (by lookup "${lookup}": ${told})`;
}

/** `db.internal -> node-a.internal (TTL 5 s)`. */
function chainText(chain: HostAnswer["chain"]): string {
  if (!chain) return 'not told (lookup "wire" tells)';
  if (chain.length === 0) return "none";
  const links = chain.map(({ target, ttl }) => `-> ${target} (TTL ${ttl} s)`);
  return `${chain[0]!.name} ${links.join(" ")}`;
}
