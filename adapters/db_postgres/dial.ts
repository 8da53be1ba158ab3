/**
 * Opens a connection with `@db/postgres`. The driver has one setting both for the dial and for the check of the
 * certificate, and its connect cannot be aborted.
 *
 * @module
 */

import { lookup } from "node:dns/promises";
import { abortable } from "../../internal/async.ts";
import { canonicalIp } from "../../internal/ip.ts";
import type { Target, TlsState } from "../adapter.ts";
import { probeTls } from "../shared/postgres_socket.ts";
import { readTls } from "../shared/tls.ts";
import type { DbPostgresClient, DbPostgresModule, DbPostgresOptions } from "./driver.ts";

/** Maximum number of dials by name, until the name had the same addresses before and after one. */
const MAX_DIALS = 3;

/** Asks the operating system for the addresses of a name. */
export type LookupAll = (host: string) => Promise<readonly string[]>;

/** Asks the operating system itself. */
export const askSystem: LookupAll = async (host) =>
  (await lookup(host, { all: true })).map(({ address }) => address);

/** A client, and what the dial found out about it. */
export interface DialedClient<C> {
  readonly client: C;
  /** The address that it is connected to, if it was dialed by name. */
  readonly address: string | undefined;
  /** How it is protected. */
  readonly tls: TlsState | undefined;
}

/** What a dial needs besides its target. */
export interface DialOptions<C extends DbPostgresClient> {
  readonly postgres: DbPostgresModule<C>;
  readonly lookupAll: LookupAll;
  /** The driver's options, except those of the dial itself. */
  readonly options: Omit<DbPostgresOptions, "hostname" | "tls">;
}

/**
 * Opens a connection: to the address; with TLS, to the name, and then finds out which address that was.
 *
 * @param ip The address.
 * @param target Everything else about the connection.
 * @param dialOptions The driver and its options.
 * @returns The client, and what was found out about it.
 * @throws {Error} the driver's error; an error if the address is not certain; or the signal's reason.
 */
export async function dialDbPostgres<C extends DbPostgresClient>(
  ip: string,
  target: Target,
  dialOptions: DialOptions<C>,
): Promise<DialedClient<C>> {
  const { signal } = target;
  const { options, postgres, lookupAll } = dialOptions;
  const tls = await readTls(target);
  signal.throwIfAborted();
  // The socket of the driver's own connect cannot be closed if the server does not answer: so it is probed first.
  const supportsTls = await probeTls(ip, { ...target, port: options.port });
  if (tls && !supportsTls) throw new Error("The server does not support TLS");
  const all = {
    ...options,
    tls: {
      enabled: Boolean(tls),
      enforce: Boolean(tls),
      caCertificates: tls && tls.ca !== undefined ? [tls.ca].flat() : [],
    },
  };
  const dial = (hostname: string) =>
    connectClient(new postgres.Client({ ...all, hostname }), signal);
  const state = tls ? { checked: "name" } as const : undefined;
  if (!tls || target.host === ip) return { client: await dial(ip), address: undefined, tls: state };
  return { ...await dialByName(ip, target, { dial, lookupAll }), tls: state };
}

/** Connects a client. If the connect succeeds only after the abort, the client is closed. */
async function connectClient<C extends DbPostgresClient>(
  client: C,
  signal: AbortSignal,
): Promise<C> {
  const connecting = client.connect();
  try {
    await abortable(connecting, signal);
    return client;
  } catch (error) {
    connecting.then(() => client.end()).catch(() => {});
    throw error;
  }
}

/** Dials by name, and finds out which address that led to. */
async function dialByName<C extends DbPostgresClient>(
  ip: string,
  target: Target,
  { dial, lookupAll }: {
    readonly dial: (hostname: string) => Promise<C>;
    readonly lookupAll: LookupAll;
  },
): Promise<{ client: C; address: string }> {
  const { host, signal } = target;
  const currentAnswer = () => [...target.addresses()].sort();
  for (let count = 1; count <= MAX_DIALS; count++) {
    const before = currentAnswer();
    const client = await dial(host);
    try {
      const own = await abortable(ownAddress(client), signal);
      if (before.join() === currentAnswer().join()) {
        if (before.includes(own)) return { client, address: own };
        await abortable(checkOnlyAddress(ip, { host, own, answer: before, lookupAll }), signal);
        if (before.join() === currentAnswer().join()) return { client, address: ip };
      }
      await client.end();
    } catch (error) {
      client.end().catch(() => {});
      throw error;
    }
  }
  throw Object.assign(
    new Error(`The addresses of "${host}" changed during each of ${MAX_DIALS} attempts to connect`),
    { code: "ECONNABORTED" },
  );
}

/** Asks the server for its own address. Behind address translation, it is not the one that was dialed. */
async function ownAddress(client: DbPostgresClient): Promise<string> {
  const { rows } = await client.queryObject("SELECT host(inet_server_addr()) AS own");
  const { own } = rows[0] as { own: string };
  return canonicalIp(own) ?? own;
}

/**
 * Checks that a name has one address only, by DNS and by the operating system. If the server does not know the address
 * that it was dialed at, this makes it certain.
 */
async function checkOnlyAddress(
  ip: string,
  { host, own, answer, lookupAll }: {
    readonly host: string;
    readonly own: string;
    readonly answer: readonly string[];
    readonly lookupAll: LookupAll;
  },
): Promise<void> {
  const system = await lookupAll(host);
  if ([...answer, ...system].every((address) => canonicalIp(address) === ip)) return;
  throw new Error(
    `Cannot tell which server this is: with TLS, @db/postgres dials "${host}" by name, the server calls itself ${own}, the addresses are ${
      answer.join(", ")
    } by DNS and ${
      system.join(", ")
    } by the operating system; use the driver "pg" or "postgresjs", which dial an address`,
  );
}
