/**
 * Keeps the password out of what drivers and hooks say.
 *
 * @module
 */

import type { Logger } from "./_log.ts";

/** A text without the password, neither as it is nor as it stands in a URL. */
export function withoutPassword(text: string, password: string | undefined): string {
  if (!password) return text;
  return text.replaceAll(password, "***")
    .replaceAll(encodeURIComponent(password.toWellFormed()), "***");
}

/** A logger that is never told the password, and that harms nobody when it fails. */
export function discreet(logger: Logger, password: string | undefined): Logger {
  const writer = (level: keyof Logger) => (message: string) => {
    try {
      logger[level](withoutPassword(message, password));
    } catch {
      // There is nowhere left to say it.
    }
  };
  return { debug: writer("debug"), info: writer("info"), warn: writer("warn") };
}
