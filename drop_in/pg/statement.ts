/**
 * Finds the statements of a `pg.Client` that end what another session runs.
 *
 * @module
 */

/** A call with the number of the session in it, or as the first value. */
const CALL = /\bpg_(?:cancel|terminate)_backend\s*\(\s*(\d+|\$1)\b/i;

/** Takes the result of a statement, or its error. */
export type StatementCallback = (error: unknown, result?: unknown) => void;

/**
 * Returns the number of the session whose statement is to be cancelled, or which is to be terminated; `undefined` for
 * any other statement.
 *
 * @param args The arguments of `query()`.
 */
export function targetSession([first, second]: readonly unknown[]): number | undefined {
  const config = typeof first === "string" ? { text: first } : first ?? {};
  const { text, values = second } = config as { text?: unknown; values?: unknown };
  const [, number] = typeof text === "string" && CALL.exec(text) || [];
  if (number === undefined) return undefined;
  const id = Number(number !== "$1" ? number : Array.isArray(values) ? values[0] : undefined);
  return Number.isInteger(id) ? id : undefined;
}

/**
 * Separates the callback of a statement from its other arguments.
 *
 * @param args The arguments of `query()`.
 */
export function statementArguments(
  args: readonly unknown[],
): { statement: unknown[]; callback: StatementCallback | undefined } {
  const isCallback = (arg: unknown): arg is StatementCallback => typeof arg === "function";
  return { statement: args.filter((arg) => !isCallback(arg)), callback: args.find(isCallback) };
}
