/**
 * What is looked at in the consumers' projects.
 *
 * @module
 */

import config from "../../../deno.json" with { type: "json" };
import { CLI, DRIVERS, PROGRAM } from "../npm/package.ts";
import type { Runtime } from "../../test/runtimes/binaries.ts";
import type { Result, Task } from "./failover.ts";
import { describeExports, type Projects, TYPESCRIPTS } from "./projects.ts";
import { type Database, missing, type ServerPairs } from "./servers.ts";

/** One thing to look at, on one runtime. */
export interface Check {
  readonly runtime: string;
  readonly version: string;
  readonly subject: string;
  /** Resolves with a few words when all is well, rejects with what is wrong. */
  run(servers: ServerPairs): Promise<string>;
}

/** Something that cannot be looked at here; the message says why. */
export class Skipped extends Error {}

/** For one program. */
const PATIENCE_MS = 90_000;

/** A move is seen within the TTL, 1 second, and 0.3; the rest is for a machine that is busy with other things. */
const MOVE_MS = 3000;

const LINTERS = { publint: "publint@0.3.25", attw: "@arethetypeswrong/cli@0.18.5" };

/** A driver to go through a failover with. */
interface Failover {
  readonly driver: string;
  readonly scheme: string;
  readonly database: Database;
  readonly title: string;
}

/** Those whose adapters are exported. The first goes through it in each way of importing, the others in one. */
const FAILOVERS: readonly Failover[] = [
  { driver: "pg", scheme: "postgresql+pg", database: "postgresql", title: "PostgreSQL" },
  {
    driver: "postgres",
    scheme: "postgresql+postgresjs",
    database: "postgresql",
    title: "PostgreSQL",
  },
  { driver: "mysql2", scheme: "mysql+mysql2", database: "mariadb", title: "MariaDB" },
  { driver: "mariadb", scheme: "mariadb+mariadb", database: "mariadb", title: "MariaDB" },
].filter(({ driver }) => DRIVERS[driver]!.adapter in config.exports) as Failover[];

/** A way to run a JavaScript file of a project. */
interface Way {
  readonly how: string;
  readonly dir: string;
  readonly ending: "mjs" | "cjs";
  readonly args: readonly string[];
  /** Whether each program gets a copy of the project, for it cannot be shared. */
  readonly copied?: boolean;
}

function waysOf({ name, args }: Runtime, { app, deno }: Projects): Way[] {
  if (name === "deno") {
    return [
      // Every program that starts there writes the linked package anew, below the feet of the others.
      { how: "npm:", dir: deno, ending: "mjs", args: ["run", "-A"], copied: true },
      { how: "import", dir: app, ending: "mjs", args: [...args, "--node-modules-dir=manual"] },
    ];
  }
  return [
    { how: "import", dir: app, ending: "mjs", args },
    { how: "require()", dir: app, ending: "cjs", args },
  ];
}

/** What is run on a runtime. */
export function programChecks(runtime: Runtime, projects: Projects): Check[] {
  const checks: Check[] = [];
  for (const [index, way] of waysOf(runtime, projects).entries()) {
    checks.push(exportsCheck(runtime, way));
    const failovers = FAILOVERS.slice(0, index === 0 ? Infinity : 1);
    checks.push(...failovers.map((failover) => failoverCheck(runtime, way, failover)));
  }
  if (runtime.name === "node@22") {
    const way: Way = { how: "import", dir: projects.oldest, ending: "mjs", args: [] };
    for (const failover of FAILOVERS) {
      const { range } = DRIVERS[failover.driver]!;
      const title = `${failover.driver} ${range.slice(1)}`;
      checks.push(failoverCheck(runtime, way, failover, title));
    }
  }
  if (CLI in config.exports && runtime.name.startsWith("node")) {
    checks.push(cliCheck(runtime, projects));
  }
  return checks;
}

function exportsCheck({ name, version, program }: Runtime, way: Way): Check {
  const { how, ending, args } = way;
  return {
    runtime: name,
    version,
    subject: `every export, ${how}`,
    run: async () =>
      checkExports(await output(program, [...args, `exports.${ending}`], await placeOf(way))),
  };
}

/** Where a program runs. */
async function placeOf({ dir, copied = false }: Way): Promise<string> {
  if (!copied) return dir;
  // Beside it: its links are relative.
  const copy = await Deno.makeTempDir({ dir: `${dir}/..`, prefix: "copy-" });
  for await (const { name, isFile } of Deno.readDir(dir)) {
    if (isFile) await Deno.copyFile(`${dir}/${name}`, `${copy}/${name}`);
  }
  return copy;
}

function failoverCheck(
  { name, version, program }: Runtime,
  way: Way,
  { driver, scheme, database, title }: Failover,
  named = driver,
): Check {
  const { how, ending, args } = way;
  return {
    runtime: name,
    version,
    subject: `failover of ${title} with ${named}, ${how}`,
    async run(servers) {
      const why = missing(database);
      if (why !== undefined) throw new Skipped(why);
      return await servers.with(database, scheme, async (task: Task) => {
        const all = [...args, `failover.${ending}`, JSON.stringify(task)];
        return judge(JSON.parse(await output(program, all, await placeOf(way))));
      });
    },
  };
}

function cliCheck({ name, version, program, args }: Runtime, { app }: Projects): Check {
  return {
    runtime: name,
    version,
    subject: `${PROGRAM} --help`,
    async run() {
      const file = `${app}/node_modules/.bin/${PROGRAM}`;
      const said = await output(program, [...args, file, "--help"], app);
      if (!said.includes(`${PROGRAM} resolve`)) throw new Error(`It said:\n${said}`);
      return "";
    },
  };
}

/** What must be true of a failover. */
function judge(result: Result): string {
  const { switchoverMs, failoverMs, misrouted, failedBefore, failedAfter, workers } = result;
  const text = JSON.stringify(result);
  if (!(switchoverMs < MOVE_MS && failoverMs < MOVE_MS)) throw new Error(`It took long: ${text}`);
  if (misrouted > 0) throw new Error(`Queries went to the old server: ${text}`);
  if (failedBefore > 0) throw new Error(`Queries failed in a planned switchover: ${text}`);
  if (failedAfter > workers) throw new Error(`More failed than was in flight: ${text}`);
  return `${switchoverMs} and ${failoverMs} ms, ${failedAfter} in flight failed`;
}

/** What the source exports, on Deno, one line each. */
const fromSource = Promise.all(
  Object.entries(config.exports).map(async ([path, file]) => {
    const module = await import(new URL(`../../../${file}`, import.meta.url).href);
    return describeExports(module).map((line) => `${config.name}${path.slice(1)} ${line}`);
  }),
).then((lines) => lines.flat());

async function checkExports(said: string): Promise<string> {
  const found = said.trim().split("\n");
  const wanted = await fromSource;
  const missing = wanted.filter((line) => !found.includes(line)).map((line) => `- ${line}`);
  const surplus = found.filter((line) => !wanted.includes(line)).map((line) => `+ ${line}`);
  if (missing.length + surplus.length === 0) return `${found.length} names`;
  throw new Error(`The source exports something else:\n${[...missing, ...surplus].join("\n")}`);
}

/** What is at hand beside the package, and what of it is looked at then. */
const ENVIRONMENTS = {
  "Node's types": {
    options: { lib: ["es2022"], types: ["node"] },
    files: ["exports.ts", "types.ts", "types_adapter.ts"],
  },
  // Adapters need what their drivers need.
  "the DOM's types, the core": { options: { types: [] }, files: ["core.ts", "types.ts"] },
};

/** What TypeScript looks at. */
export function typeChecks({ types }: Projects): Check[] {
  const checks: Check[] = [];
  for (const [compiler, range] of Object.entries(TYPESCRIPTS)) {
    for (const resolution of ["nodenext", "bundler"]) {
      for (const [environment, { options, files }] of Object.entries(ENVIRONMENTS)) {
        const all = [...files];
        // TypeScript 5.4 does not take pg's own types, nor `require()` of an ES module.
        if (options.types.length > 0 && !range.startsWith("~5.4")) {
          all.push("types_pg.ts", ...resolution === "nodenext" ? ["exports.cts"] : []);
        }
        checks.push({
          runtime: "typescript",
          version: range,
          subject: `types, ${resolution}, with ${environment}`,
          async run() {
            const project = `${types}/${compiler}_${resolution}_${options.types.length}.json`;
            const module = resolution === "bundler" ? "esnext" : resolution;
            const compilerOptions = {
              ...{ strict: true, noEmit: true, target: "es2022", ...options },
              ...{ module, moduleResolution: resolution },
            };
            await Deno.writeTextFile(project, JSON.stringify({ compilerOptions, files: all }));
            const tsc = `${types}/node_modules/${compiler}/bin/tsc`;
            await output("node", [tsc, "--project", project], types);
            return "";
          },
        });
      }
    }
  }
  return checks;
}

/** What looks at the package as a whole. */
export function packageChecks({ tarball, app }: Projects): Check[] {
  const check = (subject: string, args: string[]): Check => ({
    runtime: "npm",
    version: "",
    subject,
    run: async () => {
      await output("npx", ["--yes", ...args], app);
      return "";
    },
  });
  return [
    check("publint", [LINTERS.publint, "run", "--strict", tarball]),
    check("arethetypeswrong", [LINTERS.attw, "--profile", "esm-only", tarball]),
  ];
}

/** Runs a program that ends by itself, well; resolves with what it said. */
async function output(program: string, args: readonly string[], cwd: string): Promise<string> {
  const { code, signal, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    cwd,
    stdin: "null",
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(PATIENCE_MS),
  }).output();
  const text = new TextDecoder();
  if (code === 0) return text.decode(stdout);
  throw new Error(
    `${program} ${args.join(" ")} ended with ${signal ?? code}\n${text.decode(stdout)}${
      text.decode(stderr)
    }`,
  );
}
