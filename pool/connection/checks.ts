/**
 * Checks a connection before it is handed out, and resets it when it came back.
 *
 * @module
 */

import { deadline } from "../../internal/async.ts";
import { now } from "../../internal/clock.ts";
import type { Log } from "../../internal/log.ts";
import { asError, callAdapter, messageOf } from "../../internal/thrown.ts";
import type { Adapter, Role } from "../../adapters/adapter.ts";
import { DisconnectionError } from "../../errors.ts";
import type { AnswerSource } from "../../resolver/answer_source.ts";
import type { InvalidConnection } from "../contract.ts";
import type { Slot } from "../slot.ts";
import { noEndOf, type PoolHooks } from "./hooks.ts";
import { matchesRole, type WantedRole } from "./server_role.ts";

/** How connections are checked and reset; durations in milliseconds. */
export interface CheckSettings<C> {
  readonly prePing: boolean;
  readonly prePingAfterMs: number;
  readonly resetOnReturn: "rollback" | "commit" | null;
  /** Timeout of each ping, hook and reset. */
  readonly connectTimeoutMs: number;
  readonly isolationLevel: string | undefined;
  readonly targetSessionAttrs: WantedRole;
  readonly hooks: PoolHooks<C>;
}

/** What the checks need. */
export interface CheckParts<C> {
  readonly adapter: Adapter<C>;
  /** Asked for a new answer when a connection proves to be broken. */
  readonly answer: Pick<AnswerSource, "refresh">;
  readonly log: Log;
}

/** Checks and resets the connections of one pool. */
export class ConnectionChecks<C> {
  readonly #adapter: Adapter<C>;
  readonly #answer: Pick<AnswerSource, "refresh">;
  readonly #log: Log;
  readonly #settings: CheckSettings<C>;
  readonly #hasChecks: boolean;
  readonly #hasResetHooks: boolean;

  /**
   * @param parts The adapter, the answer and the log.
   * @param settings How connections are checked and reset.
   */
  constructor({ adapter, answer, log }: CheckParts<C>, settings: CheckSettings<C>) {
    this.#adapter = adapter;
    this.#answer = answer;
    this.#log = log;
    this.#settings = settings;
    const { prePing, hooks } = settings;
    this.#hasChecks = prePing || hooks.checkout !== undefined;
    this.#hasResetHooks = hooks.reset !== undefined || hooks.checkin !== undefined;
  }

  /**
   * Pings a connection and calls the hook `checkout`, as far as the options ask for it.
   *
   * @returns `undefined` if there is nothing to check; otherwise what is wrong with the connection, if anything.
   * @throws What the hook throws, unless it is a `DisconnectionError`.
   */
  check(slot: Slot<C>): Promise<InvalidConnection | undefined> | undefined {
    if (!this.#hasChecks) return undefined;
    const { prePing, prePingAfterMs, hooks } = this.#settings;
    const nowMs = now();
    const ping = prePing && !slot.isJustOpened(nowMs) &&
      nowMs - slot.idleSinceMs >= prePingAfterMs;
    return ping || hooks.checkout ? this.#check(slot, ping) : undefined;
  }

  async #check(slot: Slot<C>, ping: boolean): Promise<InvalidConnection | undefined> {
    if (ping) {
      try {
        const what = `no answer to a ping from ${slot.address}`;
        await this.#whileOpen(slot, what, () => this.#adapter.ping!(slot.client));
      } catch (cause) {
        // If it was closed meanwhile, perhaps with the engine, there is no need for a new answer.
        if (slot.isOpen) this.#answer.refresh();
        const message = `The connection to ${slot.address} does not answer a ping`;
        const sameServer = !this.#isClosedAlone(cause);
        return { error: new DisconnectionError(message, { cause }), sameServer };
      }
    }
    const { hooks } = this.#settings;
    if (!hooks.checkout) return undefined;
    try {
      await this.#whileOpen(slot, noEndOf("checkout"), () => hooks.checkout!(slot));
      return undefined;
    } catch (error) {
      if (isDisconnection(error)) return { error, sameServer: false };
      throw error;
    }
  }

  /**
   * Calls the reset hooks, ends an open transaction and takes a borrowed isolation level back.
   *
   * @returns `undefined` if there is nothing to do.
   * @throws What a hook or the driver throws: the connection is in an unknown state.
   */
  reset(slot: Slot<C>): Promise<void> | undefined {
    if (this.#log.debugEnabled) this.#log.debug(`Checked in a connection to ${slot.address}`);
    const how = this.#mayBeInTransaction(slot) ? this.#settings.resetOnReturn : null;
    if (how === null && !this.#hasResetHooks && slot.isolationLevel === undefined) {
      return undefined;
    }
    return this.#resetWhileOpen(slot, how);
  }

  /** Returns whether a transaction may have to be ended: without `inTransaction()`, or if it throws, it may. */
  #mayBeInTransaction({ client }: Slot<C>): boolean {
    const adapter = this.#adapter;
    if (this.#settings.resetOnReturn === null || adapter.reset === undefined) return false;
    return callAdapter(this.#log, () => adapter.inTransaction?.(client)) !== false;
  }

  async #resetWhileOpen(slot: Slot<C>, how: "rollback" | "commit" | null): Promise<void> {
    const { address } = slot;
    try {
      const what = `no reset of the connection to ${address}`;
      await this.#whileOpen(slot, what, () => this.#reset(slot, how));
    } catch (error) {
      // If it was closed meanwhile, the close ended the reset, and not the other way round.
      if (slot.isOpen) {
        this.#log.warn(
          `Closing a connection to ${address} that cannot be reset: ${messageOf(error)}`,
        );
      }
      throw error;
    }
  }

  async #reset(slot: Slot<C>, how: "rollback" | "commit" | null): Promise<void> {
    const { hooks, isolationLevel } = this.#settings;
    await hooks.reset?.(slot);
    if (how !== null) await this.#adapter.reset!(slot.client, how);
    if (slot.isolationLevel !== undefined) {
      slot.isolationLevel = undefined;
      await this.#adapter.setIsolationLevel!(slot.client, isolationLevel);
    }
    await hooks.checkin?.(slot);
  }

  /**
   * Asks the server of a connection for its role.
   *
   * @returns Whether it is the wanted one.
   * @throws If there is no answer.
   */
  async hasWantedRole(slot: Slot<C>): Promise<boolean> {
    let role: Role | undefined;
    await this.#whileOpen(slot, `no role of the server at ${slot.address}`, async () => {
      role = await this.#adapter.role!(slot.client);
    });
    return matchesRole(role!, this.#settings.targetSessionAttrs);
  }

  /** Works on a connection that is not leased, at most for `connectTimeout` and until the connection is closed. */
  async #whileOpen(
    slot: Slot<C>,
    what: string,
    work: () => void | Promise<void>,
  ): Promise<void> {
    const controller = new AbortController();
    slot.onClosed = () => controller.abort();
    try {
      const { signal } = controller;
      await deadline(this.#settings.connectTimeoutMs, work, { signal, what });
    } finally {
      slot.onClosed = undefined;
    }
  }

  /** Finds out whether an error, of whatever kind, says that the connection is invalid. */
  classifyError(error: unknown): InvalidConnection | undefined {
    // An adapter that fails at the error has found out nothing.
    return callAdapter(this.#log, () => this.#classifyError(error));
  }

  #isClosedAlone(error: unknown): boolean {
    return callAdapter(this.#log, () => this.#adapter.classify?.(error)) === "closed";
  }

  #classifyError(error: unknown): InvalidConnection | undefined {
    if (isDisconnection(error)) return { error, sameServer: false };
    const verdict = this.#adapter.classify?.(error);
    if (verdict === undefined) return undefined;
    if (verdict === "closed") return { error: error as Error, sameServer: false };
    this.#answer.refresh();
    // If no writable server is wanted, a read-only one is no reason to connect again.
    const { targetSessionAttrs } = this.#settings;
    const needsWrites = targetSessionAttrs === "read-write" || targetSessionAttrs === "primary";
    if (verdict === "read-only" && !needsWrites) return undefined;
    return { error: error as Error, sameServer: true, doubtful: verdict === "read-only" };
  }
}

/** Goes by the code and not by the class: a hook may have the class of another copy of this package. */
function isDisconnection(error: unknown): error is DisconnectionError {
  return (asError(error) as { code?: unknown } | undefined)?.code === "DISCONNECTED";
}
