/**
 * What may be measured of an engine: how long a checkout waited, a connect took, a connection was used.
 *
 * @module
 */

import { now } from "../internal/clock.ts";
import { Rejection, type Waiter } from "./wait_queue.ts";

/** How something ended that takes time. */
export interface Ended {
  /** How long it took, in seconds. */
  readonly seconds: number;
  /** The address that it was about; `undefined` where there was none yet. */
  readonly address?: string | undefined;
  /** What it failed with; missing where it went well. */
  readonly error?: unknown;
}

/** Is told how something ended. */
export type End = (ended: Ended) => void;

/**
 * Hears what takes how long. Each member is optional; without an observer, nothing is measured. A member that returns
 * a function is called when something begins, in the context of whoever began it, and the function when it is over.
 * What an observer throws is lost.
 */
export interface EngineObserver {
  /** A checkout was served at once. */
  served?(): void;
  /** A checkout has to wait: for an answer, for a connection to be opened, or for its turn. */
  waiting?(): End;
  /** A connection is being opened, its hooks included. */
  connecting?(): End;
  /** A resolution is over, whoever asked for it. */
  resolved?(ended: Ended): void;
  /** A connection came back, or was taken away, after so many seconds of use. */
  used?(ended: Ended): void;
}

/** The names of all members. */
export const OBSERVER_NAMES: readonly (keyof EngineObserver)[] = [
  "served",
  "waiting",
  "connecting",
  "resolved",
  "used",
];

/** An observer that harms nobody. */
export class SafeObserver {
  readonly #observer: EngineObserver;

  /** @param observer Whoever wants to hear. */
  constructor(observer: EngineObserver) {
    this.#observer = observer;
  }

  /** Whether anybody asks how long a connection was used. */
  get timesUse(): boolean {
    return this.#observer.used !== undefined;
  }

  served(): void {
    safely(() => this.#observer.served?.());
  }

  waiting(): End {
    return this.#begin("waiting");
  }

  connecting(): End {
    return this.#begin("connecting");
  }

  resolved(ended: Ended): void {
    safely(() => this.#observer.resolved?.(ended));
  }

  used(ended: Ended): void {
    safely(() => this.#observer.used?.(ended));
  }

  #begin(what: "waiting" | "connecting"): End {
    const end = safely(() => this.#observer[what]?.());
    return (ended) => safely(() => end?.(ended));
  }
}

function safely<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch {
    return undefined; // Whoever measures must not be the reason that something fails.
  }
}

/** Lets an observer hear of a wait's end. */
export function observe<T extends { readonly address: string }>(
  waiter: Pick<Waiter<T>, "resolve">,
  observer: SafeObserver,
): void {
  const { resolve } = waiter;
  const beganMs = now();
  const end = observer.waiting();
  waiter.resolve = (outcome) => {
    const seconds = (now() - beganMs) / 1000;
    if (outcome instanceof Rejection) end({ seconds, error: outcome.error });
    else end({ seconds, address: outcome.address });
    resolve(outcome);
  };
}
