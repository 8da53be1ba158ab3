/**
 * A connection that is kept between questions, and replaced as soon as it may be dead: a router between that has
 * forgotten it tells neither side, and TCP notices after many minutes.
 *
 * @module
 */

import { maintenanceTimer } from "../../internal/clock.ts";

/** Time without a question after which a connection is closed, in milliseconds: shorter than routers remember one. */
const IDLE_MS = 30_000;

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
  /** Ends the state of being without a question. */
  endIdle(): void;
}

/** Holds at most one connection for new questions. */
export class KeptConnection<T> {
  readonly #kind: ConnectionKind<T>;
  #current: Kept<T> | undefined;

  /** @param kind How connections are made. */
  constructor(kind: ConnectionKind<T>) {
    this.#kind = kind;
  }

  /**
   * Asks a question. If it fails, or is given up, and nothing has been heard since it began, the next question gets
   * another connection.
   *
   * @param ask Asks on the connection, and calls `heard` when the server shows that it is alive.
   * @returns What `ask` returned.
   */
  async use<R>(ask: (connection: T, heard: () => void) => Promise<R>): Promise<R> {
    const kept = this.#take();
    const { heard } = kept;
    try {
      return await ask(kept.connection, () => kept.heard++);
    } catch (error) {
      if (kept.heard === heard) this.#replace(kept);
      throw error;
    } finally {
      if (--kept.open === 0) this.#onIdle(kept);
    }
  }

  #take(): Kept<T> {
    const { isUsable } = this.#kind;
    if (this.#current && isUsable?.(this.#current.connection) === false) {
      this.#replace(this.#current);
    }
    const kept = this.#current ??= {
      connection: this.#kind.open(),
      open: 0,
      heard: 0,
      endIdle: () => {},
    };
    kept.endIdle();
    kept.open++;
    return kept;
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
