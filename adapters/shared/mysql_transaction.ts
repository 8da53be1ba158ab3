/**
 * Transactions of MySQL and MariaDB with settings of their own. These servers have no SET LOCAL: the variables of the
 * session are kept in user variables, changed before the transaction, and put back after it.
 *
 * @module
 */

import {
  mustBe,
  mustBeUndisclosed,
  mustNotBeGiven,
  outOfRangeUndisclosed,
} from "../../internal/argument_error.ts";
import type { SettingValue, Statement, TransactionPlan, TransactionSettings } from "../adapter.ts";
import { checkIsolationLevel } from "./sql.ts";

/** Matches the name of a system variable; those of components and plugins have a dot. */
const SYSTEM_VARIABLE = /^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$/i;

/** Settings that would not be for this transaction alone, and what to use instead. */
const REFUSED: Readonly<Record<string, string>> = {
  autocommit: "a transaction has it off anyway",
  role: "MySQL and MariaDB have none for one transaction",
  transaction_isolation: 'use the option "isolationLevel"',
  transaction_read_only: 'use the option "readOnly"',
  tx_isolation: 'use the option "isolationLevel"',
  tx_read_only: 'use the option "readOnly"',
};

/**
 * Plans a transaction.
 *
 * @param wanted The settings: system variables, and user variables whose names begin with `@`.
 * @throws {TypeError} for `deferrable`, for a level that does not exist, and for a setting that there cannot be.
 */
export function planMysqlTransaction(
  { isolationLevel, readOnly, deferrable, settings }: TransactionSettings,
): TransactionPlan {
  if (deferrable !== undefined) {
    throw mustNotBeGiven("deferrable", "MySQL and MariaDB have no such transactions");
  }
  const before: Statement[] = [];
  const end: Statement[] = [];
  const variables = Object.entries(settings).map(([name, value]) => ({
    ...readVariable(name),
    ...readValue(name, value),
  }));
  if (variables.length > 0) {
    const list = (parts: readonly string[]): string => `SET ${parts.join(", ")}`;
    before.push([list(variables.map(({ read }, i) => `@dnspool_${i} = ${read}`))]);
    before.push([
      list(variables.map(({ write, expression }) => `${write} = ${expression}`)),
      variables.map(({ bound }) => bound),
    ]);
    end.push([
      list(
        variables.flatMap(({ write }, i) => [`${write} = @dnspool_${i}`, `@dnspool_${i} = NULL`]),
      ),
    ]);
  }
  // It is for the next transaction, whatever that is: so nothing may fail between the two.
  if (isolationLevel !== undefined) {
    const level = checkIsolationLevel(isolationLevel).toUpperCase();
    before.push([`SET TRANSACTION ISOLATION LEVEL ${level}`]);
  }
  const begin = readOnly === undefined
    ? "BEGIN"
    : `START TRANSACTION ${readOnly ? "READ ONLY" : "READ WRITE"}`;
  return { before, begin, after: [], end };
}

/** Returns how a variable is read and written. */
function readVariable(name: string): { readonly read: string; readonly write: string } {
  const option = `settings[${JSON.stringify(name)}]`;
  if (name.startsWith("@") && !name.startsWith("@@")) {
    const variable = `@\`${checkText(option, name.slice(1)).replaceAll("`", "``")}\``;
    if (name.length > 1) return { read: variable, write: variable };
  }
  if (!SYSTEM_VARIABLE.test(name)) {
    throw mustBe("settings", "named after system variables, or @ and user variables", name);
  }
  const reason = Object.entries(REFUSED).find(([other]) => other === name.toLowerCase())?.[1];
  if (reason !== undefined) throw mustNotBeGiven(option, reason);
  return { read: `@@SESSION.${name}`, write: `SESSION ${name}` };
}

/** Returns a value as the server wants it: a bound number would be a floating-point one, which most variables refuse. */
function readValue(
  name: string,
  value: SettingValue,
): { readonly expression: string; readonly bound: string } {
  const option = `settings[${JSON.stringify(name)}]`;
  if (typeof value === "string") return { expression: "?", bound: checkText(option, value) };
  if (typeof value === "boolean") {
    return { expression: "CAST(? AS SIGNED)", bound: value ? "1" : "0" };
  }
  if (typeof value === "bigint" || Number.isInteger(value)) {
    if (typeof value === "number" && !Number.isSafeInteger(value)) {
      throw outOfRangeUndisclosed(option, "a safe integer or a bigint", "another number");
    }
    return { expression: "CAST(? AS SIGNED)", bound: String(value) };
  }
  if (typeof value === "number") {
    return { expression: "CAST(? AS DECIMAL(65,30))", bound: String(value) };
  }
  throw mustBeUndisclosed(option, "a string, a number or a boolean", "an array");
}

function checkText(option: string, text: string): string {
  if (!text.includes("\0") && text.isWellFormed()) return text;
  throw mustBeUndisclosed(option, "text that can be sent as UTF-8 without NUL", "another one");
}
