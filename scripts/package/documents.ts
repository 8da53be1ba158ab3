/**
 * The documents that both registries show, and the repository that they link to.
 *
 * @module
 */

import { ROOT } from "../check/run_deno.ts";

/** The repository on GitHub, owner and name. npm and JSR take a release from it alone. */
export const REPOSITORY = "dnspool/dnspool";

/** Files of the JSR module besides its sources. */
export const DOCUMENTS = ["README.md", "CHANGELOG.md", "LICENSE"];

/** Files of the npm package besides its modules. npm shows no changelog: README.md links to it. */
export const NPM_DOCUMENTS: readonly string[] = ["README.md", "LICENSE"];

/** Reads the documents, as they are published with a version. */
export async function readDocuments(version: string): Promise<Map<string, string>> {
  const files = DOCUMENTS.map(async (name) => {
    const text = await Deno.readTextFile(new URL(name, ROOT));
    return [name, name.endsWith(".md") ? absoluteLinks(text, version) : text] as const;
  });
  return new Map(await Promise.all(files));
}

/**
 * Replaces the relative links of a page of the repository's root: a registry shows the page elsewhere.
 *
 * @param markdown The page.
 * @param version The version whose files the links lead to.
 * @returns The page with absolute links.
 */
export function absoluteLinks(markdown: string, version: string): string {
  const relative = String.raw`(?![a-z][a-z0-9+.-]*:|[#/])`;
  return markdown
    .replace(
      new RegExp(String.raw`(?<!!\[[^\]]*)\]\(${relative}`, "g"),
      `](https://github.com/${REPOSITORY}/blob/v${version}/`,
    )
    .replace(
      new RegExp(String.raw`(\bsrc="|!\[[^\]]*\]\()${relative}`, "g"),
      `$1https://raw.githubusercontent.com/${REPOSITORY}/v${version}/`,
    );
}
