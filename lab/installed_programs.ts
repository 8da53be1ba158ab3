/**
 * Programs that are installed on the machine, as with `apt-get install`, or are not.
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

/** The programs of one package. */
export interface InstalledOptions<Name extends string> {
  /** The product that they belong to, for messages. */
  what: string;
  /** Their names; the first is the server. */
  names: readonly [Name, ...Name[]];
  /** Directories that are searched first. Default: none. */
  places?: readonly string[];
  /** The Debian package that contains them. */
  debian: string;
  /** The users that root runs the server as: the first that exists. */
  users: readonly string[];
  /** The arguments with which the server prints its version. */
  version: readonly string[];
}

/** Access to the programs. */
export interface Installed<Name extends string> {
  /** The Debian package that contains them. */
  readonly debian: string;
  /** Returns the paths; `undefined` if one is missing, and on Windows: the lab is made for Unix. */
  find(): Readonly<Record<Name, string>> | undefined;
  /**
   * Finds them and makes a directory, once for all who hold them at the same time.
   *
   * @throws {Error} if there are none on this machine, or they cannot run.
   */
  prepare(waiting?: Waiting): Promise<Programs<Name>>;
}

/** Returns access to programs that are searched for in PATH, and where packages put them. */
export function installedPrograms<Name extends string>(
  options: InstalledOptions<Name>,
): Installed<Name> {
  const find = () => findAll(options.names, options.places);
  return { debian: options.debian, find, prepare: sharedPrograms(() => prepare(options, find())) };
}

function findAll<Name extends string>(
  names: readonly Name[],
  places: readonly string[] = [],
): Readonly<Record<Name, string>> | undefined {
  if (process.platform === "win32") return undefined;
  const inPath = (process.env.PATH ?? "").split(path.delimiter).filter(path.isAbsolute);
  const found = names.map((name) =>
    [...places, ...inPath, ...PLACES].map((dir) => path.join(dir, name)).find((file) =>
      existsSync(file)
    )
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
      `Cannot find ${what} on this machine: it needs ${list}, from "apt-get install ${debian}"`,
    );
  }
  const owner = ordinaryUser(users);
  try {
    return await inWorkDir(owner, async (dir) => {
      const output = await run(paths[names[0]], [...args], { cwd: dir.path, owner });
      const version = /\d+(\.\d+)+/.exec(output)?.[0] ?? output.trim();
      return { dir, owner, version, program: (name) => paths[name] };
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`Cannot run ${what} on this machine: ${reason}`, { cause: error });
  }
}
