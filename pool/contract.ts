/**
 * What the pool asks of where its connections come from, and what it is told.
 *
 * @module
 */

import type { Slot } from "./slot.ts";
import type { SafeObserver } from "./observer.ts";

/** A connection that was opened. */
export interface Opened<C> {
  /** The driver's client. */
  readonly client: C;
  /** The address that was dialled. */
  readonly address: string;
  /** When the dial began. */
  readonly openedAtMs: number;
  /** When the connection is too old to be handed out. */
  readonly expiresAtMs: number;
  /** What the hooks noted about it. */
  readonly info: Record<string, unknown>;
}

/** What a check found wrong with a connection. */
export interface Unfit {
  /** What is wrong. */
  readonly error: Error;
  /** Whether its siblings on the same address are no better. */
  readonly siblings: boolean;
}

/** What a pool is told about a connection of its own. */
export interface Adopter<C> {
  /** It died by itself. */
  lost(slot: Slot<C>, error: unknown): void;
  /** Its server said something that makes it unfit, perhaps to somebody who keeps it to themselves. */
  condemn(slot: Slot<C>, unfit: Unfit): void;
}

/** Where connections come from, and what becomes of them. */
export interface Source<C> {
  /** Whether the addresses known may be used now. Called at each handover: no I/O, a comparison or two. */
  isFresh(): boolean;
  /** Waits until they may be used. */
  waitUntilFresh(signal: AbortSignal): Promise<void>;
  /** Keeps the addresses fresh until the returned function is called. */
  keepFresh(): () => void;
  /** Whether the name has this address now. */
  isCurrent(address: string): boolean;
  /** Opens a connection. */
  open(signal: AbortSignal): Promise<Opened<C>>;
  /** Whether an error of `open` may pass by itself, so that waiters had better wait. */
  isTransient(error: unknown): boolean;
  /** A connection that `open` gave is in the pool now. */
  adopt(slot: Slot<C>, pool: Adopter<C>): void;
  /** A connection was given away. */
  part(slot: Slot<C>): void;
  /** A connection goes out. */
  wake(slot: Slot<C>): void;
  /** A connection is idle. */
  rest(slot: Slot<C>): void;
  /** Looks at a connection before it is handed out; `undefined` where there is nothing to look at. */
  check(slot: Slot<C>): Promise<Unfit | undefined> | undefined;
  /** Prepares a connection for its next holder; `undefined` where nothing is to be done. Rejects: close it. */
  reset(slot: Slot<C>): Promise<void> | undefined;
  /** What an error says about the connection it happened on. */
  judge(error: unknown): Unfit | undefined;
  /** Closes a connection: politely, or at once with a reason. Never throws, never rejects. */
  close(slot: Slot<C>, reason: unknown): Promise<void> | undefined;
  /** The error for waiters whose connects kept failing until their time was up. */
  timeoutError(lastError: unknown, waited: number): Error;
}

/** The pool's numbers; durations in milliseconds. */
export interface PoolSettings {
  /** For messages. */
  readonly name: string;
  /** Idle connections that are kept. */
  readonly poolSize: number;
  /** Connections above that. */
  readonly maxOverflow: number;
  /** How long a checkout may wait. */
  readonly poolTimeoutMs: number;
  /** Whether the last connection to come back is the first to go out. */
  readonly useLifo: boolean;
  /** Connections opening at once. */
  readonly connectConcurrency: number;
  /** Checkouts after which a connection is replaced. */
  readonly maxUses: number;
  /** Idle connections older than that are not handed out. */
  readonly idleTimeoutMs: number;
  /** Whether anybody asks since when a connection is idle. */
  readonly timesIdle: boolean;
  /** Idle connections that are opened ahead, once the pool was used. */
  readonly minIdle: number;
  /** Connections, idle or in use, below which none is closed for its idleness. */
  readonly minSize: number;
  /** What a dial, and a resolution before it, may take: whoever waits for one is given so much more time. */
  readonly dialMs: number;
  /** Whether leases remember when and where they were taken. */
  readonly traces: boolean;
  /** Who wants to hear how long things take. */
  readonly observer: SafeObserver | undefined;
  /** Whether a second lease at the same time is an error rather than a wait. */
  readonly single: boolean;
}

/** How one checkout differs from the others. */
export interface CheckoutOptions {
  /** Ends the wait: the checkout is rejected with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Replaces `poolTimeoutMs`. */
  readonly timeoutMs?: number | undefined;
}
