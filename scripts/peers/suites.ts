/**
 * The test suites of drivers and ORMs, and how to run them.
 *
 * @module
 */

import { createRequire } from "node:module";
import { dirname } from "node:path";
import { walk } from "./walk.ts";

/** The checkouts that were given. */
export interface Checkouts {
  readonly "node-postgres"?: string;
  readonly mysql2?: string;
  readonly kysely?: string;
  readonly knex?: string;
  readonly postgresjs?: string;
  readonly drizzle?: string;
  readonly mariadb?: string;
}

/** What became of each test: `passed`, `failed` or `skipped`. */
export type Outcomes = Readonly<Record<string, string>>;

/** Runs a part of a suite with additional environment variables. */
type Part = (env: Record<string, string>) => Promise<Outcomes>;

/** A module that the drop-in replaces. */
interface Target {
  readonly file: string;
  readonly kind: "pg" | "pg-pool" | "mysql2" | "mariadb" | "postgresjs";
  /** The file that `import` resolves to, if it is another one. */
  readonly esm?: string;
  /** A directory whose files get the drop-in too, beside the tests. */
  readonly by?: string;
}

/** A suite. */
export interface Suite {
  readonly name: string;
  /** The modules that the drop-in replaces for the tests. */
  readonly targets: readonly Target[];
  /** The kinds of which one at least must have been replaced. */
  readonly replaces: readonly Target["kind"][];
  readonly parts: readonly Part[];
}

/** The servers, and a directory for files. */
export interface Lab {
  readonly postgres: { readonly host: string; readonly port: number };
  readonly mariadb: { readonly host: string; readonly port: number };
  /** A server with TLS and logical replication, for the tests of postgres.js. */
  readonly replicating: { readonly host: string; readonly port: number };
  /** Another server, for the tests of postgres.js with several hosts. */
  readonly second: { readonly host: string; readonly port: number };
  readonly dir: string;
}

const LOGIN = { user: "kysely", password: "kysely", database: "kysely_test" };
/** Milliseconds that one file of tests may take, or one whole suite of Mocha. */
const FILE_LIMIT_MS = 60_000;
const SUITE_LIMIT_MS = 500_000;
/** The files of Drizzle's tests whose driver is replaced. */
const DRIZZLE_FILES = [
  ...[
    "tests/pg/node-postgres",
    "tests/pg/pg-custom",
    "tests/pg/pg-proxy",
    "tests/relational/pg.test",
  ],
  ...["tests/mysql/mysql.test", "tests/mysql/mysql-custom", "tests/mysql/mysql-prefixed"],
  ...["tests/mysql/mysql-proxy", "tests/mysql-returning", "tests/relational/mysql.test"],
  ...["tests/relational/issues-schemas", "js-tests/driver-init/module/node-pg"],
  ...["js-tests/driver-init/module/mysql2", "js-tests/driver-init/commonjs/node-pg"],
  "js-tests/driver-init/commonjs/mysql2",
];

interface Command {
  readonly cwd: string;
  readonly args: readonly string[];
  readonly env: Record<string, string>;
  readonly limitMs: number;
}

async function node({ cwd, args, env, limitMs }: Command): Promise<boolean> {
  const { success } = await new Deno.Command("node", {
    cwd,
    args: [...args],
    env: { ...env, NODE_NO_WARNINGS: "1" },
    stdin: "null",
    stdout: "null",
    stderr: Deno.env.get("DNSPOOL_SHOW") ? "inherit" : "null",
    signal: AbortSignal.timeout(limitMs),
  }).output();
  return success;
}

/** Finds a file of a package as Node does from a directory. */
function resolve(file: string, from: string): string {
  return createRequire(`${from}/package.json`).resolve(file);
}

/** Returns the file that `import` of pg resolves to. */
function esmOf(pg: string): string {
  return pg.replace("lib/index.js", "esm/index.mjs");
}

/** A suite of Mocha. */
function mocha(
  { cwd, args, env, dir }: Omit<Command, "limitMs"> & { readonly dir: string },
): Part {
  return async (preload) => {
    const file = await Deno.makeTempFile({ dir, suffix: ".json" });
    const reporter = ["--reporter", "json", "--reporter-option", `output=${file}`];
    await node({
      cwd,
      args: [resolve("mocha/bin/mocha.js", cwd), "--exit", ...reporter, ...args],
      env: { ...env, ...preload },
      limitMs: SUITE_LIMIT_MS,
    });
    const text = await Deno.readTextFile(file);
    if (text === "") return { "(the whole suite)": "failed" };
    const { passes, failures, pending } = JSON.parse(text) as Record<
      string,
      { fullTitle: string }[]
    >;
    const outcomes = { passed: passes!, failed: failures!, skipped: pending! };
    return Object.fromEntries(
      Object.entries(outcomes).flatMap(([outcome, tests]) =>
        tests.map(({ fullTitle }) => [fullTitle, outcome])
      ),
    );
  };
}

/** The configuration of Vitest for Drizzle's tests. */
function drizzleConfig(cwd: string): string {
  // MariaDB obeys what MySQL ignores: REFERENCES beside a column, here with a column of another type.
  return `import base from ${JSON.stringify(`${cwd}/vitest.config.ts`)};
    const references = /\\b((?:big)?int(?: not null)?) references \\S+?\\(\\S+?\\)(?: on delete cascade)?/gi;
    const transform = (code, id) => id.includes("mysql") ? code.replace(references, "$1") : code;
    export default { ...base, plugins: [...base.plugins, { name: "mariadb", transform }] };`;
}

/**
 * The configuration of Vitest for mariadb's tests, which import the driver's own files: with the preload, what the tests
 * get instead takes the place of these.
 */
function mariadbConfig(cwd: string, dir: string): string {
  const aliases = ["promise", "callback"].map((name) => {
    const file = `${dir}/mariadb_${name}.mjs`;
    const original = JSON.stringify(`${cwd}/${name}.js`);
    Deno.writeTextFileSync(
      file,
      `import * as original from ${original};
      import errors from ${JSON.stringify(`${cwd}/lib/misc/errors.js`)};
      const make = globalThis[Symbol.for("dnspool.peers.mariadb")];
      // What Vite makes of the module has no class where the module exports one.
      const made = make ? make({ ...original, SqlError: errors.default ?? errors }) : original;
      export * from ${original};
      export const { createPool } = made;
      export default { ...original.default, createPool };`,
    );
    return `{ find: /^(\\.\\.\\/)+${name}\\.js$/, replacement: ${JSON.stringify(file)} }`;
  });
  return `export default { resolve: { alias: [${aliases.join(", ")}] } };`;
}

/** Tests that run by Vitest. */
function vitest(
  { cwd, args, env, dir, config: text }: Omit<Command, "limitMs"> & {
    readonly dir: string;
    readonly config: string;
  },
): Part {
  const config = `${Deno.makeTempDirSync({ dir })}/vitest.config.mjs`;
  Deno.writeTextFileSync(config, text);
  return async (preload) => {
    const file = await Deno.makeTempFile({ dir, suffix: ".json" });
    await node({
      cwd,
      args: [
        `${cwd}/node_modules/vitest/vitest.mjs`,
        ...["run", "--config", config, "--root", cwd, "--reporter=json", `--outputFile=${file}`],
        ...args,
      ],
      env: { ...env, ...preload },
      limitMs: SUITE_LIMIT_MS,
    });
    const text = await Deno.readTextFile(file);
    if (text === "") return { "(the whole suite)": "failed" };
    const { testResults } = JSON.parse(text) as {
      testResults: {
        name: string;
        assertionResults: { fullName: string; status: string }[];
      }[];
    };
    return Object.fromEntries(
      testResults.flatMap(({ name, assertionResults }) =>
        assertionResults.map(({ fullName, status }) => [
          `${name.slice(cwd.length + 1)}: ${fullName}`,
          status === "pending" ? "skipped" : status,
        ])
      ),
    );
  };
}

/** A file of tests that is a program of its own. */
function program(
  name: string,
  { cwd, args, env }: Omit<Command, "limitMs">,
): Part {
  return async (preload) => {
    const passed = await node({
      cwd,
      args,
      env: { ...env, ...preload },
      limitMs: FILE_LIMIT_MS,
    });
    return { [name]: passed ? "passed" : "failed" };
  };
}

/** The tests of postgres.js, in a copy: their own harness ends at the first failure, and they name the ports. */
function postgresjsTests(checkout: string, { replicating, second, dir }: Lab): Part {
  const copy = `${dir}/postgresjs`;
  Deno.mkdirSync(`${copy}/tests`, { recursive: true });
  for (const { name } of Deno.readDirSync(`${checkout}/tests`)) {
    const text = Deno.readTextFileSync(`${checkout}/tests/${name}`);
    Deno.writeTextFileSync(
      `${copy}/tests/${name}`,
      text.replace(/\b5432\b/g, String(replicating.port)).replace(/\b5433\b/g, String(second.port)),
    );
  }
  Deno.copyFileSync(
    new URL("postgresjs_harness.mjs", import.meta.url),
    `${copy}/tests/test.js`,
  );
  Deno.symlinkSync(`${checkout}/src`, `${copy}/src`);
  Deno.writeTextFileSync(`${copy}/package.json`, '{"type":"module"}');
  return async (preload) => {
    const file = await Deno.makeTempFile({ dir, suffix: ".json" });
    await node({
      cwd: copy,
      args: ["tests/index.js"],
      env: {
        PGHOST: "localhost",
        PGPORT: String(replicating.port),
        PGUSER: "postgres",
        PGDATABASE: "postgres",
        DNSPOOL_OUTCOMES: file,
        ...preload,
      },
      limitMs: SUITE_LIMIT_MS,
    });
    const text = await Deno.readTextFile(file);
    return text === "" ? { "(the whole suite)": "failed" } : JSON.parse(text);
  };
}

/** Writes a file of tests for Kysely's suite that gives its settings the ports of the servers, before other files are read. */
function kyselyPorts(kysely: string, { postgres, mariadb, dir }: Lab): string {
  const file = `${dir}/kysely_ports.mjs`;
  Deno.writeTextFileSync(
    file,
    `import { DIALECT_CONFIGS } from ${JSON.stringify(`${kysely}/test/node/dist/test-setup.js`)};
    DIALECT_CONFIGS.postgres.port = ${postgres.port};
    DIALECT_CONFIGS.mysql.port = ${mariadb.port};`,
  );
  return file;
}

/** Returns the suites of the checkouts. */
export function suitesOf(checkouts: Checkouts, lab: Lab): Suite[] {
  const suites: Suite[] = [];
  const { postgres, mariadb, dir } = lab;
  const pgEnv = {
    PGHOST: "localhost",
    PGPORT: String(postgres.port),
    PGUSER: LOGIN.user,
    PGPASSWORD: LOGIN.password,
    PGDATABASE: LOGIN.database,
  };
  const {
    "node-postgres": nodePostgres,
    mysql2,
    kysely,
    knex,
    postgresjs,
    drizzle,
    mariadb: connector,
  } = checkouts;
  if (nodePostgres) {
    const pool = `${nodePostgres}/packages/pg-pool`;
    suites.push({
      name: "pg-pool",
      replaces: ["pg-pool"],
      targets: [
        { kind: "pg-pool", file: `${pool}/index.js` },
        { kind: "pg", file: resolve("pg", pool) },
      ],
      parts: [mocha({ cwd: pool, args: ["test/*.js"], env: pgEnv, dir })],
    });
    const pg = `${nodePostgres}/packages/pg`;
    const files = [...walk(`${pg}/test/integration`, /-tests\.js$/)];
    suites.push({
      name: "pg (integration)",
      replaces: ["pg"],
      targets: [{ kind: "pg", file: `${pg}/lib/index.js` }],
      parts: files.map((file) =>
        program(file.slice(pg.length + 1), { cwd: pg, args: [file], env: pgEnv })
      ),
    });
  }
  if (mysql2) {
    const files = [...walk(`${mysql2}/test/integration`, /pool.*\.test\.mts$/)];
    suites.push({
      name: "mysql2 (pools)",
      replaces: ["mysql2"],
      targets: ["index.js", "promise.js"].map((file) => ({
        kind: "mysql2" as const,
        file: `${mysql2}/${file}`,
      })),
      parts: files.map((file) =>
        program(file.slice(mysql2.length + 1), {
          cwd: mysql2,
          args: ["--import", "tsx", file],
          env: {
            CI: "1",
            MYSQL_HOST: "localhost",
            MYSQL_PORT: String(mariadb.port),
            MYSQL_USER: LOGIN.user,
            MYSQL_PASSWORD: LOGIN.password,
            MYSQL_DATABASE: LOGIN.database,
          },
        })
      ),
    });
  }
  if (kysely) {
    const ports = kyselyPorts(kysely, lab);
    suites.push(...(["postgres", "mysql"] as const).map((dialect): Suite => ({
      name: `kysely (${dialect})`,
      replaces: [dialect === "mysql" ? "mysql2" : "pg"],
      targets: [
        {
          kind: "pg",
          file: resolve("pg", kysely),
          esm: esmOf(resolve("pg", kysely)),
        },
        { kind: "mysql2", file: resolve("mysql2", kysely) },
      ],
      parts: [mocha({
        cwd: kysely,
        args: ["--timeout", "15000", "--file", ports, "test/node/dist/**/*.test.js"],
        env: { DIALECTS: dialect },
        dir,
      })],
    })));
  }
  if (connector) {
    suites.push({
      name: "mariadb (pools)",
      replaces: ["mariadb"],
      targets: [],
      parts: [vitest({
        cwd: connector,
        args: [
          "--no-file-parallelism",
          ...["pool", "pool-event", "pool-callback", "pool-callback-event"].map((name) =>
            `test/integration/${name}.test.js`
          ),
        ],
        config: mariadbConfig(connector, dir),
        env: {
          TEST_DB_HOST: "localhost",
          TEST_DB_PORT: String(mariadb.port),
          TEST_DB_USER: LOGIN.user,
          TEST_DB_PASSWORD: LOGIN.password,
          TEST_DB_DATABASE: LOGIN.database,
        },
        dir,
      })],
    });
  }
  if (knex) {
    const by = `${knex}/lib/dialects/`;
    const config = `${dir}/knex.json`;
    const connection = (port: number) => ({ ...LOGIN, host: "localhost", port });
    Deno.writeTextFileSync(
      config,
      JSON.stringify({
        postgres: connection(postgres.port),
        mysql: { ...connection(mariadb.port), charset: "utf8" },
      }),
    );
    suites.push(...(["postgres", "mysql2"] as const).map((db): Suite => ({
      name: `knex (${db})`,
      replaces: [db === "postgres" ? "pg" : db],
      targets: [
        { kind: "pg", file: resolve("pg", knex), by },
        { kind: "mysql2", file: resolve("mysql2", knex), by },
      ],
      parts: [mocha({
        cwd: knex,
        args: ["--timeout", "10000", "--config", "test/mocha-integration-config-test.js"],
        env: { DB: db, KNEX_TEST: config },
        dir,
      })],
    })));
  }
  if (postgresjs) {
    suites.push({
      name: "postgres.js",
      replaces: ["postgresjs"],
      targets: [{
        kind: "postgresjs",
        file: `${postgresjs}/cjs/src/index.js`,
        esm: `${postgresjs}/src/index.js`,
      }],
      parts: [postgresjsTests(postgresjs, lab)],
    });
  }
  if (drizzle) {
    const cwd = `${drizzle}/integration-tests`;
    const url = (protocol: string, { host, port }: Lab["postgres"]) =>
      `${protocol}://${LOGIN.user}:${LOGIN.password}@${host}:${port}/${LOGIN.database}`;
    // What tests and Drizzle import is loaded by Vite.
    const by = dirname(createRequire(resolve("vitest", cwd)).resolve("vite-node/client"));
    suites.push({
      name: "drizzle (node-postgres, mysql2)",
      replaces: ["pg", "mysql2"],
      targets: [cwd, `${drizzle}/drizzle-orm`].flatMap((from): Target[] => [
        { kind: "pg", by, file: resolve("pg", from), esm: esmOf(resolve("pg", from)) },
        { kind: "mysql2", by, file: resolve("mysql2", from) },
        { kind: "mysql2", by, file: resolve("mysql2/promise", from) },
      ]),
      parts: [vitest({
        cwd,
        args: DRIZZLE_FILES,
        config: drizzleConfig(cwd),
        env: {
          PG_CONNECTION_STRING: url("postgres", postgres),
          MYSQL_CONNECTION_STRING: url("mysql", mariadb),
        },
        dir,
      })],
    });
  }
  return suites;
}
