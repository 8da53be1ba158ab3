/**
 * TLS for mysql2, which knows fewer options than `node:tls`.
 *
 * @module
 */

import type { Socket } from "node:net";
import { mustNotBeGiven } from "../../internal/argument_error.ts";
import type { Destination, Target } from "../adapter.ts";
import { argName, singleParam } from "../shared/params.ts";
import { checkedByMode, checkTls, readTls, type TlsOptions } from "../shared/tls.ts";
import type { Mysql2Config } from "./driver.ts";

/** Options of `ssl` that mysql2 knows; `servername` is applied by the adapter. */
const TLS_OPTIONS = [
  "ca",
  "cert",
  "ciphers",
  "key",
  "maxVersion",
  "minVersion",
  "passphrase",
  "rejectUnauthorized",
  "servername",
  "verifyIdentity",
];

/**
 * Checks the TLS settings.
 *
 * @param destination What the URL and `connectArgs` say.
 * @throws {TypeError} if a setting is not allowed, or if mysql2 would ignore it.
 */
export function checkDriverTls(destination: Destination): void {
  checkTls(destination);
  const { params, connectArgs: { ssl } } = destination;
  if (typeof ssl !== "object" || ssl === null) return;
  for (const name of Object.keys(ssl)) {
    if (TLS_OPTIONS.includes(name)) continue;
    const reason = `mysql2 would ignore it; it knows ${TLS_OPTIONS.join(", ")}`;
    throw mustNotBeGiven(argName(`ssl.${name}`), reason);
  }
  const mode = singleParam(params, "sslmode");
  if ("verifyIdentity" in ssl && mode !== undefined) throw checkedByMode("verifyIdentity", mode);
}

/** Reads the TLS options, with mysql2's `verifyIdentity` as an option of `node:tls`. */
export async function readDriverTls(target: Target): Promise<TlsOptions | false | undefined> {
  const tls = await readTls(target);
  if (!tls) return tls;
  const { verifyIdentity, ...options } = tls as TlsOptions & { verifyIdentity?: boolean };
  return verifyIdentity === false ? { ...options, checkServerIdentity: () => undefined } : options;
}

/**
 * Converts TLS options to mysql2's, which checks the name only if told to, and takes the name from `host`.
 *
 * @param tls The options; `false` or `undefined` for plain text.
 * @param socket The socket of the connection.
 */
export function driverTls(
  tls: TlsOptions | false | undefined,
  socket: Socket,
): Partial<Mysql2Config> {
  if (!tls) return {};
  const { servername, host, checkServerIdentity, rejectUnauthorized = true, ...rest } = tls;
  // mysql2 does not pass on an IP address to check the certificate for; node:tls then takes that of the socket.
  if (servername === undefined) Object.assign(socket, { _host: host });
  const verifyIdentity = rejectUnauthorized && checkServerIdentity === undefined;
  return { host: (servername ?? host)!, ssl: { ...rest, rejectUnauthorized, verifyIdentity } };
}
