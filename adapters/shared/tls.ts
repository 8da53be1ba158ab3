/**
 * What a URL and `connectArgs` say about TLS, in the terms of `node:tls`, which most drivers hand it to.
 *
 * The socket goes to an IP address and the certificate is checked for the host name, whatever the driver would do by
 * itself. `sslmode` means what libpq says, but nothing that falls back to plain text.
 *
 * @module
 */

import process from "node:process";
import type { PeerCertificate } from "node:tls";
import { canonicalIp } from "../../internal/ip.ts";
import { only, TLS_PARAMS } from "./params.ts";
import type { Destination, TlsState } from "../adapter.ts";

const MODES = ["disable", "require", "verify-ca", "verify-full"];
const CONTRADICTION = "Cannot use both, for they contradict each other";

/** What is asked for; a part of the options of `tls.connect` in `node:tls`. */
export interface TlsOptions {
  /** The name that is sent to the server, and that its certificate is for. Missing where the URL has an IP address. */
  servername?: string;
  /** What the certificate is for, where the URL has an IP address: one may not be sent as a name (RFC 6066). */
  host?: string;
  /** Whether an unverified certificate ends the attempt. */
  rejectUnauthorized?: boolean;
  /** The authorities trusted, in place of the runtime's own. */
  ca?: string;
  /** The client's certificate. */
  cert?: string;
  /** The client's key. */
  key?: string;
  /** Whatever replaces the check of the name. */
  checkServerIdentity?: (host: string, certificate: PeerCertificate) => Error | undefined;
}

/** What the sockets of `node:tls` have. */
interface Secured {
  readonly encrypted?: boolean;
  readonly authorized?: boolean;
  readonly authorizationError?: Error | string;
  getPeerCertificate?(): PeerCertificate;
}

/**
 * Looks at what is asked for, without reading any file.
 *
 * @param destination What the URL and `connectArgs` say.
 * @throws {TypeError} for what cannot be meant, and for what stands in two places that contradict each other.
 */
export function checkTls({ params, connectArgs }: Destination): void {
  const mode = only(params, "sslmode");
  const files = TLS_PARAMS.slice(1).filter((name) => only(params, name) !== undefined);
  const { ssl } = connectArgs;
  if (mode !== undefined && !MODES.includes(mode)) {
    throw new TypeError(
      `Cannot use sslmode=${mode}: it is one of ${
        MODES.join(", ")
      }; nothing falls back to plain text`,
    );
  }
  if (ssl !== undefined && typeof ssl !== "boolean" && (typeof ssl !== "object" || ssl === null)) {
    throw new TypeError(
      'Cannot use this "ssl" in "connectArgs": it is true, false or an object with options of node:tls',
    );
  }
  if (files.length > 0 && (mode === undefined ? !ssl : mode === "disable")) {
    throw new TypeError(
      `Cannot use the URL parameter "${files[0]}" without TLS: add sslmode=verify-full`,
    );
  }
  if (files.includes("sslcert") !== files.includes("sslkey")) {
    throw new TypeError(
      'Cannot use one of the URL parameters "sslcert" and "sslkey" without the other: a client certificate has both',
    );
  }
  if (mode === undefined || ssl === undefined) return;
  if ((mode === "disable") === (ssl !== false)) {
    throw new TypeError(
      `${CONTRADICTION}: sslmode=${mode} in the URL, and "ssl" in "connectArgs", which ${
        ssl === false ? "is false" : "asks for TLS"
      }`,
    );
  }
  for (const name of ["rejectUnauthorized", "checkServerIdentity"]) {
    if (typeof ssl !== "object" || !(name in ssl)) continue;
    throw new TypeError(
      `${CONTRADICTION}: sslmode=${mode} in the URL says how the certificate is checked, and so does "ssl.${name}" in "connectArgs"`,
    );
  }
}

/**
 * What is asked for, its files read.
 *
 * @param destination What the URL and `connectArgs` say, checked.
 * @returns The options; `false` for plain text; `undefined` where nothing is said.
 * @throws {Error} where a file cannot be read.
 */
export async function readTls(destination: Destination): Promise<TlsOptions | false | undefined> {
  const { host, params, connectArgs } = destination;
  const mode = only(params, "sslmode");
  const ssl = connectArgs.ssl as TlsOptions | boolean | undefined;
  if (mode === "disable" || ssl === false) return false;
  if (mode === undefined && ssl === undefined) return undefined;
  const own = typeof ssl === "object" ? ssl : {};
  return named(host, { ...await readFiles(params), ...checksOf(mode, params, own), ...own });
}

/** TLS options with the name that the certificate is for. */
export function named(host: string, options: TlsOptions): TlsOptions {
  const name = canonicalIp(host) === undefined ? { servername: host } : { host };
  // Drivers hide the key from view, and a spread would lose it.
  return Object.defineProperties({ ...name }, Object.getOwnPropertyDescriptors(options));
}

/**
 * Looks at a socket that a driver has secured: not every driver asks for all that it is told, in every version and on
 * every runtime.
 *
 * @param socket The socket.
 * @param options What it was to be asked for; `false` or `undefined` where no TLS was.
 * @returns What is made sure of.
 * @throws {Error} where the other side is not verified as it was to be.
 */
export function checkSecured(
  socket: unknown,
  options: TlsOptions | false | undefined,
): TlsState | undefined {
  if (!options) return undefined;
  const { encrypted, authorized, authorizationError, getPeerCertificate } =
    (socket ?? {}) as Secured;
  const { servername, host, rejectUnauthorized } = options;
  if (encrypted !== true || !getPeerCertificate) {
    throw new Error("Cannot use this connection: TLS was asked for, and it has none");
  }
  if (rejectUnauthorized === false) return { checked: "nothing" };
  // It is there by now; imported at the top, it would take longer to load than the whole package.
  const { checkServerIdentity } = process.getBuiltinModule("node:tls");
  const check = options.checkServerIdentity ?? checkServerIdentity;
  const trouble = authorized ? check((servername ?? host)!, getPeerCertificate.call(socket)) : (
    authorizationError ?? "it is not of an authority that is trusted"
  );
  if (trouble !== undefined) {
    const text = trouble instanceof Error ? trouble.message : trouble;
    throw new Error(`Cannot trust the server's certificate: ${text}`, { cause: trouble });
  }
  // Whoever checks the name himself may find any name good.
  return { checked: options.checkServerIdentity ? "chain" : "name" };
}

/** How the certificate is checked; with `verify-full`, as `node:tls` does by itself. */
function checksOf(
  mode: string | undefined,
  params: Destination["params"],
  own: TlsOptions,
): TlsOptions {
  // As in libpq, an authority makes `require` check for it.
  const anchored = params.sslrootcert !== undefined || own.ca !== undefined;
  if (mode === "verify-ca" || mode === "require" && anchored) {
    return { rejectUnauthorized: true, checkServerIdentity: () => undefined };
  }
  if (mode === "require") return { rejectUnauthorized: false };
  return mode === "verify-full" ? { rejectUnauthorized: true } : {};
}

async function readFiles(params: Destination["params"]): Promise<TlsOptions> {
  const read = async (option: "ca" | "cert" | "key", name: string) => {
    const path = only(params, name);
    // "system", as in libpq: the runtime's own authorities.
    if (path === undefined || name === "sslrootcert" && path === "system") return {};
    try {
      const { readFile } = await import("node:fs/promises"); // few need it
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
