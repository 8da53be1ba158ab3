/**
 * The errors of failed connects: what each server said, and whether another try may succeed.
 *
 * @module
 */

import { isSocketPath } from "../../internal/host_name.ts";
import { hostPort } from "../../internal/ip.ts";
import { listForMessage } from "../../internal/listed.ts";
import type { Secrets } from "../../internal/redact.ts";
import { isSocketError } from "../../internal/socket_errors.ts";
import { codeOf, isOf, isTimeout, messageOf } from "../../internal/thrown.ts";
import type { Adapter } from "../../adapters/adapter.ts";
import { type ConnectAttempt, ConnectError, CredentialsError } from "../../errors.ts";
import { WrongRoleError } from "./server_role.ts";

/** Codes for a Unix socket that is not there, as while its server starts, or whose queue is full. */
const NO_SOCKET = new Set(["ENOENT", "EAGAIN"]);

/** Maximum number of characters of what the servers said, in the message of an error. */
const MAX_SAID = 1500;

/** What the errors say about where a connect went to. */
export interface ConnectPlace {
  readonly host: string;
  readonly port: number;
  /** Whether the addresses are names of endpoints, which contain the port. */
  readonly namesEndpoints?: boolean;
}

/** The members of an adapter that judge its errors. */
type AdapterParts = "classify" | "local" | "refusesClients" | "refusesLogin";

/** Judges and describes the failed connects of one dialer. */
export class ConnectErrors {
  readonly #adapter: Pick<Adapter<never>, AdapterParts>;
  readonly #place: ConnectPlace;
  readonly #secrets: Secrets;

  /**
   * @param adapter Knows the errors of its driver.
   * @param place Where the connects go to.
   * @param secrets What must not be in a message.
   */
  constructor(
    adapter: Pick<Adapter<never>, AdapterParts>,
    place: ConnectPlace,
    secrets: Secrets,
  ) {
    this.#adapter = adapter;
    this.#place = place;
    this.#secrets = secrets;
  }

  /**
   * Returns whether a failed connect may succeed later: the server is down, starting, unreachable or has another role.
   * With a wrong password it will not, nor if one of several addresses refuses the password.
   *
   * @param error What `dial()` threw.
   * @param connectedBefore Whether a connection was ever opened; before that, only a role is waited for.
   */
  isTransient(error: unknown, connectedBefore: boolean): boolean {
    if (!isOf(error, ConnectError)) return false;
    return (awaitsRole(error) || connectedBefore) && error.attempts.length > 0 &&
      error.attempts.every(({ address, error }) =>
        this.mayPass(error) || isSocketPath(address) && NO_SOCKET.has(codeOf(error))
      );
  }

  /** Returns whether a server that said this may be ready later: it has another role, is down or starting. */
  mayPass(error: unknown): boolean {
    return isOf(error, WrongRoleError) || this.#isTransient(error);
  }

  /** Returns whether a server said that it lets no client in. */
  refusesClients(error: unknown): boolean {
    try {
      return this.#adapter.refusesClients?.(error) === true;
    } catch {
      return false;
    }
  }

  /**
   * Creates the error for waiters whose timeout was over while connects kept failing.
   *
   * @param last What the last connect failed with.
   * @param waited The wait in seconds.
   */
  timeoutError(last: unknown, waited: number): ConnectError {
    const { host } = this.#place;
    const text = this.#secrets.redact(messageOf(last));
    const attempts = isOf(last, ConnectError) ? last.attempts : [];
    return new ConnectError(
      `Cannot connect to "${host}" within ${Number(waited.toFixed(3))} seconds: ${text}`,
      { host, attempts, cause: isOf(last, ConnectError) ? last.cause : last },
    );
  }

  /**
   * Creates the error for a connection that was closed before it could be used.
   *
   * @param address The address that the connection was open to.
   * @param cause The driver's error, if there was one.
   */
  closedDuringConnect(address: string, cause: unknown): ConnectError {
    const error = Object.assign(new Error("the connection was closed at once", { cause }), {
      code: "ECONNRESET",
    });
    return this.ofAttempts([{ address, error }]);
  }

  /** Creates the error for a connect all of whose attempts failed. */
  ofAttempts(attempts: readonly ConnectAttempt[]): ConnectError {
    const { host, port, namesEndpoints } = this.#place;
    const isWhole = this.#adapter.local || namesEndpoints;
    const said = attempts.map(({ address, error }) => {
      const text = messageOf(error) || codeOf(error);
      if (isOf(error, CredentialsError)) return text;
      const where = isWhole || isSocketPath(address) ? address : hostPort(address, port);
      return `${where} said: ${this.#secrets.redact(text)}`;
    });
    return new ConnectError(`Cannot connect to "${host}": ${listForMessage(said, MAX_SAID)}`, {
      host,
      attempts,
      cause: attempts.at(-1)?.error,
    });
  }

  #isTransient(error: unknown): boolean {
    if (isTimeout(error) || isSocketError(error)) return true;
    try {
      if (this.#adapter.refusesLogin?.(error)) return false;
      const verdict = this.#adapter.classify?.(error);
      return verdict === "disconnect" || verdict === "closed";
    } catch {
      return false;
    }
  }
}

/**
 * Returns whether a connect failed because a server has another role than the wanted one.
 *
 * @param error What `dial()` threw.
 */
export function awaitsRole(error: unknown): boolean {
  return isOf(error, ConnectError) &&
    error.attempts.some(({ error }) => isOf(error, WrongRoleError));
}
