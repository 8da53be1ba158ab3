/**
 * Transactions of PostgreSQL with settings of their own.
 *
 * @module
 */

import { mustBeUndisclosed } from "../../internal/argument_error.ts";
import type { SettingValue, TransactionPlan, TransactionSettings } from "../adapter.ts";
import { checkIsolationLevel, quoteIdentifier } from "./sql.ts";

/** Settings after which others may be refused: they are set last. */
const LAST = ["role", "session_authorization"];

/**
 * Plans a transaction: its characteristics are part of BEGIN, and settings are set by `set_config(…, true)`, which is SET
 * LOCAL with bind values. They are gone with the transaction.
 *
 * @param wanted The settings.
 * @throws {TypeError} if a level does not exist, or a text cannot be sent.
 */
export function planPostgresTransaction(
  { isolationLevel, readOnly, deferrable, settings }: TransactionSettings,
): TransactionPlan {
  const begin = ["BEGIN"];
  if (isolationLevel !== undefined) {
    begin.push(`ISOLATION LEVEL ${checkIsolationLevel(isolationLevel).toUpperCase()}`);
  }
  if (readOnly !== undefined) begin.push(readOnly ? "READ ONLY" : "READ WRITE");
  if (deferrable !== undefined) begin.push(deferrable ? "DEFERRABLE" : "NOT DEFERRABLE");
  const entries = Object.entries(settings);
  const isLast = ([name]: [string, unknown]) => LAST.includes(name.toLowerCase());
  const ordered = [...entries.filter((entry) => !isLast(entry)), ...entries.filter(isLast)];
  const calls = ordered.map((_, i) => `set_config($${2 * i + 1}, $${2 * i + 2}, true) AS s${i}`);
  const values = ordered.flatMap(([name, value]) => [checkText(name, name), textOf(name, value)]);
  return {
    before: [],
    begin: begin.join(" "),
    after: calls.length > 0 ? [[`SELECT ${calls.join(", ")}`, values]] : [],
    end: [],
  };
}

function textOf(name: string, value: SettingValue): string {
  if (Array.isArray(value)) {
    return value.map((part) => quoteIdentifier(checkText(name, part))).join(", ");
  }
  return checkText(name, String(value));
}

/** Refuses a text that no server takes. */
function checkText(name: string, text: string): string {
  if (!text.includes("\0") && text.isWellFormed()) return text;
  throw mustBeUndisclosed(
    `settings[${JSON.stringify(name)}]`,
    "text that can be sent as UTF-8 without NUL",
    "another one",
  );
}
