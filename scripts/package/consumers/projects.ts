/**
 * Empty projects that install the package from its tarball.
 *
 * @module
 */

import ts from "npm:typescript@6.0.3";
import config from "../../../deno.json" with { type: "json" };
import { ROOT } from "../../check/run_deno.ts";
import { DRIVERS } from "../npm/package.ts";
import { npmInstall } from "../../test/runtimes/bundle.ts";

/** The directories of the projects. */
export interface Projects {
  readonly tarball: string;
  /** The project with the newest drivers. */
  readonly app: string;
  /** The project with the oldest drivers that the package supports. */
  readonly oldest: string;
  /** The Deno project, which imports the package as `npm:`. */
  readonly deno: string;
  /** The project with the compilers; see {@linkcode TYPESCRIPTS}. */
  readonly types: string;
}

/** The versions of TypeScript, by the names of their packages. */
export const TYPESCRIPTS = {
  "ts-5.4": "~5.4.5",
  "ts-5.9": "~5.9.3",
  "ts-latest": "latest",
} as const;

/** The types of the oldest supported Node; TypeScript 5.4 cannot read newer ones. */
const NODE_TYPES = "@types/node@^20";

/** The drivers whose adapters are exported. */
const drivers = Object.entries(DRIVERS).filter(([, { adapter }]) => adapter in config.exports);

/** Makes all projects below a directory, each with the package of a tarball. */
export async function makeProjects(dir: string, tarball: string): Promise<Projects> {
  const projects: Projects = {
    tarball,
    app: `${dir}/app`,
    oldest: `${dir}/oldest`,
    deno: `${dir}/deno`,
    types: `${dir}/types`,
  };
  for (const path of [projects.app, projects.oldest, projects.deno, projects.types]) {
    await Deno.mkdir(path);
  }
  await Promise.all([
    makeApp(projects.app, [tarball, ...drivers.map(([name, { range }]) => `${name}@${range}`)]),
    makeApp(projects.oldest, [
      tarball,
      ...drivers.map(([name, { range }]) => `${name}@${range.replace(/^\^/, "")}`),
    ]),
    makeTypes(projects.types, tarball),
  ]);
  await makeDeno(projects);
  return projects;
}

async function makeApp(dir: string, packages: readonly string[]): Promise<void> {
  await write(dir, "package.json", JSON.stringify({ private: true, type: "module" }));
  await npmInstall(packages, dir);
  const failover = await Deno.readTextFile(new URL("scripts/package/consumers/failover.ts", ROOT));
  const names = JSON.stringify(Object.keys(config.exports).map(nameOf));
  const load = (how: string) =>
    `${describeExports}\n(async () => { for (const name of ${names}) ` +
    `for (const line of describeExports(${how})) console.log(name, line); })();\n`;
  await write(dir, "failover.mjs", translate(failover, ts.ModuleKind.ESNext));
  await write(dir, "failover.cjs", translate(failover, ts.ModuleKind.CommonJS));
  await write(dir, "exports.mjs", load("await import(name)"));
  await write(dir, "exports.cjs", load("require(name)"));
}

/** Describes the exports of a module: name, type, and the name of the function or class. Also part of the programs. */
export function describeExports(module: Record<string, unknown>): string[] {
  return Object.entries(module)
    // `require()` adds these.
    .filter(([key]) => !["default", "__esModule", "module.exports"].includes(key))
    .map(([key, value]) =>
      `${key}: ${typeof value} ${typeof value === "function" ? value.name : ""}`
    )
    .sort();
}

function translate(text: string, module: ts.ModuleKind): string {
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module, esModuleInterop: true };
  return ts.transpileModule(text, { compilerOptions }).outputText;
}

/** Makes the Deno project. An unpublished package can be imported as `npm:` if it is linked. */
async function makeDeno({ deno, app }: Projects): Promise<void> {
  const own = Object.keys(config.exports).map((path) => [
    nameOf(path),
    `npm:${config.name}@${config.version}${path.slice(1)}`,
  ]);
  const others = drivers.map(([name, { range }]) => [name, `npm:${name}@${range}`]);
  await write(
    deno,
    "deno.json",
    JSON.stringify({
      links: [`../app/node_modules/${config.name}`],
      nodeModulesDir: "auto",
      imports: Object.fromEntries([...own, ...others]),
    }),
  );
  for (const name of ["failover.mjs", "exports.mjs"]) {
    await Deno.copyFile(`${app}/${name}`, `${deno}/${name}`);
  }
}

async function makeTypes(dir: string, tarball: string): Promise<void> {
  await write(dir, "package.json", JSON.stringify({ private: true, type: "module" }));
  const compilers = Object.entries(TYPESCRIPTS).map(([name, range]) =>
    `${name}@npm:typescript@${range}`
  );
  await npmInstall([tarball, ...compilers, NODE_TYPES, "pg@^8", "@types/pg@^8"], dir);
  const all = Object.keys(config.exports);
  await write(dir, "exports.ts", importAll(all, (name) => `* as ${name} from`));
  await write(dir, "exports.cts", importAll(all, (name) => `${name} = require`));
  const core = all.filter((path) => !/^\.\/(adapters|drop_in)\//.test(path));
  await write(dir, "core.ts", importAll(core, (name) => `* as ${name} from`));
  for (const name of ["types.ts", "types_adapter.ts", "types_pg.ts"]) {
    const text = await Deno.readTextFile(new URL(`scripts/package/consumers/${name}`, ROOT));
    await write(dir, name, text.replace(/"npm:(\w+)@[^"]*";/g, '"$1";'));
  }
}

function importAll(paths: readonly string[], how: (name: string) => string): string {
  const imports = paths.map((path, index) => {
    const specifier = `"${nameOf(path)}"`;
    const start = how(`m${index}`);
    return `import ${start}${start.endsWith("require") ? `(${specifier})` : ` ${specifier}`};`;
  });
  return `${imports.join("\n")}\nexport { ${paths.map((_, index) => `m${index}`).join(", ")} };\n`;
}

function nameOf(path: string): string {
  return config.name + path.slice(1);
}

async function write(dir: string, name: string, text: string): Promise<void> {
  await Deno.writeTextFile(`${dir}/${name}`, text);
}
