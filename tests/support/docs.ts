/**
 * Reads the documentation for tests: pages, fenced blocks, tables, headings, links.
 *
 * @module
 */

const ROOT = new URL("../../", import.meta.url);

/** A fenced block. */
export interface Block {
  /** Page and line, such as `docs/production.md:40`. */
  readonly where: string;
  /** The words after the opening fence, such as `ts` or `ts ignore`. */
  readonly info: string;
  readonly text: string;
}

/** A Markdown file. */
export interface Page {
  /** The path in the repository. */
  readonly path: string;
  readonly text: string;
}

/** Reads a file of the repository. */
export function read(path: string): Promise<string> {
  return Deno.readTextFile(new URL(path, ROOT));
}

/** Lists the files of the repository with an extension, except generated and third-party ones. */
export async function filesWith(extension: string, dir = ""): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory, isFile } of Deno.readDir(new URL(`./${dir}`, ROOT))) {
    if (name.startsWith(".") || ["node_modules", "npm", "generated"].includes(name)) continue;
    const path = `${dir}${name}`;
    if (isDirectory) found.push(...await filesWith(extension, `${path}/`));
    else if (isFile && name.endsWith(extension)) found.push(path);
  }
  return found.sort();
}

/** Reads every page. */
export async function readPages(): Promise<Page[]> {
  const paths = await filesWith(".md");
  return await Promise.all(paths.map(async (path) => ({ path, text: await read(path) })));
}

/** Returns the fenced blocks of a page. */
export function blocksOf({ path, text }: Page): Block[] {
  return [...text.matchAll(/^```(.*)\n([^]*?)^```$/gm)].map((
    { index, 1: info = "", 2: body = "" },
  ) => ({
    where: `${path}:${text.slice(0, index).split("\n").length}`,
    info,
    text: body,
  }));
}

/** Returns a page without its fenced blocks. */
export function proseOf({ text }: Page): string {
  return text.replace(/^```.*\n[^]*?^```$/gm, "");
}

/** Returns the anchors that GitHub makes of a page's headings. */
export function anchorsOf(page: Page): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ""] of proseOf(page).matchAll(/^#{1,6} (.+)$/gm)) {
    const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").trim().toLowerCase();
    const slug = plain.replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, "").replaceAll(" ", "-");
    let anchor = slug;
    for (let count = 1; anchors.has(anchor); count++) anchor = `${slug}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}

/** Returns the text under a heading, up to the next heading of the same or a higher level. */
export function sectionOf(text: string, heading: string): string {
  const [, rest] = text.split(`\n${heading}\n`);
  if (rest === undefined) throw new Error(`There is no heading "${heading}"`);
  const [level = ""] = heading.split(" ");
  return rest.split(new RegExp(`^#{1,${level.length}} `, "m"))[0]!;
}

/** Returns the cells of each table row in a text, without the header rows. */
export function rowsOf(text: string): string[][] {
  return [...text.matchAll(/^\|[ :|-]+\|\n((?:\|.*\|\n?)*)/gm)].flatMap(([, body = ""]) =>
    body.trimEnd().split("\n").map((line) =>
      line.split("|").slice(1, -1).map((cell) => cell.trim())
    )
  );
}

/** Returns the code spans of a text: what is between backticks. */
export function codeIn(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, code]) => code!);
}
