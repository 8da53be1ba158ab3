/**
 * The files of the machine that say how names are resolved, read when a name is resolved, and again after they changed.
 *
 * @module
 */

import { now } from "../../internal/clock.ts";
import { codeOf } from "../../internal/thrown.ts";
import { builtinModule } from "./builtin_modules.ts";
import { isGranted } from "./deno_permissions.ts";
import { asksHostsFirst, type Hosts, parseHosts } from "./hosts_file.ts";
import { parseResolvConf, type ResolvConf } from "./resolv_conf.ts";

/** Minimum interval in which a file is looked at, in milliseconds. */
const CHECK_INTERVAL_MS = 1000;

/** The paths of the files. */
export interface SystemPaths {
  readonly resolvConf: string;
  readonly hosts: string;
  readonly nsswitch: string;
}

const { process } = globalThis as { process?: { platform?: string } };
const isWindows = process?.platform === "win32";
/** Whether the C library takes its DNS servers from the file. Apple's does not, but Deno reads it there as well. */
const usesResolvConf = !isWindows && (process?.platform !== "darwin" || "Deno" in globalThis);

const PATHS: SystemPaths = {
  resolvConf: "/etc/resolv.conf",
  hosts: isWindows ? String.raw`C:\Windows\System32\drivers\etc\hosts` : "/etc/hosts",
  nsswitch: "/etc/nsswitch.conf",
};

/** What is known of a file: what it says, that there is none, or that it may not be read. */
type FileState<T> =
  | { readonly kind: "read"; readonly content: T }
  | { readonly kind: "missing" }
  | { readonly kind: "unreadable" };

/** A file that is read again after it changed. */
class WatchedFile<T> {
  #state: FileState<T> = { kind: "unreadable" };
  #checkedAtMs = -Infinity;
  /** What changes when the file does. */
  #version: string | undefined;

  /**
   * @param path The path.
   * @param parse Reads the text.
   */
  constructor(readonly path: string, readonly parse: (text: string) => T) {}

  /** Returns what is known of the file; it is looked at no more than once a second. */
  read(): FileState<T> {
    const nowMs = now();
    if (nowMs < this.#checkedAtMs + CHECK_INTERVAL_MS) return this.#state;
    this.#checkedAtMs = nowMs;
    try {
      // Without the permission, Deno would ask the user for it.
      if (!isGranted({ name: "read", path: this.path })) throw new Error("no permission");
      const version = versionOf(this.path);
      if (version !== this.#version) {
        this.#state = { kind: "read", content: this.parse(readText(this.path)) };
        this.#version = version;
      }
    } catch (error) {
      this.#version = undefined;
      this.#state = { kind: codeOf(error) === "ENOENT" ? "missing" : "unreadable" };
    }
    return this.#state;
  }
}

/** Returns what changes when a file does. */
function versionOf(path: string): string {
  if ("Deno" in globalThis) {
    const { mtime, ctime, size, ino } = Deno.statSync(path);
    return [mtime?.getTime(), ctime?.getTime(), size, ino].join();
  }
  const { mtimeMs, ctimeMs, size, ino } = builtinModule("node:fs").statSync(path);
  return [mtimeMs, ctimeMs, size, ino].join();
}

function readText(path: string): string {
  return "Deno" in globalThis
    ? Deno.readTextFileSync(path)
    : builtinModule("node:fs").readFileSync(path, "utf8");
}

function watch({ resolvConf, hosts, nsswitch }: SystemPaths) {
  return {
    resolvConf: new WatchedFile(resolvConf, parseResolvConf),
    hosts: new WatchedFile(hosts, parseHosts),
    nsswitch: new WatchedFile(nsswitch, asksHostsFirst),
  };
}

let files = watch(PATHS);

/**
 * Reads other files from now on: for tests, which cannot change those of the machine.
 *
 * @param paths The paths; those that are left out are the machine's.
 */
export function useSystemFiles(paths: Partial<SystemPaths>): void {
  files = watch({ ...PATHS, ...paths });
}

/**
 * Returns what `/etc/resolv.conf` says; if there is no such file, what an empty one would.
 *
 * @returns `undefined` if the file may not be read, or the system has its servers elsewhere.
 */
export function resolvConf(): ResolvConf | undefined {
  if (!usesResolvConf) return undefined;
  const state = files.resolvConf.read();
  if (state.kind === "read") return state.content;
  return state.kind === "missing" ? NO_RESOLV_CONF : undefined;
}

const NO_RESOLV_CONF = parseResolvConf("");
const NO_HOSTS: Hosts = new Map();

/** Returns what the hosts file says, whenever the system asks it; `undefined` if it may not be read. */
export function hostsFile(): Hosts | undefined {
  const state = files.hosts.read();
  if (state.kind === "read") return state.content;
  return state.kind === "missing" ? NO_HOSTS : undefined;
}

/** Returns whether the system asks the hosts file before DNS; `nsswitch.conf` says it. */
export function hostsComeFirst(): boolean {
  const state = files.nsswitch.read();
  return state.kind === "read" ? state.content : true;
}

/** Returns the path of the hosts file. */
export function hostsPath(): string {
  return files.hosts.path;
}
