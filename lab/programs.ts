/**
 * The programs of a kind of server and the directory for everything that they make, shared by all holders of them.
 *
 * @module
 */

import { createHash } from "node:crypto";
import path from "node:path";
import { abortable } from "../internal/async.ts";
import type { Owner } from "./processes.ts";
import { makeOnce, sharedPath } from "./shared.ts";
import type { WorkDir } from "./work_dir.ts";

/** Lets a caller follow an attempt, and cancel it. */
export interface Waiting {
  /** Called with a description of each step as it begins. */
  onProgress?: ((step: string) => void) | undefined;
  /** Cancels the attempt, which rejects with the signal's reason and leaves nothing behind. */
  signal?: AbortSignal | undefined;
}

/** Programs that can be run; `Name` is the union of their names. */
export interface Runnable<Name extends string> {
  /** The servers' version, such as `"18.4"`. */
  readonly version: string;
  /** The user that has to run them; `undefined`: the user of this process. */
  readonly owner: Owner;
  /** Returns the path of a program. */
  program(name: Name): string;
}

/** Held programs. When the last holder disposes of them, the directory is removed with everything in it. */
export interface Programs<Name extends string> extends Runnable<Name>, AsyncDisposable {
  /** The directory for everything that this process makes with them. */
  readonly workDir: string;
  /**
   * Returns the path of the data that `make` made for a key, to be copied. They are made once per run that shares a
   * directory, otherwise once for as long as the programs are held.
   */
  template(key: readonly unknown[], make: (dir: string) => Promise<void>): Promise<string>;
}

/** Programs, prepared for the first of their holders. */
export interface Prepared<Name extends string> extends Runnable<Name> {
  /** The directory. */
  readonly dir: WorkDir;
}

/**
 * Returns the function that holds programs.
 *
 * @param prepare Called for the first of the holders at a time.
 */
export function sharedPrograms<Name extends string>(
  prepare: (onProgress: Waiting["onProgress"]) => Promise<Prepared<Name>>,
): (waiting?: Waiting) => Promise<Programs<Name>> {
  let prepared: Promise<Prepared<Name>> | undefined;
  let templates = new Map<string, Promise<string>>();
  let holders = 0;
  return async ({ onProgress, signal } = {}) => {
    signal?.throwIfAborted();
    holders++;
    const attempt = prepared ??= prepare(onProgress);
    const ours = templates;
    let held = true;
    const release = async () => {
      if (!held) return;
      held = false;
      if (--holders > 0) return;
      prepared = undefined;
      templates = new Map();
      await attempt.then(({ dir }) => dir.remove(), () => {});
    };
    try {
      const { dir, owner, version, program } = await abortable(attempt, signal);
      return {
        version,
        workDir: dir.path,
        owner,
        program,
        template: (key, make) => template(ours, dir.path, [...key, version], make),
        [Symbol.asyncDispose]: release,
      };
    } catch (error) {
      await release();
      throw error;
    }
  };
}

/** Returns what `make` makes for `key` the first time; what failed is tried again. */
function template(
  templates: Map<string, Promise<string>>,
  workDir: string,
  key: readonly unknown[],
  make: (dir: string) => Promise<void>,
): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify(key)).digest("hex").slice(0, 16);
  const known = templates.get(hash);
  if (known) return known;
  const name = `template-${hash}`;
  const dir = sharedPath(name) ?? path.join(workDir, name);
  const making = makeOnce(dir, make).then(() => dir);
  templates.set(hash, making);
  making.catch(() => templates.delete(hash));
  return making;
}
