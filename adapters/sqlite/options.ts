/**
 * Reads the options of `DatabaseSync` from the URL and from `connectArgs`.
 *
 * @module
 */

import { mustNotBeGiven } from "../../internal/argument_error.ts";
import { checkNumber } from "../../internal/option_reader.ts";
import type { Destination } from "../adapter.ts";
import {
  paramName,
  type ParamTypes,
  readParams,
  refuseArgs,
  refuseLibpqArgs,
  TLS_PARAMS,
} from "../shared/params.ts";
import type { SqliteOptions } from "./driver.ts";

const PARAMS: ParamTypes = {
  enableDoubleQuotedStringLiterals: "boolean",
  enableForeignKeyConstraints: "boolean",
  readOnly: "boolean",
  timeout: "number",
};

/**
 * Reads the options.
 *
 * @param destination What the URL and `connectArgs` say.
 * @returns The options; `timeout` is how long a statement waits for a lock, in milliseconds.
 * @throws {TypeError} for a part of the URL or an argument that is not allowed.
 * @throws {RangeError} if `timeout` is not a whole number of at least 0.
 */
export function readOptions(destination: Destination): SqliteOptions & { timeout?: number } {
  const { user, password, params, connectArgs } = destination;
  if (user !== undefined || password !== undefined) {
    throw mustNotBeGiven(paramName("user"), "SQLite has no users");
  }
  const tlsParam = TLS_PARAMS.find((name) => name in params);
  if (tlsParam !== undefined) throw mustNotBeGiven(paramName(tlsParam), "SQLite has no network");
  refuseArgs(destination, { open: "a connection is always open", port: "SQLite has no network" });
  refuseLibpqArgs(destination);
  const options: SqliteOptions & { timeout?: number } = {
    ...readParams(params, "sqlite", PARAMS),
    ...connectArgs,
  };
  if (options.timeout !== undefined) {
    checkNumber("timeout", options.timeout, { min: 0, whole: true, unit: "milliseconds" });
  }
  return options;
}
