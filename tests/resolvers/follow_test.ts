import { assertEquals } from "@std/assert";
import { type ResolverName, speaksHttps } from "../../lab/resolvers.ts";
import { findRuntime } from "../../scripts/test/runtimes/binaries.ts";
import { bundleProgram } from "../../scripts/test/runtimes/bundle.ts";
import { resolverTest } from "../support/servers.ts";
import { measure, type Plan } from "./measure.ts";
import { type Setup, SETUPS } from "./setups.ts";

const TTL = 1;
const MOVES = 3;
/** The setups of the short form. */
const SHORT = [
  "none",
  "bind",
  "bind-stale-0",
  "unbound",
  "unbound-stale",
  "dnsmasq",
  "knot-min-0",
  "pdns",
];

const setups = SETUPS.filter(({ id }) => SHORT.includes(id));
const programs = [
  ...new Set(setups.flatMap(({ program }): ResolverName[] => program ? [program] : [])),
];

/** Returns the longest time that a move may take, in seconds, where a timer or an answer was late by `late` meanwhile. */
function limit({ extra = () => 0 }: Setup, late = 0): number {
  return TTL + 0.3 + extra(TTL) + 0.2 + 2 * late;
}

resolverTest(programs)(
  "a warm engine follows a record through real resolvers, on each runtime",
  async () => {
    const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
    try {
      const driver = `${dir}/driver.mjs`;
      await bundleProgram("tests/resolvers/driver.ts", driver);
      const runtimes: Plan["runtimes"][number][] = [];
      for (const name of ["deno", "node@22", "bun@1"]) runtimes.push(await findRuntime(name));
      const { cells } = await measure({
        ...{ setups, runtimes, driver, lookups: ["system", "wire", "doh"] as const, ttls: [TTL] },
        ...{ moves: MOVES, pauseSeconds: 3, moveSeconds: 60, outages: [], sizes: [] },
      });
      const overHttps = setups.filter(({ program }) => program && speaksHttps(program));
      assertEquals(cells.length, (setups.length * 2 + overHttps.length) * 3);
      const late = cells.filter((cell) => {
        const setup = setups.find(({ id }) => id === cell.setup)!;
        const followed = cell.moves.every((seconds, n) =>
          seconds !== null && seconds <= limit(setup, cell.late[n])
        );
        return !followed || cell.moves.length < MOVES || Object.keys(cell.failures).length > 0;
      });
      assertEquals(late.map((cell) => JSON.stringify(cell)), []);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
);
