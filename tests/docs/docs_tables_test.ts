/** Tables and lists in the documentation have what the code has: options, errors, findings, members, events. */

import { assert, assertEquals } from "@std/assert";
import { HOOK_NAMES } from "../../pool/connection/hooks.ts";
import type { EngineEventMap } from "../../engine.ts";
import { readEngineOptions } from "../../engine/options.ts";
import type { switchover } from "../../testing/mod.ts";
import { codeIn, proseOf, read, readPages, rowsOf, sectionOf } from "../support/docs.ts";

const pages = await readPages();
const page = (path: string) => pages.find((page) => page.path === path)!.text;
const prose = (path: string) => proseOf({ path, text: page(path) });

/** What a default in a table means where it is a word. */
const WORDS: Readonly<Record<string, unknown>> = {
  off: Infinity,
  "by URL": undefined,
  "by the URL": undefined,
  "the server's": undefined,
  "the system's": undefined,
  "the host": undefined,
  nobody: undefined,
  any: undefined,
  "": undefined,
};

/** The value that a default in a table stands for. */
function valueOf(shown: string): unknown {
  if (shown in WORDS) return WORDS[shown];
  const [literal = shown] = codeIn(shown);
  if (literal === "Infinity") return Infinity;
  return literal === "console" ? console : JSON.parse(literal);
}

/** Options and defaults of a table's rows: several names with one default, or one for each. */
function defaultsOf(
  rows: readonly string[][],
  nameAt: number,
  valueAt: number,
): Map<string, string> {
  return new Map(rows.flatMap((row) => {
    const names = codeIn(row[nameAt]!);
    const values = row[valueAt]!.split(", ");
    assert(values.length === 1 || values.length === names.length, row.join("|"));
    return names.map((name, index): [string, string] => [name, values[index] ?? values[0]!]);
  }));
}

/** To give an option its default is to leave it out. */
function assertDefaults(table: Map<string, string>): void {
  for (const [name, shown] of table) {
    const own = [name, readEngineOptions({ [name]: valueOf(shown) })];
    assertEquals(own, [name, readEngineOptions({})]);
  }
}

Deno.test("README has every option of getDnsEngine() with its default, as the sources say it", async () => {
  const table = defaultsOf(rowsOf(sectionOf(page("README.md"), "## Options")), 0, 1);
  const source = await read("resolver/options.ts") + await read("engine/options.ts");
  const docs = new Map(
    [...source.matchAll(/^ {2}\/\*\*((?:[^*]|\*(?!\/))*)\*\/\n {2}(\w+)\?:/gm)].map((
      [, doc = "", name = ""],
    ) => [name, doc.replace(/\s+\*?\s*/g, " ")]),
  );
  for (const inner of ["url", "options", "created"]) docs.delete(inner); // a plugin's
  assertEquals([...table.keys()].sort(), [...docs.keys()].sort());
  assertDefaults(table);
  for (const [name, shown] of table) {
    const literal = shown.replaceAll("`", "");
    if (literal in WORDS && literal !== "off" || ["{}", "[]"].includes(literal)) continue;
    const said = docs.get(name)!.replaceAll("`", "");
    assert(
      new RegExp(`Default:? ${RegExp.escape(literal)}(?![\\w"])`).test(said),
      `${name}: ${said}`,
    );
  }
});

Deno.test("docs/from_sqlalchemy.md has the defaults that the code has", () => {
  const rows = rowsOf(sectionOf(page("docs/from_sqlalchemy.md"), "## Parameters"))
    .filter(([, here]) => /^`\w+`/.test(here!));
  assert(rows.length > 15, `${rows.length}`);
  assertDefaults(defaultsOf(rows, 1, 2));
});

Deno.test("docs/production.md names defaults as the code has them", () => {
  const named = [...page("docs/production.md").matchAll(/`(\w+)` \((\d+(?:\.\d+)?|off|no end)\)/g)];
  const table = new Map(
    named.map(([, name, value]) => [name!, value === "no end" ? "off" : value!]),
  );
  assert(table.size > 8, `${table.size}`);
  assertDefaults(table);
});

Deno.test("README names every hook", () => {
  const row = rowsOf(sectionOf(page("README.md"), "## Options")).find(([name]) =>
    name === "`hooks`"
  );
  assertEquals(codeIn(row![2]!), [...HOOK_NAMES]);
});

Deno.test("docs/troubleshooting.md has every error code with its class, and no other", async () => {
  const source = await read("errors.ts");
  const [, union = ""] = /type ErrorCode =([^;]*);/.exec(source)!;
  const codes = [...union.matchAll(/"(\w+)"/g)].map(([, code]) => code!);
  const classes = [
    ...source.matchAll(/^export class (\w+) extends DnsPoolError[^]*?super\(\s*"(\w+)"/gm),
  ];
  const pairs = classes.map(([, name, code]) => [code!, name!]);
  assertEquals(pairs.map(([code]) => code).sort(), codes.sort());
  const rows = rowsOf(page("docs/troubleshooting.md")).map(([code, name]) =>
    [code, name].flatMap((cell) => codeIn(cell!))
  );
  assertEquals(rows.sort(), pairs.sort());
});

Deno.test("docs/command_line.md has every finding of dnspool check, and no other", async () => {
  const source = await read("cli/findings.ts");
  const made = [
    ...source.matchAll(/warning\("([\w-]+)"|code: "([\w-]+)"|\? "([\w-]+)" : "([\w-]+)";/g),
  ]
    .flatMap(([, ...codes]) => codes.filter((code) => code !== undefined));
  const rows = rowsOf(sectionOf(page("docs/command_line.md"), "## `dnspool check`"));
  assertEquals(rows.map(([code]) => codeIn(code!)[0]).sort(), [...new Set(made)].sort());
});

Deno.test("docs/adapters.md has every member of an adapter, and no other", async () => {
  const source = await read("adapters/adapter.ts");
  const [, body = ""] = /^export interface Adapter<C> \{\n([^]*?)^\}/m.exec(source)!;
  const members = [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??[(:]/gm)].map(([, name]) => name!);
  const rows = rowsOf(sectionOf(page("docs/adapters.md"), "## An adapter of your own"));
  const shown = rows.flatMap(([cell]) => codeIn(cell!).map((code) => code.split("(")[0]!));
  assertEquals(["name", "defaultPort", ...shown].sort(), members.sort());
});

Deno.test("docs/drop_in.md has every option of dnspool's that a drop-in takes", async () => {
  const source = await read("drop_in/shared/options.ts");
  const [, list = ""] = /^const NAMES[^]*?\{([^}]*)\}/m.exec(source)!;
  const options = [...list.matchAll(/(\w+): true/g)].map(([, name]) => name!)
    .filter((name) => !/^dns[A-Z]/.test(name));
  const [, sentence = ""] = /options beside them, in seconds: ([^]*?)\. They/.exec(
    page("docs/drop_in.md"),
  )!;
  assertEquals(codeIn(sentence).sort(), ["dns", ...options].sort());
});

/** The figures of a switchover, which the compiler compares with the type. */
const FIGURES: Readonly<Record<keyof Awaited<ReturnType<typeof switchover>>, true>> = {
  followed: true,
  first: true,
  all: true,
  onOld: true,
  misrouted: true,
  failed: true,
  errors: true,
  unanswered: true,
  checkouts: true,
};

Deno.test("docs/testing.md has every figure of a switchover", () => {
  const shown = codeIn(sectionOf(prose("docs/testing.md"), "## In thirty lines"));
  assertEquals(Object.keys(FIGURES).filter((name) => !shown.includes(name)), []);
});

/** The fields of each event, which the compiler compares with the types. */
const FIELDS: {
  readonly [K in keyof EngineEventMap]: Readonly<
    Record<keyof NonNullable<EngineEventMap[K]["detail"]>, true>
  >;
} = {
  addresschange: { added: true, removed: true, addresses: true, ttl: true, source: true },
  retire: { address: true, inUse: true },
  terminate: { address: true, reason: true },
  longlease: { address: true, seconds: true, takenAt: true },
  lookuperror: { error: true },
  close: {} as never,
};

Deno.test("docs/events.md has every event with its fields, and no other; README names each", () => {
  const text = page("docs/events.md");
  const headings = [...text.matchAll(/^## `(\w+)`$/gm)].map(([, name]) => name!);
  assertEquals(headings, Object.keys(FIELDS));
  for (const [name, fields] of Object.entries(FIELDS)) {
    const section = sectionOf(text, `## \`${name}\``);
    const shown = rowsOf(section).flatMap(([field]) => codeIn(field!));
    assertEquals([name, ...shown], [name, ...Object.keys(fields)]);
    assert(text.includes(`addEventListener("${name}"`), `no example listens for ${name}`);
  }
  const named = codeIn(sectionOf(page("README.md"), "### Watch it"));
  assertEquals(headings.filter((name) => !named.includes(name)), []);
});

Deno.test("docs/events.md has each reason of terminate", async () => {
  const sources = await Promise.all(["pool/connection/departures.ts", "engine/core.ts"].map(read));
  const said = sources.join("").matchAll(
    /(?:why = |address, )["`](its address [^"`]*|the server no [^"`]*)["`]/g,
  );
  const reasons = [...said].map(([, text]) => text!.replace(/\$\{[^}]*\}/, "60"));
  const section = sectionOf(page("docs/events.md"), "## `terminate`");
  const shown = rowsOf(section).flatMap(([cell]) =>
    [...cell!.matchAll(/"([^"]*)"/g)].map(([, text]) => text!)
  );
  assertEquals(shown.sort(), reasons.sort());
});

/** What the drill found of a lane, as far as README shows it. */
interface Drilled {
  readonly lane: string;
  readonly figures: {
    readonly allMs: number | null;
    readonly misrouted: number;
    readonly hung: number;
    readonly failed: number;
  };
}

Deno.test("README compares pools by what the last whole drill found", async () => {
  const { quick, results } = JSON.parse(await read("bench/results/failover.json"));
  assertEquals(quick, false);
  const lanes = [
    "dnspool",
    "pg.Pool connect, release",
    "postgres.js",
    "mysql2 getConnection",
    "mariadb",
    "PgBouncer",
  ];
  const rows = rowsOf(sectionOf(page("README.md"), "## How it compares"));
  const scenarios = ["a", "a-reads", "a2", "b", "c", "d", "e"];
  assertEquals(rows.length, scenarios.length);
  for (const [index, scenario] of scenarios.entries()) {
    const found: { lanes: Drilled[] } = results.find((one: { scenario: string }) =>
      one.scenario === scenario
    );
    const cells = lanes.map((lane) => {
      const { allMs, misrouted, hung, failed } = found.lanes.find((one) => one.lane === lane)!
        .figures;
      const moved = allMs === null ? "never" : (allMs / 1000).toFixed(1);
      const left = hung > 0 ? `${hung} hung` : misrouted.toLocaleString("en-US");
      const tells = ["b", "c", "d"].includes(scenario) && allMs !== null;
      return `${moved} (${left})${tells ? `, ${failed.toLocaleString("en-US")} failed` : ""}`;
    });
    assertEquals([scenario, ...rows[index]!.slice(1)], [scenario, ...cells]);
  }
});

Deno.test("README says what a checkout costs by what the last whole benchmark found", async () => {
  const { flags, results } = JSON.parse(await read("bench/results/pool.json"));
  assertEquals(flags, []);
  const peers = ["tarn", "generic-pool", "lightning-pool", "pg-pool"];
  const scenes = [
    "one at a time",
    "bursts of 10 with Promise.all",
    "1,000 workers on 10 connections",
    "10,000 waiters on 10 connections",
  ];
  const rows = rowsOf(sectionOf(page("README.md"), "## What it costs"));
  assertEquals(rows.length, scenes.length);
  for (const [index, scene] of scenes.entries()) {
    const cells = ["deno", "node", "bun"].map((runtime) => {
      const timings: { name: string; ratio: number }[] = results[runtime].scenes[scene];
      const ratios = timings.filter(({ name }) => peers.includes(name)).map(({ ratio }) => ratio);
      assertEquals(ratios.length, peers.length);
      return Math.min(...ratios).toFixed(1);
    });
    assertEquals([scene, ...rows[index]!.slice(1)], [scene, ...cells]);
  }
});
