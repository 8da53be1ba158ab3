/**
 * What is looked at in the consumers' projects.
 *
 * @module
 */

import config from "../../deno.json" with { type: "json" };
import { DRIVERS, PROGRAM } from "../npm/package.ts";
import type { Runtime } from "../runtimes/binaries.ts";
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

/** The drivers that a failover is gone through with. */
const FAILOVERS: readonly { driver: string; scheme: string; database: Database; title: string }[] =
  [
    { driver: "pg", scheme: "postgresql+pg", database: "postgresql", title: "PostgreSQL" },
    { driver: "mysql2", scheme: "mysql+mysql2", database: "mariadb", title: "MariaDB" },
  ];

/** A way to run a JavaScript file of a project. */
interface Way {
  readonly how: string;
  readonly dir: string;
  readonly ending: "mjs" | "cjs";
  readonly args: readonly string[];
}

function waysOf({ name, args }: Runtime, { app, deno }: Projects): Way[] {
  if (name === "deno") {
    return [
      { how: "npm:", dir: deno, ending: "mjs", args: ["run", "-A"] },
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
  const { name, version, program } = runtime;
  const on = { runtime: name, version };
  const failovers = FAILOVERS.filter(({ driver }) => DRIVERS[driver]!.adapter in config.exports);
  const checks: Check[] = [];
  for (const way of waysOf(runtime, projects)) {
    const { how, dir, ending, args } = way;
    checks.push({
      ...on,
      subject: `every export, ${how}`,
      run: async () => checkExports(await output(program, [...args, `exports.${ending}`], dir)),
    });
    for (const failover of failovers) {
      const subject = `failover of ${failover.title} with ${failover.driver}, ${how}`;
      checks.push({ ...on, subject, run: failoverBy(program, way, failover) });
    }
  }
  if (name === "node@22") {
    for (const failover of failovers) {
      const { range } = DRIVERS[failover.driver]!;
      const way: Way = { how: "import", dir: projects.oldest, ending: "mjs", args: [] };
      const subject = `failover of ${failover.title} with ${failover.driver} ${
        range.slice(1)
      }, import`;
      checks.push({ ...on, subject, run: failoverBy(program, way, failover) });
    }
  }
  if ("./cli" in config.exports && name.startsWith("node")) {
    const file = `${projects.app}/node_modules/.bin/${PROGRAM}`;
    checks.push({
      ...on,
      subject: `${PROGRAM} --help`,
      run: async () => {
        const said = await output(program, [...runtime.args, file, "--help"], projects.app);
        if (!said.includes(`${PROGRAM} resolve`)) throw new Error(`It said:\n${said}`);
        return "";
      },
    });
  }
  return checks;
}

function failoverBy(
  program: string,
  { dir, ending, args }: Way,
  { database, scheme }: { readonly database: Database; readonly scheme: string },
): Check["run"] {
  return async (servers) => {
    const why = missing(database);
    if (why !== undefined) throw new Skipped(why);
    return await servers.with(database, scheme, async (task: Task) => {
      const all = [...args, `failover.${ending}`, JSON.stringify(task)];
      return judge(JSON.parse(await output(program, all, dir)));
    });
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

/** What the source exports, on Deno. */
const fromSource = Promise.all(
  Object.entries(config.exports).map(async ([path, file]) => [
    config.name + path.slice(1),
    describeExports(await import(new URL(`../../${file}`, import.meta.url).href)),
  ]),
).then((entries) => JSON.stringify(Object.fromEntries(entries)));

async function checkExports(said: string): Promise<string> {
  if (said.trim() === await fromSource) return "";
  throw new Error(`The source exports something else:\n${said}\n${await fromSource}`);
}

/** What TypeScript looks at. */
export function typeChecks({ types }: Projects): Check[] {
  const environments = {
    "Node's types": { lib: ["es2022"], types: ["node"] },
    "the DOM's types": { types: [] },
  };
  const checks: Check[] = [];
  for (const [compiler, range] of Object.entries(TYPESCRIPTS)) {
    const old = range.startsWith("~5.4");
    for (const resolution of ["nodenext", "bundler"]) {
      for (const [environment, options] of Object.entries(environments)) {
        const files = ["exports.ts", "types.ts"];
        // pg's own types need a newer TypeScript, and Node's.
        if (!old && options.types.length > 0) files.push("types_pg.ts");
        if (!old && resolution === "nodenext") files.push("exports.cts");
        const module = resolution === "bundler" ? "esnext" : resolution;
        const compilerOptions = {
          strict: true,
          noEmit: true,
          target: "es2022",
          module,
          moduleResolution: resolution,
          ...options,
        };
        const project = `${types}/${compiler}_${resolution}_${options.types.length}.json`;
        checks.push({
          runtime: "typescript",
          version: range,
          subject: `types, ${resolution}, with ${environment}`,
          run: async () => {
            await Deno.writeTextFile(project, JSON.stringify({ compilerOptions, files }));
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
