/** Tables and lists in the documentation match the sources: options, errors, findings, members, events, figures. */

import { assert, assertEquals } from "@std/assert";
import { HOOK_NAMES } from "../../pool/connection/hooks.ts";
import type { EngineEventMap } from "../../engine.ts";
import { readEngineOptions } from "../../engine/options.ts";
import type { switchover } from "../../testing/mod.ts";
import { codeIn, proseOf, read, readPages, rowsOf, sectionOf } from "../support/docs.ts";

const pages = await readPages();
const page = (path: string) => pages.find((page) => page.path === path)!.text;
const prose = (path: string) => proseOf({ path, text: page(path) });

/** Defaults that a table gives as a word, and their values. */
const WORDS: Readonly<Record<string, unknown>> = {
  off: Infinity,
  "by URL": undefined,
  "by the URL": undefined,
  "the server's": undefined,
  "the system's": undefined,
  "the host": undefined,
  none: undefined,
  any: undefined,
  "": undefined,
};

/** Returns the value of a default in a table. */
function valueOf(shown: string): unknown {
  if (shown in WORDS) return WORDS[shown];
  const [literal = shown] = codeIn(shown);
  if (literal === "Infinity") return Infinity;
  return literal === "console" ? console : JSON.parse(literal);
}

/** Returns options and defaults of a table's rows. A row has one or more names, and one default for all or one each. */
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

/** Checks that giving an option its default is the same as leaving it out. */
function assertDefaults(table: Map<string, string>): void {
  for (const [name, shown] of table) {
    const own = [name, readEngineOptions({ [name]: valueOf(shown) })];
    assertEquals(own, [name, readEngineOptions({})]);
  }
}

Deno.test("docs/options.md has every option of getDnsEngine(), with the default of code and doc comment", async () => {
  const table = defaultsOf(rowsOf(page("docs/options.md")), 0, 1);
  const source = await read("resolver/options.ts") + await read("engine/options.ts");
  const docs = new Map(
    [...source.matchAll(/^ {2}\/\*\*((?:[^*]|\*(?!\/))*)\*\/\n {2}(\w+)\?:/gm)].map((
      [, doc = "", name = ""],
    ) => [name, doc.replace(/\s+\*?\s*/g, " ")]),
  );
  for (const inner of ["url", "options", "created"]) docs.delete(inner); // members of Plugin
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

Deno.test("docs/from_sqlalchemy.md has the defaults of the code", () => {
  const rows = rowsOf(sectionOf(page("docs/from_sqlalchemy.md"), "## Parameters"))
    .filter(([, here]) => /^`\w+`/.test(here!));
  assert(rows.length > 15, `${rows.length}`);
  assertDefaults(defaultsOf(rows, 1, 2));
});

Deno.test("docs/production.md has the defaults of the code", () => {
  const named = [
    ...page("docs/production.md").matchAll(/`(\w+)` \((\d+(?:\.\d+)?|off|no limit)\)/g),
  ];
  const table = new Map(
    named.map(([, name, value]) => [name!, value === "no limit" ? "off" : value!]),
  );
  assert(table.size > 8, `${table.size}`);
  assertDefaults(table);
});

Deno.test("docs/options.md names every hook", () => {
  const row = rowsOf(page("docs/options.md")).find(([name]) => name === "`hooks`");
  assertEquals(codeIn(row![2]!), [...HOOK_NAMES]);
});

Deno.test("docs/troubleshooting.md has every error code with its class, and no other", async () => {
  const source = await read("errors.ts");
  const [, union = ""] = /type ErrorCode =([^;]*);/.exec(source)!;
  const codes = [...union.matchAll(/"(\w+)"/g)].map(([, code]) => code!);
  const classes = [
    ...source.matchAll(
      /^export class (\w+) extends \w+Error[^]*?(?:super\(\s*|ErrorCode = )"(\w+)"/gm,
    ),
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

Deno.test("docs/drop_in.md has every dnspool option that a drop-in takes", async () => {
  const source = await read("drop_in/shared/options.ts");
  const [, list = ""] = /^const NAMES[^]*?\{([^}]*)\}/m.exec(source)!;
  const options = [...list.matchAll(/(\w+): true/g)].map(([, name]) => name!)
    .filter((name) => !/^dns[A-Z]/.test(name));
  const [, sentence = ""] = /options beside them, in seconds: ([^]*?)\. They/.exec(
    page("docs/drop_in.md"),
  )!;
  assertEquals(codeIn(sentence).sort(), ["dns", ...options].sort());
});

/** The figures of a switchover. The compiler compares them with the type. */
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

/** The fields of each event. The compiler compares them with the types. */
const FIELDS: {
  readonly [K in keyof EngineEventMap]: Readonly<
    Record<keyof NonNullable<EngineEventMap[K]["detail"]>, true>
  >;
} = {
  addresschange: {
    added: true,
    removed: true,
    addresses: true,
    ttl: true,
    source: true,
    host: true,
  },
  retire: { address: true, inUse: true },
  terminate: { address: true, reason: true },
  longlease: { address: true, seconds: true, takenAt: true },
  leasetimeout: { address: true, seconds: true, takenAt: true },
  lookuperror: { error: true },
  listenerror: { error: true, channel: true },
  close: {} as never,
};

Deno.test("docs/events.md has every event with its fields, and no other; README.md names each", () => {
  const text = page("docs/events.md");
  const headings = [...text.matchAll(/^## `(\w+)`$/gm)].map(([, name]) => name!);
  assertEquals(headings, Object.keys(FIELDS));
  for (const [name, fields] of Object.entries(FIELDS)) {
    const section = sectionOf(text, `## \`${name}\``);
    const shown = rowsOf(section).flatMap(([field]) => codeIn(field!));
    assertEquals([name, ...shown], [name, ...Object.keys(fields)]);
    assert(text.includes(`addEventListener("${name}"`), `no example listens for ${name}`);
  }
  const named = codeIn(sectionOf(page("README.md"), "## Watch it"));
  assertEquals(headings.filter((name) => !named.includes(name)), []);
});

Deno.test("docs/events.md has each reason of terminate", async () => {
  const sources = await Promise.all(["pool/connection/departures.ts", "engine/core.ts"].map(read));
  const said = sources.join("").matchAll(
    /["`](its address departed[^"`]*|the server no longer[^"`]*)["`]/g,
  );
  const reasons = [...said].map(([, text]) => text!.replace(/\$\{[^}]*\}/, "60"));
  const section = sectionOf(page("docs/events.md"), "## `terminate`");
  const shown = rowsOf(section).flatMap(([cell]) =>
    [...cell!.matchAll(/"([^"]*)"/g)].map(([, text]) => text!)
  );
  assertEquals(shown.sort(), reasons.sort());
});

/** A pool's result in bench/results/failover.json, as far as the tables show it. */
interface Lane {
  readonly lane: string;
  readonly figures: {
    readonly allMs: number | null;
    readonly misrouted: number;
    readonly hung: number;
    readonly failed: number;
  };
}

/** The scenarios of both comparison tables, and their titles there. */
const SCENARIOS = [
  ["a", "the old server stays, read-only"],
  ["a-reads", "the same, reads only"],
  ["a2", "it restarts as a replica, DNS 3 s later"],
  ["b", "it is killed"],
  ["c", "it freezes"],
  ["d", "its packets are dropped"],
  ["e", "the record goes to and fro every 2 s"],
] as const;

/** The pools of the longer table, and their lanes in the benchmark. */
const LANES = {
  "dnspool": "dnspool",
  "pg.Pool": "pg.Pool connect, release",
  "postgres.js": "postgres.js",
  "mysql2": "mysql2 getConnection",
  "mariadb": "mariadb",
  "PgBouncer": "PgBouncer",
};

/** Renders the rows of a comparison table. */
async function comparisonRows(pools: readonly (keyof typeof LANES)[]): Promise<string[][]> {
  const { quick, results } = JSON.parse(await read("bench/results/failover.json"));
  assertEquals(quick, false);
  return SCENARIOS.flatMap(([scenario, title]) => {
    const { lanes }: { lanes: Lane[] } = results.find((one: { scenario: string }) =>
      one.scenario === scenario
    );
    return pools.map((pool, index) => {
      const { allMs, misrouted, hung, failed } = lanes.find(({ lane }) => lane === LANES[pool])!
        .figures;
      const counts = [misrouted, hung, failed].map((count) => count.toLocaleString("en-US"));
      const moved = allMs === null ? "never" : `${(allMs / 1000).toFixed(1)} s`;
      return [index === 0 ? title : "", pool, moved, ...counts];
    });
  });
}

Deno.test("README.md and docs/comparison.md have the figures of the last full bench:failover", async () => {
  const readme = rowsOf(sectionOf(page("README.md"), "## How it compares"));
  assertEquals(readme, await comparisonRows(["dnspool", "pg.Pool"]));
  const all = Object.keys(LANES) as (keyof typeof LANES)[];
  assertEquals(rowsOf(page("docs/comparison.md")), await comparisonRows(all));
});

/** The scenarios of the table in docs/several_hosts.md, and their titles there. */
const HOSTS_SCENARIOS = [
  ["h", "three hosts: the primary is stopped, a standby promoted"],
  ["h-kill", "three hosts: the primary is killed, a standby promoted"],
  ["i", "SRV: the old server stays, read-only"],
  ["j", "three addresses: the first falls silent and leaves the record"],
] as const;

/** The pools of that table. */
const HOSTS_LANES = ["dnspool", "dnspool with mysql2", "postgres.js", "mysql2 getConnection"];

Deno.test("docs/several_hosts.md has the figures of the last full bench:failover", async () => {
  const { quick, results } = JSON.parse(await read("bench/results/failover.json"));
  assertEquals(quick, false);
  const expected = HOSTS_SCENARIOS.flatMap(([scenario, title]) => {
    const { lanes }: { lanes: Lane[] } = results.find((one: { scenario: string }) =>
      one.scenario === scenario
    );
    return lanes.filter(({ lane }) => HOSTS_LANES.includes(lane)).map(
      ({ lane, figures }, index) => {
        const { allMs, misrouted, hung, failed } = figures;
        const counts = [misrouted, hung, failed].map((count) => count.toLocaleString("en-US"));
        const moved = allMs === null ? "never" : `${(allMs / 1000).toFixed(1)} s`;
        return [index === 0 ? title : "", lane.replace(" getConnection", ""), moved, ...counts];
      },
    );
  });
  const section = sectionOf(page("docs/several_hosts.md"), "## What a failover looks like");
  assertEquals(rowsOf(section), expected);
});

/** The scenes of the table of connects, and their titles there. */
const CONNECT_SCENES = [
  ["one", "one host"],
  ["refuses", "the first of three refuses"],
  ["next-refuses", "the same, later connections"],
  ["dropped", "the first drops all packets"],
  ["mute", "the first accepts and is silent"],
  ["writer", "the writer is the third"],
  ["writer-dropped", "the same, the first drops all packets"],
] as const;

const CONNECT_POOLS = ["dnspool", "pg, one name", "postgres.js", "libpq", "pgx"];

Deno.test("docs/several_hosts.md has the figures of the last full bench:connect", async () => {
  const { quick, limitMs, results } = JSON.parse(await read("bench/results/connect.json"));
  assertEquals(quick, false);
  const shown = (scene: string, name: string) => {
    const timing = results[scene].find((one: { name: string }) => one.name === name);
    if (timing === undefined) return "";
    if (timing.ms === null) return `over ${limitMs / 1000} s`;
    return timing.ms < 100 ? `${Math.round(timing.ms)} ms` : `${(timing.ms / 1000).toFixed(2)} s`;
  };
  const expected = CONNECT_SCENES.map(([scene, title]) => [
    title,
    ...CONNECT_POOLS.map((name) => shown(scene, name)),
  ]);
  const section = sectionOf(page("docs/several_hosts.md"), "## How soon a connection is open");
  assertEquals(rowsOf(section), expected);
});

Deno.test("README.md has the figures of the last full bench:pool", async () => {
  const { flags, results } = JSON.parse(await read("bench/results/pool.json"));
  assertEquals(flags, []);
  const peers = ["tarn", "generic-pool", "lightning-pool", "pg-pool"];
  const scenes = [
    "one at a time",
    "bursts of 10 with Promise.all",
    "1,000 workers on 10 connections",
    "10,000 waiters on 10 connections",
  ];
  const rows = rowsOf(sectionOf(page("README.md"), "## What it costs")).slice(0, scenes.length);
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

/** The drivers of the table of statements, and their own pools. */
const QUERY_POOLS = { pg: "pg.Pool", mysql2: "mysql2's pool", mariadb: "mariadb's pool" };

Deno.test("README.md has the figures of the last full bench:query", async () => {
  const { flags, results } = JSON.parse(await read("bench/results/query.json"));
  assertEquals(flags, []);
  assertEquals(Object.keys(results), ["deno", "node", "bun"]);
  type Timings = Record<string, { name: string; ratio: number }[]>;
  const expected = Object.entries(QUERY_POOLS).map(([driver, pool]) => {
    const comparisons = Object.values<Timings>(results).flatMap((titles) =>
      Object.entries(titles).filter(([title]) => title.startsWith(`${driver}: `))
    );
    assertEquals(comparisons.length, 18);
    const ratiosOf = (name: string) =>
      comparisons.map(([, timings]) => timings.find((one) => one.name === name)!.ratio)
        .sort((a, b) => a - b);
    const median = (sorted: number[]) => (sorted[8]! + sorted[9]!) / 2;
    const own = ratiosOf(pool);
    return [
      driver,
      ...[median(own), own[0]!, own.at(-1)!, median(ratiosOf("no pool"))].map(
        (ratio) => ratio.toFixed(2),
      ),
    ];
  });
  assertEquals(rowsOf(sectionOf(page("README.md"), "## What it costs")).slice(4), expected);
});

/** The pools of the table of memory, and their contenders in the benchmark. */
const MEMORY_POOLS = {
  "dnspool, all engines on one name": "dnspool",
  "dnspool, each engine on a name of its own": "dnspool, names of their own",
  "tarn": "tarn",
  "generic-pool": "generic-pool",
  "lightning-pool": "lightning-pool",
  "pg-pool": "pg-pool",
};

Deno.test("docs/production.md has the figures of the last full bench:memory", async () => {
  const { flags, results } = JSON.parse(await read("bench/results/memory.json"));
  assertEquals(flags, []);
  assertEquals(Object.keys(results), ["deno", "node", "bun"]);
  const kilobytes = (bytes: number) => `${(bytes / 1000).toFixed(1)} kB`;
  const expected = Object.entries(MEMORY_POOLS).map(([title, contender]) => {
    const { pool, used, connection = "", waiter = "" } = results.node[contender];
    return [title, kilobytes(pool), kilobytes(used), String(connection), String(waiter)];
  });
  assertEquals(rowsOf(sectionOf(page("docs/production.md"), "## Memory")), expected);
});
