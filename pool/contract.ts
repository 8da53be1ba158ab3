/**
 * What a pool needs: its connections, its numbers, and what one checkout may ask for. The pool knows no DNS and no
 * driver.
 *
 * @module
 */

import type { AnswerSource } from "../resolver/answer_source.ts";
import type { TerminateOptions } from "./connection/close.ts";
import type { AnswerWaitEvents } from "./answer_wait.ts";
import type { ConnectLimiterEvents, Opener } from "./connect_limiter.ts";
import type { SafeObserver } from "./observer.ts";
import type { InvalidConnection, Slot, SlotInit } from "./slot.ts";
import type { WaitQueueEvents } from "./wait_queue.ts";

export type { InvalidConnection } from "./slot.ts";

/** What a connection reports while it is open. */
export interface ConnectionEvents {
  /**
   * The server or the network closed the connection.
   *
   * @param error What the server said last, if that was why it ends the session; or else the driver's error, if any.
   * @param explained Whether the server said it. Default: no.
   */
  onClosed(error: unknown, explained?: boolean): void;
  /** The server reported an error, perhaps only to the holder of the connection. */
  onError(error: unknown): void;
  /** The server reported that its role may no longer be what it was. */
  onDoubt(doubt: InvalidConnection): void;
}

/** A connection that was opened. */
export interface OpenedConnection<C> extends SlotInit<C> {
  /** Reports what happens to the connection, from the moment it was opened on. */
  watch(events: ConnectionEvents): void;
}

/** What an inventory asks and reports. */
export interface InventoryEvents {
  /** Returns whether connections are being opened. */
  isConnecting(): boolean;
  /** A connection proved invalid, and others to the same server were evicted with it. */
  onOutage(): void;
  /** A connection was closed, so that another one may be opened. */
  dispatch(): void;
}

/** What the parts of a pool report to it. It listens itself: a closure for each event would be most of an idle pool. */
export type PoolEvents<C> =
  & InventoryEvents
  & ConnectLimiterEvents<OpenedConnection<C>>
  & WaitQueueEvents
  & AnswerWaitEvents;

/** Opens, checks, resets and closes the connections of a pool. */
export interface Connections<C> extends Opener<OpenedConnection<C>> {
  /** Whether a connection has ever been opened, also by an earlier pool of the engine. */
  readonly hasConnected: boolean;
  /** Creates the error for waiters whose timeout was over while connects kept failing. */
  timeoutError(lastError: unknown, waited: number): Error;
  /** Returns whether the host has this address now. */
  isCurrent(address: string): boolean;
  /** Returns whether a connection has to be checked before it is handed out; fast, and without an effect. */
  needsCheck(slot: Slot<C>): boolean;
  /**
   * Checks a connection before it is handed out. Called at each handover, so it is fast if there is nothing to check.
   *
   * @returns `undefined` if the connection is usable; otherwise a promise of what is wrong with it, if anything.
   */
  check(slot: Slot<C>): Promise<InvalidConnection | undefined> | undefined;
  /**
   * Prepares a connection that came back for its next holder.
   *
   * @returns `undefined` if there is nothing to do. If the promise is rejected, the connection is to be closed.
   */
  reset(slot: Slot<C>): Promise<void> | undefined;
  /**
   * Finds out whether the server of a connection that came back, and was reset, has the wanted role. If not, DNS is
   * asked again.
   *
   * @returns Whether it is the wanted one. If the promise is rejected, the connection is to be closed.
   */
  hasWantedRole(slot: Slot<C>): Promise<boolean>;
  /** Is told that a connection is about to be checked, or handed out without a check. */
  onTaken(slot: Slot<C>): void;
  /** Is told that a connection has become idle. */
  onIdle(slot: Slot<C>): void;
  /** Is told that a connection proved invalid, and with it the others to the same server. */
  onOutage(address: string): void;
  /** Finds out from an error whether the connection that it occurred on is invalid. */
  classifyError(error: unknown): InvalidConnection | undefined;
  /** Is told why the server ended a connection that is leased. */
  onExplained(slot: Slot<C>, error: unknown): void;
  /** Is told that a connection was given away. */
  detach(slot: Slot<C>): void;
  /**
   * Closes a connection gracefully, or terminates it if there is a reason. Never throws.
   *
   * @param slot The connection.
   * @param reason Why it is terminated.
   * @param options How it is terminated.
   * @returns Fulfilled when the connection is closed; `undefined` if that is so already. Never rejected.
   */
  close(slot: Slot<C>, reason: unknown, options?: TerminateOptions): Promise<void> | undefined;
}

/** What a pool is made of. */
export interface PoolParts<C> {
  /** The answer for the host: connections are handed out while it is fresh. */
  readonly answer: Pick<AnswerSource, "isFresh" | "waitUntilFresh" | "refresh">;
  readonly connections: Connections<C>;
}

/** Limits that may change while the pool is in use; durations in milliseconds. */
export interface PoolLimits {
  /** Maximum number of idle connections. */
  readonly poolSize: number;
  /** Number of idle connections to which `maintain()` closes those that are idle for the longest time. */
  readonly maxIdle: number;
  /** Number of connections, idle or in use, that are opened ahead of need, also before the first use. */
  readonly minOpen: number;
  /** Maximum duration of a connect with the resolution before it: added to the timeout of a waiter that waits for one. */
  readonly maxOpenMs: number;
}

/** The pool's options; durations in milliseconds. */
export interface PoolSettings extends PoolLimits {
  /** The pool's name, for messages. */
  readonly name: string;
  /** Maximum number of connections above `poolSize`. */
  readonly maxOverflow: number;
  /** Timeout of a checkout. */
  readonly poolTimeoutMs: number;
  /** Whether the connection that came back last is handed out first. */
  readonly useLifo: boolean;
  /** Maximum number of connects at once. */
  readonly connectConcurrency: number;
  /** Number of checkouts after which a connection is replaced. */
  readonly maxUses: number;
  /** Maximum idle time. */
  readonly idleTimeoutMs: number;
  /** Whether the time since a connection became idle is needed. */
  readonly timesIdle: boolean;
  /** Number of idle connections that are opened ahead of need, once the engine was used. */
  readonly minIdle: number;
  /** Maximum age of a connection: those of `minIdle` are replaced before it. */
  readonly recycleMs: number;
  /** Number of connections, idle or in use, up to which none is closed for its idle time. */
  readonly minSize: number;
  /** Whether the time and the stack of each checkout are recorded. */
  readonly traces: boolean;
  /** Hears how long things take. */
  readonly observer: SafeObserver | undefined;
  /** Whether a second checkout at the same time is an error and does not wait. */
  readonly single: boolean;
}

/** The options of one checkout. */
export interface CheckoutOptions {
  /** Ends the wait: the checkout is rejected with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Replaces `poolTimeoutMs`. */
  readonly timeoutMs?: number | undefined;
}
