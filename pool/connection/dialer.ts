/**
 * Opens a connection to one of the host's addresses: chooses the order, limits the time for each, and describes the
 * failure if no address accepts one.
 *
 * @module
 */

import { deadline } from "../../internal/async.ts";
import { now } from "../../internal/clock.ts";
import { hostPort } from "../../internal/ip.ts";
import { shuffled } from "../../internal/shuffled.ts";
import { isSilence, isSocketError } from "../../internal/socket_errors.ts";
import { codeOf, isTimeout } from "../../internal/thrown.ts";
import { redactPassword } from "../../internal/redact.ts";
import type { Adapter, Target } from "../../adapters/adapter.ts";
import { type ConnectAttempt, ConnectError, DriverUnavailableError } from "../../errors.ts";
import { closeConnection } from "./close.ts";
import { matchesRole, type WantedRole, WrongRoleError } from "./server_role.ts";

/** A connection that was opened. */
export interface DialedConnection<C> {
  /** The driver's client. */
  readonly client: C;
  /** The address that the connection is open to. */
  readonly address: string;
}

/** An address that failed is tried after the others for this long. */
const FAILED_ADDRESS_COOLDOWN_MS = 5000;

/** Which of several addresses comes first. */
export type Balance = "ordered" | "random" | "round-robin" | "least-connections";

/** The options of a dialer; durations in milliseconds. */
export interface DialerSettings {
  /** Timeout of a connect, for all addresses together. */
  readonly connectTimeoutMs: number;
  /** Timeout of a probe. */
  readonly probeTimeoutMs: number;
  readonly loadBalance: Balance;
  readonly targetSessionAttrs: WantedRole;
  /** Set on each new connection. */
  readonly isolationLevel: string | undefined;
  readonly resetOnReturn: "rollback" | "commit" | "reset" | null;
}

/** A connect under way. */
interface Dial {
  /** Ends the connect. */
  readonly signal: AbortSignal;
  /** The failed attempts. */
  readonly attempts: ConnectAttempt[];
  /** Addresses that departed meanwhile: they are skipped. */
  readonly departed: Set<string>;
  /** The current attempt. */
  current?: { readonly address: string; readonly controller: AbortController };
}

/** Opens the connections of one engine. */
export class Dialer<C> {
  readonly #adapter: Adapter<C>;
  readonly #target: Omit<Target, "signal">;
  readonly #settings: DialerSettings;
  /** Number of connections open or being opened, by address. */
  readonly #counts: Map<string, number> = new Map();
  readonly #dials: Set<Dial> = new Set();
  #turn = 0;
  /** When the cooldown of a failed address is over, by address. */
  readonly #failed: Map<string, number> = new Map();

  /**
   * @param adapter Opens the connections.
   * @param target What to connect to, without the address.
   * @param settings Order, role, timeouts.
   */
  constructor(adapter: Adapter<C>, target: Omit<Target, "signal">, settings: DialerSettings) {
    this.#adapter = adapter;
    this.#target = target;
    this.#settings = settings;
  }

  /**
   * Opens a connection to the first address that accepts one and has the wanted role. The connection is counted until
   * `uncount()` is called for its address.
   *
   * @param addresses The current addresses, in order of preference.
   * @param signal Ends the connect: no socket is left.
   * @returns The client, and the address that it is connected to.
   * @throws {ConnectError} if no address accepts a connection in time; or the signal's reason.
   * @throws {DriverUnavailableError} if the driver cannot be loaded.
   */
  async dial(addresses: readonly string[], signal: AbortSignal): Promise<DialedConnection<C>> {
    const endMs = now() + this.#settings.connectTimeoutMs;
    const order = this.#order(addresses);
    const { targetSessionAttrs } = this.#settings;
    // With "prefer-standby", a second round takes any server.
    const roles: WantedRole[] = targetSessionAttrs === "prefer-standby"
      ? ["standby", "any"]
      : [targetSessionAttrs];
    const dial: Dial = { signal, attempts: [], departed: new Set() };
    this.#dials.add(dial);
    try {
      for (const [round, role] of roles.entries()) {
        for (const [index, address] of order.entries()) {
          if (dial.departed.has(address)) continue;
          const attemptsLeft = (roles.length - round) * order.length - index;
          const limitMs = (endMs - now()) / attemptsLeft;
          const dialed = await this.#attempt(dial, { address, role, limitMs });
          if (dialed) return dialed;
        }
      }
    } finally {
      this.#dials.delete(dial);
    }
    throw this.#connectError(dial.attempts);
  }

  /** Ends the attempts at an address that departed; their connects go on with the other addresses. */
  abortAttempts(address: string): void {
    for (const { departed, current } of this.#dials) {
      departed.add(address);
      if (current?.address !== address) continue;
      current.controller.abort(new Error("the address departed meanwhile"));
    }
  }

  #count(address: string): void {
    this.#counts.set(address, (this.#counts.get(address) ?? 0) + 1);
  }

  /** Counts one connection less: one that `dial()` opened was closed or detached. */
  uncount(address: string): void {
    const count = (this.#counts.get(address) ?? 1) - 1;
    if (count > 0) this.#counts.set(address, count);
    else this.#counts.delete(address);
  }

  /**
   * Finds out whether a server answers a new connection attempt in any way: a refusal is an answer, silence is not.
   *
   * @param address The server's address.
   * @param signal Ends the probe; the result then says nothing about the server.
   * @returns `false` if there was no answer for `probeTimeout` seconds, or the network reports it unreachable.
   */
  async probe(address: string, signal?: AbortSignal): Promise<boolean> {
    try {
      const limitMs = this.#settings.probeTimeoutMs;
      this.#terminate(await this.#connect(address, { limitMs, signal }), address);
      return true;
    } catch (error) {
      return !isSilence(error);
    }
  }

  /**
   * Returns whether a failed connect may succeed later: the server is down, starting, unreachable or has another role.
   * With a wrong password it will not, nor if one of several addresses refuses the password.
   *
   * @param error What `dial()` threw.
   * @param connectedBefore Whether a connection was ever opened; before that, only a role is waited for.
   */
  isTransient(error: unknown, connectedBefore: boolean): boolean {
    if (!(error instanceof ConnectError)) return false;
    const reasons = error.attempts.map(({ error }) => error);
    const waitsForRole = reasons.some((reason) => reason instanceof WrongRoleError);
    return (waitsForRole || connectedBefore) && reasons.length > 0 &&
      reasons.every((reason) => reason instanceof WrongRoleError || this.#isTransient(reason));
  }

  /**
   * Creates the error for waiters whose timeout was over while connects kept failing.
   *
   * @param last What the last connect failed with.
   * @param waited The wait in seconds.
   */
  timeoutError(last: unknown, waited: number): ConnectError {
    const { host } = this.#target;
    const text = this.#redact(last instanceof Error ? last.message : String(last));
    const attempts = last instanceof ConnectError ? last.attempts : [];
    return new ConnectError(
      `Cannot connect to "${host}" within ${Number(waited.toFixed(3))} seconds: ${text}`,
      { host, attempts, cause: last instanceof ConnectError ? last.cause : last },
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
    return this.#connectError([{ address, error }]);
  }

  #order(addresses: readonly string[]): readonly string[] {
    const nowMs = now();
    for (const [address, untilMs] of this.#failed) {
      if (untilMs <= nowMs || !addresses.includes(address)) this.#failed.delete(address);
    }
    const balanced = addresses.length > 1 ? this.#balance(addresses) : addresses;
    if (this.#failed.size === 0) return balanced;
    const failed = (address: string) => this.#failed.has(address);
    return [...balanced.filter((address) => !failed(address)), ...balanced.filter(failed)];
  }

  #balance(addresses: readonly string[]): readonly string[] {
    switch (this.#settings.loadBalance) {
      case "ordered":
        return addresses;
      case "random":
        return shuffled(addresses);
      case "round-robin": {
        // Sorted, because a DNS server may rotate its answer.
        const sorted = [...addresses].sort();
        const start = this.#turn++ % sorted.length;
        return [...sorted.slice(start), ...sorted.slice(0, start)];
      }
      case "least-connections": {
        const count = (address: string) => this.#counts.get(address) ?? 0;
        return [...addresses].sort((a, b) => count(a) - count(b));
      }
    }
  }

  /** Tries one address; if that fails, notes why and returns `undefined`. */
  async #attempt(
    dial: Dial,
    { address, role, limitMs }: {
      readonly address: string;
      readonly role: WantedRole;
      readonly limitMs: number;
    },
  ): Promise<DialedConnection<C> | undefined> {
    dial.signal.throwIfAborted();
    const controller = new AbortController();
    dial.current = { address, controller };
    this.#count(address);
    try {
      const client = await this.#connect(address, {
        limitMs,
        signal: AbortSignal.any([dial.signal, controller.signal]),
        prepare: (client) => this.#prepare(client, role),
      });
      this.#failed.delete(address);
      const connectedTo = this.#adapter.address?.(client);
      if (connectedTo === undefined || connectedTo === address) return { client, address };
      this.uncount(address);
      this.#count(connectedTo);
      return { client, address: connectedTo };
    } catch (error) {
      this.uncount(address);
      dial.signal.throwIfAborted();
      // It would be the same for every other address.
      if (error instanceof DriverUnavailableError) throw error;
      dial.attempts.push({ address, error });
      if (!(error instanceof WrongRoleError)) {
        this.#failed.set(address, now() + FAILED_ADDRESS_COOLDOWN_MS);
      }
      return undefined;
    }
  }

  /** Checks the server's role and sets the isolation level. */
  async #prepare(client: C, wanted: WantedRole): Promise<void> {
    const adapter = this.#adapter;
    if (wanted !== "any") {
      const role = await adapter.role!(client);
      if (!matchesRole(role, wanted)) throw new WrongRoleError(role, wanted);
    }
    const { isolationLevel, resetOnReturn } = this.#settings;
    if (resetOnReturn === "reset") await adapter.noteSession?.(client);
    if (isolationLevel !== undefined) await adapter.setIsolationLevel!(client, isolationLevel);
  }

  /** Connects and prepares within a limit of its own: a driver may have no timeout, or ignore it. */
  async #connect(
    address: string,
    { limitMs, signal, prepare }: {
      readonly limitMs: number;
      readonly signal: AbortSignal | undefined;
      readonly prepare?: (client: C) => Promise<void>;
    },
  ): Promise<C> {
    let connecting: Promise<C> | undefined;
    try {
      return await deadline(limitMs, async (signal) => {
        connecting = this.#adapter.connect(address, { ...this.#target, signal });
        const client = await connecting;
        await prepare?.(client);
        return client;
      }, { signal, what: "no connection" });
    } catch (error) {
      // A driver that ignores the abort may still open a connection.
      connecting?.then((client) => this.#terminate(client, address), () => {});
      throw error;
    }
  }

  #terminate(client: C, address: string): void {
    closeConnection({ client, address, info: {} }, { adapter: this.#adapter, how: "terminate" });
  }

  #isTransient(error: unknown): boolean {
    if (isTimeout(error) || isSocketError(error)) return true;
    try {
      return this.#adapter.classify?.(error) === "disconnect";
    } catch {
      return false;
    }
  }

  #connectError(attempts: readonly ConnectAttempt[]): ConnectError {
    const { host, port } = this.#target;
    const said = attempts.map(({ address, error }) => {
      const text = error instanceof Error ? error.message || codeOf(error) : String(error);
      const where = this.#adapter.local ? address : hostPort(address, port);
      return `${where} said: ${this.#redact(text)}`;
    });
    return new ConnectError(`Cannot connect to "${host}": ${said.join("; ")}`, {
      host,
      attempts,
      cause: attempts.at(-1)?.error,
    });
  }

  #redact(text: string): string {
    return redactPassword(text, this.#target.password);
  }
}
