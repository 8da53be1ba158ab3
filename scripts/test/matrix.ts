/**
 * `deno task matrix`: writes the table in docs/runtimes.md from the results of `deno task test`, `deno task runtimes`
 * and `deno task consumers`. `--check` writes nothing, and fails if the page has another table.
 *
 * @module
 */

import { ROOT } from "../check/run_deno.ts";
import { type Outcome, savedOutcomes } from "./runtimes/outcome.ts";

/** The page with the table. */
const PAGE = "docs/runtimes.md";
/** The lines before and after the table. */
const BEGIN = "<!-- What runs where, by deno task matrix -->";
const END = "<!-- end -->";

/** The columns. */
const RUNTIMES: Readonly<Record<string, string>> = {
  "deno": "Deno 2",
  "node@20": "Node 20",
  "node@22": "Node 22",
  "node@24": "Node 24",
  "bun@1": "Bun 1",
};

interface Row {
  readonly label: string;
  readonly run: "runtimes" | "consumers";
  /** Of each of these, at least one outcome must have passed, and none may have failed. */
  readonly subjects: readonly RegExp[];
}

/** The rows; those of failovers come from the outcomes. */
const ROWS: readonly Row[] = [
  {
    label: "tests of resolver, pool and engine",
    run: "runtimes",
    subjects: [/^resolver$/, /^pool$/, /^engine$/],
  },
  { label: "the lookups' contract", run: "runtimes", subjects: [/^lookups$/] },
  { label: "the adapters, on real servers", run: "runtimes", subjects: [/^adapters$/] },
  { label: "the drop-ins, on real servers", run: "runtimes", subjects: [/^drop_in$/] },
  {
    label: "`import` of each export",
    run: "consumers",
    subjects: [/^every export, (import|npm:)/],
  },
  { label: "`require()` of each export", run: "consumers", subjects: [/^every export, require/] },
];

/** The table and what is said below it. */
export function matrix(
  outcomes: Readonly<Record<Row["run"], readonly Outcome[]>>,
): string {
  const { consumers } = outcomes;
  const titles = consumers.flatMap(({ subject }) =>
    /^failover of \w+ with \w+(?=,)/.exec(subject) ?? []
  );
  const failovers = [...new Set(titles)].map((title): Row => ({
    label: `a ${title.replace(/with (\w+)/, "with `$1`")}`,
    run: "consumers",
    subjects: [new RegExp(`^${title}, (import|npm:)`)],
  }));
  const rows = [...ROWS, ...failovers].map((row) =>
    `| ${row.label} | ${
      Object.keys(RUNTIMES).map((runtime) => runs(outcomes[row.run], runtime, row)).join(" | ")
    } |`
  );
  const compilers = consumers.filter(({ runtime }) => runtime === "typescript");
  const versions = [...new Set(compilers.map(({ version }) => version))].map((version) =>
    /\d+\.\d+/.exec(version)?.[0] ?? `the ${version}`
  );
  const list = versions.join(", ").replace(/, ([^,]*)$/, " and $1");
  const good = compilers.length > 0 && compilers.every(({ passed }) => passed > 0);
  return [
    `|  | ${Object.values(RUNTIMES).join(" | ")} |`,
    `| --- | ${Object.keys(RUNTIMES).map(() => ":-:").join(" | ")} |`,
    ...rows,
    "",
    good
      ? `The types are read by TypeScript ${list}, under \`nodenext\` and \`bundler\`, \`strict\` and without \`skipLibCheck\`, with the types of Node; but for the adapters, those of the DOM will do.`
      : "No version of TypeScript has taken the types.",
  ].join("\n");
}

function runs(outcomes: readonly Outcome[], runtime: string, { subjects }: Row): string {
  const yes = subjects.every((pattern) => {
    const found = outcomes.filter(({ runtime: on, subject }) =>
      on === runtime && pattern.test(subject)
    );
    return found.some(({ passed }) => passed > 0) && found.every(({ failed }) => failed === 0);
  });
  return yes ? "yes" : "–";
}

/** As `deno fmt` would have it. */
async function formatted(markdown: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext=md", "-"],
    cwd: ROOT,
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(markdown));
  await writer.close();
  return new TextDecoder().decode((await child.output()).stdout).trim();
}

if (import.meta.main) {
  const runtimes = await savedOutcomes("runtimes");
  const consumers = await savedOutcomes("consumers");
  if (runtimes.length === 0 || consumers.length === 0) {
    console.error(
      "Cannot tell what runs where: run deno task test, deno task runtimes and deno task consumers first",
    );
    Deno.exit(1);
  }
  const file = new URL(PAGE, ROOT);
  const page = await Deno.readTextFile(file);
  const [before, rest] = page.split(`${BEGIN}\n`);
  const [stands, after] = rest?.split(END) ?? [];
  if (after === undefined) throw new Error(`Cannot find "${BEGIN}" and "${END}" in ${PAGE}`);
  const found = await formatted(matrix({ runtimes, consumers }));
  if (stands!.trim() === found) {
    console.log(`${PAGE} is up to date`);
  } else if (Deno.args.includes("--check")) {
    console.error(
      `${PAGE} has:\n${stands!.trim()}\n\nFound was:\n${found}\n\nRun deno task matrix`,
    );
    Deno.exit(1);
  } else {
    await Deno.writeTextFile(file, `${before}${BEGIN}\n\n${found}\n\n${END}${after}`);
    console.log(`${PAGE} is written`);
  }
}
