/**
 * What the contract suite needs to know about MySQL's family, whichever the driver. The server is a MariaDB.
 *
 * @module
 */

import mysql from "npm:mysql2@^3.24/promise";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type MariadbOptions, type MariadbServer, startMariadb } from "../../lab/mariadb.ts";
import type { AdapterSubject, Row, TestServer } from "../contracts/adapter.ts";
import { MARIADB } from "./sql_dialects.ts";
import { testServer } from "./test_server.ts";
import { until } from "./waiting.ts";

/** The user of every MariaDB server of the suite; the administrator has the same password. */
export const LOGIN = { user: "app", password: "it's a s3cret" };

/** Starts a server with a database `orders` on an address of its own. */
export async function startServer(
  options: Partial<MariadbOptions> = {},
): Promise<MariadbServer> {
  const host = options.host ?? (await loopbackPair())[0];
  const port = options.port ?? await freePort([host]);
  return await startMariadb({ ...LOGIN, host, port, database: "orders", ...options });
}

/** Runs one statement as the administrator. */
export async function asAdmin(
  { host, port }: Pick<TestServer, "host" | "port">,
  text: string,
): Promise<readonly Row[]> {
  const { password } = LOGIN;
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

/**
 * Waits until a transaction of a server waits for a lock. The tables of `information_schema` about it do not tell: they
 * stand still while they are read more often than every 0.1 seconds (findings/mariadb_lock_waits_stand_still.sh).
 */
export async function untilLockWait(server: Pick<TestServer, "host" | "port">): Promise<void> {
  await until(async () => {
    const [row] = await asAdmin(server, "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'");
    return Number(row!.Value) > 0;
  }, "a wait for a lock");
}

/** Encodes a packet of the protocol: its length in three bytes, its number, its body. */
export function packet(number: number, ...parts: (string | readonly number[])[]): Uint8Array {
  const body = parts.flatMap((part) =>
    typeof part === "string" ? [...new TextEncoder().encode(part)] : part
  );
  return new Uint8Array([body.length & 255, body.length >> 8, 0, number, ...body]);
}

/** The initial handshake packet (MariaDB, "Connecting"): the server supports TLS and native passwords. */
export const GREETING: Uint8Array = packet(
  0,
  [10],
  "5.5.5-10.11.6-MariaDB\0",
  [1, 0, 0, 0],
  "abcdefgh\0",
  [0x0e, 0xaa], // long password, database at login, TLS, protocol 4.1, transactions, 20 bytes of scramble
  [45, 2, 0],
  [0x08, 0, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], // names its authentication plugin
  "ijklmnopqrst\0mysql_native_password\0",
);
/** Asks for the password by another plugin. */
const SWITCH_REQUEST = packet(2, [0xfe], "mysql_native_password\0tsrqponmlkjihgfedcba\0");

/** What all drivers have in common. */
export const MARIADB_SUBJECT = {
  ...LOGIN,
  dialect: MARIADB,
  silentServers: {
    "after the TCP handshake": { replies: [] },
    "after its greeting": { replies: [GREETING], first: true },
    "after its second request for the password": {
      replies: [GREETING, SWITCH_REQUEST],
      first: true,
    },
    "during the TLS handshake": {
      replies: [GREETING],
      first: true,
      params: { sslmode: "verify-full" },
    },
  },
  async start(): Promise<TestServer> {
    const server = await startServer();
    const { host, port } = server;
    return testServer({ host, port }, server);
  },
  asAdmin,
} satisfies Partial<AdapterSubject<unknown>>;
