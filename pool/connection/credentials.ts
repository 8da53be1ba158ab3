/**
 * Gets user and password from a function when a connection is dialed: once for all dials that begin together, and
 * again only when what it gave is about to expire, or when a server refused it.
 *
 * @module
 */

import {
  mustBe,
  mustBeUndisclosed,
  outOfRangeUndisclosed,
  unknownName,
} from "../../internal/argument_error.ts";
import { abortable } from "../../internal/async.ts";
import { ageClock } from "../../internal/clock.ts";
import { isOf, messageOf } from "../../internal/thrown.ts";
import type { Secrets } from "../../internal/redact.ts";
import { CredentialsError } from "../../errors.ts";

/** What the function `credentials` is told about the connection. */
export interface CredentialsRequest {
  /** Host name of the server, never its address: that of the URL, or the target of its SRV record. */
  readonly host: string;
  /** TCP port of the server. */
  readonly port: number;
  /** User name in the URL. */
  readonly user: string | undefined;
  /** Database name in the URL. */
  readonly database: string | undefined;
  /** Aborted when no connect waits for the credentials any more, at the latest after `connectTimeout`. */
  readonly signal: AbortSignal;
}

/** What the function `credentials` gives. */
export interface Credentials {
  /** User name. Default: that of the URL. */
  readonly user?: string | undefined;
  /** Password, or the token that takes its place. */
  readonly password: string;
  /**
   * When the password expires: a `Date`, or milliseconds since 1970, in the future. It is kept until a tenth of its time
   * is left, or a minute if that is less. `Infinity`: it is kept until a server refuses it. Default: it is not kept.
   */
  readonly expiresAt?: Date | number | undefined;
}

/**
 * Gives user and password of new connections. A string is a password for the user of the URL.
 *
 * @example A token that is used for 14 of its 15 minutes
 * ```ts
 * import { type CredentialsFunction, getDnsEngine } from "@dnspool/dnspool";
 * import { fakeAdapter } from "@dnspool/dnspool/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const credentials: CredentialsFunction = ({ host, port, user }) => ({
 *   password: `a token for ${user} at ${host}:${port}`, // such as `await signer.getAuthToken()`
 *   expiresAt: Date.now() + 15 * 60_000,
 * });
 * const passwords: unknown[] = [];
 * const adapter = fakeAdapter({ connect: (_ip, target) => void passwords.push(target.password) });
 * const engine = getDnsEngine("fake://app@127.0.0.1:5432/orders", { adapter, credentials });
 * await engine.use(() => {});
 * assertEquals(passwords, ["a token for app at 127.0.0.1:5432"]);
 * await engine.close();
 * ```
 */
export type CredentialsFunction = (
  request: CredentialsRequest,
) => string | Credentials | Promise<string | Credentials>;

/** User and password of one connection attempt. */
export interface Login {
  readonly user: string | undefined;
  readonly password: string;
}

/** A server, as the function is told. */
export interface LoginHost {
  readonly host: string;
  readonly port: number;
}

/** How a connection is opened with a login. */
export interface LoginAttempt<T> {
  /** Ends the wait. */
  readonly signal: AbortSignal;
  /** Opens the connection. */
  open(login: Login): Promise<T>;
  /** Returns whether the server refused the login. */
  isRefused(error: unknown): boolean;
  /** Is told before and after each wait for the function. */
  readonly onAsking?: ((asking: boolean) => void) | undefined;
}

/** What the function gave. */
interface Given {
  readonly login: Login;
  /** When to ask again, by the clock of ages. */
  readonly keptUntilMs: number;
}

/** A call of the function that has not returned, for all dials that wait for it. */
interface PendingCall {
  readonly given: Promise<Given>;
  readonly controller: AbortController;
  /** The refused login that it is to replace. */
  readonly instead: Login | undefined;
  waiting: number;
  isOver: boolean;
}

/** What is known about one server. */
interface Entry {
  kept: Given | undefined;
  pending: PendingCall | undefined;
}

/** The function is asked again when this share of the time is left, at most as long before the end. */
const MARGIN_SHARE = 0.1;
const MAX_MARGIN_MS = 60_000;

/** A time in milliseconds since 1970 that is below this, in 1973, was meant as seconds. */
const MIN_EPOCH_MS = 1e11;

const NAMES: Readonly<Record<keyof Credentials, true>> = {
  user: true,
  password: true,
  expiresAt: true,
};

/** The logins of one engine. */
export class LoginSource {
  readonly #give: CredentialsFunction;
  readonly #user: string | undefined;
  readonly #database: string | undefined;
  readonly #secrets: Secrets;
  readonly #entries: Map<string, Entry> = new Map();

  /**
   * @param give The function.
   * @param options User and database of the URL; `secrets` is told of each password.
   */
  constructor(
    give: CredentialsFunction,
    { user, database, secrets }: {
      readonly user?: string | undefined;
      readonly database?: string | undefined;
      readonly secrets: Secrets;
    },
  ) {
    this.#give = give;
    this.#user = user;
    this.#database = database;
    this.#secrets = secrets;
  }

  /**
   * Opens a connection. If the server refuses the login, the function is asked again, once, and if it gives another
   * login, that is tried.
   *
   * @param server The server.
   * @param attempt How the connection is opened.
   * @returns What `open` returned.
   * @throws {CredentialsError} if the function fails, or gives nothing that can be used.
   * @throws What `open` threw, or the signal's reason.
   */
  async open<T>(server: LoginHost, attempt: LoginAttempt<T>): Promise<T> {
    const { signal, open, isRefused } = attempt;
    const login = await this.ask(server, attempt);
    try {
      return await open(login);
    } catch (error) {
      if (signal.aborted || !isRefused(error)) throw error;
      const other = await this.ask(server, attempt, login);
      if (other.user === login.user && other.password === login.password) throw error;
      return await open(other);
    }
  }

  /**
   * Returns the login that is kept, or waits for the function.
   *
   * @param server The server.
   * @param wait What ends the wait, and is told of it.
   * @param refused A login that the server refused.
   * @throws {CredentialsError} if the function fails, or gives nothing that can be used.
   * @throws The signal's reason.
   */
  async ask(
    server: LoginHost,
    { signal, onAsking }: Pick<LoginAttempt<unknown>, "signal" | "onAsking">,
    refused?: Login,
  ): Promise<Login> {
    signal.throwIfAborted();
    onAsking?.(true);
    const { login } = await this.#given(server, signal, refused);
    onAsking?.(false);
    return login;
  }

  /** Forgets everything that is kept: the program may go on to refer to a closed engine. */
  clear(): void {
    this.#entries.clear();
  }

  /** Forgets a login that is kept, because the server refused it. */
  forget(refused: Login): void {
    for (const entry of this.#entries.values()) {
      if (entry.kept?.login === refused) entry.kept = undefined;
    }
  }

  #given(
    server: LoginHost,
    signal: AbortSignal,
    refused: Login | undefined,
  ): Given | Promise<Given> {
    const entry = this.#entryOf(server);
    const { kept, pending } = entry;
    if (kept && kept.login !== refused && ageClock() < kept.keptUntilMs) return kept;
    entry.kept = undefined;
    // A call that began before the refusal may give the same again.
    const isCurrent = pending && (refused === undefined || pending.instead === refused);
    return this.#join(entry, isCurrent ? pending : this.#start(entry, server, refused), signal);
  }

  #entryOf({ host, port }: LoginHost): Entry {
    const key = JSON.stringify([host, port]);
    let entry = this.#entries.get(key);
    if (entry) return entry;
    // The servers of a service come and go.
    for (const [key, { kept, pending }] of this.#entries) {
      if (!pending && !(kept && ageClock() < kept.keptUntilMs)) this.#entries.delete(key);
    }
    this.#entries.set(key, entry = { kept: undefined, pending: undefined });
    return entry;
  }

  #start(entry: Entry, { host, port }: LoginHost, instead: Login | undefined): PendingCall {
    const controller = new AbortController();
    const request = {
      host,
      port,
      user: this.#user,
      database: this.#database,
      signal: controller.signal,
    };
    const given = this.#call(request);
    const pending: PendingCall = { given, controller, instead, waiting: 0, isOver: false };
    entry.pending = pending;
    const end = (given?: Given) => {
      pending.isOver = true;
      if (entry.pending !== pending) return;
      entry.pending = undefined;
      if (given && given.keptUntilMs > ageClock()) entry.kept = given;
    };
    given.then(end, () => end());
    return pending;
  }

  /** Waits for a call; it is aborted when nothing waits for it any more. */
  async #join(entry: Entry, pending: PendingCall, signal: AbortSignal): Promise<Given> {
    pending.waiting++;
    try {
      return await abortable(pending.given, signal);
    } finally {
      if (--pending.waiting === 0 && !pending.isOver) {
        if (entry.pending === pending) entry.pending = undefined;
        pending.controller.abort(new DOMException("No connect waits any more", "AbortError"));
      }
    }
  }

  async #call(request: CredentialsRequest): Promise<Given> {
    const { host } = request;
    let given: unknown;
    try {
      given = await this.#give(request);
    } catch (error) {
      const text = `the function "credentials" failed with ${nameOf(error)}`;
      throw failure(host, this.#secrets.redact(text), error);
    }
    try {
      const { user, password, keptUntilMs } = readGiven(given);
      this.#secrets.addPassing(password);
      return { login: { user: user ?? this.#user, password }, keptUntilMs };
    } catch (error) {
      throw failure(host, messageOf(error), error);
    }
  }
}

/**
 * Creates the error for a connect whose time was over before the function gave anything.
 *
 * @param host The server's host name.
 * @param cause The timeout.
 */
export function gaveNothing(host: string, cause: unknown): CredentialsError {
  return failure(host, messageOf(cause), cause);
}

function failure(host: string, text: string, cause: unknown): CredentialsError {
  return new CredentialsError(`Cannot get credentials for "${host}": ${text}`, { host, cause });
}

/** Names a thrown value without its message, which may hold a secret. */
function nameOf(error: unknown): string {
  try {
    if (isOf(error, Error) && /^\w{1,60}$/.test(error.name)) return error.name;
  } catch {
    // Its name cannot be read.
  }
  return isOf(error, Error) ? "an error" : `a value of type ${typeof error}`;
}

function readGiven(
  given: unknown,
): { readonly user: string | undefined; readonly password: string; readonly keptUntilMs: number } {
  if (typeof given === "string") {
    return { user: undefined, password: given, keptUntilMs: -Infinity };
  }
  if (typeof given !== "object" || given === null || ArrayBuffer.isView(given)) {
    const allowed = 'a password, or an object with "password"';
    throw mustBeUndisclosed("result of credentials()", allowed, typeName(given));
  }
  const known = Object.keys(NAMES);
  for (const name of Object.keys(given)) {
    if (!known.includes(name)) {
      throw unknownName(name, "a property of the result of credentials()", known);
    }
  }
  const { user, password, expiresAt } = given as Record<keyof Credentials, unknown>;
  if (typeof password !== "string") {
    throw mustBeUndisclosed("password", "a string", typeName(password));
  }
  if (user !== undefined && (typeof user !== "string" || user === "")) {
    throw mustBeUndisclosed("user", "a non-empty string", typeName(user));
  }
  return { user, password, keptUntilMs: readExpiry(expiresAt) };
}

/** Returns until when credentials are kept, by the clock of ages, which goes on while the machine sleeps. */
function readExpiry(expiresAt: unknown): number {
  if (expiresAt === undefined) return -Infinity;
  const allowed = "a Date or milliseconds since 1970, in the future";
  const atMs = isOf(expiresAt, Date) ? Number(expiresAt) : expiresAt;
  if (typeof atMs !== "number") throw mustBeUndisclosed("expiresAt", allowed, typeName(expiresAt));
  if (Number.isNaN(atMs)) {
    throw mustBe("expiresAt", allowed, isOf(expiresAt, Date) ? "an invalid Date" : atMs);
  }
  const leftMs = atMs - Date.now();
  if (leftMs <= 0) {
    const inSeconds = atMs > 0 && atMs < MIN_EPOCH_MS;
    const hint = inSeconds ? `, did you mean ${atMs * 1000}?` : "";
    const ago = inSeconds ? String(atMs) : `a time ${Math.ceil(-leftMs / 1000)} seconds ago`;
    throw outOfRangeUndisclosed("expiresAt", allowed, ago + hint);
  }
  return ageClock() + leftMs - Math.min(leftMs * MARGIN_SHARE, MAX_MARGIN_MS);
}

function typeName(value: unknown): string {
  return value === null ? "null" : value === "" ? '""' : `a value of type ${typeof value}`;
}
