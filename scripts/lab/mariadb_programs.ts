/**
 * The MariaDB programs, as the machine has them: `apt-get install mariadb-server`, for instance.
 *
 * @module
 */

import { findProgram, ordinaryUser, run } from "./processes.ts";
import { type Prepared, type Programs, sharedPrograms, type Waiting } from "./programs.ts";
import { inWorkDir } from "./work_dir.ts";

/** The programs and the directory for all that the lab makes with them. */
export type MariadbPrograms = Programs<ProgramName>;

type ProgramName = "mariadbd" | "mariadb-install-db";

/** Where packages put them, besides the directories of PATH. */
const PLACES = [
  "/usr/sbin",
  "/usr/bin",
  "/usr/libexec",
  "/usr/local/sbin",
  "/usr/local/bin",
  "/usr/local/mysql/bin",
  "/usr/local/mysql/scripts",
  "/opt/homebrew/bin",
];

/** The paths of the programs, or `undefined` where one is missing (or on Windows, where they work otherwise). */
export function findMariadb(): Readonly<Record<ProgramName, string>> | undefined {
  const server = findProgram("mariadbd", PLACES);
  const install = findProgram("mariadb-install-db", PLACES);
  return server && install ? { mariadbd: server, "mariadb-install-db": install } : undefined;
}

/**
 * Finds the programs and makes the directory, once for all who hold them at the same time.
 *
 * @throws {Error} when there are none on this machine, or they cannot run.
 */
export const prepareMariadb: (waiting?: Waiting) => Promise<MariadbPrograms> = sharedPrograms(
  prepare,
);

async function prepare(): Promise<Prepared<ProgramName>> {
  const paths = findMariadb();
  if (!paths) {
    throw new Error(
      'Cannot find MariaDB on this machine: it needs the programs "mariadbd" and "mariadb-install-db", as of "apt-get install mariadb-server"',
    );
  }
  const owner = ordinaryUser(["mysql", "_mysql"]); // it refuses root
  try {
    return await inWorkDir(owner, async (dir) => {
      const said = await run(paths.mariadbd, ["--no-defaults", "--version"], {
        cwd: dir.path,
        owner,
      });
      const version = /\d+(\.\d+)+/.exec(said)?.[0] ?? said.trim();
      return { dir, owner, version, program: (name) => paths[name] };
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`Cannot run MariaDB on this machine: ${reason}`, { cause: error });
  }
}
