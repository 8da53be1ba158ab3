/**
 * The cells of the fault matrix as files, for `deno task test:faults`: each database is tested in a process of its own.
 *
 * @module
 */

import type { Cell } from "./matrix.ts";

/** The environment variable that names the directory of the files. */
export const VARIABLE = "DNSPOOL_FAULTS";

/** Writes the cells of one database, if there is a directory for them. */
export async function keepCells(cells: readonly Cell[]): Promise<void> {
  const dir = Deno.env.get(VARIABLE);
  const name = cells[0]?.database;
  if (dir && name) await Deno.writeTextFile(`${dir}/${name}.json`, JSON.stringify(cells));
}

/** Reads the cells of all databases. */
export async function readCells(dir: string): Promise<Cell[]> {
  const cells: Cell[] = [];
  for await (const { name } of Deno.readDir(dir)) {
    cells.push(...JSON.parse(await Deno.readTextFile(`${dir}/${name}`)));
  }
  return cells;
}
