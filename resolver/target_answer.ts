/**
 * The answer for a server of a service: that of its name, or the addresses that came with the service's records.
 *
 * @module
 */

import type { AnswerSource, AnswerStatus, Watcher } from "./answer_source.ts";

/** A caller of `keepFresh()`. */
interface Keeper {
  /** Ends the refresh ahead of expiry; `undefined` while there is none. */
  end: (() => void) | undefined;
}

/** The addresses of a server. While they come with the service's records, no question is asked for them. */
export class TargetAnswer implements AnswerSource {
  readonly #answer: AnswerSource;
  readonly #keepers: Set<Keeper> = new Set();
  #comesAlong = false;

  /** @param answer The answer for the server's name. */
  constructor(answer: AnswerSource) {
    this.#answer = answer;
  }

  get addresses(): readonly string[] {
    return this.#answer.addresses;
  }

  /**
   * Is told of the service's newest answer.
   *
   * @param addresses The addresses that came with it.
   * @param services The service.
   */
  update(addresses: readonly string[] | undefined, services: AnswerSource): void {
    const { known } = services;
    const isUsable = addresses !== undefined && known !== undefined &&
      services.status().freshFor > 0;
    this.#comesAlong = isUsable && this.#answer.takeOver?.(addresses, known) === true;
    this.#keepAll();
  }

  /** Is told that the service's records could not be resolved: nothing comes with them. */
  leave(): void {
    this.#comesAlong = false;
    this.#keepAll();
  }

  isFresh(): boolean {
    return this.#answer.isFresh();
  }

  waitUntilFresh(signal?: AbortSignal): Promise<void> {
    return this.#answer.waitUntilFresh(signal);
  }

  async refresh(): Promise<void> {
    if (!this.#comesAlong) await this.#answer.refresh();
  }

  async switchFamily(family: 4 | 6, certain: boolean, signal: AbortSignal): Promise<boolean> {
    return await this.#answer.switchFamily?.(family, certain, signal) ?? false;
  }

  keepFresh(): () => void {
    const keeper: Keeper = { end: undefined };
    this.#keepers.add(keeper);
    this.#keepAll();
    return () => {
      this.#keepers.delete(keeper);
      keeper.end?.();
      keeper.end = undefined;
    };
  }

  watch(watcher: Watcher): () => void {
    return this.#answer.watch(watcher);
  }

  status(): AnswerStatus {
    return this.#answer.status();
  }

  #keepAll(): void {
    for (const keeper of this.#keepers) {
      if (this.#comesAlong) {
        keeper.end?.();
        keeper.end = undefined;
      } else keeper.end ??= this.#answer.keepFresh();
    }
  }
}
