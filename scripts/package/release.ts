/**
 * `deno task release --dry-run`: everything of a release up to the two publish commands, which it does not run. It
 * checks the version and the descriptions, builds the npm package and the files of the JSR module, checks the package
 * with its consumers, and lets `npm` and `deno` check what they would publish. Then it prints what a person must have
 * done before. `.github/workflows/publish.yml` runs it, and publishes what it wrote.
 *
 * `--out=DIR` keeps what would be published: `DIR/*.tgz` for npm, `DIR/jsr/` for JSR. `--engine=` is that of
 * `deno task npm`. `--no-consumers` leaves the consumers' checks out; the workflow does not.
 *
 * Exit status: 0; 1 if a step failed; 2 without `--dry-run`.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import config from "../../deno.json" with { type: "json" };
import { VERSION } from "../../cli/version.ts";
import { ROOT } from "../check/run_deno.ts";
import { jsrProblems, npmProblems } from "./demands.ts";
import { REPOSITORY } from "./documents.ts";
import { publishedFiles, writeJsrModule } from "./jsr.ts";
import { buildPackage } from "./npm.ts";
import { type Engine, engineOf } from "./npm/engine.ts";
import { packageJson } from "./npm/package.ts";

/** What no program can do, or find out, before the first release. */
export const BY_HAND: readonly string[] = [
  `GitHub: the repository ${REPOSITORY} exists and is public (provenance demands it); if it has another name, change ` +
  "REPOSITORY in scripts/package/documents.ts",
  `npm: the organization "${
    config.name.slice(1).split("/")[0]
  }" exists, and ${config.name} has a version (npm has no ` +
  "trusted publishing for a package that does not exist): publish an empty version 0.0.0 by hand",
  `npm, settings of the package: trusted publisher GitHub Actions, repository ${REPOSITORY}, workflow publish.yml; ` +
  "then disallow tokens",
  `JSR: the scope and the package ${config.name} exist, and the package's settings link it to ${REPOSITORY}`,
  "JSR, settings of the package: its description, and the runtimes Deno, Node.js and Bun, are entered by hand (they " +
  "count in its score)",
];

/** What a release is checked against. */
export interface ReleaseState {
  /** The version in deno.json. */
  readonly version: string;
  /** The version in cli/version.ts. */
  readonly program: string;
  readonly changelog: string;
  readonly readme: string;
  /** The output of `git status --porcelain`. */
  readonly changes: string;
  /** The variables of GitHub Actions; elsewhere there are none. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Returns what keeps a version from being released. */
export function versionProblems(
  { version, program, changelog, readme, changes, env }: ReleaseState,
): string[] {
  const { GITHUB_REF_NAME: tag, GITHUB_REF_TYPE: ref, GITHUB_REPOSITORY: repository } = env;
  const demands: [boolean, string][] = [
    [program === version, `cli/version.ts has ${program}, deno.json ${version}`],
    [
      changelog.split("\n").some((line) => line.startsWith(`## ${version}`)),
      `CHANGELOG.md has no section "## ${version}"`,
    ],
    [
      !/^## Unreleased\n+-/m.test(changelog),
      `CHANGELOG.md has changes under "Unreleased": move them under "## ${version}"`,
    ],
    [!readme.includes("It is not published yet"), `README.md says that it is not published yet`],
    [changes.trim() === "", `there are changes that are not committed:\n${changes.trimEnd()}`],
    [ref !== "tag" || tag === `v${version}`, `the tag is ${tag}, the version ${version}`],
    [
      repository === undefined || repository === REPOSITORY,
      `this is ${repository}, REPOSITORY in scripts/package/documents.ts is ${REPOSITORY}`,
    ],
  ];
  return demands.filter(([met]) => !met).map(([, problem]) => problem);
}

/** Runs a command with its output on that of this process; rejects if it fails. */
async function run(program: string, args: readonly string[], cwd: string): Promise<void> {
  const command = new Deno.Command(program, { args: [...args], cwd, stdin: "null" });
  const { code } = await command.spawn().status;
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} exited with ${code}`);
}

async function outputOf(program: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await new Deno.Command(program, { args: [...args], cwd: ROOT }).output();
  return new TextDecoder().decode(stdout);
}

function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw new Error(problems.join("\n"));
}

/** The steps, each of which rejects if the release would fail. */
function stepsOf(out: string, engine: Engine, consumers: boolean): [string, () => Promise<void>][] {
  const root = fileURLToPath(ROOT);
  const jsr = `${out}/jsr`;
  let tarball = "";
  return [
    ["version", async () =>
      refuse(versionProblems({
        version: config.version,
        program: VERSION,
        changelog: await Deno.readTextFile(new URL("CHANGELOG.md", ROOT)),
        readme: await Deno.readTextFile(new URL("README.md", ROOT)),
        changes: await outputOf("git", "status", "--porcelain"),
        env: process.env,
      }))],
    ["descriptions", async () =>
      refuse([
        ...npmProblems(packageJson(config), REPOSITORY).map((problem) => `npm: ${problem}`),
        ...jsrProblems(config, await publishedFiles()).map((problem) => `JSR: ${problem}`),
      ])],
    ["build", async () => {
      tarball = await buildPackage(out, engine);
      await writeJsrModule(jsr);
    }],
    ...consumers
      ? [
        ["consumers", () =>
          run(Deno.execPath(), ["task", "consumers", `--tarball=${tarball}`], root)] as [
            string,
            () => Promise<void>,
          ],
      ]
      : [],
    // Provenance is a matter of the workflow: elsewhere npm refuses the option.
    [
      "npm publish --dry-run",
      () => run("npm", ["publish", "--dry-run", "--ignore-scripts", tarball], root),
    ],
    [
      "deno publish --dry-run",
      () => run(Deno.execPath(), ["publish", "--dry-run", "--allow-dirty"], jsr),
    ],
  ];
}

if (import.meta.main) {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      "dry-run": { type: "boolean" },
      "no-consumers": { type: "boolean", default: false },
      engine: { type: "string" },
      out: { type: "string" },
    },
  });
  if (!values["dry-run"]) {
    console.error("Only --dry-run is run here: .github/workflows/publish.yml publishes a tag");
    Deno.exit(2);
  }
  const out = values.out ?? await Deno.makeTempDir({ prefix: "dnspool-" });
  const failed: string[] = [];
  try {
    await Deno.mkdir(out, { recursive: true });
    const engine = await engineOf(values.engine);
    const dir = await Deno.realPath(out);
    for (const [name, step] of stepsOf(dir, engine, !values["no-consumers"])) {
      console.log(`\n== ${name}`);
      try {
        await step();
      } catch (error) {
        failed.push(name);
        console.log(`FAILED ${name}: ${error instanceof Error ? error.message : error}`);
        if (name === "build") break;
      }
    }
  } finally {
    if (values.out === undefined) await Deno.remove(out, { recursive: true });
  }
  console.log("\nBy hand, before the first release:");
  for (const item of BY_HAND) console.log(`- ${item}`);
  console.log(
    failed.length > 0
      ? `\nNot ready: ${failed.join(", ")}`
      : `\nReady: pushing the tag v${config.version} publishes it`,
  );
  Deno.exit(failed.length > 0 ? 1 : 0);
}
