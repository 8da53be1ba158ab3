/**
 * The documentation as tests look at it: pages, fenced blocks, tables, headings.
 *
 * @module
 */

const ROOT = new URL("../../", import.meta.url);

/** A fenced block. */
export interface Block {
  /** Where it stands, such as `docs/production.md:40`. */
  readonly where: string;
  /** What stands behind the fence, such as `ts` or `ts ignore`. */
  readonly info: string;
  readonly text: string;
}

/** A page. */
export interface Page {
  /** Its path in the repository. */
  readonly path: string;
  readonly text: string;
}

/** Reads a file of the repository. */
export function read(path: string): Promise<string> {
  return Deno.readTextFile(new URL(path, ROOT));
}

/** All files of the repository with an ending, but for what is generated and what others wrote. */
export async function filesWith(ending: string, dir = ""): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory, isFile } of Deno.readDir(new URL(`./${dir}`, ROOT))) {
    if (name.startsWith(".") || ["node_modules", "npm", "generated"].includes(name)) continue;
    const path = `${dir}${name}`;
    if (isDirectory) found.push(...await filesWith(ending, `${path}/`));
    else if (isFile && name.endsWith(ending)) found.push(path);
  }
  return found.sort();
}

/** Every page. */
export async function readPages(): Promise<Page[]> {
  const paths = await filesWith(".md");
  return await Promise.all(paths.map(async (path) => ({ path, text: await read(path) })));
}

/** The fenced blocks of a page. */
export function blocksOf({ path, text }: Page): Block[] {
  return [...text.matchAll(/^```(.*)\n([^]*?)^```$/gm)].map((
    { index, 1: info = "", 2: body = "" },
  ) => ({
    where: `${path}:${text.slice(0, index).split("\n").length}`,
    info,
    text: body,
  }));
}

/** A page without its fenced blocks. */
export function proseOf({ text }: Page): string {
  return text.replace(/^```.*\n[^]*?^```$/gm, "");
}

/** What a link may have behind its `#`, as GitHub makes it of headings. */
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

/** The part of a text under a heading, up to the next one of the same kind. */
export function sectionOf(text: string, heading: string): string {
  const [, rest] = text.split(`\n${heading}\n`);
  if (rest === undefined) throw new Error(`There is no heading "${heading}"`);
  const [level = ""] = heading.split(" ");
  return rest.split(new RegExp(`^#{1,${level.length}} `, "m"))[0]!;
}

/** The rows of the tables in a text, without their heads: the cells of each. */
export function rowsOf(text: string): string[][] {
  return [...text.matchAll(/^\|[ :|-]+\|\n((?:\|.*\|\n?)*)/gm)].flatMap(([, body = ""]) =>
    body.trimEnd().split("\n").map((line) =>
      line.split("|").slice(1, -1).map((cell) => cell.trim())
    )
  );
}

/** What stands between backticks. */
export function codeIn(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, code]) => code!);
}
