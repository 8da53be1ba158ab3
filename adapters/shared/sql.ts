/**
 * SQL that every server understands.
 *
 * @module
 */

import { mustBe, oneOf } from "../../internal/argument_error.ts";

/** The levels of the SQL standard; PostgreSQL, MySQL and MariaDB have all four. */
const ISOLATION_LEVELS = ["read uncommitted", "read committed", "repeatable read", "serializable"];

/**
 * Checks that a string is an isolation level, so that it may become part of a statement.
 *
 * @param level The level in any case, with spaces or underscores.
 * @returns The level in lower case, with spaces.
 * @throws {TypeError} if there is no such level.
 */
export function checkIsolationLevel(level: string): string {
  const plain = level.toLowerCase().replaceAll("_", " ");
  if (ISOLATION_LEVELS.includes(plain)) return plain;
  throw mustBe("isolationLevel", oneOf(ISOLATION_LEVELS), level);
}

/** Returns the statement that ends a transaction. */
export function endStatement(how: "rollback" | "commit"): string {
  return how === "commit" ? "COMMIT" : "ROLLBACK";
}

/**
 * Quotes a name for a statement of the SQL standard, with its case and whatever it contains.
 *
 * @param name The name, without NUL.
 */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
