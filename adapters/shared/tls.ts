/**
 * Reads what the URL and `connectArgs` say about TLS, in the terms of `node:tls`, which most drivers pass it on to.
 *
 * The socket goes to an IP address and the certificate is checked for the host name, whatever the driver would do by
 * itself. `sslmode` has the meaning of libpq; modes that fall back to plain text are refused.
 *
 * @module
 */

import type { PeerCertificate } from "node:tls";
import { mustBe, mustNotBeGiven, oneOf } from "../../internal/argument_error.ts";
import { canonicalHost, isSocketPath } from "../../internal/host_name.ts";
import { canonicalIp } from "../../internal/ip.ts";
import { process } from "../../internal/process.ts";
import type { Destination, TlsState } from "../adapter.ts";
import { argName, paramName, singleParam, TLS_PARAMS } from "./params.ts";

const MODES = ["disable", "require", "verify-ca", "verify-full"];

/** TLS options; a part of the options of `tls.connect` in `node:tls`. */
export interface TlsOptions {
  /** Host name that is sent to the server and that its certificate must be for. Missing if the URL has an IP address. */
  servername?: string;
  /** IP address in the URL that the certificate must be for: an IP address must not be sent as a name (RFC 6066). */
  host?: string;
  /** Whether an unverified certificate ends the attempt. */
  rejectUnauthorized?: boolean;
  /** Trusted authorities, instead of the runtime's own. */
  ca?: string;
  /** Client certificate. */
  cert?: string;
  /** Key of the client certificate. */
  key?: string;
  /** Replaces the check of the name. */
  checkServerIdentity?: (host: string, certificate: PeerCertificate) => Error | undefined;
}

/** What the sockets of `node:tls` have. */
interface SecuredSocket {
  readonly encrypted?: boolean;
  readonly authorized?: boolean;
  readonly authorizationError?: Error | string;
  getPeerCertificate?(): PeerCertificate;
}

/**
 * Checks the TLS settings without reading a file.
 *
 * @param destination What the URL and `connectArgs` say.
 * @throws {TypeError} if a setting is not allowed, or if two settings contradict each other.
 */
export function checkTls({ host, params, connectArgs }: Destination): void {
  const mode = singleParam(params, "sslmode");
  const { ssl } = connectArgs;
  if (ssl && isSocketPath(host)) throw mustNotBeGiven(argName("ssl"), "a Unix socket has no TLS");
  if (mode !== undefined && !MODES.includes(mode)) {
    throw mustBe(paramName("sslmode"), `${oneOf(MODES)} (no fallback to plain text)`, mode);
  }
  if (ssl !== undefined && typeof ssl !== "boolean" && (typeof ssl !== "object" || ssl === null)) {
    throw mustBe(argName("ssl"), "true, false or an object with options of node:tls", ssl);
  }
  checkFiles(params, mode === undefined ? Boolean(ssl) : mode !== "disable");
  if (mode !== undefined && ssl !== undefined) checkAgreement(mode, ssl);
}

function checkFiles(params: Destination["params"], encrypted: boolean): void {
  const files = TLS_PARAMS.slice(1).filter((name) => singleParam(params, name) !== undefined);
  if (files.length > 0 && !encrypted) {
    throw mustNotBeGiven(paramName(files[0]!), "TLS is off, add sslmode=verify-full");
  }
  for (const [name, other] of [["sslcert", "sslkey"], ["sslkey", "sslcert"]] as const) {
    if (!files.includes(name) || files.includes(other)) continue;
    throw mustNotBeGiven(paramName(name), `a client certificate needs "${other}" as well`);
  }
}

function checkAgreement(mode: string, ssl: unknown): void {
  if ((mode === "disable") === (ssl !== false)) {
    const says = ssl === false ? "it turns TLS off" : "it asks for TLS";
    throw mustNotBeGiven(argName("ssl"), `${says}, and sslmode=${mode} in the URL contradicts it`);
  }
  for (const name of ["rejectUnauthorized", "checkServerIdentity"]) {
    if (typeof ssl === "object" && name in ssl!) throw checkedByMode(name, mode);
  }
}

/** Makes the error for an option of `ssl` that says, like `sslmode`, how the certificate is checked. */
export function checkedByMode(name: string, mode: string): TypeError {
  const reason = `sslmode=${mode} in the URL already says how the certificate is checked`;
  return mustNotBeGiven(argName(`ssl.${name}`), reason);
}

/**
 * Reads the TLS settings and their files.
 *
 * @param destination What the URL and `connectArgs` say; checked by `checkTls`.
 * @returns The options; `false` for plain text; `undefined` if nothing is said.
 * @throws {Error} if a file cannot be read.
 */
export async function readTls(destination: Destination): Promise<TlsOptions | false | undefined> {
  const { host, params, connectArgs } = destination;
  const mode = singleParam(params, "sslmode");
  const ssl = connectArgs.ssl as TlsOptions | boolean | undefined;
  // As in libpq, sslmode says nothing about a Unix socket.
  if (mode === "disable" || ssl === false || isSocketPath(host)) return false;
  if (mode === undefined && ssl === undefined) return undefined;
  const own = typeof ssl === "object" ? ssl : {};
  return withServerName(host, {
    ...await readFiles(params),
    ...verificationOf(mode, params, own),
    ...own,
  });
}

/** Adds the name that the certificate must be for, unless the options have one. */
export function withServerName(host: string, options: TlsOptions): TlsOptions {
  const name = canonicalIp(host) === undefined ? { servername: canonicalHost(host) } : { host };
  // Drivers make the key non-enumerable, and a spread would lose it.
  return Object.defineProperties({ ...name }, Object.getOwnPropertyDescriptors(options));
}

/** Returns whether a socket is encrypted. */
export function isEncrypted(socket: unknown): boolean {
  return ((socket ?? {}) as SecuredSocket).encrypted === true;
}

/**
 * Verifies a socket that a driver has secured: not every driver does all that it is told, in every version and on every
 * runtime.
 *
 * @param socket The socket.
 * @param options The TLS options that the driver was given; `false` or `undefined` for plain text.
 * @returns What was verified; `undefined` for plain text.
 * @throws {Error} if the server's certificate is not as the options require.
 */
export function verifyTls(
  socket: unknown,
  options: TlsOptions | false | undefined,
): TlsState | undefined {
  if (!options) return undefined;
  const { encrypted, authorized, authorizationError, getPeerCertificate } =
    (socket ?? {}) as SecuredSocket;
  const { servername, host, rejectUnauthorized } = options;
  if (encrypted !== true || !getPeerCertificate) {
    throw new Error("Cannot use the connection: TLS was requested, and it is not encrypted");
  }
  if (rejectUnauthorized === false) return { checked: "nothing" };
  // The module is loaded by now; imported at the top, it would take longer to load than the whole package.
  const { checkServerIdentity } = process.getBuiltinModule("node:tls");
  const check = options.checkServerIdentity ?? checkServerIdentity;
  const failure = authorized
    ? check((servername ?? host)!, getPeerCertificate.call(socket))
    : authorizationError ?? "its issuer is not trusted";
  if (failure !== undefined) {
    const text = failure instanceof Error ? failure.message : failure;
    throw new Error(`Cannot trust the server's certificate: ${text}`, { cause: failure });
  }
  // With a custom identity check, only the chain is known to be verified.
  return { checked: options.checkServerIdentity ? "chain" : "name" };
}

/** Returns the options by which `node:tls` checks a certificate as `sslmode` says. */
function verificationOf(
  mode: string | undefined,
  params: Destination["params"],
  own: TlsOptions,
): TlsOptions {
  // As in libpq, `require` checks the issuer if an authority is given.
  const hasAuthority = params.sslrootcert !== undefined || own.ca !== undefined;
  if (mode === "verify-ca" || mode === "require" && hasAuthority) {
    return { rejectUnauthorized: true, checkServerIdentity: () => undefined };
  }
  if (mode === "require") return { rejectUnauthorized: false };
  return mode === "verify-full" ? { rejectUnauthorized: true } : {};
}

async function readFiles(params: Destination["params"]): Promise<TlsOptions> {
  const read = async (option: "ca" | "cert" | "key", name: string) => {
    const path = singleParam(params, name);
    // "system", as in libpq: the runtime's own authorities.
    if (path === undefined || name === "sslrootcert" && path === "system") return {};
    try {
      const { readFile } = await import("node:fs/promises"); // few destinations need it
      return { [option]: await readFile(path, "utf8") };
    } catch (cause) {
      throw new Error(`Cannot read the file of the URL parameter "${name}": ${path}`, { cause });
    }
  };
  return {
    ...await read("ca", "sslrootcert"),
    ...await read("cert", "sslcert"),
    ...await read("key", "sslkey"),
  };
}
