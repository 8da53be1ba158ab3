/**
 * What the contract suite needs to know of a driver for MySQL's family; the server is a MariaDB.
 *
 * @module
 */

import mysql from "npm:mysql2@^3.24/promise";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type MariadbOptions, type MariadbServer, startMariadb } from "../../lab/mariadb.ts";
import { MARIADB } from "./sql_dialects.ts";
import type { AdapterSubject, Row, TestServer } from "../contracts/adapter.ts";

/** The user of every MariaDB server of the suite; the administrator has the same password. */
export const WHO = { user: "app", password: "it's a s3cret" };

/** Starts a server with a database `orders` on an address of its own. */
export async function startServer(
  options: Partial<MariadbOptions> = {},
): Promise<MariadbServer> {
  const host = options.host ?? (await loopbackPair())[0];
  const port = options.port ?? await freePort([host]);
  return await startMariadb({ ...WHO, host, port, database: "orders", ...options });
}

/** Runs one statement as the administrator. */
export async function asAdmin(
  { host, port }: Pick<TestServer, "host" | "port">,
  text: string,
): Promise<readonly Row[]> {
  const { password } = WHO;
  const connection = await mysql.createConnection({
    host,
    port,
    user: "root",
    password,
    database: "orders",
  });
  try {
    const [rows] = await connection.query(text);
    return Array.isArray(rows) ? rows as Row[] : [];
  } finally {
    await connection.end();
  }
}

/** A packet of the protocol: its length in three bytes, its number, what it says. */
export function packet(number: number, ...parts: (string | readonly number[])[]): Uint8Array {
  const body = parts.flatMap((part) =>
    typeof part === "string" ? [...new TextEncoder().encode(part)] : part
  );
  return new Uint8Array([body.length & 255, body.length >> 8, 0, number, ...body]);
}

/** What a server says first (MariaDB, "Connecting", initial handshake packet): it has TLS, and native passwords. */
export const GREETING: Uint8Array = packet(
  0,
  [10],
  "5.5.5-10.11.6-MariaDB\0",
  [1, 0, 0, 0],
  "abcdefgh\0",
  [0x0e, 0xaa], // long password, database at login, TLS, protocol 4.1, transactions, 20 bytes of scramble
  [45, 2, 0],
  [0x08, 0, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], // names its way to log in
  "ijklmnopqrst\0mysql_native_password\0",
);
/** It wants the password another way. */
const SWITCH = packet(2, [0xfe], "mysql_native_password\0tsrqponmlkjihgfedcba\0");

/** What all drivers have in common. */
export const MARIADB_SUBJECT = {
  ...WHO,
  dialect: MARIADB,
  silences: {
    "after the TCP handshake": { replies: [] },
    "after its greeting": { replies: [GREETING], first: true },
    "after it asked again for the password": { replies: [GREETING, SWITCH], first: true },
    "in the TLS handshake": {
      replies: [GREETING],
      first: true,
      params: { sslmode: "verify-full" },
    },
  },
  async start(): Promise<TestServer> {
    const server = await startServer();
    const { host, port } = server;
    return {
      host,
      port,
      get log() {
        return server.log;
      },
      freeze: () => server.freeze(),
      thaw: () => server.thaw(),
      kill: () => server.kill(),
      start: () => server.start(),
      stop: () => server.stop({ mode: "immediate" }),
    };
  },
  asAdmin,
} satisfies Partial<AdapterSubject<unknown>>;
