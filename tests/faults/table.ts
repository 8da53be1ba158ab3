/**
 * The fault matrix as tables in docs/reliability.md: the rows are what the tests check, the figures come from a run.
 *
 * @module
 */

import { KINDS } from "./databases.ts";
import { DNS_FAULTS } from "./dns_faults.ts";
import type { Cells, ConditionCell } from "./cells.ts";
import { CONDITIONS } from "./conditions.ts";
import { type Cell, expected } from "./matrix.ts";
import { SERVER_FAULTS } from "./server_faults.ts";
import { SUBJECTS } from "./subjects.ts";

const BEGIN = "<!-- faults: written by `deno task test:faults` -->";
const END = "<!-- /faults -->";

/** Shown if there are no figures. */
const UNKNOWN = "– / –";

/** No figures. */
export const NO_CELLS: Cells = { cells: [], conditions: [] };

/**
 * Renders the three tables.
 *
 * @param all The figures of a run.
 */
export function renderTables({ cells, conditions }: Cells): string {
  const heads = KINDS.map(({ name }) => name);
  const servers = SERVER_FAULTS.filter(({ cold }) => !cold).map((fault) => {
    const { allowed } = expected(fault, DNS_FAULTS[0]!);
    const figures = heads.map((kind) =>
      figuresOf(cells, (cell) => cell.database === kind && cell.server === fault.name)
    );
    return [
      fault.name,
      seen(allowed),
      fault.bound.map((option) => `\`${option}\``).join(", "),
      ...figures,
    ];
  });
  const [warm, cold] = [SERVER_FAULTS[0]!, SERVER_FAULTS.find(({ cold }) => cold)!];
  const names = DNS_FAULTS.map((fault) => {
    const sides = [warm, cold].map((server) => [
      seen(expected(server, fault).allowed),
      ...heads.map((kind) =>
        figuresOf(
          cells,
          (cell) =>
            cell.database === kind && cell.server === server.name && cell.dns === fault.name,
        )
      ),
    ]);
    return [fault.name, ...sides.flat()];
  });
  const subjects = SUBJECTS.map(({ name }) => name);
  const calm = CONDITIONS.map(({ name, seen }) => [
    name,
    seen,
    ...subjects.map((subject) =>
      mostOf(conditions, (cell) => cell.subject === subject && cell.condition === name)
    ),
  ]);
  return [
    table(["server", "callers see", "the longest call is bounded by", ...heads], servers),
    table(["DNS", "callers see", ...heads, "with a new engine", ...heads], names),
    table(["condition", "callers see", ...subjects], calm),
  ].join("\n\n");
}

/**
 * Puts the tables into a document.
 *
 * @param text The document.
 * @param tables The tables.
 * @throws {Error} if it has no place for them.
 */
export function putTables(text: string, tables: string): string {
  const { from, to } = placeIn(text);
  return `${text.slice(0, from)}\n\n${tables}\n\n${text.slice(to)}`;
}

/** Returns the tables in a document, without figures and alignment. */
export function rowsIn(text: string): string {
  const { from, to } = placeIn(text);
  return plain(text.slice(from, to));
}

/** Removes figures and alignment from tables. */
export function plain(tables: string): string {
  return tables
    .replace(/\d+\.\d \/ \d+(\.\d)?/g, UNKNOWN)
    .replace(/-{2,}/g, "-")
    .replace(/ +/g, " ")
    .trim();
}

function placeIn(text: string): { from: number; to: number } {
  const from = text.indexOf(BEGIN) + BEGIN.length;
  const to = text.indexOf(END);
  if (from < BEGIN.length || to < from) {
    throw new Error(`Cannot find the place of the tables: it is between "${BEGIN}" and "${END}"`);
  }
  return { from, to };
}

function seen(errors: readonly string[]): string {
  const shown = errors.map((error) => /^[A-Z_]+$/.test(error) ? `\`${error}\`` : error);
  return shown.length > 0 ? shown.join(", ") : "results only";
}

/** Returns the longest call and the longest recovery, in seconds. */
function figuresOf(cells: readonly Cell[], which: (cell: Cell) => boolean): string {
  const chosen = cells.filter(which);
  if (chosen.length === 0) return UNKNOWN;
  const most = (of: (cell: Cell) => number) => Math.max(...chosen.map(of)).toFixed(1);
  return `${most(({ longest }) => longest)} / ${most(({ recovery }) => recovery)}`;
}

/** Returns the longest call in seconds, and the most connections at a time. */
function mostOf(cells: readonly ConditionCell[], which: (cell: ConditionCell) => boolean): string {
  const chosen = cells.filter(which);
  if (chosen.length === 0) return UNKNOWN;
  const longest = Math.max(...chosen.map(({ longest }) => longest)).toFixed(1);
  return `${longest} / ${Math.max(...chosen.map(({ most }) => most))}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => "--"), ...rows];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
