/** Each block in the documentation is checked by something, and each link leads somewhere. */

import { assert, assertEquals } from "@std/assert";
import { helpText } from "../../cli/help.ts";
import config from "../../deno.json" with { type: "json" };
import {
  anchorsOf,
  type Block,
  blocksOf,
  filesWith,
  proseOf,
  read,
  readPages,
} from "../support/docs.ts";

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
  assert((await read("scripts/test/test.ts")).includes('"--doc"'));
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
    const standIn = import.meta.resolve("../support/db_postgres_stand_in.ts");
    await Deno.writeTextFile(file, shown!.text.replace(FROM_JSR, standIn));
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--check",
        "--no-lock",
        `--config=${new URL("../../deno.json", import.meta.url).pathname}`,
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
      const there = await Deno.stat(new URL(`../../${to}`, import.meta.url)).then(
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
