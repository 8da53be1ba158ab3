/** docs/promises.md: each promise of two pages is held by tests that exist. */

import { assert, assertEquals } from "@std/assert";
import { proseOf, read, rowsOf, sectionOf } from "../support/docs.ts";

const PAGES = { "## reliability.md": "docs/reliability.md", "## SECURITY.md": "SECURITY.md" };

/** Sections that promise nothing about the program. */
const NO_PROMISE = ["Reporting a vulnerability"];
/** The beginnings of paragraphs that describe a run, give advice, or name a limit. */
const DESCRIPTIONS = [
  "What callers see when things go wrong",
  "Each row below is a run against a real server",
  "A supervisor that dies, or a network that splits",
  "Then the server's role is found out",
  "In that half second, or until the record moves",
  "A proxy may answer for a server that cannot",
  "`deno task soak` lets 64 workers",
  "Recorded with real servers by `deno task record`",
  "Versions: ",
  "Without DNSSEC, an attacker between you",
];

const plain = (text: string) => text.replace(/\s+/g, " ").trim();
const promises = await read("docs/promises.md");

/** The rows of one page: words, and the tests that hold them. */
function rowsFor(heading: string) {
  return rowsOf(sectionOf(promises, heading)).map(([words = "", tests = ""]) => ({
    words: plain(words),
    tests: tests.split(/; (?=`tests\/)/).map((test) => {
      const [, file = "", name = ""] = /^`(tests\/[^`]+)`: (.+)$/.exec(test) ?? [];
      return { file, name };
    }),
  }));
}

/** The paragraphs and list items of a page, without its tables, headings and code. */
async function paragraphsOf(path: string): Promise<string[]> {
  const text = proseOf({ path, text: await read(path) })
    .replace(/^\|.*$/gm, "")
    .replace(/<!--.*?-->/g, "");
  const sections = text.split(/^#+ /m).slice(1)
    .filter((section) => !NO_PROMISE.includes(section.split("\n")[0]!))
    .map((section) => section.slice(section.indexOf("\n")));
  return sections
    .flatMap((section) => section.split(/\n\s*\n|\n(?=- )/))
    .map((paragraph) => plain(paragraph).replace(/^- /, ""))
    .filter((paragraph) => paragraph !== "");
}

for (const [heading, path] of Object.entries(PAGES)) {
  const rows = rowsFor(heading);

  Deno.test(`docs/promises.md quotes ${path}, and names tests that exist`, async () => {
    assert(rows.length > 10, `${rows.length} rows`);
    const text = plain(await read(path));
    assertEquals(rows.filter(({ words }) => !text.includes(words)).map(({ words }) => words), []);
    for (const { words, tests } of rows) {
      for (const { file, name } of tests) {
        assert(file !== "", `a test of "${words}" has no file`);
        const source = await read(file);
        assert(source.includes(name), `${file} has no test named "${name}"`);
      }
    }
  });

  Deno.test(`${path}: every paragraph and list item is in docs/promises.md, or only describes`, async () => {
    const unheld = (await paragraphsOf(path)).filter((paragraph) =>
      !DESCRIPTIONS.some((begin) => paragraph.startsWith(begin)) &&
      !rows.some(({ words }) => paragraph.includes(words))
    );
    assertEquals(unheld, []);
  });
}
