/**
 * The package as npm knows it: the one place where it is described, whichever way it is built.
 *
 * @module
 */

/** The part of deno.json that the package is made from. */
export interface Config {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  /** Subpaths, each with its module: `"./testing": "./testing/mod.ts"`. */
  readonly exports: Readonly<Record<string, string>>;
}

/** Where the built modules stand in the package. */
export const DIST = "dist";

/** The subpath that is the command line; where there is one, the package has a program. */
export const CLI = "./cli";
/** The program's name. */
export const PROGRAM = "dnspool";

/** 20.19 is the first Node whose `require()` takes an ES module (of the 22 line, 22.12). */
const ENGINES = { node: ">=20.19.0" };

/** The drivers, each of the user's choice, and the versions that its adapter is for. */
export const DRIVERS: Readonly<
  Record<string, { readonly range: string; readonly adapter: string }>
> = {
  "mariadb": { range: "^3.4.0", adapter: "./adapters/mariadb" },
  "mysql2": { range: "^3.14.0", adapter: "./adapters/mysql2" },
  "pg": { range: "^8.8.0", adapter: "./adapters/pg" },
  "postgres": { range: "^3.4.0", adapter: "./adapters/postgresjs" },
};

/** What else may be passed in, and is nobody's dependency. */
const COMPANIONS: Readonly<Record<string, { readonly range: string; readonly adapter: string }>> = {
  "@opentelemetry/api": { range: "^1.9.0", adapter: "./otel" },
};

const DESCRIPTION =
  "A database connection pool that follows DNS: after a failover, the next checkout is connected to the new address";

const KEYWORDS = [
  ...["database", "pool", "connection-pool", "dns", "ttl", "failover", "switchover", "aurora"],
  ...["postgresql", "postgres", "pg", "mysql", "mysql2", "mariadb", "deno", "bun", "esm"],
];

/** What stands in the package beside its modules. */
export const DOCUMENTS = ["README.md", "CHANGELOG.md", "LICENSE"];

/** A built module's file, without its ending. */
function stem(module: string): string {
  return `./${DIST}/${module.replace(/^\.\//, "").replace(/\.ts$/, "")}`;
}

/** The file of the command line; `undefined` where there is none. */
export function programOf({ exports }: Config): string | undefined {
  const module = exports[CLI];
  return module && `${stem(module)}.js`;
}

/** Refuses every package that the modules import from npm. */
function checkDependencies(found: Readonly<Record<string, string>>): void {
  const names = Object.keys(found);
  if (names.length === 0) return;
  throw new Error(
    `Cannot make "${names.join('", "')}" a dependency of the package: it has none, and drivers ` +
      "are the user's",
  );
}

/**
 * The package's package.json, without the paths of its modules.
 *
 * @param config What deno.json says.
 * @param dependencies What the modules import from npm, with the versions.
 */
export function describePackage(
  { name, version, license, exports }: Config,
  dependencies: Readonly<Record<string, string>>,
): Record<string, unknown> {
  checkDependencies(dependencies);
  const peers = Object.entries({ ...COMPANIONS, ...DRIVERS })
    .filter(([, { adapter }]) => adapter in exports);
  return {
    name,
    version,
    description: DESCRIPTION,
    keywords: KEYWORDS,
    license,
    type: "module",
    sideEffects: false,
    engines: ENGINES,
    dependencies,
    peerDependencies: Object.fromEntries(peers.map(([name, { range }]) => [name, range])),
    peerDependenciesMeta: Object.fromEntries(peers.map(([name]) => [name, { optional: true }])),
  };
}

/**
 * The whole package.json of a package that was built file by file.
 *
 * @param config What deno.json says.
 * @param dependencies What the modules import from npm, with the versions.
 */
export function packageJson(
  config: Config,
  dependencies: Readonly<Record<string, string>>,
): Record<string, unknown> {
  const exports = Object.entries(config.exports).map(([path, module]) => [path, {
    types: `${stem(module)}.d.ts`,
    default: `${stem(module)}.js`,
  }]);
  const program = programOf(config);
  return {
    ...describePackage(config, dependencies),
    exports: { ...Object.fromEntries(exports), "./package.json": "./package.json" },
    ...(program && { bin: { [PROGRAM]: program } }),
    files: [DIST, ...DOCUMENTS],
  };
}
