/**
 * The programs of a kind of server and the directory for all that they make, shared by all who hold them.
 *
 * @module
 */

import type { Owner } from "./processes.ts";
import type { WorkDir } from "./work_dir.ts";

/** What a caller that waits may be told, and what ends its waiting. */
export interface Waiting {
  /** Told of each step as it begins. */
  onProgress?: ((step: string) => void) | undefined;
  /** Ends the attempt: it rejects with the signal's reason, and nothing is left. */
  signal?: AbortSignal | undefined;
}

/** Programs that can be run; `Name` is what they are called. */
export interface Runnable<Name extends string> {
  /** The servers' version, such as `"18.4"`. */
  readonly version: string;
  /** As whom they have to run; `undefined`: as ourselves. */
  readonly owner: Owner;
  /** The path of a program. */
  program(name: Name): string;
}

/** Programs that are held. The last holder to dispose of them removes the directory with all in it. */
export interface Programs<Name extends string> extends Runnable<Name>, AsyncDisposable {
  /** The directory for everything that the lab makes. */
  readonly workDir: string;
  /** The directory that `make` made for this key: made once, for as long as anybody holds the programs. */
  template(key: string, make: () => Promise<string>): Promise<string>;
}

/** Programs, prepared for the first of their holders. */
export interface Prepared<Name extends string> extends Runnable<Name> {
  /** The directory. */
  readonly dir: WorkDir;
}

/** The function that holds what `prepare` prepares, once for all who hold it at the same time. */
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
        template: (key, make) => made(ours, key, make),
        [Symbol.asyncDispose]: release,
      };
    } catch (error) {
      await release();
      throw error;
    }
  };
}

/** What `make` makes for `key`, the first time; what failed is tried anew. */
function made(
  templates: Map<string, Promise<string>>,
  key: string,
  make: () => Promise<string>,
): Promise<string> {
  const known = templates.get(key);
  if (known) return known;
  const making = make();
  templates.set(key, making);
  making.catch(() => templates.delete(key));
  return making;
}

/** Waits for `promise`, or for the end of the caller's patience. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
