/**
 * What the contract suite needs to know of a driver for PostgreSQL.
 *
 * @module
 */

// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { startPostgres } from "../../lab/postgres.ts";
import { POSTGRES } from "./sql_dialects.ts";
import type { AdapterSubject, Row, TestServer } from "../contracts/adapter.ts";

/** The superuser of every PostgreSQL server of the suite. */
export const WHO = { user: "app", password: "it's a s3cret" };

/** A message of the server: its letter, its length, what it says (PostgreSQL, chapter "Message Formats"). */
export function message(letter: string, body: string): Uint8Array {
  const length = `\0\0\0${String.fromCharCode(4 + body.length)}`;
  return new TextEncoder().encode(letter + length + body);
}

export const SCRAM: Uint8Array = message("R", "\0\0\0\x0aSCRAM-SHA-256\0\0");
const AUTHENTICATED = message("R", "\0\0\0\0");
export const READY: Uint8Array = new Uint8Array([...AUTHENTICATED, ...message("Z", "I")]);

export const YES_TLS: Uint8Array = new TextEncoder().encode("S");

/** What all drivers for PostgreSQL have in common. */
export const POSTGRES_SUBJECT = postgresSubject(WHO);

/** The same, for a superuser of one's own. */
export function postgresSubject(who: { readonly user: string; readonly password: string }) {
  return {
    ...who,
    dialect: POSTGRES,
    silences: {
      "after the TCP handshake": { replies: [] },
      "after it asked for the password": { replies: [SCRAM] },
      "after it let us in": { replies: [AUTHENTICATED] },
      "when asked for TLS": { replies: [], params: { sslmode: "verify-full" } },
      "in the TLS handshake": { replies: [YES_TLS], params: { sslmode: "verify-full" } },
    },
    async start(): Promise<TestServer> {
      const [host] = await loopbackPair();
      const port = await freePort([host]);
      const server = await startPostgres({ host, port, ...who, database: "orders" });
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
    async asAdmin({ host, port }: TestServer, text: string): Promise<readonly Row[]> {
      // Whatever the tests did to the others, the administrator may write.
      const options = "-c default_transaction_read_only=off";
      const client = new pg.Client({ ...who, host, port, database: "orders", options });
      await client.connect();
      try {
        return (await client.query(text)).rows;
      } finally {
        await client.end();
      }
    },
  } satisfies Partial<AdapterSubject<unknown>>;
}
