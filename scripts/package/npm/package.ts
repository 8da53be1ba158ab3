/**
 * The description of the npm package, shared by both ways to build it.
 *
 * @module
 */

import { NPM_DOCUMENTS, REPOSITORY } from "../documents.ts";

/** The part of deno.json that describes the package. */
export interface Config {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  /** Subpaths, each with its module: `"./testing": "./testing/mod.ts"`. */
  readonly exports: Readonly<Record<string, string>>;
}

/** The directory of the built modules in the package. */
export const DIST = "dist";

/** The subpath of the command line; if it is exported, the package has a program. */
export const CLI = "./cli";
/** The program's name. */
export const PROGRAM = "dnspool";
/** The module of the command line, without the part that is the program on Deno: dnt substitutes its `import.meta`. */
const CLI_MODULE = "./cli/process.ts";
/** The program's module. It asks no runtime whether it is the program: npm links to it, and Node 20 cannot tell. */
const PROGRAM_MODULE = "./cli/program.ts";

/** 20.19 is the first Node whose `require()` loads ES modules (of the 22 line, 22.12). */
const ENGINES = { node: ">=20.19.0" };

/** A package that the user installs, or not. */
interface Peer {
  readonly range: string;
  /** The subpath that needs it. */
  readonly adapter: string;
}

/** The drivers, and the versions that their adapters support. */
export const DRIVERS: Readonly<Record<string, Peer>> = {
  "mariadb": { range: "^3.4.0", adapter: "./adapters/mariadb" },
  "mysql2": { range: "^3.14.0", adapter: "./adapters/mysql2" },
  "pg": { range: "^8.8.0", adapter: "./adapters/pg" },
  "postgres": { range: "^3.4.0", adapter: "./adapters/postgresjs" },
};

/** Other packages that a user may pass in. */
const COMPANIONS: Readonly<Record<string, Peer>> = {
  "@opentelemetry/api": { range: "^1.9.0", adapter: "./otel" },
};

const DESCRIPTION =
  "A database connection pool that follows DNS: after a failover, the next checkout is connected to the new address";

const KEYWORDS = [
  ...["database", "pool", "connection-pool", "dns", "ttl", "failover", "switchover", "aurora"],
  ...["postgresql", "postgres", "pg", "mysql", "mysql2", "mariadb", "deno", "bun", "esm"],
];

/** Returns the path of a built module in the package, without its ending. */
export function stem(module: string): string {
  return `./${DIST}/${module.replace(/^\.\//, "").replace(/\.ts$/, "")}`;
}

/** Returns the module of the program; `undefined` if there is none. */
export function programOf({ exports }: Config): string | undefined {
  return CLI in exports ? PROGRAM_MODULE : undefined;
}

/** Returns the exports of the npm package: subpaths, each with its module. */
export function exportsOf({ exports }: Config): Record<string, string> {
  return { ...exports, ...CLI in exports && { [CLI]: CLI_MODULE } };
}

/** Returns the modules that users load: those of the exports, and the program. */
export function entriesOf(config: Config): string[] {
  const program = programOf(config);
  return [...Object.values(exportsOf(config)), ...program === undefined ? [] : [program]];
}

/**
 * Returns the package's package.json without the paths of its modules.
 *
 * @param config The content of deno.json.
 */
export function describePackage(
  { name, version, license, exports }: Config,
): Record<string, unknown> {
  const peers = Object.entries({ ...COMPANIONS, ...DRIVERS })
    .filter(([, { adapter }]) => adapter in exports);
  return {
    name,
    version,
    description: DESCRIPTION,
    keywords: KEYWORDS,
    license,
    homepage: `https://github.com/${REPOSITORY}#readme`,
    repository: { type: "git", url: `git+https://github.com/${REPOSITORY}.git` },
    bugs: `https://github.com/${REPOSITORY}/issues`,
    publishConfig: { access: "public" },
    type: "module",
    sideEffects: false,
    engines: ENGINES,
    dependencies: {},
    peerDependencies: Object.fromEntries(peers.map(([name, { range }]) => [name, range])),
    peerDependenciesMeta: Object.fromEntries(peers.map(([name]) => [name, { optional: true }])),
  };
}

/**
 * Returns the package's whole package.json.
 *
 * @param config The content of deno.json.
 */
export function packageJson(
  config: Config,
): Record<string, unknown> & { readonly bin?: Readonly<Record<string, string>> } {
  const exports = Object.entries(exportsOf(config)).map(([path, module]) => [path, {
    types: `${stem(module)}.d.ts`,
    default: `${stem(module)}.js`,
  }]);
  const program = programOf(config);
  return {
    ...describePackage(config),
    exports: { ...Object.fromEntries(exports), "./package.json": "./package.json" },
    ...(program && { bin: { [PROGRAM]: `${stem(program)}.js` } }),
    files: [DIST, ...NPM_DOCUMENTS],
  };
}
