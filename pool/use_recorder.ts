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
  readonly #recordsTimes: boolean;
  readonly #observer: SafeObserver | undefined;

  /** @param settings Whether stacks are recorded, and the observer of the durations. */
  constructor({ traces, observer }: {
    readonly traces: boolean;
    readonly observer: SafeObserver | undefined;
  }) {
    this.#tracesStacks = traces;
    this.#observer = observer?.timesUse ? observer : undefined;
    this.#recordsTimes = traces || this.#observer !== undefined;
  }

  /** Returns the stack of the checkout; it must be called before the first `await`. */
  stack(): string | undefined {
    return this.#tracesStacks ? new Error().stack : undefined;
  }

  /** Records that a connection is handed out, with the stack of the checkout. */
  begin(slot: Slot<unknown>, stack: string | undefined): void {
    if (!this.#recordsTimes) return;
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
