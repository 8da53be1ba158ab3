/**
 * A temporary directory that does not outlive this process, nor do the servers in it: however the process ends,
 * a SIGKILL included, a small shell that waits for that end stops them and removes the directory.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { statfsSync } from "node:fs";
import {
  chmod,
  chown,
  constants,
  copyFile,
  link,
  mkdir,
  mkdtemp,
  readdir,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import type { Owner } from "./processes.ts";

/** In the directory of a server that runs: its process id and the signal that stops it at once, such as `123 KILL`. */
export const SERVER_FILE = "lab_server";

/** In the directory of a server that is frozen: the ids of its processes. */
export const FROZEN_FILE = "lab_frozen";

/**
 * Reads until its standard input ends, as it does when this process has ended. Then every server with a directory below
 * `$0` gets its signal, and so does a PostgreSQL that one of them runs; frozen ones are thawed for it, and the directory is
 * removed.
 */
const GUARD = `
trap '' HUP INT TERM
while read -r line; do :; done
for file in "$0"/*/${SERVER_FILE}; do
  [ -f "$file" ] && read -r pid signal < "$file" && kill -"$signal" "$pid"
done
for file in "$0"/*/*/postmaster.pid; do
  [ -f "$file" ] && read -r pid < "$file" && [ "$(readlink "/proc/$pid/cwd")" = "\${file%/*}" ] && kill -QUIT "$pid"
done
for file in "$0"/*/${FROZEN_FILE}; do
  [ -f "$file" ] && kill -CONT $(cat "$file")
done
for try in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf "$0"
  [ -e "$0" ] || exit 0
  sleep 0.2
done
`;

/** Bytes that must be free in memory for the directory to be made there: the largest test runs 22 servers at a time. */
const MIN_MEMORY_BYTES = 4 * 2 ** 30;

/** The directory and its guard. */
export class WorkDir {
  /** The path of the directory. */
  readonly path: string;
  readonly #guard: ChildProcess | undefined;

  private constructor(path: string, guard: ChildProcess | undefined) {
    this.path = path;
    this.#guard = guard;
  }

  /** Makes a directory in `parent` that all users can read and enter, but not write to. */
  static async create(parent: string): Promise<WorkDir> {
    const dir = await mkdtemp(path.join(parent, "dnspool-lab-"));
    await chmod(dir, 0o755);
    if (process.platform === "win32") return new WorkDir(dir, undefined);
    const guard = spawn("/bin/sh", ["-c", GUARD, dir], {
      cwd: "/",
      detached: true, // out of reach of a Ctrl-C
      stdio: ["pipe", "ignore", "ignore"],
    });
    await once(guard, "spawn");
    return new WorkDir(dir, guard);
  }

  /** Removes the directory and ends the guard. */
  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    if (!this.#guard || this.#guard.exitCode !== null) return;
    const gone = once(this.#guard, "exit");
    this.#guard.stdin?.end();
    await gone;
  }
}

/**
 * Makes a directory in which `attempt` succeeds. Root's TMPDIR may be closed to others, and a temporary directory may
 * forbid programs: then the next is tried.
 *
 * @returns The result of the attempt.
 * @throws The reason of the first attempt if all failed; nothing is left then.
 */
export async function inWorkDir<T>(
  owner: Owner,
  attempt: (dir: WorkDir) => Promise<T>,
): Promise<T> {
  const problems: unknown[] = [];
  for (const parent of new Set([...memory(), os.tmpdir(), ...owner ? ["/tmp", "/var/tmp"] : []])) {
    const dir = await WorkDir.create(parent);
    try {
      return await attempt(dir);
    } catch (error) {
      problems.push(error);
      await dir.remove();
    }
  }
  throw problems[0];
}

/**
 * Returns Linux's file system in memory, if there is room in it and TMPDIR names no other place. To make, copy and remove
 * a database's thousand files takes a fifth of the time there.
 */
function memory(): string[] {
  const dir = "/dev/shm";
  if (process.env.TMPDIR || process.platform !== "linux") return [];
  try {
    const { bavail, bsize } = statfsSync(dir);
    return bavail * bsize >= MIN_MEMORY_BYTES ? [dir] : [];
  } catch {
    return [];
  }
}

/** Makes a directory that belongs to `owner`. */
export async function makeOwned(
  { owner }: { readonly owner: Owner },
  dir: string,
  mode: number | undefined = 0o700,
): Promise<void> {
  await mkdir(dir, { recursive: true });
  await chmod(dir, mode);
  if (owner) await chown(dir, owner.uid, owner.gid);
}

/** Writes a file that only `owner` can read. */
export async function writeOwned(
  { owner }: { readonly owner: Owner },
  file: string,
  text: string,
): Promise<void> {
  await writeFile(file, text, { mode: 0o600 });
  if (owner) await chown(file, owner.uid, owner.gid);
}

/** Options of {@linkcode copyTree}. */
export interface CopyOptions {
  /** The owner of the copies. */
  owner: Owner;
  /** The mode of every directory made. Default: 0o700. */
  dirMode?: number;
  /** Returns the mode of the copy of a file. Default: the file's own. */
  fileMode?(file: string): number;
  /** Whether a file that has its mode already is linked to, for speed: only if it is not written to. Default: false. */
  link?: boolean;
  /** Returns whether an entry is copied. Default: all are. */
  filter?(entry: string): boolean;
}

/** Copies a directory with everything in it but symbolic links, and gives the copies to `owner`. */
export async function copyTree(from: string, to: string, options: CopyOptions): Promise<void> {
  const { dirMode, filter } = options;
  await makeOwned(options, to, dirMode);
  const entries = await readdir(from, { withFileTypes: true });
  await Promise.all(entries.map(async (entry) => {
    const source = path.join(from, entry.name);
    const target = path.join(to, entry.name);
    if (filter && !filter(source)) return;
    if (entry.isDirectory()) return await copyTree(source, target, options);
    if (!entry.isFile()) return;
    await copyOne(source, target, options);
  }));
}

async function copyOne(source: string, target: string, options: CopyOptions): Promise<void> {
  const mode = options.fileMode?.(source);
  if (options.link && mode !== undefined && ((await stat(source)).mode & mode) === mode) {
    const linked = await link(source, target).then(() => true, () => false); // another file system?
    if (linked) return;
  }
  await copyFile(source, target, constants.COPYFILE_FICLONE);
  if (mode !== undefined) await chmod(target, mode);
  if (options.owner) await chown(target, options.owner.uid, options.owner.gid);
}
