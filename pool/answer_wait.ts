/**
 * Waits for a fresh answer: one for all waiters in the queue, and one each for a waiter outside.
 *
 * @module
 */

import { abortable } from "../internal/async.ts";
import { type Timer, timer } from "../internal/clock.ts";
import type { AnswerSource } from "../resolver/answer_source.ts";
import type { Slot } from "./slot.ts";
import type { Waiter } from "./wait_queue.ts";

/** Pause after a resolution that failed in passing. */
const PAUSE_MS = 1000;

/** What becomes of a wait. */
export interface AnswerWaitEvents {
  /** The answer is there, and good for those that waited for it, however short its TTL. */
  dispatch(answered: true): void;
  /** There is no answer; without an error if the wait was canceled. */
  onNoAnswer(error: unknown): void;
  /** The wait is over, or pauses. Called last. */
  rejectLate(): void;
}

/** What is waited for. */
export interface AnswerWaitParts {
  readonly answer: Pick<AnswerSource, "refresh" | "waitUntilFresh">;
  readonly connections: {
    /** Returns whether a failure may be gone at the next try, so that waiters go on waiting. */
    isTransient(error: unknown): boolean;
  };
}

/** The one wait for all waiters in the queue. After a failure that may pass, it goes on. */
export class AnswerWait {
  /** What the last resolution failed with, if waiters go on waiting. */
  lastError: unknown;

  readonly #parts: AnswerWaitParts;
  readonly #events: AnswerWaitEvents;
  #controller: AbortController | undefined;
  #pause: Timer | undefined;

  /**
   * @param parts What is waited for.
   * @param events What becomes of the wait.
   */
  constructor(parts: AnswerWaitParts, events: AnswerWaitEvents) {
    this.#parts = parts;
    this.#events = events;
  }

  /** Whether the wait is under way, and does not pause. */
  get isActive(): boolean {
    return this.#controller !== undefined;
  }

  /** Whether the last resolution failed, and waiters go on waiting. */
  get failing(): boolean {
    return this.lastError !== undefined;
  }

  /** Starts the wait, unless it is under way. */
  start(): void {
    if (!this.#controller && !this.#pause) this.#wait(false);
  }

  /** Cancels the wait: the queue is empty. */
  cancel(): void {
    this.#controller?.abort(noLongerNeeded());
    this.#endPause();
    this.lastError = undefined;
  }

  async #wait(isNegative: boolean): Promise<void> {
    const controller = this.#controller = new AbortController();
    const { signal } = controller;
    let failure: { readonly error: unknown } | undefined;
    try {
      // Whatever the time for which the negative answer counts.
      if (isNegative) await abortable(this.#parts.answer.refresh(), signal);
      await this.#parts.answer.waitUntilFresh(signal);
    } catch (error) {
      failure = { error };
    }
    if (this.#controller === controller) this.#controller = undefined;
    if (!failure) {
      this.lastError = undefined;
      this.#events.dispatch(true);
    } else if (signal.aborted) {
      this.#events.onNoAnswer(undefined);
    } else if (this.#parts.connections.isTransient(failure.error)) {
      const { kind } = this.lastError = failure.error as { kind?: unknown };
      this.#pause = timer(PAUSE_MS, () => {
        this.#endPause();
        this.#wait(kind === "negative");
      });
    } else {
      this.#events.onNoAnswer(failure.error);
    }
    this.#events.rejectLate();
  }

  #endPause(): void {
    this.#pause?.clear();
    this.#pause = undefined;
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
