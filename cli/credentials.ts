/**
 * The credentials of a check: a file with the password, or a module with the function of the option `credentials`.
 *
 * @module
 */

import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { deadline } from "../internal/async.ts";
import { now, timer } from "../internal/clock.ts";
import { mustNotBeGiven } from "../internal/argument_error.ts";
import { Secrets } from "../internal/redact.ts";
import { messageOf } from "../internal/thrown.ts";
import type { Credentials, CredentialsFunction } from "../pool/connection/credentials.ts";
import { type Flags, invalidValue, usageError } from "./args.ts";
import { printable } from "./format.ts";

/** What the function gave for one host. Times are seconds. */
export interface CredentialsReport {
  readonly host: string;
  readonly port: number;
  /** Time that the function took. */
  readonly took: number;
  /** The user, if the function gave one. */
  readonly user: string | undefined;
  /** Time until the password expires, `Infinity` if it does not; `undefined` if that was not said. */
  readonly expiresIn: number | undefined;
}

/** Calls the function once for each host, however many addresses that has. */
export class CheckedCredentials {
  /** What it gave, in the order of the answers. */
  readonly reports: CredentialsReport[] = [];
  readonly #give: CredentialsFunction;
  readonly #limitMs: number;
  readonly #secrets: Secrets = new Secrets();
  readonly #calls: Map<string, Promise<string | Credentials>> = new Map();

  /**
   * @param give The function.
   * @param limitMs Timeout of a call, in milliseconds.
   */
  constructor(give: CredentialsFunction, limitMs: number) {
    this.#give = give;
    this.#limitMs = limitMs;
  }

  /** The option `credentials`. */
  readonly give: CredentialsFunction = (request) => {
    const key = `${request.host}:${request.port}`;
    let call = this.#calls.get(key);
    if (!call) this.#calls.set(key, call = this.#call(request));
    return call;
  };

  /** Removes what the function gave from a text. */
  redact(text: string): string {
    return this.#secrets.redact(text);
  }

  async #call(request: Parameters<CredentialsFunction>[0]): Promise<string | Credentials> {
    const beganMs = now();
    const run = async (signal: AbortSignal) => await this.#give({ ...request, signal });
    // A signal of its own: the connect to another address of the host waits for the same call.
    const given = await deadline(this.#limitMs, run, {
      what: "the function gave nothing",
      start: timer,
    });
    const { user, password, expiresAt } = typeof given === "string"
      ? { user: undefined, password: given, expiresAt: undefined }
      : given ?? {} as Credentials;
    this.#secrets.add(password);
    const atMs = expiresAt === undefined ? undefined : Number(expiresAt);
    this.reports.push({
      host: request.host,
      port: request.port,
      took: (now() - beganMs) / 1000,
      user: typeof user === "string" ? printable(user) : undefined,
      expiresIn: atMs === undefined ? undefined : (atMs - Date.now()) / 1000,
    });
    return given;
  }
}

/**
 * Reads the flags `--password-file` and `--credentials`.
 *
 * @param flags The flags.
 * @returns The function; `undefined` if there is no such flag.
 * @throws {UsageError} if the file cannot be read, or the module has no function.
 */
export async function credentialsOf(flags: Flags): Promise<CredentialsFunction | undefined> {
  const { "password-file": file, credentials: module } = flags;
  if (module !== undefined) {
    if (file !== undefined) {
      throw usageError(mustNotBeGiven("--password-file", 'the module of "--credentials" gives it'));
    }
    return await fromModule(String(module));
  }
  return file === undefined ? undefined : await fromFile(String(file));
}

async function fromFile(path: string): Promise<CredentialsFunction> {
  let password: string;
  try {
    password = (await readFile(path, "utf8")).replace(/\r?\n$/, "");
  } catch (error) {
    throw invalidValue("--password-file", `a file that can be read (${reasonOf(error)})`, path);
  }
  if (password === "") throw invalidValue("--password-file", "a file with a password", path);
  return () => password;
}

async function fromModule(path: string): Promise<CredentialsFunction> {
  const allowed = "a module whose default export is a function";
  let loaded: { readonly default?: unknown };
  try {
    const url = pathToFileURL(resolve(process.cwd(), path)).href;
    loaded = await import(url);
  } catch (error) {
    throw invalidValue("--credentials", `${allowed} (${reasonOf(error)})`, path);
  }
  if (typeof loaded.default === "function") return loaded.default as CredentialsFunction;
  throw invalidValue("--credentials", allowed, path);
}

/** Names why a file cannot be used, without what is in it. */
function reasonOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  return printable(String(code ?? name ?? messageOf(error)));
}
