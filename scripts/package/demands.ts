/**
 * What npm and JSR demand of the description of a package, so that a release is not refused half way.
 *
 * @module
 */

import type { Config } from "./npm/package.ts";

/** What npm shows at most of a description; JSR refuses a longer one. */
const MAX_DESCRIPTION = 250;

/**
 * Returns what npm would refuse, or would not show.
 *
 * @param json The package.json.
 * @param repository The repository of the release, owner and name.
 * @see https://docs.npmjs.com/generating-provenance-statements
 */
export function npmProblems(json: Record<string, unknown>, repository: string): string[] {
  const { name, version, description, license, repository: link, files, private: hidden } = json;
  const { type, url } = (link ?? {}) as { type?: string; url?: string };
  return problemsOf([
    [/^@[a-z0-9-]+\/[a-z0-9-]+$/.test(`${name}`), `name: "${name}" has no scope`],
    [/^\d+\.\d+\.\d+(?:-[0-9a-z.-]+)?$/.test(`${version}`), `version: "${version}"`],
    [
      typeof description === "string" && description.length <= MAX_DESCRIPTION,
      `description: it must have at most ${MAX_DESCRIPTION} characters`,
    ],
    [typeof license === "string", "license: it is missing"],
    [Array.isArray(files), "files: without it, everything is published"],
    [hidden === undefined, "private: npm publishes no private package"],
    // Provenance is refused unless it names the repository whose workflow publishes.
    [
      type === "git" && url === `git+https://github.com/${repository}.git`,
      `repository: provenance demands "git+https://github.com/${repository}.git", found "${url}"`,
    ],
  ]);
}

/**
 * Returns what JSR would refuse.
 *
 * @param config The content of deno.json.
 * @param files The published files, as paths from the root.
 * @see https://jsr.io/docs/publishing-packages
 */
export function jsrProblems(
  { name, version, license, exports }: Config,
  files: string[],
): string[] {
  const folded = files.map((file) => file.toLowerCase());
  return problemsOf([
    [/^@[a-z][a-z0-9-]{1,18}[a-z0-9]\/[a-z][a-z0-9-]{1,56}[a-z0-9]$/.test(name), `name: "${name}"`],
    [/^\d+\.\d+\.\d+(?:-[0-9a-z.-]+)?$/.test(version), `version: "${version}"`],
    [license !== "" || files.includes("LICENSE"), "license: it is missing"],
    [files.includes("README.md"), "README.md is not published"],
    ...Object.entries(exports).flatMap(([path, file]): [boolean, string][] => [
      [/^\.(?:\/[a-z0-9_-]+)*$/.test(path), `exports: "${path}"`],
      [files.includes(file.slice(2)), `exports: "${file}" is not published`],
    ]),
    ...folded.map((file, index): [boolean, string] => [
      folded.indexOf(file) === index,
      `"${files[index]}" differs from another file by upper and lower case alone`,
    ]),
  ]);
}

function problemsOf(demands: readonly (readonly [boolean, string])[]): string[] {
  return demands.filter(([met]) => !met).map(([, problem]) => problem);
}
