/**
 * Isolation levels, as they stand in a statement.
 *
 * @module
 */

/** The levels of the SQL standard; PostgreSQL, MySQL and MariaDB take all four. */
const LEVELS = ["read uncommitted", "read committed", "repeatable read", "serializable"];

/**
 * A level that may be put into a statement.
 *
 * @param level In any case, with spaces or underscores.
 * @returns The level in lower case, with spaces.
 * @throws {TypeError} where there is no such level.
 */
export function checkLevel(level: string): string {
  const plain = level.toLowerCase().replaceAll("_", " ");
  if (LEVELS.includes(plain)) return plain;
  throw new TypeError(
    `Cannot use the isolation level "${level}": it is one of ${LEVELS.join(", ")}`,
  );
}
