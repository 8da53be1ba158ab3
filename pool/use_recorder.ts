/**
 * Records when and where connections are checked out, as far as an option needs it.
 *
 * @module
 */

import { now } from "../internal/clock.ts";
import type { SafeObserver } from "./observer.ts";
import type { Slot } from "./slot.ts";

/** Records the uses of one pool's connections. */
export class UseRecorder {
  readonly #tracesStacks: boolean;
  readonly #observer: SafeObserver | undefined;

  private constructor(tracesStacks: boolean, observer: SafeObserver | undefined) {
    this.#tracesStacks = tracesStacks;
    this.#observer = observer;
  }

  /**
   * Makes a recorder.
   *
   * @param settings Whether stacks are recorded, and the observer of the durations.
   * @returns `undefined` if there is nothing to record.
   */
  static for({ traces, observer }: {
    readonly traces: boolean;
    readonly observer: SafeObserver | undefined;
  }): UseRecorder | undefined {
    const timed = observer?.timesUse ? observer : undefined;
    return traces || timed !== undefined ? new UseRecorder(traces, timed) : undefined;
  }

  /** Returns the stack of the checkout; it must be called before the first `await`. */
  stack(): string | undefined {
    return this.#tracesStacks ? new Error().stack : undefined;
  }

  /** Records that a connection is handed out, with the stack of the checkout. */
  begin(slot: Slot<unknown>, stack: string | undefined): void {
    slot.leasedAtMs = now();
    slot.takenAt = stack;
    slot.reported = false;
  }

  /** Tells the observer that a use has ended. */
  end({ leasedAtMs, address }: Slot<unknown>, error: unknown): void {
    if (this.#observer === undefined) return;
    const seconds = (now() - leasedAtMs) / 1000;
    this.#observer.used({ seconds, address, ...(error !== undefined && { error }) });
  }
}
