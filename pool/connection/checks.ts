/**
 * Checks a connection before it is handed out, and resets it when it came back.
 *
 * @module
 */

import { deadline, delay } from "../../internal/async.ts";
import { ageClock, awakeTimer, now, type Timer, timer } from "../../internal/clock.ts";
import type { Log } from "../../internal/log.ts";
import { asError, callAdapter, messageOf } from "../../internal/thrown.ts";
import type { Activity, Adapter, Role } from "../../adapters/adapter.ts";
import { DisconnectionError } from "../../errors.ts";
import type { AnswerSource } from "../../resolver/answer_source.ts";
import type { InvalidConnection } from "../contract.ts";
import type { Slot } from "../slot.ts";
import { connectionLost } from "./close.ts";
import type { Dialer } from "./dialer.ts";
import { noEndOf, type PoolHooks } from "./hooks.ts";
import { isWriterRole, matchesRole, type WantedRole } from "./server_role.ts";

/** How connections are checked and reset; durations in milliseconds. */
export interface CheckSettings<C> {
  readonly prePing: boolean;
  readonly prePingAfterMs: number;
  readonly resetOnReturn: "rollback" | "commit" | "reset" | null;
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
  /** Opens the connections. */
  readonly dialer: Pick<Dialer<C>, "doubtsLogins">;
  readonly log: Log;
}

/** Interval in which a wait for what is running looks whether it can end. */
const STUCK_CHECK_MS = 25;

const CLOSED_BY_HOLDER = "its holder closed it";
const LEFT_OPEN =
  "it was released in the middle of a statement, a cursor, a COPY, a stream or a transaction of the driver";

/** Checks and resets the connections of one pool. */
export class ConnectionChecks<C> {
  readonly #adapter: Adapter<C>;
  readonly #answer: Pick<AnswerSource, "refresh">;
  readonly #dialer: Pick<Dialer<C>, "doubtsLogins">;
  readonly #log: Log;
  readonly #settings: CheckSettings<C>;
  readonly #hasChecks: boolean;
  readonly #hasResetHooks: boolean;
  /** Whether the adapter and the options have something to do at a checkin. */
  readonly #mayReset: boolean;
  readonly #resetOnReturn: "rollback" | "commit" | "reset" | null;

  /**
   * @param parts The adapter, the answer, the dialer and the log.
   * @param settings How connections are checked and reset.
   */
  constructor({ adapter, answer, dialer, log }: CheckParts<C>, settings: CheckSettings<C>) {
    this.#adapter = adapter;
    this.#answer = answer;
    this.#dialer = dialer;
    this.#log = log;
    this.#settings = settings;
    const { prePing, hooks, resetOnReturn } = settings;
    this.#resetOnReturn = resetOnReturn;
    this.#hasChecks = prePing || hooks.checkout !== undefined;
    this.#hasResetHooks = hooks.reset !== undefined || hooks.checkin !== undefined;
    const endsTransactions = resetOnReturn !== null && adapter.reset !== undefined;
    this.#mayReset = endsTransactions || resetOnReturn === "reset" || this.#hasResetHooks ||
      adapter.settle !== undefined || adapter.activity !== undefined;
  }

  /**
   * Pings a connection and calls the hook `checkout`, as far as the options ask for it.
   *
   * @returns `undefined` if there is nothing to check; otherwise what is wrong with the connection, if anything.
   * @throws What the hook throws, unless it is a `DisconnectionError`.
   */
  check(slot: Slot<C>): Promise<InvalidConnection | undefined> | undefined {
    if (!this.needsCheck(slot)) return undefined;
    return this.#check(slot, this.#isPingDue(slot));
  }

  /** Returns whether `check()` has something to do, and does nothing. */
  needsCheck(slot: Slot<C>): boolean {
    if (!this.#hasChecks && !this.#dialer.doubtsLogins) return false;
    return this.#settings.hooks.checkout !== undefined || this.#isPingDue(slot);
  }

  #isPingDue(slot: Slot<C>): boolean {
    const { prePing, prePingAfterMs } = this.#settings;
    // If one opened since then had been proven, there would be no doubt.
    if (this.#dialer.doubtsLogins) return this.#adapter.ping !== undefined;
    if (!prePing) return false;
    const nowMs = ageClock();
    return !slot.isJustOpened(nowMs) && nowMs - slot.idleSinceMs >= prePingAfterMs;
  }

  async #check(slot: Slot<C>, ping: boolean): Promise<InvalidConnection | undefined> {
    if (ping) {
      try {
        const what = `no answer to a ping from ${slot.address}`;
        await this.#whileOpen(slot, what, () => this.#adapter.ping!(slot.client));
        this.#dialer.doubtsLogins = false;
      } catch (cause) {
        // If it was closed meanwhile, perhaps with the engine, there is no need for a new answer.
        if (slot.isOpen) this.#answer.refresh();
        const message = `The connection to ${slot.address} does not answer a ping`;
        const sameServer = !this.#isClosedAlone(cause);
        if (!sameServer) this.#dialer.doubtsLogins = true;
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
   * Waits for what is running, ends an open transaction, calls the hooks, resets the session, and takes a borrowed
   * isolation level back; each as far as there is something to do.
   *
   * @returns `undefined` if there is nothing to do.
   * @throws What a hook or the driver throws, or an error if the connection has still something to do: it is in a state
   *   that the next holder must not meet.
   */
  reset(slot: Slot<C>): Promise<void> | undefined {
    if (this.#log.debugEnabled) this.#log.debug(`Checked in a connection to ${slot.address}`);
    if (!this.#mayReset && slot.isolationLevel === undefined) return undefined;
    const settled = this.#adapter.settle?.(slot.client);
    if (settled === undefined) return this.#resetIfNeeded(slot);
    return settled.then(() => slot.isOpen ? this.#resetIfNeeded(slot) : undefined);
  }

  #resetIfNeeded(slot: Slot<C>): Promise<void> | undefined {
    const adapter = this.#adapter;
    const resetOnReturn = this.#resetOnReturn;
    let activity: Activity = "none";
    let endsTransaction = resetOnReturn !== null && adapter.reset !== undefined;
    // Without these methods, or if one throws, there may be a transaction.
    try {
      if (adapter.activity !== undefined) activity = adapter.activity(slot.client) ?? "none";
      if (endsTransaction && adapter.transactionStatus !== undefined) {
        endsTransaction = adapter.transactionStatus(slot.client) !== "idle";
      }
    } catch (error) {
      this.#log.warn(`A method of the adapter failed: ${messageOf(error)}`);
    }
    // What is closed next has only to end its transaction.
    const isKept = !slot.evicted &&
      (activity !== "none" || resetOnReturn === "reset" || slot.isolationLevel !== undefined);
    if (!endsTransaction && !this.#hasResetHooks && !isKept) return undefined;
    const { address } = slot;
    const what = `no reset of the connection to ${address}`;
    return this.#whileOpen(slot, what, () => this.#reset(slot, activity, endsTransaction))
      .catch((error) => {
        // If it was closed meanwhile, the close ended the reset, and not the other way round.
        if (slot.isOpen) {
          this.#log.warn(
            `Closing a connection to ${address} that cannot be reset: ${messageOf(error)}`,
          );
        }
        throw error;
      });
  }

  async #reset(slot: Slot<C>, activity: Activity, endsTransaction: boolean): Promise<void> {
    const { client } = slot;
    const { hooks, isolationLevel, resetOnReturn } = this.#settings;
    const adapter = this.#adapter;
    const resetsSession = resetOnReturn === "reset" && !slot.evicted;
    await this.#refuseStuck(slot, activity);
    if (endsTransaction) {
      const ended = adapter.reset!(client, resetOnReturn === "commit" ? "commit" : "rollback");
      await (activity === "none" ? ended : this.#unlessStuck(slot, ended));
    } else {
      await this.#whileRunning(slot);
    }
    await hooks.reset?.(slot);
    if (resetsSession) await adapter.resetSession!(client);
    const isBorrowed = slot.isolationLevel !== undefined;
    slot.isolationLevel = undefined;
    // A hook may have reset the session, and the level with it.
    const isLost = isolationLevel !== undefined && (resetsSession || hooks.reset !== undefined);
    if (isLost || isBorrowed && !resetsSession) {
      await adapter.setIsolationLevel!(client, isolationLevel);
    }
    if (resetsSession) await hooks.connect?.(slot);
    await hooks.checkin?.(slot);
    if (hooks.checkin && isolationLevel !== undefined) {
      await adapter.setIsolationLevel!(client, isolationLevel);
    }
    await this.#refuseUnfinished(slot, activity === "running");
  }

  /** Throws if the server waits for what only the holder could have sent, or if the holder closed the connection. */
  async #refuseStuck(slot: Slot<C>, activity: Activity): Promise<void> {
    if (activity === "ended") throw connectionLost(slot.address, CLOSED_BY_HOLDER);
    if (activity !== "stuck") return;
    // The driver may be about to close a cursor or a stream that the holder has just left.
    await delay(0);
    if (this.#activity(slot) === "stuck") throw connectionLost(slot.address, LEFT_OPEN);
  }

  /** Waits until what is running has ended. */
  async #whileRunning(slot: Slot<C>): Promise<void> {
    if (this.#activity(slot) !== "running" || !this.#adapter.ping) return;
    await this.#unlessStuck(slot, this.#adapter.ping(slot.client));
  }

  /** Waits for a statement that waits for what is running; throws as soon as it can be seen that the wait has no end. */
  #unlessStuck(slot: Slot<C>, work: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      let wasStuck = false;
      let next: Timer;
      const look = () => {
        const isStuck = this.#activity(slot) === "stuck";
        if (isStuck && wasStuck) return reject(connectionLost(slot.address, LEFT_OPEN));
        wasStuck = isStuck;
        if (slot.isOpen) next = timer(STUCK_CHECK_MS, look);
      };
      next = timer(STUCK_CHECK_MS, look);
      work.then(resolve, reject).then(() => next.clear());
    });
  }

  /** Throws if there is something left to do: what comes next would be given the answer to it. */
  async #refuseUnfinished(slot: Slot<C>, wasRunning: boolean): Promise<void> {
    // A hook, or the holder when one of its statements ended, may have sent another one.
    await this.#whileRunning(slot);
    const activity = this.#activity(slot);
    if (activity === "ended") throw connectionLost(slot.address, CLOSED_BY_HOLDER);
    if (activity !== "none") throw connectionLost(slot.address, LEFT_OPEN);
    const { resetOnReturn } = this.#settings;
    if (resetOnReturn === null) return;
    let status = this.#transactionStatus(slot);
    if (status === undefined && wasRunning && this.#adapter.reset) {
      // A statement behind the reset has failed, perhaps in a transaction of its own.
      await this.#adapter.reset(slot.client, resetOnReturn === "commit" ? "commit" : "rollback");
      status = this.#transactionStatus(slot);
    }
    if (status === undefined || status === "idle") return;
    throw connectionLost(slot.address, "its transaction did not end");
  }

  #activity({ client }: Slot<C>): Activity {
    return callAdapter(this.#log, () => this.#adapter.activity?.(client)) ?? "none";
  }

  /** Without `transactionStatus()`, or if it throws, there may be a transaction. */
  #transactionStatus({ client }: Slot<C>) {
    return callAdapter(this.#log, () => this.#adapter.transactionStatus?.(client));
  }

  /**
   * Finds out whether the server of a connection has the wanted role; if not, asks for a new answer.
   *
   * @returns Whether it is the wanted one.
   * @throws If there is no answer.
   */
  async hasWantedRole(slot: Slot<C>): Promise<boolean> {
    let role: Role | undefined;
    await this.#whileOpen(slot, `no role of the server at ${slot.address}`, async () => {
      role = await this.#adapter.role!(slot.client);
    });
    const isWanted = matchesRole(role!, slot.role);
    if (!isWanted) this.#answer.refresh();
    return isWanted;
  }

  /** Works on a connection that is not leased, at most for `connectTimeout` and until the connection is closed. */
  async #whileOpen(
    slot: Slot<C>,
    what: string,
    work: () => void | Promise<void>,
  ): Promise<void> {
    const controller = new AbortController();
    slot.onClosed = () => controller.abort();
    slot.checkedSinceMs = now();
    try {
      const { signal } = controller;
      await deadline(this.#settings.connectTimeoutMs, work, { signal, what, start: awakeTimer });
    } finally {
      slot.onClosed = undefined;
      slot.checkedSinceMs = Infinity;
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
    if (verdict === "closed" || verdict === "stale") {
      if (verdict === "closed") this.#dialer.doubtsLogins = true;
      return { error: error as Error, sameServer: false };
    }
    this.#answer.refresh();
    // If no writable server is wanted, a read-only one is no reason to connect again.
    const needsWrites = isWriterRole(this.#settings.targetSessionAttrs);
    if (verdict === "read-only" && !needsWrites) return undefined;
    return { error: error as Error, sameServer: true, doubtful: verdict === "read-only" };
  }
}

/** Goes by the code and not by the class: a hook may have the class of another copy of this package. */
function isDisconnection(error: unknown): error is DisconnectionError {
  return (asError(error) as { code?: unknown } | undefined)?.code === "DISCONNECTED";
}
