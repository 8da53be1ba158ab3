/**
 * The cells of the fault matrix as files, for `deno task test:faults`: each database is tested in a process of its own.
 *
 * @module
 */

import type { Cell } from "./matrix.ts";

/** The environment variable that names the directory of the files. */
export const VARIABLE = "DNSPOOL_FAULTS";

/** The outcome of one condition with one fault of DNS. */
export interface ConditionCell {
  readonly subject: string;
  readonly condition: string;
  readonly dns: string;
  /** The number of calls that failed. */
  readonly errors: number;
  /** The longest call, in seconds. */
  readonly longest: number;
  /** The most connections at a time. */
  readonly most: number;
  /** By how much timers of this process were late, in milliseconds. */
  readonly lagMs: number;
  /** The violations of what is documented. */
  readonly problems: readonly string[];
}

/** Everything that was kept. */
export interface Cells {
  readonly cells: Cell[];
  readonly conditions: ConditionCell[];
}

/** Writes the cells of one database, if there is a directory for them. */
export async function keepCells(cells: readonly Cell[]): Promise<void> {
  await keep(cells[0]?.database, { cells, conditions: [] });
}

/** Writes the cells of conditions, if there is a directory for them. */
export async function keepConditionCells(
  file: string,
  conditions: readonly ConditionCell[],
): Promise<void> {
  await keep(file, { cells: [], conditions });
}

async function keep(
  file: string | undefined,
  content: { readonly [Kind in keyof Cells]: readonly Cells[Kind][number][] },
): Promise<void> {
  const dir = Deno.env.get(VARIABLE);
  if (dir && file) await Deno.writeTextFile(`${dir}/${file}.json`, JSON.stringify(content));
}

/** Reads the cells of all tests. */
export async function readCells(dir: string): Promise<Cells> {
  const all: Cells = { cells: [], conditions: [] };
  for await (const { name } of Deno.readDir(dir)) {
    const { cells, conditions }: Cells = JSON.parse(await Deno.readTextFile(`${dir}/${name}`));
    all.cells.push(...cells);
    all.conditions.push(...conditions);
  }
  return all;
}
