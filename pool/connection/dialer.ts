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
import { idOf } from "../../internal/object_id.ts";
import { isSocketError } from "../../internal/socket_errors.ts";
import { codeOf, isOf, isTimeout, messageOf } from "../../internal/thrown.ts";
import { Secrets } from "../../internal/redact.ts";
import type { Adapter, Target } from "../../adapters/adapter.ts";
import { type ConnectAttempt, ConnectError, DriverUnavailableError } from "../../errors.ts";
import { closeConnection } from "./close.ts";
import { answers } from "./probes.ts";
import { matchesRole, type WantedRole, WrongRoleError } from "./server_role.ts";

/** A connection that was opened. */
export interface DialedConnection<C> {
  /** The driver's client. */
  readonly client: C;
  /** The address that the connection is open to. */
  readonly address: string;
  /** The role that its server must have: with `"prefer-standby"` that of a standby, if there was one. */
  readonly role: WantedRole;
}

/** An address that failed is tried after the others for this long. */
const FAILED_ADDRESS_COOLDOWN_MS = 5000;

/**
 * An address whose server lets clients in and then fails them is tried after the others for as long: at first, and at
 * most. The time doubles each time that the next connection fails as well.
 */
const MIN_SUSPICION_MS = 5000;
const MAX_SUSPICION_MS = 80_000;

/** What is held against an address. */
interface Suspicion {
  /** When one connection is tried again, or, if it was, when the address is trusted again. */
  untilMs: number;
  lengthMs: number;
  /** Whether one connection was tried again. */
  tried: boolean;
}

/** Which of several addresses comes first. */
export type Balance = "ordered" | "random" | "round-robin" | "least-connections";

/** The options of a dialer; durations in milliseconds. */
export interface DialerSettings {
  /** Timeout of a connect, for all addresses together. */
  readonly connectTimeoutMs: number;
  /** How long a probed server may be silent. */
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
  readonly #secrets: Secrets;
  /** Number of connections open or being opened, by address. */
  readonly #counts: Map<string, number> = new Map();
  readonly #dials: Set<Dial> = new Set();
  readonly #closes: Set<Promise<void>> = new Set();
  #turn = 0;
  /** When the cooldown of a failed address is over, by address. */
  readonly #failed: Map<string, number> = new Map();
  readonly #suspicions: Map<string, Suspicion> = new Map();

  /**
   * @param adapter Opens the connections.
   * @param target What to connect to, without the address.
   * @param settings Order, role, timeouts.
   * @param secrets What must not be in a message. Default: the password in the URL.
   */
  constructor(
    adapter: Adapter<C>,
    target: Omit<Target, "signal">,
    settings: DialerSettings,
    secrets: Secrets = new Secrets([target.password]),
  ) {
    this.#secrets = secrets;
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

  /**
   * Notes that a server failed a connection that was open. Its address is tried after the others for a while; then one
   * connection to it is tried, and only if nothing happens to that, more.
   */
  suspect(address: string): void {
    const nowMs = now();
    const known = this.#suspicions.get(address);
    // What happens to the other connections that are open is the same failure.
    if (known && !known.tried && nowMs < known.untilMs) return;
    const lengthMs = known ? Math.min(known.lengthMs * 2, MAX_SUSPICION_MS) : MIN_SUSPICION_MS;
    this.#suspicions.set(address, { untilMs: nowMs + lengthMs, lengthMs, tried: false });
  }

  /** Returns whether an address is to be tried after the others; if not, though it is suspect, this is its one try. */
  #isSuspect(address: string, nowMs: number): boolean {
    const suspicion = this.#suspicions.get(address);
    if (suspicion === undefined) return false;
    if (nowMs < suspicion.untilMs) return true;
    if (suspicion.tried) {
      this.#suspicions.delete(address);
    } else {
      suspicion.tried = true;
      suspicion.untilMs = nowMs + suspicion.lengthMs;
    }
    return false;
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
   * Finds out whether a server answers at all: a refusal is an answer, silence is not. Engines with the same driver,
   * address and port share one attempt.
   *
   * @param address The server's address.
   * @param signal Ends the probe; the result then says nothing about the server.
   * @returns `false` if there was no answer for `probeTimeout` seconds in which the event loop ran, or the network
   *   reports the server unreachable.
   */
  probe(address: string, signal?: AbortSignal): Promise<boolean> {
    const kind = this.#adapter.probe ? this.#adapter.name : idOf(this.#adapter);
    return answers({
      key: JSON.stringify([kind, address, this.#target.port]),
      ask: (signal) => this.#ask(address, signal),
    }, { limitMs: this.#settings.probeTimeoutMs, signal });
  }

  /** Asks a server for any answer; with an adapter that cannot, by a login that is closed gracefully. */
  async #ask(address: string, signal: AbortSignal): Promise<void> {
    const target = { ...this.#target, signal };
    if (this.#adapter.probe) return await this.#adapter.probe(address, target);
    const client = await this.#adapter.connect(address, target);
    this.#end(client, address, signal.aborted ? "terminate" : "close");
  }

  /** Waits for the connections that are being closed because they could not be used. */
  async closed(): Promise<void> {
    await Promise.all(this.#closes);
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
    const reasons = error.attempts.map(({ error }) => error);
    const waitsForRole = reasons.some((reason) => isOf(reason, WrongRoleError));
    return (waitsForRole || connectedBefore) && reasons.length > 0 &&
      reasons.every((reason) => isOf(reason, WrongRoleError) || this.#isTransient(reason));
  }

  /**
   * Creates the error for waiters whose timeout was over while connects kept failing.
   *
   * @param last What the last connect failed with.
   * @param waited The wait in seconds.
   */
  timeoutError(last: unknown, waited: number): ConnectError {
    const { host } = this.#target;
    const text = this.#redact(messageOf(last));
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
    return this.#connectError([{ address, error }]);
  }

  #order(addresses: readonly string[]): readonly string[] {
    const nowMs = now();
    for (const [address, untilMs] of this.#failed) {
      if (untilMs <= nowMs || !addresses.includes(address)) this.#failed.delete(address);
    }
    for (const address of this.#suspicions.keys()) {
      if (!addresses.includes(address)) this.#suspicions.delete(address);
    }
    if (addresses.length < 2) return addresses;
    const balanced = this.#balance(addresses);
    if (this.#failed.size === 0 && this.#suspicions.size === 0) return balanced;
    const ranks: string[][] = [[], [], []];
    for (const address of balanced) {
      const rank = this.#failed.has(address) ? 2 : this.#isSuspect(address, nowMs) ? 1 : 0;
      ranks[rank]!.push(address);
    }
    return ranks.flat();
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
      if (connectedTo === undefined || connectedTo === address) return { client, address, role };
      this.uncount(address);
      this.#count(connectedTo);
      return { client, address: connectedTo, role };
    } catch (error) {
      this.uncount(address);
      dial.signal.throwIfAborted();
      // It would be the same for every other address.
      if (isOf(error, DriverUnavailableError)) throw error;
      dial.attempts.push({ address, error });
      if (!isOf(error, WrongRoleError)) {
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
      readonly signal: AbortSignal;
      readonly prepare: (client: C) => Promise<void>;
    },
  ): Promise<C> {
    let connecting: Promise<C> | undefined;
    try {
      return await deadline(limitMs, async (signal) => {
        connecting = this.#adapter.connect(address, { ...this.#target, signal });
        const client = await connecting;
        await prepare(client);
        return client;
      }, { signal, what: "no connection" });
    } catch (error) {
      // A driver that ignores the abort may still open a connection. A server of another role did nothing wrong.
      const how = isOf(error, WrongRoleError) ? "close" : "terminate";
      connecting?.then((client) => this.#end(client, address, how), () => {});
      throw error;
    }
  }

  #end(client: C, address: string, how: "close" | "terminate"): void {
    const closing = closeConnection({ client, address, info: {} }, { adapter: this.#adapter, how });
    if (closing === undefined) return;
    this.#closes.add(closing);
    closing.then(() => this.#closes.delete(closing));
  }

  #isTransient(error: unknown): boolean {
    if (isTimeout(error) || isSocketError(error)) return true;
    try {
      const verdict = this.#adapter.classify?.(error);
      return verdict === "disconnect" || verdict === "closed";
    } catch {
      return false;
    }
  }

  #connectError(attempts: readonly ConnectAttempt[]): ConnectError {
    const { host, port } = this.#target;
    const said = attempts.map(({ address, error }) => {
      const text = messageOf(error) || codeOf(error);
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
    return this.#secrets.redact(text);
  }
}
