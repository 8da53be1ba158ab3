/**
 * Reads the options of a mysql2 connection from the URL and from `connectArgs`.
 *
 * @module
 */

import type { Destination } from "../adapter.ts";
import { MAX_PREPARED_STATEMENTS } from "../shared/mysql.ts";
import { loginOf, type ParamTypes, readParams, refuseLibpqArgs } from "../shared/params.ts";
import type { Mysql2Config } from "./driver.ts";

/** URL parameters that are passed to the driver. */
const PARAMS: ParamTypes = {
  bigNumberStrings: "boolean",
  charset: "string",
  compress: "boolean",
  dateStrings: "boolean",
  decimalNumbers: "boolean",
  disableEval: "boolean",
  enableCleartextPlugin: "boolean",
  flags: "string",
  jsonStrings: "boolean",
  maxPreparedStatements: "number",
  multipleStatements: "boolean",
  namedPlaceholders: "boolean",
  nestTables: "boolean",
  rowsAsArray: "boolean",
  stringifyObjects: "boolean",
  supportBigNumbers: "boolean",
  timezone: "string",
  trace: "boolean",
};

/**
 * Reads the options, except the socket, and TLS, whose files are not read yet.
 *
 * @param destination What the URL and `connectArgs` say.
 * @returns The options.
 * @throws {TypeError} for a URL parameter or an argument that is not allowed.
 */
export function readOptions(destination: Destination): Omit<Mysql2Config, "stream" | "ssl"> {
  const { host, params, connectArgs, port } = destination;
  refuseLibpqArgs(destination);
  const { ssl: _, ...args } = connectArgs;
  return {
    ...loginOf(destination),
    maxPreparedStatements: MAX_PREPARED_STATEMENTS,
    ...readParams(params, "mysql2", PARAMS),
    connectTimeout: 0,
    ...args,
    port,
    host,
  };
}
