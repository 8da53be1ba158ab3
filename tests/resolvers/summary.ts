/**
 * The summary of a full run, as it is kept in results.json, and its tables in docs/production.md.
 *
 * @module
 */

import { LIMIT_SECONDS, type Results } from "./measure.ts";
import { type Setup, SETUPS } from "./setups.ts";

/** Some figures in order: one that half, nine tenths, all of them do not exceed; `null`: it was not followed in time. */
export interface Spread {
  readonly median: number | null;
  readonly most: number | null;
  readonly worst: number | null;
  readonly count: number;
}

/** A resolver's figures, those of all runtimes together. Durations are seconds. */
export interface SetupSummary {
  readonly version: string;
  /** From a move until every checkout is on the new address, by lookup and TTL: `"wire 1"`. */
  readonly follows: Readonly<Record<string, Spread>>;
  /** Questions at the authority per TTL, the mean, by lookup and TTL. */
  readonly questions: Readonly<Record<string, number>>;
  /** From the end of an outage, and a move at that moment, until every checkout is on the new address. */
  readonly outages: Readonly<Record<string, Spread>>;
  /** Numbers of addresses that a name can have, by the number asked for; `"RESOLVE_FAILED"`: none came. */
  readonly sizes: Readonly<Record<string, string>>;
}

/** The summary. */
export interface Summary {
  readonly authority: string;
  /** Seconds that the timers of the drivers were late, at most, in nine of ten moves. */
  readonly late: number;
  readonly runtimes: readonly string[];
  readonly setups: Readonly<Record<string, SetupSummary>>;
}

/** Returns the summary of a run. */
export function summarize({ versions, cells, sizes }: Results): Summary {
  const ids = [...new Set(cells.map(({ setup }) => setup))];
  const runtimes = [...new Set(cells.map(({ runtime }) => runtime))];
  const names = [...new Set(cells.flatMap(({ outages }) => Object.keys(outages)))];
  const setups = ids.map((id): [string, SetupSummary] => {
    const own = cells.filter(({ setup }) => setup === id);
    const groups = [...Map.groupBy(own, ({ lookup, ttl }) => `${lookup} ${ttl}`)];
    const bySize = Map.groupBy(sizes.filter(({ setup }) => setup === id), ({ size }) => size);
    return [id, {
      version: versions[id]!,
      follows: Object.fromEntries(
        groups.map(([key, group]) => [key, spreadOf(group.flatMap(({ moves }) => moves))]),
      ),
      questions: Object.fromEntries(
        groups.map(([key, group]) => [key, round(mean(group.map(({ questions }) => questions)))]),
      ),
      outages: Object.fromEntries(
        names.map((name) => [name, spreadOf(own.map(({ outages }) => outages[name] ?? null))]),
      ),
      sizes: Object.fromEntries(
        [...bySize].map(([size, results]) => [
          size,
          [...new Set(results.map(({ result }) => String(result)))].join(", "),
        ]),
      ),
    }];
  });
  return {
    authority: versions.authority!,
    late: spreadOf(cells.flatMap(({ late }) => late)).most ?? 0,
    runtimes: runtimes.map((name) => `${name.replace(/@.*/, "")} ${versions[name]}`),
    setups: Object.fromEntries(setups),
  };
}

/** Returns a summary with the figures of a run of other lookups, which followed moves only. */
export function merge(known: Summary, measured: Summary): Summary {
  const setups = Object.entries(known.setups).map(([id, setup]): [string, SetupSummary] => {
    const { follows = {}, questions = {} } = measured.setups[id] ?? {};
    return [id, {
      ...setup,
      follows: { ...setup.follows, ...follows },
      questions: { ...setup.questions, ...questions },
    }];
  });
  const late = Math.max(known.late, measured.late);
  return { ...known, late, setups: Object.fromEntries(setups) };
}

/** Seconds that nine of ten figures may be above a limit: the time from one checkout to the next, and a busy machine. */
const TOLERANCE = 0.3;

/** Returns whether nine of ten moves were followed within TTL + 0.3 s. */
export function isPrompt({ follows }: SetupSummary): boolean {
  return Object.entries(follows).every(([key, { most }]) =>
    most !== null && most <= Number(key.split(" ")[1]) + 0.3 + TOLERANCE
  );
}

/** Seconds after an outage in which dnspool asks again by itself: its pause of 5 seconds, twice, and a record's TTL. */
const MAX_RECOVERY = 12;

/** Returns whether every engine was on the new address soon after each outage. */
export function recovers({ outages }: SetupSummary): boolean {
  return Object.values(outages).every(({ worst }) => worst !== null && worst <= MAX_RECOVERY);
}

const BEGIN = "<!-- resolvers: written by `deno task test:resolvers --full` -->";
const END = "<!-- /resolvers -->";

/** Renders the tables. */
export function renderTables(summary: Summary): string {
  const shown = SETUPS.filter(({ id }) => summary.setups[id]);
  const keys = [...new Set(shown.flatMap(({ id }) => Object.keys(summary.setups[id]!.follows)))];
  const outages = [
    ...new Set(shown.flatMap(({ id }) => Object.keys(summary.setups[id]!.outages))),
  ];
  const sizes = [...new Set(shown.flatMap(({ id }) => Object.keys(summary.setups[id]!.sizes)))];
  const columns = keys.map((key) => {
    const [lookup, ttl] = key.split(" ");
    return `\`${lookup}\`, TTL ${ttl}`;
  });
  const follows = shown.map((setup) => {
    const own = summary.setups[setup.id]!;
    return [
      titleOf(setup, own),
      ...keys.map((key) => cellOf(own.follows[key])),
      keys.map((key) => own.questions[key]?.toFixed(1) ?? "–").join(", "),
      isPrompt(own) ? "" : setup.why ?? "",
    ];
  });
  const after = shown.map((setup) => {
    const own = summary.setups[setup.id]!;
    return [
      titleOf(setup, own),
      ...outages.map((name) => cellOf(own.outages[name])),
      ...sizes.map((size) => own.sizes[size] === size ? "all" : `\`${own.sizes[size]}\``),
      recovers(own) ? "" : setup.whyAfter ?? "",
    ];
  });
  return [
    `Measured with ${summary.authority} as the authority, on ${
      list(summary.runtimes)
    }. The machine was ` +
    `busy: its timers were late by up to ${summary.late.toFixed(1)} s in nine of ten moves.`,
    table(["resolver", ...columns, "questions per TTL", "why, and what mends it"], follows),
    "After an outage of the authority:",
    table(
      [
        "resolver",
        ...outages,
        ...sizes.map((size) => `${size} addresses`),
        "why, and what mends it",
      ],
      after,
    ),
  ].join("\n\n");
}

/**
 * Puts the tables into a document.
 *
 * @throws {Error} if it has no place for them.
 */
export function putTables(text: string, tables: string): string {
  const { from, to } = placeIn(text);
  return `${text.slice(0, from)}\n\n${tables}\n\n${text.slice(to)}`;
}

/** Returns the tables of a document, as {@linkcode plain} returns them. */
export function tablesIn(text: string): string {
  const { from, to } = placeIn(text);
  return plain(text.slice(from, to));
}

/** Removes what the formatter adds: alignment and line breaks. */
export function plain(tables: string): string {
  return tables.replace(/-{2,}/g, "-").replace(/\s+/g, " ").trim();
}

function placeIn(text: string): { from: number; to: number } {
  const from = text.indexOf(BEGIN) + BEGIN.length;
  const to = text.indexOf(END);
  if (from < BEGIN.length || to < from) {
    throw new Error(`Cannot find the place of the tables: it is between "${BEGIN}" and "${END}"`);
  }
  return { from, to };
}

function titleOf({ program, settings }: Setup, { version }: SetupSummary): string {
  if (program === undefined) return "none: the authority is asked";
  return [version, ...settings.map((setting) => `\`${setting}\``)].join(", ");
}

function cellOf(spread: Spread | undefined): string {
  if (!spread) return "–";
  const { median, worst } = spread;
  const shown = (seconds: number | null) =>
    seconds === null ? `over ${LIMIT_SECONDS}` : seconds.toFixed(1);
  return `${shown(median)} / ${shown(worst)}`;
}

function spreadOf(figures: readonly (number | null)[]): Spread {
  const sorted = figures.map((figure) => figure ?? Infinity).sort((a, b) => a - b);
  const at = (index: number) => {
    const figure = sorted[index] ?? Infinity;
    return Number.isFinite(figure) ? round(figure) : null;
  };
  return {
    median: at(Math.floor((sorted.length - 1) / 2)),
    most: at(Math.ceil(0.9 * sorted.length) - 1),
    worst: at(sorted.length - 1),
    count: sorted.length,
  };
}

function mean(figures: readonly number[]): number {
  return figures.reduce((sum, figure) => sum + figure, 0) / figures.length;
}

function round(figure: number): number {
  return Math.round(figure * 100) / 100;
}

function list(words: readonly string[]): string {
  return `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => "--"), ...rows];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
