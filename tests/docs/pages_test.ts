/** Every block in the documentation is run or checked, and every link has a target. */

import { assert, assertEquals } from "@std/assert";
import { helpText } from "../../cli/help.ts";
import config from "../../deno.json" with { type: "json" };
import {
  anchorsOf,
  type Block,
  blocksOf,
  codeIn,
  filesWith,
  proseOf,
  read,
  readPages,
} from "../support/docs.ts";

const pages = await readPages();
const blocks = pages.flatMap(blocksOf);
const page = (path: string) => pages.find((page) => page.path === path)!.text;

/** Blocks that no test can run: a diagram, and code of another library. */
const UNCHECKED = ["docs/how_it_works.md mermaid", "docs/from_sqlalchemy.md python"];
/** A driver from JSR, which not every machine reaches; its example is run with a stand-in. */
const FROM_JSR = "jsr:@db/postgres@^0.19";

/** Returns the name of the test that checks a block, by the words after its fence; `undefined` if there is none. */
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
    return helps.map(helpText).includes(text.trimEnd()) ? "tests/cli/program_test.ts" : undefined;
  }
  if (info === "sh") return "command_line_test.ts";
  if (path === "docs/command_line.md" && ["console", "json"].includes(info)) {
    return "command_line_test.ts";
  }
  if (info === "yaml" && path === "docs/monitoring.md") return "metrics_test.ts";
  return UNCHECKED.includes(`${path} ${info}`) ? "none" : undefined;
}

Deno.test("pages: every block is of a kind that is run or checked", async () => {
  assert(blocks.length > 60, `${blocks.length}`);
  const checked = await Promise.all(blocks.map(async (block) => [block, await checkerOf(block)]));
  const unchecked = checked.filter(([, checker]) => !checker).map(([block]) => block);
  assertEquals(unchecked, []);
  assert((await read("scripts/test/test.ts")).includes('"--doc"'));
});

Deno.test("doc comments: every example is run, except the one whose driver comes from JSR", async () => {
  const files = await filesWith(".ts");
  assert(files.length > 200, `${files.length}`);
  const others: string[] = [];
  for (const file of files) {
    const fences = (await read(file)).matchAll(/^ *\* ```(.*)$/gm);
    for (const [, info] of [...fences].filter((_, index) => index % 2 === 0)) {
      const isDrawing = info === "text";
      if (info !== "ts" && !isDrawing) others.push(`${file}: ${info}`);
    }
  }
  assertEquals(others, ["adapters/db_postgres.ts: ts ignore"]);
});

Deno.test("adapters/db_postgres.ts: the example runs with a stand-in for the driver", async () => {
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

Deno.test("docs/production.md: the engine that is kept on globalThis survives a reload of its module", async () => {
  const [block] = blocks.filter(({ text }) => text.includes("globalThis"));
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, block!.text);
    const { engine } = await import(`file://${file}?first`);
    assert(engine === (await import(`file://${file}?second`)).engine);
    await engine.close();
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("pages: every link leads to a file, and to a heading in it", async () => {
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

Deno.test("pages: every source path that they name exists", async () => {
  const named = pages.flatMap((page) => codeIn(proseOf(page)))
    .filter((code) => /^[a-z_]+(?:\/[a-z_0-9]+)+(?:\.ts|\.md|\/)$/.test(code));
  assert(named.length > 10, `${named.length}`);
  const missing: string[] = [];
  for (const path of named) {
    await Deno.stat(new URL(`../../${path}`, import.meta.url)).catch(() => missing.push(path));
  }
  assertEquals(missing, []);
});

Deno.test("README.md links to every page in docs/", () => {
  const missing = pages.map(({ path }) => path).filter((path) => path.startsWith("docs/"))
    .filter((path) => !page("README.md").includes(`](${path})`));
  assertEquals(missing, []);
});

Deno.test("pages: every deno task that they name is one of deno.json", () => {
  const named = pages.flatMap(({ text }) =>
    [...text.matchAll(/\bdeno(?:@2)? task ([a-z][a-z:]*)/g)].map(([, name]) => name!)
  );
  assert(named.length > 20, `${named.length}`);
  assertEquals(named.filter((name) => !(name in config.tasks)), []);
});
