/**
 * Writes the engine's log lines.
 *
 * @module
 */

/** Receives log lines; `console` is one. */
export interface Logger {
  /** Receives checkouts and checkins, with `echo: "debug"`. */
  debug(message: string): void;
  /** Receives statements and connections, with `echo: true`. */
  info(message: string): void;
  /** Receives warnings, whatever `echo` says. */
  warn(message: string): void;
}

/** What is logged beside warnings: nothing (`false`), info lines (`true`), info and debug lines (`"debug"`). */
export type Echo = boolean | "debug";

/** Writes lines that begin with the engine's name. */
export class Log {
  readonly #logger: Logger;
  readonly #name: string;
  readonly debugEnabled: boolean;
  readonly infoEnabled: boolean;

  /**
   * @param logger Receives the lines.
   * @param echo What is logged beside warnings.
   * @param name Begins each line.
   */
  constructor(logger: Logger, echo: Echo, name: string) {
    this.#logger = logger;
    this.#name = name;
    this.infoEnabled = echo !== false;
    this.debugEnabled = echo === "debug";
  }

  /** Logs at info level if enabled. */
  info(message: string): void {
    if (this.infoEnabled) this.#logger.info(this.#line(message));
  }

  /** Logs at debug level if enabled. */
  debug(message: string): void {
    if (this.debugEnabled) this.#logger.debug(this.#line(message));
  }

  /** Logs a warning. */
  warn(message: string): void {
    this.#logger.warn(this.#line(message));
  }

  #line(message: string): string {
    return `[${this.#name}] ${message}`;
  }
}
