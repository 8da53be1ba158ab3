/**
 * `deno task record`: runs the drivers through what happens to real servers, and writes what their clients see to
 * tests/adapters/recorded/ and to docs/reliability.md. `deno task record MariaDB` records the events of that server only, and keeps the others.
 *
 * @module
 */

import { bundleProgram, npmInstall } from "../test/runtimes/bundle.ts";
import { findRuntime } from "../test/runtimes/binaries.ts";
import { deno, ROOT } from "../check/run_deno.ts";
import { PROGRAMS } from "../../lab/postgres_binaries.ts";
import { putTables } from "../../tests/support/recorded.ts";
import type { Recordings } from "./events.ts";
import type { Portrait } from "./portrait.ts";
import { recordAll, type Recorded } from "./recorder.ts";

const DIR = new URL("tests/adapters/recorded/", ROOT);

/** What is kept of one driver. */
interface Fixture {
  readonly driver: string;
  readonly runtime: string;
  /** The errors that the steps have the numbers of. */
  readonly errors: Portrait[];
  /** Steps by server, event and state. */
  readonly seen: Record<string, Record<string, Record<string, string>>>;
}

/** The packages of the drivers, by the name of the file. */
const PACKAGES: Readonly<Record<string, string>> = {
  pg: "pg@^8.23",
  postgresjs: "postgres@^3.4",
  mysql2: "mysql2@^3.24",
  mariadb: "mariadb@^3.5",
};

/** Makes the fixture of one driver, with the recordings of other servers that there were before. */
function fixtureOf(
  driver: string,
  runtime: string,
  recordings: Recordings,
  before: Fixture | undefined,
): Fixture {
  const errors: Portrait[] = [];
  const numberOf = (error: Portrait) => {
    const text = JSON.stringify(error);
    const known = errors.findIndex((other) => JSON.stringify(other) === text);
    return known === -1 ? errors.push(error) - 1 : known;
  };
  const seen: Record<string, Record<string, Record<string, string>>> = {};
  for (const [server, events] of Object.entries(before?.seen ?? {})) {
    for (const [event, states] of Object.entries(events)) {
      for (const [state, steps] of Object.entries(states)) {
        const text = steps.replaceAll(/\d+/g, (number) => `${numberOf(before!.errors[+number]!)}`);
        ((seen[server] ??= {})[event] ??= {})[state] = text;
      }
    }
  }
  for (const [server, events] of Object.entries(recordings)) {
    for (const [event, states] of Object.entries(events)) {
      const texts = Object.entries(states).map(([state, steps]) => [
        state,
        steps.map(({ what, error }) => error ? `${what} ${numberOf(error)}` : what).join(", "),
      ]);
      (seen[server] ??= {})[event] = Object.fromEntries(texts);
    }
  }
  return { driver, runtime, errors, seen };
}

async function versionOf(name: string): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", `npm:${name}`],
  }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout));
  return modules[0].npmPackage.replace(/_.*/, "").replace("@", " ");
}

async function write(recorded: Recorded, runtime: string): Promise<string[]> {
  await Deno.mkdir(DIR, { recursive: true });
  const files: string[] = [];
  for (const [name, recordings] of Object.entries(recorded)) {
    const file = new URL(`${name}.json`, DIR);
    const before = await Deno.readTextFile(file).then(JSON.parse, () => undefined);
    const driver = PACKAGES[name] === undefined ? runtime : await versionOf(PACKAGES[name]!);
    const fixture = fixtureOf(driver, runtime, recordings, before);
    await Deno.writeTextFile(file, `${JSON.stringify(fixture, null, 2)}\n`);
    files.push(file.pathname);
  }
  return files;
}

/** Records with the driver of Bun. */
async function recordOnBun(only: string): Promise<{ recorded: Recorded; version: string }> {
  const { program, version } = await findRuntime("bun@1");
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  try {
    await npmInstall([PROGRAMS], dir);
    await bundleProgram("scripts/record/on_bun.ts", `${dir}/on_bun.js`);
    const { stdout, code } = await new Deno.Command(program, {
      args: [`${dir}/on_bun.js`, only],
      stderr: "inherit",
    }).output();
    if (code !== 0) throw new Error(`Cannot record on Bun: it exited with ${code}`);
    return { recorded: JSON.parse(new TextDecoder().decode(stdout)), version };
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Writes the tables of docs/reliability.md; returns its path. */
async function writeTables(): Promise<string> {
  const page = new URL("docs/reliability.md", ROOT);
  const read = async (name: string) =>
    JSON.parse(await Deno.readTextFile(new URL(`${name}.json`, DIR)));
  const fixtures = [await read("pg"), await read("mysql2")];
  await Deno.writeTextFile(page, putTables(await Deno.readTextFile(page), fixtures));
  return page.pathname;
}

async function main([only = "."]: readonly string[]): Promise<number> {
  const { recorded, failed } = await recordAll(new RegExp(only));
  const files = await write(recorded, `Deno ${Deno.version.deno}`);
  const bun = await recordOnBun(only);
  files.push(...await write(bun.recorded, `Bun ${bun.version}`));
  for (const each of failed) console.error(`Cannot record ${each}`);
  files.push(await writeTables());
  const code = await deno(["fmt", "-q", ...files]);
  return code || (failed.length > 0 ? 1 : 0);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
