/**
 * A directory that the processes of one run share: programs are unpacked and databases are initialized in it once, and
 * no port and no pair of addresses is given twice. {@linkcode shareLab} makes it; without it each process keeps to itself.
 *
 * @module
 */

import { chmod, mkdir, open, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { ordinaryUser, pause, run } from "./processes.ts";
import { inWorkDir } from "./work_dir.ts";

/** The environment variable that names the directory. */
const VARIABLE = "DNSPOOL_LAB";

/** Age in milliseconds at which a lock is taken over: the process that held it is gone, or hangs. */
const LOCK_LIMIT_MS = 60_000;

/** The directory of this run, while there is one. */
export interface SharedLab extends AsyncDisposable {
  /** The environment variables with which child processes find the directory. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Makes the directory. It is removed when the result is disposed of, or when this process ends in any other way: the
 * children must have ended by then.
 */
export async function shareLab(): Promise<SharedLab> {
  const owner = ordinaryUser([]);
  const dir = await inWorkDir(owner, async (dir) => {
    // Programs are to be run in it.
    const script = path.join(dir.path, "can_run");
    await writeFile(script, "#!/bin/sh\n");
    await chmod(script, 0o755);
    if (process.platform !== "win32") await run(script, [], { cwd: dir.path, owner });
    return dir;
  });
  return { env: { [VARIABLE]: dir.path }, [Symbol.asyncDispose]: () => dir.remove() };
}

/** Returns the path of `name` in the shared directory; `undefined` if this process shares none. */
export function sharedPath(name: string): string | undefined {
  const dir = process.env[VARIABLE];
  return dir ? path.join(dir, name) : undefined;
}

/**
 * Makes a directory or a file unless it exists. Of several processes that ask at the same time one makes it, and the
 * others wait.
 *
 * @param target Its path.
 * @param make Makes it under the path that it is given; it is moved to `target` afterwards.
 */
export async function makeOnce(
  target: string,
  make: (path: string) => Promise<void>,
): Promise<void> {
  const lock = `${target}.lock`;
  while (!await ageMs(target)) {
    if (!await lockFile(lock)) {
      if ((await ageMs(lock) ?? 0) > LOCK_LIMIT_MS) await rm(lock, { force: true });
      await pause(20);
      continue;
    }
    try {
      if (await ageMs(target)) return;
      const unfinished = `${target}.new`;
      await rm(unfinished, { recursive: true, force: true });
      await make(unfinished);
      await rename(unfinished, target);
    } finally {
      await rm(lock, { force: true });
    }
  }
}

/**
 * Reserves something for the rest of this run, such as a port.
 *
 * @param kind The kind of thing, as the name of a folder.
 * @param name The name of the thing, as that of a file.
 * @returns Whether it was not reserved before; `undefined` if this process shares no directory.
 */
export async function reserve(kind: string, name: string | number): Promise<boolean | undefined> {
  const folder = sharedPath(kind);
  if (folder === undefined) return undefined;
  await mkdir(folder, { recursive: true });
  return await lockFile(path.join(folder, String(name)));
}

/** Creates a file; false if it exists. */
async function lockFile(file: string): Promise<boolean> {
  try {
    await (await open(file, "wx")).close();
    return true;
  } catch (error) {
    if ((error as { code?: string }).code !== "EEXIST") throw error;
    return false;
  }
}

/** How long ago a file was made, in milliseconds, at least 1; `undefined` if there is none. */
async function ageMs(file: string): Promise<number | undefined> {
  try {
    return Math.max(1, Date.now() - (await stat(file)).mtimeMs);
  } catch {
    return undefined;
  }
}
