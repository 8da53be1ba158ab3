/**
 * `deno task matrix`: writes the table in docs/runtimes.md from the results of `deno task test`, `deno task runtimes`
 * and `deno task consumers`. `--check` writes nothing, and fails if the page has another table.
 *
 * @module
 */

import { deno, ROOT } from "../check/run_deno.ts";
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

/** A row: the label, and the subjects (a folder of tests, or a check of the consumers) that must all have passed. */
type Row = readonly [label: string, ...subjects: string[]];

/** The rows; those of the failovers are added from the outcomes. */
const ROWS: readonly Row[] = [
  ["tests of resolver, pool and engine", "resolver", "pool", "engine"],
  ["the lookups' contract", "lookups"],
  ["the adapters, on real servers", "adapters"],
  ["the drop-ins, on real servers", "drop_in"],
  ["`import` of each export", "every export, import"],
  ["`require()` of each export", "every export, require()"],
];

/** Returns the table, and the sentences about TypeScript below it. */
export function matrix(outcomes: readonly Outcome[]): string {
  // Deno imports the package as `npm:`.
  const all = outcomes.map((one) => ({ ...one, subject: one.subject.replace(/npm:$/, "import") }));
  const subjects = [...new Set(all.map(({ subject }) => subject))];
  const failovers = subjects.flatMap((subject): Row[] => {
    const [, title, driver] = /^(failover of \w+ with) (\w+), import$/.exec(subject) ?? [];
    return title === undefined ? [] : [[`a ${title} \`${driver}\``, subject]];
  });
  const runs = (runtime: string, wanted: string) => {
    const tried = all.filter((one) => one.runtime === runtime && one.subject === wanted);
    return tried.some(({ passed }) => passed > 0) && tried.every(({ failed }) => failed === 0);
  };
  const rows = [...ROWS, ...failovers].map(([label, ...wanted]) => [
    label,
    ...Object.keys(RUNTIMES).map((runtime) =>
      wanted.every((subject) => runs(runtime, subject)) ? "yes" : "–"
    ),
  ]);
  const head = [["", ...Object.values(RUNTIMES)], ["---", ...rows[0]!.slice(1).map(() => ":-:")]];
  const table = [...head, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
  return `${table}\n\n${describeTypes(all.filter(({ runtime }) => runtime === "typescript"))}`;
}

function describeTypes(checks: readonly Outcome[]): string {
  if (checks.length === 0 || checks.some(({ passed }) => passed === 0)) {
    return "No version of TypeScript reads the types.";
  }
  const versions = [...new Set(checks.map(({ version }) => version))]
    .map((version) => /\d+\.\d+/.exec(version)?.[0] ?? `the ${version}`);
  const list = versions.join(", ").replace(/, ([^,]*)$/, " and $1");
  return `TypeScript ${list} read the types, under \`nodenext\` and \`bundler\`, with \`strict\` and without \`skipLibCheck\`. The adapters need Node's types; for everything else, those of the DOM are enough.`;
}

if (import.meta.main) {
  const saved = await Promise.all(["runtimes", "consumers"].map(savedOutcomes));
  if (saved.some((outcomes) => outcomes.length === 0)) {
    console.error(
      "Cannot make the table: run deno task test, deno task runtimes and deno task consumers first",
    );
    Deno.exit(1);
  }
  const file = new URL(PAGE, ROOT);
  const page = await Deno.readTextFile(file);
  const [before, rest] = page.split(BEGIN);
  const [old, after] = rest?.split(END) ?? [];
  if (after === undefined) throw new Error(`Cannot find "${BEGIN}" and "${END}" in ${PAGE}`);
  const found = matrix(saved.flat());
  const words = (text: string) => text.replace(/-+/g, "-").replace(/\s+/g, " ").trim(); // as before `deno fmt`
  if (words(old!) === words(found)) {
    console.log(`${PAGE} is up to date`);
  } else if (Deno.args.includes("--check")) {
    console.error(`${PAGE} has:${old}The results are:\n\n${found}\n\nRun deno task matrix`);
    Deno.exit(1);
  } else {
    await Deno.writeTextFile(file, `${before}${BEGIN}\n\n${found}\n\n${END}${after}`);
    Deno.exit(await deno(["fmt", "-q", PAGE]));
  }
}
