/**
 * Connects to each address of a database, and reports on the server.
 *
 * @module
 */

import { deadline } from "../internal/async.ts";
import { now } from "../internal/clock.ts";
import { redactPassword } from "../internal/redact.ts";
import { messageOf } from "../internal/thrown.ts";
import type { Adapter, Destination, Role, TlsState } from "../adapters/adapter.ts";
import { closeConnection } from "../pool/connection/close.ts";
import { Dialer, type DialerSettings } from "../pool/connection/dialer.ts";
import { ConnectError, DriverUnavailableError } from "../errors.ts";
import { printable } from "./format.ts";
import { type Outcome, type Trials, tryListen, trySettings } from "./trials.ts";

/** The report on the server at one address. */
export interface ServerReport {
  /** The host whose answer has the address. */
  readonly host: string;
  readonly address: string;
  readonly port: number;
  /** Seconds until the connection was open; `undefined` if it failed. */
  readonly connect: number | undefined;
  /** The protection of the connection. */
  readonly tls: TlsVerdict;
  /** `undefined` if unknown. */
  readonly role: Role | undefined;
  /** Such as `"PostgreSQL 18.4"`; `undefined` if unknown. */
  readonly version: string | undefined;
  /** The reason that there is no connection, or that it could not be used. */
  readonly error: { readonly code: string | undefined; readonly message: string } | undefined;
  /** How a notification arrived; missing if that was not tried. */
  readonly listen?: Outcome | undefined;
  /** How the settings of a transaction were set; missing if that was not tried. */
  readonly settings?: Outcome | undefined;
}

/**
 * The protection by TLS. `"name"`: the certificate is verified, with the host's name; `"chain"`: it is verified without
 * the name; `"nothing"`: it is not verified; `"none"`: there is no TLS; `"unknown"`: the driver does not report it, or
 * there is no connection. All others: the reason that the handshake failed.
 */
export type TlsVerdict =
  | TlsState["checked"]
  | "none"
  | "unknown"
  | "wrong name"
  | "expired"
  | "not trusted"
  | "not offered";

/** The servers to inspect. */
export interface Inspection<C> {
  readonly adapter: Adapter<C>;
  readonly destination: Destination;
  readonly settings: DialerSettings;
  readonly signal: AbortSignal;
  /** What is tried on each server. */
  readonly trials?: Trials;
}

/**
 * Connects to all addresses at once.
 *
 * @param addresses The addresses.
 * @param inspection The adapter, and the destination apart from its address.
 * @returns The reports, in the order of the addresses.
 * @throws {DriverUnavailableError} if the driver is not installed.
 */
export async function inspectServers<C>(
  addresses: readonly string[],
  inspection: Inspection<C>,
): Promise<ServerReport[]> {
  await loadDriver(inspection);
  return await Promise.all(addresses.map((address) => inspectServer(address, inspection)));
}

/**
 * Loads the driver, by a connect that is aborted from the beginning. Otherwise the time to load it would count as time
 * to connect.
 */
async function loadDriver<C>({ adapter, destination }: Inspection<C>): Promise<void> {
  try {
    const aborted = { addresses: () => [], signal: AbortSignal.abort() };
    await adapter.connect("127.0.0.1", { ...destination, ...aborted });
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
  const { host, port } = destination;
  const unknown = { host, address, port, ...UNKNOWN };
  const startMs = now();
  let client: C;
  try {
    ({ client } = await dialer.dial([address], signal));
  } catch (error) {
    signal.throwIfAborted();
    return { ...unknown, ...failureOf(error, destination) };
  }
  const connect = (now() - startMs) / 1000;
  try {
    const limitMs = settings.connectTimeoutMs;
    const ask = () => askServer(client, adapter);
    const found = await deadline(limitMs, ask, {
      signal,
      what: `${address} did not report its role`,
    });
    const tried = await tryAll(client, { ...inspection, dialer, address, role: found.role });
    return { ...unknown, connect, tls: tlsOf(client, adapter), ...found, ...tried };
  } catch (error) {
    signal.throwIfAborted();
    const { error: reason } = failureOf(error, destination);
    return { ...unknown, connect, tls: tlsOf(client, adapter), error: reason };
  } finally {
    await closeConnection({ client, address, info: {} }, { adapter, how: "close" });
  }
}

/** Tries what the flags ask for. A standby has no notifications. */
async function tryAll<C>(
  client: C,
  { adapter, destination, settings, signal, trials = {}, dialer, address, role }: Inspection<C> & {
    readonly dialer: Dialer<C>;
    readonly address: string;
    readonly role: Role | undefined;
  },
): Promise<Pick<ServerReport, "listen" | "settings">> {
  const { channel, plan } = trials;
  const limits = { adapter, limitMs: settings.connectTimeoutMs, signal };
  const outcomeOf = async (trial: () => Promise<number>): Promise<Outcome> => {
    try {
      return { took: await trial() };
    } catch (error) {
      signal.throwIfAborted();
      return { error: failureOf(error, destination).error! };
    }
  };
  const listen = async () => {
    const { client: listener } = await dialer.dial([address], signal);
    try {
      return await tryListen(listener, client, { ...limits, channel: channel! });
    } finally {
      await closeConnection({ client: listener, address, info: {} }, { adapter, how: "close" });
    }
  };
  const listens = channel !== undefined && !role?.standby;
  return {
    ...(listens && { listen: await outcomeOf(listen) }),
    ...(plan && { settings: await outcomeOf(() => trySettings(client, { ...limits, plan })) }),
  };
}

const UNKNOWN = {
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
  // A server need not have this function.
  const rows = await adapter.query?.(client, "SELECT version() AS version").catch(() => []);
  const [row] = rows as [{ readonly version?: unknown }?] | undefined ?? [];
  return { role, version: versionOf(row?.version) };
}

/** Returns the name and version of a server from the result of its `version()`. */
export function versionOf(version: unknown): string | undefined {
  if (typeof version !== "string" || version === "") return undefined;
  const number = /^\d+(\.\d+)*/.exec(version)?.[0];
  if (number) return `${/mariadb/i.test(version) ? "MariaDB" : "MySQL"} ${number}`;
  return printable(version.split(/,| on | \(/)[0]!);
}

function tlsOf<C>(client: C, adapter: Adapter<C>): TlsVerdict {
  if (!adapter.tls) return "unknown";
  return adapter.tls(client)?.checked ?? "none";
}

function failureOf(
  error: unknown,
  { password }: Destination,
): Pick<ServerReport, "error" | "tls"> {
  const cause = error instanceof ConnectError ? error.cause : error;
  const { code, message } = cause as { code?: unknown; message?: unknown };
  return {
    tls: handshakeVerdict(String(code), String(message)),
    error: {
      code: typeof code === "string" ? code : undefined,
      message: printable(redactPassword(messageOf(error), password)),
    },
  };
}

/** Returns the verdict on a failed handshake, by OpenSSL's codes, which Node, Deno and Bun use. */
function handshakeVerdict(code: string, message: string): TlsVerdict {
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return "wrong name";
  if (code === "CERT_HAS_EXPIRED") return "expired";
  if (/^(CERT_|UNABLE_TO_|(DEPTH_ZERO_)?SELF_SIGNED_)/.test(code)) return "not trusted";
  return /does not support (SSL|TLS|secure)/i.test(message) ? "not offered" : "unknown";
}
