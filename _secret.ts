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

/** A logger that is never told the password. */
export function discreet(logger: Logger, password: string | undefined): Logger {
  return {
    debug: (message) => logger.debug(withoutPassword(message, password)),
    info: (message) => logger.info(withoutPassword(message, password)),
    warn: (message) => logger.warn(withoutPassword(message, password)),
  };
}
