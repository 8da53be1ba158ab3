/**
 * Programs that the machine has, or has not: installed by whoever runs the lab, as with `apt-get install`.
 *
 * @module
 */

import { existsSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { ordinaryUser, run } from "./processes.ts";
import { type Prepared, type Programs, sharedPrograms, type Waiting } from "./programs.ts";
import { inWorkDir } from "./work_dir.ts";

/** Directories that packages put servers in, besides those of PATH. */
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

/** Which programs. */
export interface InstalledOptions<Name extends string> {
  /** What they belong to, for messages. */
  what: string;
  /** Their names; the first is the server. */
  names: readonly [Name, ...Name[]];
  /** The Debian package that has them. */
  debian: string;
  /** As whom root runs the server, if there is such a user. */
  users: readonly string[];
  /** How the server is asked for its version. */
  version: readonly string[];
}

/** How to find them, and how to hold them. */
export interface Installed<Name extends string> {
  /** The paths, or `undefined` where one is missing, and on Windows: the lab's ways are those of Unix. */
  find(): Readonly<Record<Name, string>> | undefined;
  /**
   * Finds them and makes a directory, once for all who hold them at the same time.
   *
   * @throws {Error} when there are none on this machine, or they cannot run.
   */
  prepare(waiting?: Waiting): Promise<Programs<Name>>;
}

/** Programs that are looked for in PATH, and where packages put them. */
export function installedPrograms<Name extends string>(
  options: InstalledOptions<Name>,
): Installed<Name> {
  const find = () => findAll(options.names);
  return { find, prepare: sharedPrograms(() => prepare(options, find())) };
}

function findAll<Name extends string>(
  names: readonly Name[],
): Readonly<Record<Name, string>> | undefined {
  if (process.platform === "win32") return undefined;
  const inPath = (process.env.PATH ?? "").split(path.delimiter).filter(path.isAbsolute);
  const found = names.map((name) =>
    [...inPath, ...PLACES].map((dir) => path.join(dir, name)).find((file) => existsSync(file))
  );
  if (found.includes(undefined)) return undefined;
  return Object.fromEntries(names.map((name, i) => [name, found[i]])) as Record<Name, string>;
}

async function prepare<Name extends string>(
  { what, names, debian, users, version: args }: InstalledOptions<Name>,
  paths: Readonly<Record<Name, string>> | undefined,
): Promise<Prepared<Name>> {
  if (!paths) {
    const list = names.map((name) => `"${name}"`).join(" and ");
    throw new Error(
      `Cannot find ${what} on this machine: it needs ${list}, as of "apt-get install ${debian}"`,
    );
  }
  const owner = ordinaryUser(users);
  try {
    return await inWorkDir(owner, async (dir) => {
      const said = await run(paths[names[0]], [...args], { cwd: dir.path, owner });
      const version = /\d+(\.\d+)+/.exec(said)?.[0] ?? said.trim();
      return { dir, owner, version, program: (name) => paths[name] };
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`Cannot run ${what} on this machine: ${reason}`, { cause: error });
  }
}
