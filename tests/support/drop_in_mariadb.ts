/**
 * Two MariaDB servers on one port, for the drop-ins of mysql2.
 *
 * @module
 */

import mysql from "npm:mysql2@^3.24/promise";
import { type MariadbServer, startMariadb } from "../../lab/mariadb.ts";
import { type ServerPair, startPair } from "./drop_in_failover.ts";
import { ON_MARIADB } from "./servers.ts";

/** Login and database of the tests. */
export const LOGIN = { user: "app", password: "s3cret", database: "orders" };

/** Starts two servers, each with a table of orders. */
export function startMariadbPair(): Promise<ServerPair<MariadbServer>> {
  return startPair(async (where) => {
    const server = await startMariadb({ ...where, ...LOGIN });
    await administer(
      server,
      `CREATE TABLE ${LOGIN.database}.orders (id int PRIMARY KEY AUTO_INCREMENT, customer int, server text)`,
    );
    return server;
  });
}

/** Registers the start and the end of two servers for all tests of a file. They run from the first test on. */
export function mariadbPair(): ServerPair<MariadbServer> {
  const pair = {} as ServerPair<MariadbServer>;
  if (ON_MARIADB.skipped) return pair;
  Deno.test.beforeAll(async () => void Object.assign(pair, await startMariadbPair()));
  Deno.test.afterAll(() => pair.stop());
  return pair;
}

/** Returns the callback connection behind a connection with promises. */
export function coreOf<C>(connection: mysql.Connection): C {
  return (connection as unknown as { connection: C }).connection;
}

/** Runs statements as the administrator. */
export async function administer(server: MariadbServer, ...statements: string[]): Promise<void> {
  const admin = await mysql.createConnection(server.adminUrl());
  const { stream } = coreOf<{ stream: { once(event: string, listener: () => void): void } }>(admin);
  const closed = new Promise<void>((resolve) => stream.once("close", resolve));
  for (const statement of statements) await admin.query(statement);
  await admin.end();
  await closed;
}

/** Asks the server that a connection is open to for its address. */
export async function where(client: mysql.Pool | mysql.Connection): Promise<string> {
  const [rows] = await client.query<mysql.RowDataPacket[]>("SELECT @@bind_address AS host");
  return rows[0]!.host;
}
