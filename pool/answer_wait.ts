/**
 * Waits for a fresh answer: one for all waiters in the queue, and one each for a waiter outside.
 *
 * @module
 */

import type { AnswerSource } from "../resolver/answer_source.ts";
import type { Slot } from "./slot.ts";
import type { Waiter } from "./wait_queue.ts";

/** What becomes of a wait. */
export interface AnswerWaitEvents {
  /** The answer is fresh. */
  onFresh(): void;
  /** There is no answer; without an error if the wait was canceled. */
  onFailed(error: unknown): void;
}

/** The one wait for all waiters in the queue. */
export class AnswerWait {
  readonly #answer: Pick<AnswerSource, "waitUntilFresh">;
  readonly #events: AnswerWaitEvents;
  #controller: AbortController | undefined;

  /**
   * @param answer The answer.
   * @param events What becomes of the wait.
   */
  constructor(answer: Pick<AnswerSource, "waitUntilFresh">, events: AnswerWaitEvents) {
    this.#answer = answer;
    this.#events = events;
  }

  /** Whether the wait is under way. */
  get isActive(): boolean {
    return this.#controller !== undefined;
  }

  /** Starts the wait, unless it is under way. */
  start(): void {
    if (this.#controller) return;
    const controller = this.#controller = new AbortController();
    const { signal } = controller;
    const done = () => {
      if (this.#controller === controller) this.#controller = undefined;
    };
    this.#answer.waitUntilFresh(signal).then(
      () => {
        done();
        this.#events.onFresh();
      },
      (error) => {
        done();
        this.#events.onFailed(signal.aborted ? undefined : error);
      },
    );
  }

  /** Cancels the wait: the queue is empty. */
  cancel(): void {
    this.#controller?.abort(noLongerNeeded());
  }
}

/** Waits for a fresh answer, at most until a waiter is settled or the connection checked for it is closed. */
export async function awaitAnswerFor<T, C>(
  waiter: Waiter<T>,
  slot: Slot<C>,
  answer: Pick<AnswerSource, "waitUntilFresh">,
): Promise<void> {
  const controller = new AbortController();
  const cancel = () => controller.abort(noLongerNeeded());
  slot.onClosed = cancel;
  waiter.onSettled(cancel);
  try {
    await answer.waitUntilFresh(controller.signal);
  } catch (error) {
    if (!controller.signal.aborted) throw error;
  }
}

function noLongerNeeded(): DOMException {
  return new DOMException("No caller waits for an answer any more", "AbortError");
}
