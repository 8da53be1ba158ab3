/**
 * What the engine writes to a log, and how much of it.
 *
 * @module
 */

/** Where log lines go; `console` is one. */
export interface Logger {
  /** Checkouts and checkins, with `"debug"`. */
  debug(message: string): void;
  /** Statements and connections, with `true`. */
  info(message: string): void;
  /** What somebody should look at. */
  warn(message: string): void;
}

/** `true` is info; `"debug"` is that and more. */
export type Echo = boolean | "debug";

/** Writes lines with the engine's name in front. */
export class Log {
  readonly #logger: Logger;
  readonly #prefix: string;
  /** Whether details are wanted. */
  readonly debugging: boolean;
  /** Whether anything but warnings is wanted. */
  readonly talking: boolean;

  /**
   * @param logger Where the lines go.
   * @param echo How much is wanted.
   * @param name Stands in front of each line.
   */
  constructor(logger: Logger, echo: Echo, name: string) {
    this.#logger = logger;
    this.#prefix = `[${name}] `;
    this.talking = echo !== false;
    this.debugging = echo === "debug";
  }

  /** A line, where lines are wanted. */
  info(message: string): void {
    if (this.talking) this.#logger.info(this.#prefix + message);
  }

  /** A line, where details are wanted. */
  debug(message: string): void {
    if (this.debugging) this.#logger.debug(this.#prefix + message);
  }

  /** A line, wanted or not. */
  warn(message: string): void {
    this.#logger.warn(this.#prefix + message);
  }
}
