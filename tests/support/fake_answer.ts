/**
 * Answers of hosts that a test sets, without a resolver.
 *
 * @module
 */

import type {
  AddressChange,
  AnswerSource,
  AnswerStatus,
  Watcher,
} from "../../resolver/answer_source.ts";

/** An answer that changes as the test says. */
export class FakeAnswer implements AnswerSource {
  addresses: readonly string[];
  fresh: boolean;
  failures = 0;
  age: number | undefined = 1;
  freshFor = 5;
  inGrace = false;
  /** Number of callers that keep it fresh. */
  kept = 0;
  refreshes = 0;
  /** What was asked of `switchFamily()`, which says yes for the first family. */
  switched: (4 | 6)[] = [];
  readonly watchers: Set<Watcher> = new Set();
  readonly #waiters: Set<{ resolve(): void; reject(error: unknown): void }> = new Set();

  constructor(addresses: readonly string[] = [], fresh: boolean = addresses.length > 0) {
    this.addresses = addresses;
    this.fresh = fresh;
  }

  /** Number of callers that wait. */
  get waiting(): number {
    return this.#waiters.size;
  }

  /** Gives an answer. */
  answer(addresses: readonly string[]): void {
    const before = this.addresses;
    this.addresses = addresses;
    this.fresh = true;
    this.failures = 0;
    const change: AddressChange = {
      added: addresses.filter((one) => !before.includes(one)),
      removed: before.filter((one) => !addresses.includes(one)),
      addresses,
      ttl: 5,
      source: "dns",
    };
    for (const watcher of this.watchers) {
      if (change.added.length + change.removed.length > 0) {
        watcher.onChange?.(change, before.length === 0);
      }
      watcher.onAnswer?.(1);
    }
    for (const waiter of this.#waiters) waiter.resolve();
    this.#waiters.clear();
  }

  /** Lets a resolution fail. */
  fail(error: unknown): void {
    this.failures++;
    for (const watcher of this.watchers) watcher.onError?.(error, 2);
    for (const waiter of this.#waiters) waiter.reject(error);
    this.#waiters.clear();
  }

  isFresh(): boolean {
    return this.fresh;
  }

  waitUntilFresh(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter = { resolve, reject };
      this.#waiters.add(waiter);
      signal?.addEventListener("abort", () => {
        this.#waiters.delete(waiter);
        reject(signal.reason);
      });
    });
  }

  refresh(): Promise<void> {
    this.refreshes++;
    return Promise.resolve();
  }

  switchFamily(family: 4 | 6): Promise<boolean> {
    this.switched.push(family);
    return Promise.resolve(this.switched.length === 1);
  }

  keepFresh(): () => void {
    this.kept++;
    return () => this.kept--;
  }

  watch(watcher: Watcher): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  status(): AnswerStatus {
    const { addresses, age, freshFor, inGrace, failures } = this;
    return { addresses, age, freshFor, inGrace, failures };
  }
}
