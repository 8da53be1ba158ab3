/** What the documentation says is what the code has, and each block in it is checked by something. */

import { assert, assertEquals } from "@std/assert";
import { helpText } from "../cli/help.ts";
import config from "../deno.json" with { type: "json" };
import type { EngineEventMap } from "../engine.ts";
import { HOOK_NAMES } from "../_hooks.ts";
import { readEngineOptions } from "../options.ts";
import {
  anchorsOf,
  type Block,
  blocksOf,
  codeIn,
  filesWith,
  proseOf,
  read,
  readPages,
  rowsOf,
  sectionOf,
} from "./_docs.ts";

const pages = await readPages();
const blocks = pages.flatMap(blocksOf);
const page = (path: string) => pages.find((page) => page.path === path)!.text;

/** Blocks that are no code of ours: a picture, and the other side of a comparison. */
const PICTURES = ["docs/how_it_works.md mermaid", "docs/from_sqlalchemy.md python"];
/** Its driver comes from JSR, which not every machine reaches: its example is run with the stand-in. */
const FROM_JSR = "jsr:@db/postgres@^0.19";

/** What checks a block, by what stands behind its fence; `undefined`: nothing does. */
async function checkerOf({ where, info, text }: Block): Promise<string | undefined> {
  const [path = ""] = where.split(":");
  if (info === "ts") return "deno test --doc";
  if (info === "ts ignore") {
    if (text.includes(FROM_JSR)) return "the test below";
    const examples = await Promise.all((await filesWith(".ts", "examples/")).map(read));
    return examples.find((example) => example.includes(text.trim())) && "the example's own test";
  }
  if (info === "text") {
    const helps = [undefined, "resolve", "watch", "check"] as const;
    return helps.map(helpText).includes(text.trimEnd()) ? "cli_program_test.ts" : undefined;
  }
  if (info === "sh") return "docs_command_line_test.ts";
  if (path === "docs/command_line.md" && ["console", "json"].includes(info)) {
    return "docs_command_line_test.ts";
  }
  if (info === "yaml" && path === "docs/production.md") return "docs_metrics_test.ts";
  return PICTURES.includes(`${path} ${info}`) ? "nobody: it is a picture" : undefined;
}

Deno.test("every block in the documentation is of a kind that is run or checked", async () => {
  assert(blocks.length > 60, `${blocks.length}`);
  const checked = await Promise.all(blocks.map(async (block) => [block, await checkerOf(block)]));
  const unchecked = checked.filter(([, checker]) => !checker).map(([block]) => block);
  assertEquals(unchecked, []);
  assert((await read("scripts/test.ts")).includes('"--doc"'));
});

Deno.test("every example in the sources is run, but for the one whose driver may be out of reach", async () => {
  const files = await filesWith(".ts");
  assert(files.length > 200, `${files.length}`);
  const others: string[] = [];
  for (const file of files) {
    const fences = (await read(file)).matchAll(/^ *\* ```(.*)$/gm);
    for (const [, info] of [...fences].filter((_, index) => index % 2 === 0)) {
      if (info !== "ts") others.push(`${file}: ${info}`);
    }
  }
  assertEquals(others, ["adapters/db_postgres.ts: ts ignore"]);
});

Deno.test("the example of @db/postgres runs on the driver's stand-in", async () => {
  const [shown, more] = blocks.filter(({ text }) => text.includes(FROM_JSR));
  assertEquals(more, undefined);
  const source = (await read("adapters/db_postgres.ts")).replace(/^ *\* ?/gm, "");
  assert(source.includes(`\`\`\`ts ignore\n${shown!.text}\`\`\``), "its doc has another example");
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    const standIn = import.meta.resolve("./_db_postgres_stand_in.ts");
    await Deno.writeTextFile(file, shown!.text.replace(FROM_JSR, standIn));
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--check",
        "--no-lock",
        `--config=${new URL("../deno.json", import.meta.url).pathname}`,
        file,
      ],
      stdout: "null",
      stderr: "piped",
    }).output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("links lead somewhere: to a file, and to a heading in it", async () => {
  const broken: string[] = [];
  let count = 0;
  for (const { path, ...rest } of pages) {
    const prose = proseOf({ path, ...rest });
    const links = [...prose.matchAll(/\]\(([^)\s]+)\)|<img src="([^"]+)"/g)];
    for (const target of links.map(([, link, image]) => link ?? image!)) {
      if (/^(https?|mailto):/.test(target)) continue;
      count++;
      const [file = "", anchor] = target.split("#");
      const to = file === "" ? path : new URL(file, `file:///${path}`).pathname.slice(1);
      const there = await Deno.stat(new URL(`../${to}`, import.meta.url)).then(
        () => true,
        () => false,
      );
      const goal = pages.find((page) => page.path === to);
      if (!there || anchor !== undefined && !(goal && anchorsOf(goal).has(anchor))) {
        broken.push(`${path}: ${target}`);
      }
    }
  }
  assert(count > 60, `${count}`);
  assertEquals(broken, []);
});

Deno.test("README leads to every page of the docs", () => {
  const missing = pages.map(({ path }) => path).filter((path) => path.startsWith("docs/"))
    .filter((path) => !page("README.md").includes(`](${path})`));
  assertEquals(missing, []);
});

Deno.test("every task that the docs name is one of deno.json", () => {
  const named = pages.flatMap(({ text }) =>
    [...text.matchAll(/\bdeno(?:@2)? task ([a-z][a-z:]*)/g)].map(([, name]) => name!)
  );
  assert(named.length > 20, `${named.length}`);
  assertEquals(named.filter((name) => !(name in config.tasks)), []);
});

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
  const source = await read("options.ts");
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
