/**
 * The checks in the consumers' projects.
 *
 * @module
 */

import config from "../../../deno.json" with { type: "json" };
import { CLI, DRIVERS, PROGRAM } from "../npm/package.ts";
import type { Runtime } from "../../test/runtimes/binaries.ts";
import type { Result, Task } from "./failover.ts";
import { describeExports, type Projects, TYPESCRIPTS } from "./projects.ts";
import { type Database, missing, type ServerPairs } from "./servers.ts";

/** One check, on one runtime. */
export interface Check {
  readonly runtime: string;
  readonly version: string;
  readonly subject: string;
  /** Runs the check; resolves with details, rejects with what is wrong. */
  run(servers: ServerPairs): Promise<string>;
}

/** Thrown by a check that cannot run on this machine; the message says why. */
export class Skipped extends Error {}

/** Maximum duration of one program. */
const TIMEOUT_MS = 90_000;

/** Maximum time to follow a move: TTL (1 second) + 0.3 seconds, and a reserve for a busy machine. */
const MAX_MOVE_MS = 3000;

const LINTERS = { publint: "publint@0.3.25", attw: "@arethetypeswrong/cli@0.18.5" };

/** A driver, and the database of its failover. */
interface Failover {
  readonly driver: string;
  readonly scheme: string;
  readonly database: Database;
  readonly title: string;
}

/** The drivers whose adapters are exported. The first one is checked with each way of importing, the others with one. */
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
  /** Whether each program needs a copy of the project. */
  readonly copied?: boolean;
}

function waysOf({ name, args }: Runtime, { app, deno }: Projects): Way[] {
  if (name === "deno") {
    return [
      // Each program that starts there rewrites the linked package, which parallel programs are loading.
      { how: "npm:", dir: deno, ending: "mjs", args: ["run", "-A"], copied: true },
      { how: "import", dir: app, ending: "mjs", args: [...args, "--node-modules-dir=manual"] },
    ];
  }
  return [
    { how: "import", dir: app, ending: "mjs", args },
    { how: "require()", dir: app, ending: "cjs", args },
  ];
}

/** Returns the checks of a runtime. */
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
  if (runtime.name !== "deno") {
    checks.push(oneCopyCheck(runtime, projects));
    if (CLI in config.exports) checks.push(cliCheck(runtime, projects));
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
      checkExports(await output(program, [...args, `exports.${ending}`], await directoryOf(way))),
  };
}

/** Returns the working directory of a program. */
async function directoryOf({ dir, copied = false }: Way): Promise<string> {
  if (!copied) return dir;
  // Next to the original, because its links are relative.
  const copy = await Deno.makeTempDir({ dir: `${dir}/..`, prefix: "copy-" });
  for await (const { name, isFile } of Deno.readDir(dir)) {
    if (isFile) await Deno.copyFile(`${dir}/${name}`, `${copy}/${name}`);
  }
  return copy;
}

function failoverCheck(
  { name: runtime, version, program }: Runtime,
  way: Way,
  { driver, scheme, database, title }: Failover,
  name = driver,
): Check {
  const { how, ending, args } = way;
  return {
    runtime,
    version,
    subject: `failover of ${title} with ${name}, ${how}`,
    async run(servers) {
      const why = missing(database);
      if (why !== undefined) throw new Skipped(why);
      return await servers.with(database, scheme, async (task: Task) => {
        const all = [...args, `failover.${ending}`, JSON.stringify(task)];
        return checkResult(JSON.parse(await output(program, all, await directoryOf(way))));
      });
    },
  };
}

/** The code of {@linkcode oneCopyCheck}. */
const ONE_COPY = `
const { getDnsEngine } = require("${config.name}");
const { name } = require("${config.name}/package.json");
import("${config.name}").then(async ({ DnsPoolError }) => {
  const engine = getDnsEngine("postgresql://app@127.0.0.1:1/orders");
  await engine.close();
  const error = await engine.connect().catch((error) => error);
  console.log(name, error.name, error instanceof DnsPoolError);
});`;

/** `import` and `require()` have one DNS cache and the same classes, and errors have names without a main module too. */
function oneCopyCheck({ name, version, program }: Runtime, { app }: Projects): Check {
  return {
    runtime: name,
    version,
    subject: "one copy for import and require(), without a main module",
    async run() {
      const found = (await output(program, ["-e", ONE_COPY], app)).trim();
      const wanted = `${config.name} PoolClosedError true`;
      if (found !== wanted) throw new Error(`It printed "${found}" instead of "${wanted}"`);
      return "";
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
      const help = await output(program, [...args, file, "--help"], app);
      if (!help.includes(`${PROGRAM} resolve`)) throw new Error(`The help is:\n${help}`);
      return "";
    },
  };
}

/** Checks the result of a failover. */
function checkResult(result: Result): string {
  const { switchoverMs, failoverMs, misrouted, failedBefore, failedAfter, workers } = result;
  const text = JSON.stringify(result);
  if (!(switchoverMs < MAX_MOVE_MS && failoverMs < MAX_MOVE_MS)) {
    throw new Error(`It took too long: ${text}`);
  }
  if (misrouted > 0) throw new Error(`Queries went to the old server: ${text}`);
  if (failedBefore > 0) throw new Error(`Queries failed in a planned switchover: ${text}`);
  if (failedAfter > workers) throw new Error(`More queries failed than were running: ${text}`);
  return `${switchoverMs} and ${failoverMs} ms, ${failedAfter} running queries failed`;
}

/** The exports of the sources, one line each. */
const fromSource = Promise.all(
  Object.entries(config.exports).map(async ([path, file]) => {
    const module = await import(new URL(`../../../${file}`, import.meta.url).href);
    return describeExports(module).map((line) => `${config.name}${path.slice(1)} ${line}`);
  }),
).then((lines) => lines.flat());

async function checkExports(output: string): Promise<string> {
  const found = output.trim().split("\n");
  const wanted = await fromSource;
  const missing = wanted.filter((line) => !found.includes(line)).map((line) => `- ${line}`);
  const surplus = found.filter((line) => !wanted.includes(line)).map((line) => `+ ${line}`);
  if (missing.length + surplus.length === 0) return `${found.length} names`;
  throw new Error(
    `The exports differ from those of the sources:\n${[...missing, ...surplus].join("\n")}`,
  );
}

/** The types available beside the package, and the files checked with them. */
const ENVIRONMENTS = {
  "Node's types": {
    options: { lib: ["es2022"], types: ["node"] },
    files: ["exports.ts", "types.ts", "types_adapter.ts"],
  },
  // The adapters need Node's types, as their drivers do.
  "the DOM's types, the core": { options: { types: [] }, files: ["core.ts", "types.ts"] },
};

/** Returns the checks of the types. */
export function typeChecks({ types }: Projects): Check[] {
  const checks: Check[] = [];
  for (const [compiler, range] of Object.entries(TYPESCRIPTS)) {
    for (const resolution of ["nodenext", "bundler"]) {
      for (const [environment, { options, files }] of Object.entries(ENVIRONMENTS)) {
        const all = [...files];
        // TypeScript 5.4 rejects pg's types and `require()` of an ES module.
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

/** Returns the checks of the package itself. */
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

/** Runs a program; resolves with its output, rejects if it fails. */
async function output(program: string, args: readonly string[], cwd: string): Promise<string> {
  const { code, signal, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    cwd,
    stdin: "null",
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).output();
  const text = new TextDecoder();
  if (code === 0) return text.decode(stdout);
  throw new Error(
    `${program} ${args.join(" ")} ended with ${signal ?? code}\n${text.decode(stdout)}${
      text.decode(stderr)
    }`,
  );
}
