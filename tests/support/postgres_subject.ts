/**
 * What the contract suite needs to know about PostgreSQL, whichever the driver.
 *
 * @module
 */

// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { startPostgres } from "../../lab/postgres.ts";
import type { AdapterSubject, Row, TestServer } from "../contracts/adapter.ts";
import { POSTGRES } from "./sql_dialects.ts";
import { testServer } from "./test_server.ts";

/** The superuser of every PostgreSQL server of the suite. */
export const LOGIN = { user: "app", password: "it's a s3cret" };

/** Encodes a message of the server: its letter, its length, its body (PostgreSQL, chapter "Message Formats"). */
export function message(letter: string, body: string): Uint8Array {
  const length = `\0\0\0${String.fromCharCode(4 + body.length)}`;
  return new TextEncoder().encode(letter + length + body);
}

/** Asks for the password by SCRAM. */
const PASSWORD_REQUEST = message("R", "\0\0\0\x0aSCRAM-SHA-256\0\0");
const AUTHENTICATED = message("R", "\0\0\0\0");
/** The login has succeeded, and the session is idle. */
export const READY: Uint8Array = new Uint8Array([...AUTHENTICATED, ...message("Z", "I")]);

/** The answer to an SSLRequest: the server supports TLS. */
export const TLS_ACCEPTED: Uint8Array = new TextEncoder().encode("S");
/** The answer to an SSLRequest: the server does not support TLS. */
export const TLS_REFUSED: Uint8Array = new TextEncoder().encode("N");

/** What all drivers for PostgreSQL have in common. */
export const POSTGRES_SUBJECT = postgresSubject(LOGIN);

/** Makes the subject for servers with another superuser. */
export function postgresSubject(login: { readonly user: string; readonly password: string }) {
  return {
    ...login,
    dialect: POSTGRES,
    silentServers: {
      "after the TCP handshake": { replies: [] },
      "after its request for the password": { replies: [PASSWORD_REQUEST] },
      "after the login": { replies: [AUTHENTICATED] },
      "after the request for TLS": { replies: [], params: { sslmode: "verify-full" } },
      "during the TLS handshake": { replies: [TLS_ACCEPTED], params: { sslmode: "verify-full" } },
    },
    async start(): Promise<TestServer> {
      const [host] = await loopbackPair();
      const port = await freePort([host]);
      const server = await startPostgres({ host, port, ...login, database: "orders" });
      return testServer({ host, port }, server);
    },
    async asAdmin({ host, port }: TestServer, text: string): Promise<readonly Row[]> {
      // The administrator may write although the tests made the database read-only.
      const options = "-c default_transaction_read_only=off";
      const client = new pg.Client({ ...login, host, port, database: "orders", options });
      await client.connect();
      try {
        return (await client.query(text)).rows;
      } finally {
        await client.end();
      }
    },
  } satisfies Partial<AdapterSubject<unknown>>;
}
