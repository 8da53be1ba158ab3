/**
 * Everything that goes wrong with a server, together with everything that goes wrong with DNS: what callers see, for how
 * long at most, and that all is well afterwards without a restart. `deno task test:faults` writes the figures into
 * docs/reliability.md.
 */

import { assertEquals } from "@std/assert";
import { KINDS } from "./databases.ts";
import { type Cell, runMatrix } from "./matrix.ts";
import { putTables, renderTables } from "./table.ts";

const DOCS = new URL("../../docs/reliability.md", import.meta.url);
const all: Cell[] = [];

for (const kind of KINDS) {
  kind.test(`${kind.name}: callers see what is documented, in time, and are served again without a restart`, async () => {
    const cells = await runMatrix(kind);
    all.push(...cells);
    const bad = cells.filter(({ problems }) => problems.length > 0).map((
      { server, dns, seen, problems },
    ) => `server ${server}, DNS ${dns}: ${problems.join("; ")} ${JSON.stringify(seen)}`);
    assertEquals(bad, []);
  });
}

Deno.test.afterAll(async () => {
  const known = new Set(all.map(({ database }) => database));
  if (Deno.env.get("DNSPOOL_FAULTS") !== "write" || known.size < KINDS.length) return;
  await Deno.writeTextFile(DOCS, putTables(await Deno.readTextFile(DOCS), renderTables(all)));
});
