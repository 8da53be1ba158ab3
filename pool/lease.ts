/**
 * A connection's place in the pool, and the handle of the one who holds it.
 *
 * @module
 */

import type { Linked } from "./linked_list.ts";
import { OptionReader } from "../internal/option_reader.ts";

/** Within that time, a connection that was not handed out yet counts as just opened. */
const ARRIVAL_MS = 1000;

/** One connection and what the pool knows of it, from the dial to the close. */
export class Slot<C> implements Linked<Slot<C>> {
  before: Slot<C> | undefined = undefined;
  after: Slot<C> | undefined = undefined;
  /** Whose it is now. */
  lease: Lease<C> | undefined = undefined;
  state: "idle" | "inUse" | "detached" | "closed" = "inUse";
  /** Not to be handed out again: closed at its next checkin or checkout. */
  spent = false;
  /** The connection died by itself: there is nothing left to reset. */
  dead = false;
  /** An outage was seen on a sibling, so that this one's failure is no news. */
  condemned = false;
  /** In use on an address that departed: it does not count against the limit. */
  retired = false;
  /** Since when. */
  retiredAtMs: number = Infinity;
  /** How often it was handed out. */
  uses = 0;
  /** When it last came back. */
  idleSinceMs: number;
  /** When it last went out; kept only where somebody asks. */
  leasedAtMs = 0;
  /** Where it was taken; kept only where somebody asks. */
  takenAt: string | undefined = undefined;
  /** It was reported as out for long. */
  reported = false;
  /** An isolation level of the lease's own, to be taken back at checkin. */
  isolationLevel: string | undefined = undefined;
  /** Told when the connection is closed while it is checked or reset: the driver may leave that pending. */
  onEnd: (() => void) | undefined = undefined;

  /**
   * @param client The driver's client.
   * @param address The address that was dialled.
   * @param openedAtMs When the dial began.
   * @param expiresAtMs When the connection is too old to be handed out.
   * @param info The user's own notes about this connection.
   */
  constructor(
    readonly client: C,
    readonly address: string,
    readonly openedAtMs: number,
    readonly expiresAtMs: number,
    public info: Record<string, unknown>,
  ) {
    this.idleSinceMs = openedAtMs;
  }

  /** Whether it was not handed out yet, and comes straight from its dial. */
  justOpened(nowMs: number): boolean {
    return this.uses === 0 && nowMs - this.idleSinceMs < ARRIVAL_MS;
  }

  /** Waits for something that is done on the connection, but no longer than it is open. */
  whileOpen<T>(work: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      this.onEnd = () => resolve(undefined);
      work.then(resolve, reject);
    });
  }
}

/** What a lease asks of its pool. */
export interface Lender<C> {
  /** Takes the connection back. */
  checkin(slot: Slot<C>, error: unknown): Promise<void>;
  /** Closes the connection now. */
  invalidate(slot: Slot<C>, error: unknown): void;
  /** Closes the connection when it comes back. */
  invalidateSoftly(slot: Slot<C>): void;
  /** Gives the connection away. */
  detach(slot: Slot<C>): void;
}

const DONE: Promise<void> = Promise.resolve();

/**
 * One holder's handle on a connection, from checkout to checkin. Hand it back with `release()`, in a `finally`
 * or by `await using`.
 *
 * @typeParam C The driver's client.
 */
export class Lease<C> {
  readonly #lender: Lender<C>;
  readonly #slot: Slot<C>;
  #controller: AbortController | undefined = undefined;
  /** Those who are told when the connection is lost. */
  #watchers: Set<(reason: unknown) => void> | undefined = undefined;

  /** Leases come from `engine.connect()`. */
  constructor(lender: Lender<C>, slot: Slot<C>) {
    this.#lender = lender;
    this.#slot = slot;
  }

  /**
   * The driver's own client.
   *
   * @throws {TypeError} once the lease was released: the connection may be somebody else's by then.
   * @throws {@linkcode signal}'s reason, once the pool terminated the connection.
   */
  get client(): C {
    if (this.#slot.lease !== this) {
      this.#controller?.signal.throwIfAborted();
      throw new TypeError("Cannot use the client of a lease that was released or invalidated");
    }
    return this.#slot.client;
  }

  /** The address that this connection was dialled to. */
  get address(): string {
    return this.#slot.address;
  }

  /** Notes of yours about the connection: they stay with it from lease to lease, until it is closed. */
  get info(): Record<string, unknown> {
    return this.#slot.info;
  }

  /** Whether the lease was given back, one way or another. */
  get released(): boolean {
    return this.#slot.lease !== this;
  }

  /** Aborted when the pool has to terminate the connection while you hold it; its reason says why. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  /**
   * Gives the connection back. A second call does nothing.
   *
   * @param error What went wrong while you had it, if anything: where the adapter knows it as a lost connection
   *   or a read-only server, the connection is closed and the name is looked up again; otherwise it is reused.
   * @returns Fulfilled when the connection was reset and is idle, handed on or closed. Never rejected.
   */
  release(error?: unknown): Promise<void> {
    const slot = this.#slot;
    if (slot.lease !== this) return DONE;
    slot.lease = undefined;
    return this.#lender.checkin(slot, error);
  }

  /**
   * Says that the connection is no good. It is not handed out again; a new one takes its place.
   *
   * @param error Why, for the hooks and the log.
   * @param options With `soft`, you may go on using it, and it is closed when you release it.
   * @throws {TypeError} for an option that cannot be meant.
   */
  invalidate(error?: unknown, options?: { soft?: boolean }): void {
    const reader = new OptionReader(options, "invalidate");
    const soft = reader.boolean("soft", false);
    reader.done();
    const slot = this.#slot;
    if (slot.lease !== this) return;
    if (soft) return this.#lender.invalidateSoftly(slot);
    slot.lease = undefined;
    this.#lender.invalidate(slot, error);
  }

  /**
   * Takes the connection out of the pool for good: its place is free at once, and closing it is up to you.
   *
   * @returns The driver's own client.
   * @throws {TypeError} when the lease was released before.
   */
  detach(): C {
    const { client } = this;
    this.#slot.info = { ...this.#slot.info };
    this.#lender.detach(this.#slot);
    return client;
  }

  /**
   * Waits for work on this connection, but no longer than the connection lasts.
   *
   * @param work The work.
   * @returns What it gives.
   * @throws What it throws; or {@linkcode signal}'s reason, as soon as the pool terminates the connection.
   */
  untilLost<T>(work: T | Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const watchers = this.#watchers ??= new Set();
      watchers.add(reject);
      // The two as they are, and nothing else on that promise: so an error's stack leads on to whoever awaits this one.
      Promise.resolve(work).then(resolve, reject).then(() => watchers.delete(reject));
      if (this.#controller?.signal.aborted) reject(this.#controller.signal.reason);
    });
  }

  /** Notes that the session has an isolation level for the time of this lease. */
  borrowIsolationLevel(level: string): void {
    this.#slot.isolationLevel = level;
  }

  /** Tells the holder that the connection is being terminated. */
  abort(reason: unknown): void {
    for (const watcher of this.#watchers ?? []) watcher(reason);
    (this.#controller ??= new AbortController()).abort(reason);
  }

  /** Gives the connection back: `await using lease = await engine.connect()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
