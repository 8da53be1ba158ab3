/**
 * A connection that is kept between questions, and replaced as soon as it may be dead: a router between that has
 * forgotten it tells neither side, and TCP notices after many minutes.
 *
 * @module
 */

import { awakeTimer, maintenanceTimer, now, type Timer } from "../../internal/clock.ts";

/** Time without a question after which a connection is closed, in milliseconds: shorter than routers remember one. */
const IDLE_MS = 30_000;
/**
 * Minimum time for which nothing was heard on a connection with an open question, in milliseconds, after which a question
 * gets another one: less than the first pause of a lookup that repeats its questions sparingly. It doubles with each
 * connection, so that a server which is slow is not asked to open many.
 */
const MIN_SILENT_MS = 200;
/** Maximum number of times that it doubles. */
const MAX_DOUBLINGS = 5;
/** It is at least the usual time to the first sign of life, as often. */
const TIMES_USUAL = 2;
/** Part of the usual time that each question counts for. */
const WEIGHT = 0.25;

/** How connections are made. */
export interface ConnectionKind<T> {
  /** Opens one. */
  open(): T;
  /** Returns whether it can take another question. Default: yes, until a question is left without an answer. */
  isUsable?(connection: T): boolean;
  /** Closes one; no question is open on it. */
  close(connection: T): void;
}

/** The functions that close the connections without a question. */
const idle = new Set<() => void>();

/** Closes every connection on which no question is open. */
export function closeIdleConnections(): void {
  for (const close of [...idle]) close();
}

interface Kept<T> {
  readonly connection: T;
  /** Number of questions that are open. */
  open: number;
  /** Number of signs of life. */
  heard: number;
  /** Whether nothing was heard for so long, while a question is open, that it may be dead. */
  isSilent: boolean;
  /** Sets that, while a question is open. Time in which the event loop was blocked does not count. */
  silence: Timer | undefined;
  /** Ends the state of being without a question. */
  endIdle(): void;
}

/** Holds at most one connection for new questions. */
export class KeptConnection<T> {
  readonly #kind: ConnectionKind<T>;
  #current: Kept<T> | undefined;
  /** Number of connections in a row that were replaced because they were silent. */
  #silentCount = 0;
  /** Usual time from a question to a sign of life, in milliseconds. */
  #usualMs = 0;

  /** @param kind How connections are made. */
  constructor(kind: ConnectionKind<T>) {
    this.#kind = kind;
  }

  /**
   * Asks a question. If it fails, or is given up after a while, and nothing has been heard since it began, the next
   * question gets another connection; and so it does while it is open, and nothing is heard.
   *
   * @param ask Asks on the connection, and calls `heard` when the server shows that it is alive.
   * @param signal Tells whether the question was given up.
   * @returns What `ask` returned.
   */
  async use<R>(
    ask: (connection: T, heard: () => void) => Promise<R>,
    signal?: AbortSignal,
  ): Promise<R> {
    const kept = this.#take();
    const { heard } = kept;
    const askedMs = now();
    try {
      return await ask(kept.connection, () => this.#onHeard(kept, askedMs));
    } catch (error) {
      // One that is given up soon, for instance because another was answered, says nothing.
      const isEarly = signal?.aborted === true && !kept.isSilent;
      if (kept.heard === heard && !isEarly) this.#replace(kept);
      throw error;
    } finally {
      if (--kept.open === 0) {
        kept.silence?.clear();
        this.#onIdle(kept);
      }
    }
  }

  #take(): Kept<T> {
    const { isUsable } = this.#kind;
    if (this.#current && isUsable?.(this.#current.connection) === false) {
      this.#replace(this.#current);
    }
    if (this.#current?.isSilent) {
      this.#silentCount = Math.min(this.#silentCount + 1, MAX_DOUBLINGS);
      this.#replace(this.#current);
    }
    const kept = this.#current ??= {
      ...{ connection: this.#kind.open(), open: 0, heard: 0, isSilent: false, silence: undefined },
      endIdle: () => {},
    };
    kept.endIdle();
    if (kept.open++ === 0) this.#awaitSilence(kept);
    return kept;
  }

  #onHeard(kept: Kept<T>, askedMs: number): void {
    kept.heard++;
    this.#silentCount = 0;
    this.#usualMs += WEIGHT * (now() - askedMs - this.#usualMs);
    this.#awaitSilence(kept);
  }

  #awaitSilence(kept: Kept<T>): void {
    const limitMs = Math.max(MIN_SILENT_MS, TIMES_USUAL * this.#usualMs) * 2 ** this.#silentCount;
    kept.isSilent = false;
    kept.silence?.clear();
    kept.silence = awakeTimer(limitMs, () => kept.isSilent = true);
  }

  /** Lets the next question get another connection. */
  #replace(kept: Kept<T>): void {
    if (this.#current === kept) this.#current = undefined;
    if (kept.open > 0) return;
    kept.endIdle();
    this.#kind.close(kept.connection);
  }

  #onIdle(kept: Kept<T>): void {
    if (this.#current !== kept) return this.#kind.close(kept.connection);
    const close = () => this.#replace(kept);
    const limit = maintenanceTimer(IDLE_MS, close);
    idle.add(close);
    kept.endIdle = () => {
      limit.clear();
      idle.delete(close);
    };
  }
}
