/**
 * How `@db/postgres` is made to dial. It has one name for the dial and for the check of the certificate, and it cannot
 * be stopped.
 *
 * @module
 */

import { lookup } from "node:dns/promises";
import { abortable } from "../../internal/async.ts";
import { canonicalIp } from "../../internal/ip.ts";
import { knock } from "../shared/postgres_socket.ts";
import { readTls } from "../shared/tls.ts";
import type { Target, TlsState } from "../adapter.ts";
import type { DbPostgresClient, DbPostgresModule, DbPostgresOptions } from "./driver.ts";

/** With TLS: attempts until the name had the same addresses before and after one. */
const ATTEMPTS = 3;

/** Asks the operating system for the addresses of a name. */
export type LookupAll = (host: string) => Promise<readonly string[]>;

/** The operating system itself. */
export const askSystem: LookupAll = async (host) =>
  (await lookup(host, { all: true })).map(({ address }) => address);

/** A client, and what its dial found out. */
export interface Opened<C> {
  readonly client: C;
  /** Where it leads, where it was dialled by name. */
  readonly address: string | undefined;
  /** How it is protected. */
  readonly tls: TlsState | undefined;
}

/** What a dial takes. */
export interface Means<C extends DbPostgresClient> {
  readonly postgres: DbPostgresModule<C>;
  readonly lookupAll: LookupAll;
  /** What the driver is asked for besides. */
  readonly options: Omit<DbPostgresOptions, "hostname" | "tls">;
}

/**
 * Opens a connection: to the address; with TLS, by the name, and then it is certain where it leads.
 *
 * @param ip The address.
 * @param target Everything else about the connection.
 * @param means The driver, what it is asked for, and who knows names.
 * @returns The client, and what was found out about it.
 * @throws What the driver says; {@linkcode Error} where it is not certain; or the signal's reason.
 */
export async function dialDbPostgres<C extends DbPostgresClient>(
  ip: string,
  target: Target,
  means: Means<C>,
): Promise<Opened<C>> {
  const { signal } = target;
  const { options } = means;
  const tls = await readTls(target);
  signal.throwIfAborted();
  // Of the driver's own attempt nobody could take the socket away, were the server silent.
  const hasTls = await knock(ip, { ...target, port: options.port });
  if (tls && !hasTls) throw new Error("The server does not support TLS");
  const secure = {
    ...options,
    tls: {
      enabled: Boolean(tls),
      enforce: Boolean(tls),
      caCertificates: tls && tls.ca !== undefined ? [tls.ca].flat() : [],
    },
  };
  const dial = (hostname: string) =>
    opened(new means.postgres.Client({ ...secure, hostname }), signal);
  const state = tls ? { checked: "name" } as const : undefined;
  if (!tls || target.host === ip) return { client: await dial(ip), address: undefined, tls: state };
  return { ...await openByName(ip, target, { ...means, dial }), tls: state };
}

/** A connected client. One that comes when nobody waits for it any more is closed. */
async function opened<C extends DbPostgresClient>(client: C, signal: AbortSignal): Promise<C> {
  const connecting = client.connect();
  try {
    await abortable(connecting, signal);
    return client;
  } catch (error) {
    connecting.then(() => client.end()).catch(() => {});
    throw error;
  }
}

/** Dials by name, and finds out where that led to. */
async function openByName<C extends DbPostgresClient>(
  ip: string,
  target: Target,
  { dial, lookupAll }: Means<C> & { readonly dial: (hostname: string) => Promise<C> },
): Promise<{ client: C; address: string }> {
  const { host, signal } = target;
  const answer = () => [...target.addresses()].sort();
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const before = answer();
    const client = await dial(host);
    try {
      const own = await abortable(ownAddress(client), signal);
      if (before.join() === answer().join()) {
        if (before.includes(own)) return { client, address: own };
        await abortable(checkOnly(ip, { host, own, answer: before, lookupAll }), signal);
        if (before.join() === answer().join()) return { client, address: ip };
      }
      await client.end();
    } catch (error) {
      client.end().catch(() => {});
      throw error;
    }
  }
  throw Object.assign(
    new Error(`The addresses of "${host}" changed during each of ${ATTEMPTS} attempts to connect`),
    { code: "ECONNABORTED" },
  );
}

/** The server's own address. Where it is behind a translation of addresses, this is not the one that was dialled. */
async function ownAddress(client: DbPostgresClient): Promise<string> {
  const { rows } = await client.queryObject("SELECT host(inet_server_addr()) AS own");
  const { own } = rows[0] as { own: string };
  return canonicalIp(own) ?? own;
}

/** The server does not know the address it was dialled at: so there must be no other that it could have been. */
async function checkOnly(
  ip: string,
  { host, own, answer, lookupAll }: {
    readonly host: string;
    readonly own: string;
    readonly answer: readonly string[];
    readonly lookupAll: LookupAll;
  },
): Promise<void> {
  const system = await lookupAll(host);
  const only = [...answer, ...system].every((address) => canonicalIp(address) === ip);
  if (only) return;
  throw new Error(
    `Cannot tell which server this is: with TLS, @db/postgres dials "${host}" by name, the server calls itself ${own}, the addresses are ${
      answer.join(", ")
    } by DNS and ${
      system.join(", ")
    } by the operating system; use the driver "pg" or "postgresjs", which dial an address`,
  );
}
