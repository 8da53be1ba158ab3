/**
 * Waits for the connections that are being closed.
 *
 * @module
 */

/** The closes under way, and the callers that wait until a pool is empty. */
export class PendingCloses {
  #closes: Set<Promise<void>> | undefined;
  readonly #pool: { isBusy(): boolean };
  #onIdle: (() => void)[] | undefined;

  /** @param pool Knows whether connections are in use or being opened. */
  constructor(pool: { isBusy(): boolean }) {
    this.#pool = pool;
  }

  /** Adds a close; returns a promise that is fulfilled when it is done. */
  add(close: Promise<void>): Promise<void> {
    const closes = this.#closes ??= new Set();
    closes.add(close);
    return close.finally(() => closes.delete(close));
  }

  /** Waits for the closes under way. */
  async all(): Promise<void> {
    await Promise.all(this.#closes ?? []);
  }

  /** Waits until the pool is not busy, then for the closes under way. */
  async drained(): Promise<void> {
    while (this.#pool.isBusy()) {
      await new Promise<void>((resolve) => (this.#onIdle ??= []).push(resolve));
    }
    await this.all();
  }

  /** Is told that the pool may no longer be busy. */
  notify(): void {
    if (this.#onIdle === undefined || this.#pool.isBusy()) return;
    const listeners = this.#onIdle;
    this.#onIdle = undefined;
    for (const listener of listeners) listener();
  }
}
