/**
 * Writes the tables of docs/reliability.md; its argument is the directory with the cells of the fault matrix.
 *
 * @module
 */

import { readCells } from "./cells.ts";
import { KINDS } from "./databases.ts";
import { putTables, renderTables } from "./table.ts";

if (import.meta.main) {
  const all = await readCells(Deno.args[0]!);
  const tested = new Set(all.cells.map(({ database }) => database));
  const missing = KINDS.filter(({ name }) => !tested.has(name)).map(({ name }) => name);
  if (missing.length > 0) throw new Error(`Cannot write the tables: no figures of ${missing}`);
  const docs = new URL("../../docs/reliability.md", import.meta.url);
  await Deno.writeTextFile(docs, putTables(await Deno.readTextFile(docs), renderTables(all)));
}
