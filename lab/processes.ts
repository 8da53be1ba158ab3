/**
 * Programs and process trees for the lab, by `node:` modules only, so that it runs on Deno, Node and Bun.
 *
 * @module
 */

import { execFileSync, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";

/** The user that runs a program; `undefined`: the user of this process. */
export type Owner = { readonly uid: number; readonly gid: number } | undefined;

/** Options of {@linkcode run}. */
export interface RunOptions {
  /** The directory that the program runs in. */
  cwd: string;
  /** The user that runs it. */
  owner: Owner;
  /** Its standard input. */
  input?: string | undefined;
  /** Kills it. */
  signal?: AbortSignal | undefined;
}

/** Returns a clean environment: no `PG…` variable of the user changes the server, no locale translates its log. */
export function environment(): Record<string, string> {
  const kept = ["PATH", "SystemRoot", "TEMP", "TMP"].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(kept), LC_ALL: "C", TZ: "UTC" };
}

/**
 * Runs a program to its end.
 *
 * @returns Its output and its error output.
 * @throws {Error} with that text if it does not end with status 0.
 */
export function run(program: string, args: string[], options: RunOptions): Promise<string> {
  const { cwd, owner, input, signal } = options;
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd,
      env: environment(),
      detached: process.platform !== "win32", // Ctrl-C is handled by this process, not by it
      stdio: ["pipe", "pipe", "pipe"],
      ...owner,
    });
    let text = "";
    const onAbort = () => {
      // With its children, if it leads a group: initdb runs servers.
      if (child.pid === undefined || !signalProcess(-child.pid, "SIGKILL")) child.kill("SIGKILL");
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    child.stdout.on("data", (chunk) => text += String(chunk));
    child.stderr.on("data", (chunk) => text += String(chunk));
    child.stdin.on("error", () => {}); // it ended without reading: its status says why
    child.stdin.end(input ?? "");
    child.once("error", reject);
    child.once("close", (status: number | null, death: string | null) => {
      signal?.removeEventListener("abort", onAbort);
      if (status === 0) return resolve(text);
      if (signal?.aborted) return reject(signal.reason);
      reject(new Error(`Cannot run "${program}": ${text.trim() || `status ${status ?? death}`}`));
    });
  });
}

/**
 * Returns the user for servers that refuse root, or should not have its rights. If this process is root's, it is the
 * first of `users` that exists, or `nobody`: any user with a name will do, for all files that it needs are given to it.
 *
 * @returns `undefined` if this process is not root's: the user of this process.
 */
export function ordinaryUser(users: readonly string[]): Owner {
  if (process.getuid?.() !== 0) return undefined;
  for (const user of [...users, "nobody"]) {
    try {
      const [uid, gid] = ["-u", "-g"].map((flag) =>
        Number(execFileSync("id", [flag, user], { encoding: "utf8", stdio: "pipe" }))
      );
      if (uid && gid) return { uid, gid };
    } catch {
      // no such user: the next one
    }
  }
  throw new Error(
    `Cannot run a server as root: there is neither a user "${users.join('", "')}" nor "nobody"`,
  );
}

/** Reads the state letter and the parent of a process from Linux's /proc. */
function stat(pid: string): { state: string; parent: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" "); // the name may hold spaces
    return { state: fields[0] ?? "", parent: Number(fields[1]) };
  } catch {
    return undefined;
  }
}

/** Returns the running children of `pid`. On Linux they are read from /proc, for slim images have no `ps`. */
export function childrenOf(pid: number): number[] {
  if (process.platform === "linux") {
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name) && stat(name)?.parent === pid)
      .map(Number);
  }
  return execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" }).split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([child, parent]) => child !== undefined && parent === pid ? [child] : []);
}

/** Returns whether `pid` exists and is no zombie. */
export function isRunning(pid: number): boolean {
  if (process.platform === "linux") {
    const state = stat(String(pid))?.state;
    return state !== undefined && state !== "Z" && state !== "X";
  }
  return signalProcess(pid, 0);
}

/**
 * Stops a process and all its children by SIGSTOP. It resolves when the process has stopped, so that no child is missing.
 *
 * @returns The process, then its children.
 */
export async function stopTree(pid: number): Promise<number[]> {
  signalProcess(pid, "SIGSTOP");
  if (process.platform === "linux") {
    while (/[^TZX]/.test(stat(String(pid))?.state ?? "X")) await pause(1);
  } else {
    await pause(20);
  }
  const children = childrenOf(pid);
  for (const child of children) signalProcess(child, "SIGSTOP");
  return [pid, ...children];
}

/** Sends a signal; returns false if the process does not exist any more. */
export function signalProcess(
  pid: number,
  signal: "SIGSTOP" | "SIGCONT" | "SIGINT" | "SIGQUIT" | "SIGTERM" | "SIGKILL" | 0,
): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** Waits for a number of milliseconds. */
export function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}
