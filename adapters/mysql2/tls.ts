/**
 * TLS in the words of mysql2, which knows fewer than `node:tls`.
 *
 * @module
 */

import type { Socket } from "node:net";
import { readTls, type TlsOptions } from "../shared/tls.ts";
import type { Destination, Target } from "../adapter.ts";
import type { Mysql2Config } from "./driver.ts";

/** Options of `ssl` that mysql2 knows; `servername` is put into effect here. */
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

/** Options of `ssl` that mysql2 would ignore, and one that says again what `sslmode` says. */
export function checkTlsOptions({ params, connectArgs: { ssl } }: Destination): void {
  if (typeof ssl !== "object" || ssl === null) return;
  for (const name of Object.keys(ssl)) {
    if (!TLS_OPTIONS.includes(name)) {
      throw new TypeError(
        `Cannot use "ssl.${name}" in "connectArgs": mysql2 would ignore it; those it knows are ${
          TLS_OPTIONS.join(", ")
        }`,
      );
    }
  }
  if (!("verifyIdentity" in ssl) || params.sslmode === undefined) return;
  throw new TypeError(
    `Cannot use both, for they contradict each other: sslmode=${params.sslmode} in the URL says how the certificate is checked, and so does "ssl.verifyIdentity" in "connectArgs"`,
  );
}

/** What is asked of TLS, `verifyIdentity` in the words of `node:tls`. */
export async function readMysql2Tls(target: Target): Promise<TlsOptions | false | undefined> {
  const tls = await readTls(target);
  if (!tls) return tls;
  const { verifyIdentity, ...options } = tls as TlsOptions & { verifyIdentity?: boolean };
  return verifyIdentity === false ? { ...options, checkServerIdentity: () => undefined } : options;
}

/** The same in those of mysql2, which checks the name only when told to, and takes it from `host`. */
export function secure(tls: TlsOptions | false | undefined, socket: Socket): Partial<Mysql2Config> {
  if (!tls) return {};
  const { servername, host, checkServerIdentity, rejectUnauthorized = true, ...rest } = tls;
  // It tells node:tls no IP address to check the certificate for; then node:tls asks the socket.
  if (servername === undefined) Object.assign(socket, { _host: host });
  const verifyIdentity = rejectUnauthorized && checkServerIdentity === undefined;
  return { host: (servername ?? host)!, ssl: { ...rest, rejectUnauthorized, verifyIdentity } };
}
