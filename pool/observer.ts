/**
 * What an engine lets be measured: the duration of waits, connects, resolutions and uses.
 *
 * @module
 */

/** How something ended that takes time. */
export interface Ended {
  /** The duration in seconds. */
  readonly seconds: number;
  /** The address concerned; `undefined` if there was none yet. */
  readonly address?: string | undefined;
  /** The error that it failed with; missing if it succeeded. */
  readonly error?: unknown;
}

/** Is called when something has ended. */
export type End = (ended: Ended) => void;

/**
 * Hears how long things take. Each member is optional; without an observer, nothing is measured. A member that returns
 * a function is called when something begins, in the context of the call that began it, and the function when it
 * ends. What an observer throws is ignored.
 */
export interface EngineObserver {
  /** A checkout was served at once. */
  served?(): void;
  /** A checkout has to wait: for an answer, for a connection to be opened, or for its turn. */
  waiting?(): End;
  /** A connection is being opened, its hooks included. */
  connecting?(): End;
  /** A resolution has ended. */
  resolved?(ended: Ended): void;
  /** A connection was given back, detached or terminated; with the duration of its use. */
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

/** Wraps an observer and ignores what it throws: a measurement must not make a checkout fail. */
export class SafeObserver {
  readonly #observer: EngineObserver;

  /** @param observer The observer. */
  constructor(observer: EngineObserver) {
    this.#observer = observer;
  }

  /** Whether the duration of uses is observed. */
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
    return undefined;
  }
}
