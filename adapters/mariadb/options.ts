/**
 * Reads the options of a mariadb connection from the URL and from `connectArgs`.
 *
 * @module
 */

import type { Destination } from "../adapter.ts";
import { MAX_PREPARED_STATEMENTS } from "../shared/mysql.ts";
import { loginOf, type ParamTypes, readParams, refuseLibpqArgs } from "../shared/params.ts";
import type { MariadbConfig } from "./driver.ts";

/** URL parameters that are passed to the driver. */
const PARAMS: ParamTypes = {
  allowPublicKeyRetrieval: "boolean",
  arrayParenthesis: "boolean",
  autoJsonMap: "boolean",
  bigIntAsNumber: "boolean",
  bigNumberStrings: "boolean",
  bitOneIsBoolean: "boolean",
  bulk: "boolean",
  cachingRsaPublicKey: "string",
  charset: "string",
  checkDuplicate: "boolean",
  checkNumberRange: "boolean",
  collation: "string",
  compress: "boolean",
  dateStrings: "boolean",
  decimalAsNumber: "boolean",
  foundRows: "boolean",
  initSql: "string",
  insertIdAsNumber: "boolean",
  jsonStrings: "boolean",
  logParam: "boolean",
  maxAllowedPacket: "number",
  metaAsArray: "boolean",
  multipleStatements: "boolean",
  namedPlaceholders: "boolean",
  nestTables: "boolean",
  permitConnectionWhenExpired: "boolean",
  permitLocalInfile: "boolean",
  permitSetMultiParamEntries: "boolean",
  pipelining: "boolean",
  prepareCacheLength: "number",
  queryTimeout: "number",
  restrictedAuth: "string",
  rowsAsArray: "boolean",
  rsaPublicKey: "string",
  socketTimeout: "number",
  supportBigNumbers: "boolean",
  timezone: "string",
  trace: "boolean",
};

/**
 * Reads the options, except TLS, whose files are not read yet, and what belongs to one connection.
 *
 * @param destination What the URL and `connectArgs` say.
 * @returns The options.
 * @throws {TypeError} for a URL parameter or an argument that is not allowed.
 */
export function readOptions(
  destination: Destination,
): Omit<MariadbConfig, "stream" | "logger" | "ssl"> {
  const { host, params, connectArgs, port } = destination;
  refuseLibpqArgs(destination);
  const { ssl: _, ...args } = connectArgs;
  return {
    ...loginOf(destination),
    connectTimeout: 0,
    logParam: false,
    prepareCacheLength: MAX_PREPARED_STATEMENTS,
    ...readParams(params, "mariadb", PARAMS),
    ...args,
    permitRedirect: false,
    port,
    host,
  };
}
