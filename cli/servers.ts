/**
 * Connects to each address of a database, and finds out what stands there.
 *
 * @module
 */

import { deadline } from "../internal/async.ts";
import { now } from "../internal/clock.ts";
import { redactPassword } from "../internal/redact.ts";
import type { Adapter, Destination, Role, TlsState } from "../adapters/adapter.ts";
import { closeConnection } from "../pool/connection/close.ts";
import { Dialer, type DialerSettings } from "../pool/connection/dialer.ts";
import { ConnectError, DriverUnavailableError } from "../errors.ts";
import { printable } from "./format.ts";

/** What was found at one address. */
export interface ServerReport {
  readonly address: string;
  /** Seconds until the connection was open; `undefined` where none came about. */
  readonly connect: number | undefined;
  /** How the connection is protected. */
  readonly tls: TlsVerdict;
  /** `undefined` where nobody could tell. */
  readonly role: Role | undefined;
  /** Such as `"PostgreSQL 18.4"`; `undefined` where nobody could tell. */
  readonly version: string | undefined;
  /** Why there is no connection, or why it was of no use. */
  readonly error: { readonly code: string | undefined; readonly message: string } | undefined;
}

/**
 * What became of TLS. `"name"`: the certificate is trusted and for the host; `"chain"`: it is trusted; `"nothing"`:
 * nobody looked at it; `"none"`: plain text; `"unknown"`: the driver does not tell, or there is no connection;
 * all others: why the handshake failed.
 */
export type TlsVerdict =
  | TlsState["checked"]
  | "none"
  | "unknown"
  | "wrong name"
  | "expired"
  | "not trusted"
  | "not offered";

/** Where to connect, and how long that may take. */
export interface Inspection<C> {
  readonly adapter: Adapter<C>;
  readonly destination: Destination;
  readonly settings: DialerSettings;
  readonly signal: AbortSignal;
}

/**
 * Connects to all addresses at once.
 *
 * @param addresses The addresses.
 * @param inspection Where else to connect to.
 * @returns What was found, in the order of the addresses.
 * @throws {DriverUnavailableError} when the driver is not installed.
 */
export async function inspectServers<C>(
  addresses: readonly string[],
  inspection: Inspection<C>,
): Promise<ServerReport[]> {
  await loadDriver(inspection);
  return await Promise.all(addresses.map((address) => inspectServer(address, inspection)));
}

/**
 * A connect that is over before it began: all that it does is to load the driver, which would otherwise count as
 * the time to connect.
 */
async function loadDriver<C>({ adapter, destination }: Inspection<C>): Promise<void> {
  try {
    const over = { addresses: () => [], signal: AbortSignal.abort() };
    await adapter.connect("127.0.0.1", { ...destination, ...over });
  } catch (error) {
    if (error instanceof DriverUnavailableError) throw error;
  }
}

async function inspectServer<C>(
  address: string,
  inspection: Inspection<C>,
): Promise<ServerReport> {
  const { adapter, destination, settings, signal } = inspection;
  const dialer = new Dialer(adapter, { ...destination, addresses: () => [address] }, settings);
  const startMs = now();
  let client: C;
  try {
    ({ client } = await dialer.dial([address], signal));
  } catch (error) {
    signal.throwIfAborted();
    return { address, ...NOTHING, ...refusal(error, destination) };
  }
  const connect = (now() - startMs) / 1000;
  try {
    const limitMs = settings.connectTimeoutMs;
    const ask = () => askServer(client, adapter);
    const found = await deadline(limitMs, ask, {
      signal,
      what: `${address} did not tell its role`,
    });
    return { address, ...NOTHING, connect, tls: tlsOf(client, adapter), ...found };
  } catch (error) {
    signal.throwIfAborted();
    const { error: why } = refusal(error, destination);
    return { address, ...NOTHING, connect, tls: tlsOf(client, adapter), error: why };
  } finally {
    await closeConnection({ client, address, info: {} }, { adapter, how: "close" });
  }
}

const NOTHING = {
  connect: undefined,
  tls: "unknown",
  role: undefined,
  version: undefined,
  error: undefined,
} as const;

async function askServer<C>(
  client: C,
  adapter: Adapter<C>,
): Promise<Pick<ServerReport, "role" | "version">> {
  const role = await adapter.role?.(client);
  // Good to know, but no server has to have that function.
  const rows = await adapter.query?.(client, "SELECT version() AS version").catch(() => []);
  const [row] = rows as [{ readonly version?: unknown }?] | undefined ?? [];
  return { role, version: versionOf(row?.version) };
}

/** Every server has its own way of saying what it is. */
export function versionOf(said: unknown): string | undefined {
  if (typeof said !== "string" || said === "") return undefined;
  const number = /^\d+(\.\d+)*/.exec(said)?.[0];
  if (number) return `${/mariadb/i.test(said) ? "MariaDB" : "MySQL"} ${number}`;
  return printable(said.split(/,| on | \(/)[0]!);
}

function tlsOf<C>(client: C, adapter: Adapter<C>): TlsVerdict {
  if (!adapter.tls) return "unknown";
  return adapter.tls(client)?.checked ?? "none";
}

function refusal(
  error: unknown,
  { password }: Destination,
): Pick<ServerReport, "error" | "tls"> {
  const said = error instanceof ConnectError ? error.cause : error;
  const { code, message } = said as { code?: unknown; message?: unknown };
  const text = error instanceof Error ? error.message : String(error);
  return {
    tls: handshakeVerdict(String(code), String(message)),
    error: {
      code: typeof code === "string" ? code : undefined,
      message: printable(redactPassword(text, password)),
    },
  };
}

/** OpenSSL's names for what is wrong with a certificate, as Node, Deno and Bun have them. */
function handshakeVerdict(code: string, message: string): TlsVerdict {
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return "wrong name";
  if (code === "CERT_HAS_EXPIRED") return "expired";
  if (/^(CERT_|UNABLE_TO_|(DEPTH_ZERO_)?SELF_SIGNED_)/.test(code)) return "not trusted";
  return /does not support (SSL|TLS|secure)/i.test(message) ? "not offered" : "unknown";
}
