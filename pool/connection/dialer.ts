/**
 * Opens a connection to one of the current addresses: in which order, for how long each, and what to say when
 * none answers.
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
import { matchesRole, type WantedRole, WrongRoleError } from "./server_role.ts";

/** A connection that was dialled. */
export interface Dialled<C> {
  /** The driver's client. */
  readonly client: C;
  /** The address that was dialled. */
  readonly address: string;
}

/** An address that failed is tried after the others for so long. */
const LAST_CHOICE_MS = 5000;

/** Which of several addresses comes first. */
export type Balance = "ordered" | "random" | "round-robin" | "least-connections";

/** How the dialer goes about it; durations in milliseconds. */
export interface DialerSettings {
  /** For all addresses together. */
  readonly connectTimeoutMs: number;
  /** For a probe. */
  readonly probeTimeoutMs: number;
  readonly loadBalance: Balance;
  readonly targetSessionAttrs: WantedRole;
  /** Set on each new connection. */
  readonly isolationLevel: string | undefined;
}

/** A dial under way. */
interface Dial {
  /** Ends it. */
  readonly signal: AbortSignal;
  /** What was tried in vain. */
  readonly attempts: ConnectAttempt[];
  /** Addresses that departed meanwhile: not worth a try. */
  readonly departed: Set<string>;
  /** The attempt of the moment. */
  current?: { readonly address: string; readonly controller: AbortController };
}

/** Dials the addresses of one target. */
export class Dialer<C> {
  readonly #adapter: Adapter<C>;
  readonly #target: Omit<Target, "signal">;
  readonly #settings: DialerSettings;
  /** Connections open or under way, by address. */
  readonly #counts: Map<string, number> = new Map();
  readonly #dials: Set<Dial> = new Set();
  #turn = 0;
  /** Addresses that failed, and until when they are the last choice. */
  readonly #failed: Map<string, number> = new Map();

  /**
   * @param adapter Opens the connections.
   * @param target What to connect to, but for the address.
   * @param settings Order, role, time.
   */
  constructor(adapter: Adapter<C>, target: Omit<Target, "signal">, settings: DialerSettings) {
    this.#adapter = adapter;
    this.#target = target;
    this.#settings = settings;
  }

  /**
   * Opens a connection to the first address that lets it and has the wanted role. It counts as open until
   * `uncount` is called.
   *
   * @param addresses The current ones, in order of preference.
   * @param signal Ends the attempt: no socket is left.
   * @returns The client, and the address it was dialled to.
   * @throws {ConnectError} when no address answered well; or the signal's reason.
   * @throws {DriverUnavailableError} when the driver cannot be loaded.
   */
  async dial(addresses: readonly string[], signal: AbortSignal): Promise<Dialled<C>> {
    const endMs = now() + this.#settings.connectTimeoutMs;
    const order = this.#order(addresses);
    const { targetSessionAttrs } = this.#settings;
    // With "prefer-standby", the primary is what is left when nobody is a standby.
    const roles: WantedRole[] = targetSessionAttrs === "prefer-standby"
      ? ["standby", "any"]
      : [targetSessionAttrs];
    const dial: Dial = { signal, attempts: [], departed: new Set() };
    this.#dials.add(dial);
    try {
      for (const [round, role] of roles.entries()) {
        for (const [index, address] of order.entries()) {
          if (dial.departed.has(address)) continue;
          const left = (roles.length - round) * order.length - index;
          const dialled = await this.#attempt(dial, address, role, (endMs - now()) / left);
          if (dialled) return dialled;
        }
      }
    } finally {
      this.#dials.delete(dial);
    }
    throw this.#explain(dial.attempts);
  }

  /**
   * An address departed: attempts at it are given up, and their dials go on with the other addresses.
   *
   * @param address The address that is current no more.
   */
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

  /** A connection that `dial` gave is open no more. */
  uncount(address: string): void {
    const count = (this.#counts.get(address) ?? 1) - 1;
    if (count > 0) this.#counts.set(address, count);
    else this.#counts.delete(address);
  }

  /**
   * Whether a server answers a new connection attempt, in any way: a refusal is an answer, silence is not.
   *
   * @param address The server's address.
   * @param signal Ends the probe, which says nothing about the server then.
   * @returns `false` when it was silent for `probeTimeout` seconds, or the network says that it is out of reach.
   */
  async probe(address: string, signal?: AbortSignal): Promise<boolean> {
    try {
      const limitMs = this.#settings.probeTimeoutMs;
      this.discard(await this.#connect(address, { limitMs, signal }));
      return true;
    } catch (error) {
      return !isSilence(error);
    }
  }

  /**
   * Whether a failure may pass by itself: the server is down, starting, out of reach or has another role. A
   * wrong password will not, nor will a list of addresses one of which refuses it.
   *
   * @param error What `dial` threw.
   * @param connectedBefore Whether a connection was opened before: until then, only a role is waited for.
   */
  isTransient(error: unknown, connectedBefore: boolean): boolean {
    if (!(error instanceof ConnectError)) return false;
    const reasons = error.attempts.map(({ error }) => error);
    const waitsForRole = reasons.some((reason) => reason instanceof WrongRoleError);
    return (waitsForRole || connectedBefore) && reasons.length > 0 &&
      reasons.every((reason) => reason instanceof WrongRoleError || this.#isPassing(reason));
  }

  /**
   * The error for waiters whose connects kept failing until their time was up.
   *
   * @param last What the last dial failed with.
   * @param waited In seconds.
   */
  timeoutError(last: unknown, waited: number): ConnectError {
    const { host } = this.#target;
    const text = this.#hide(last instanceof Error ? last.message : String(last));
    const attempts = last instanceof ConnectError ? last.attempts : [];
    return new ConnectError(
      `Cannot connect to "${host}" within ${Number(waited.toFixed(3))} seconds: ${text}`,
      { host, attempts, cause: last instanceof ConnectError ? last.cause : last },
    );
  }

  /**
   * The error for a connection that was closed before anybody could use it.
   *
   * @param address The address that was dialled.
   * @param cause What the driver said, if anything.
   */
  closedDuringConnect(address: string, cause: unknown): ConnectError {
    const error = Object.assign(new Error("the connection was closed at once", { cause }), {
      code: "ECONNRESET",
    });
    return this.#explain([{ address, error }]);
  }

  #order(addresses: readonly string[]): readonly string[] {
    const nowMs = now();
    for (const [address, untilMs] of this.#failed) {
      if (untilMs <= nowMs || !addresses.includes(address)) this.#failed.delete(address);
    }
    const balanced = addresses.length > 1 ? this.#balance(addresses) : addresses;
    if (this.#failed.size === 0) return balanced;
    const failed = (address: string) => this.#failed.has(address);
    return [...balanced.filter((a) => !failed(a)), ...balanced.filter(failed)];
  }

  #balance(addresses: readonly string[]): readonly string[] {
    switch (this.#settings.loadBalance) {
      case "ordered":
        return addresses;
      case "random":
        return shuffled(addresses);
      case "round-robin": {
        // The server may rotate its answer: turns are taken in an order of our own.
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

  /** One address; where it did not do, `undefined`, and the reason is noted. */
  async #attempt(
    dial: Dial,
    address: string,
    role: WantedRole,
    limitMs: number,
  ): Promise<Dialled<C> | undefined> {
    dial.signal.throwIfAborted();
    const controller = new AbortController();
    dial.current = { address, controller };
    this.#count(address);
    try {
      const client = await this.#connect(address, {
        limitMs,
        signal: AbortSignal.any([dial.signal, controller.signal]),
        ready: (client) => this.#ready(client, role),
      });
      this.#failed.delete(address);
      const open = this.#adapter.address?.(client);
      if (open === undefined || open === address) return { client, address };
      this.uncount(address);
      this.#count(open);
      return { client, address: open };
    } catch (error) {
      this.uncount(address);
      dial.signal.throwIfAborted();
      // No server said this, and no other address would fare better.
      if (error instanceof DriverUnavailableError) throw error;
      dial.attempts.push({ address, error });
      if (!(error instanceof WrongRoleError)) this.#failed.set(address, now() + LAST_CHOICE_MS);
      return undefined;
    }
  }

  /** What a new connection goes through before anybody sees it. */
  async #ready(client: C, wanted: WantedRole): Promise<void> {
    const adapter = this.#adapter;
    if (wanted !== "any") {
      const role = await adapter.role!(client);
      if (!matchesRole(role, wanted)) throw new WrongRoleError(role, wanted);
    }
    const { isolationLevel } = this.#settings;
    if (isolationLevel !== undefined) await adapter.setIsolationLevel!(client, isolationLevel);
  }

  /** One connection attempt, with its own end: no driver's time-out is trusted. */
  async #connect(
    address: string,
    { limitMs, signal, ready }: {
      readonly limitMs: number;
      readonly signal: AbortSignal | undefined;
      readonly ready?: (client: C) => Promise<void>;
    },
  ): Promise<C> {
    let dialling: Promise<C> | undefined;
    try {
      return await deadline(limitMs, async (signal) => {
        const target = { ...this.#target, signal };
        dialling = this.#adapter.connect(address, target);
        const client = await dialling;
        await ready?.(client);
        return client;
      }, { signal, what: "no connection" });
    } catch (error) {
      // A driver that cannot be stopped may still bring a connection, which nobody wants any more.
      dialling?.then((client) => this.discard(client), () => {});
      throw error;
    }
  }

  /** Drops a connection that never came into the pool. */
  discard(client: C, reason?: Error): void {
    const { terminate, close } = this.#adapter;
    try {
      if (terminate) terminate.call(this.#adapter, client, reason);
      else close?.call(this.#adapter, client).catch(() => {});
    } catch {
      // It was to be dropped, and nobody is left who could do more about it.
    }
  }

  #isPassing(error: unknown): boolean {
    if (isTimeout(error) || isSocketError(error)) return true;
    try {
      return this.#adapter.classify?.(error) === "disconnect";
    } catch {
      return false;
    }
  }

  #explain(attempts: readonly ConnectAttempt[]): ConnectError {
    const { host, port } = this.#target;
    const said = attempts.map(({ address, error }) => {
      const text = error instanceof Error ? error.message || codeOf(error) : String(error);
      const where = this.#adapter.local ? address : hostPort(address, port);
      return `${where} said: ${this.#hide(text)}`;
    });
    return new ConnectError(`Cannot connect to "${host}": ${said.join("; ")}`, {
      host,
      attempts,
      cause: attempts.at(-1)?.error,
    });
  }

  #hide(text: string): string {
    return redactPassword(text, this.#target.password);
  }
}
