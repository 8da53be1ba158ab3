/**
 * Resolves a host as an engine does, and shows the answer.
 *
 * @module
 */

import type { DnsSettings } from "../resolver/options.ts";
import { canonicalHost, checkHost, isSocketPath } from "../internal/host_name.ts";
import type { CachedAnswer } from "../resolver/question.ts";
import type { Alias } from "../lookups/lookup.ts";
import { staticAddresses } from "../lookups/static.ts";
import { viewOf } from "../resolver.ts";
import { type Cell, type Paint, rounded, span, table, type Tone } from "./format.ts";

/** An answer and its source. Times are seconds. */
export interface HostAnswer {
  readonly host: string;
  readonly addresses: readonly string[];
  /** The TTL that was reported; `undefined` if none was. */
  readonly ttl: number | undefined;
  /** `undefined` if the lookup does not report it. */
  readonly chain: readonly Alias[] | undefined;
  /** The server that answered, if known. */
  readonly server: string | undefined;
  /** `"dns"`; `"hosts"`, the hosts file; `"os"`, the operating system's resolver; `"none"` if no DNS is needed. */
  readonly source: "dns" | "hosts" | "os" | "none";
  /** `"system"`, `"wire"`, `"doh"`. */
  readonly lookup: string;
  /** The duration of the resolution. */
  readonly took: number;
}

/** Returns the host to look up. A trailing dot stays: it keeps search domains out. */
export function hostOf(text: string): string {
  if (isSocketPath(text)) return text;
  const name = canonicalHost(checkHost(text));
  return text.endsWith(".") && !staticAddresses(name, "auto") ? `${name}.` : name;
}

/**
 * Resolves a host through the resolver that engines share.
 *
 * @param host A host that `hostOf` returned.
 * @param settings The settings of the resolution.
 * @param signal Ends the wait.
 * @param socket The path of the Unix socket, if the host is one: there is nothing to resolve.
 * @returns The answer.
 * @throws {ResolveError} if there is none.
 */
export async function answerFor(
  host: string,
  settings: DnsSettings,
  signal: AbortSignal,
  socket?: string,
): Promise<HostAnswer> {
  const lookup = lookupLabel(settings);
  const fixed = socket === undefined ? staticAddresses(host, settings.family) : [socket];
  if (fixed) {
    const nothing = { ttl: undefined, chain: undefined, server: undefined, took: 0 };
    return { host, addresses: fixed, ...nothing, source: "none", lookup };
  }
  const view = viewOf(host, settings);
  await view.waitUntilFresh(signal);
  return { ...fromAnswer(view.entry.newest!, view.addresses), host, lookup };
}

function fromAnswer(
  answer: CachedAnswer,
  addresses: readonly string[],
): Omit<HostAnswer, "host" | "lookup"> {
  const { ttl, details: { chain, server }, source, tookMs } = answer;
  return { addresses, ttl, chain, server, source, took: tookMs / 1000 };
}

/** Returns the name of a lookup for the output. */
function lookupLabel({ lookup }: DnsSettings): string {
  if (typeof lookup !== "string") return lookup.name;
  return lookup === "system" || lookup === "wire" ? lookup : "doh";
}

/** Converts an answer for JSON output. */
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
 * Returns the lines that show an answer.
 *
 * @param answer The answer.
 * @param paint Colors them.
 * @param exactTtl The TTL of the whole chain, if it was asked for separately.
 */
export function answerLines(answer: HostAnswer, paint: Paint, exactTtl?: number): string[] {
  const { addresses, chain, source, server, lookup, took } = answer;
  const rows: [label: string, text: string, tone?: Tone][] = [
    ["addresses", addresses.join(", "), "good"],
  ];
  if (source === "none") {
    rows.push(["source", "no DNS is needed"]);
  } else {
    const os = source === "os" ? "the operating system (search domains)" : undefined;
    rows.push(["TTL", ttlText(answer, exactTtl)]);
    if (source === "dns") rows.push(["chain", chainText(chain)]);
    if (source === "hosts") rows.push(["file", server!]);
    else {
      rows.push(["server", os ?? server ?? "the system's"]);
      rows.push(["lookup", lookup]);
    }
    rows.push(["time", span(took)]);
  }
  const cells = rows.map(([label, text, tone]): Cell[] => [
    { text: `  ${label}`, tone: "dim" },
    { text, tone },
  ]);
  return table(cells, paint);
}

function ttlText({ ttl, lookup }: HostAnswer, exactTtl: number | undefined): string {
  const reported = ttl === undefined ? "unknown, counts for 5 s" : `${ttl} s`;
  if (exactTtl === undefined || exactTtl === ttl) return reported;
  return `${exactTtl} s (by lookup "${lookup}": ${reported})`;
}

/** Formats a chain: `db.internal -> node-a.internal (TTL 5 s)`. */
function chainText(chain: HostAnswer["chain"]): string {
  if (!chain) return 'unknown (lookup "wire" reports it)';
  if (chain.length === 0) return "none";
  const links = chain.map(({ target, ttl }) => `-> ${target} (TTL ${ttl} s)`);
  return `${chain[0]!.name} ${links.join(" ")}`;
}
