/**
 * A connection that its holder ended itself is never handed out once more, in every way that its driver has to end one.
 */

import mysql from "npm:mysql2@^3.24/promise";
import * as mariadb from "npm:mariadb@^3.5";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import { assertEquals, assertGreater } from "@std/assert";
import type { Adapter } from "../../adapters/adapter.ts";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { pgAdapter } from "../../adapters/pg.ts";
import { postgresjsAdapter } from "../../adapters/postgresjs.ts";
import { type EngineOptions, getDnsEngine } from "../../mod.ts";
import type { TestServer } from "../contracts/adapter.ts";
import { MARIADB_SUBJECT } from "../support/mysql_subject.ts";
import { POSTGRES_SUBJECT } from "../support/postgres_subject.ts";
import { ALWAYS, ON_MARIADB } from "../support/servers.ts";
import { soon } from "../support/waiting.ts";

// deno-lint-ignore no-explicit-any -- private parts of four drivers
type Client = any;

/** Ends a client; what it returns is awaited or not. */
type Way = (client: Client) => unknown;

interface Subject {
  readonly adapter: Adapter<unknown>;
  readonly subject: typeof POSTGRES_SUBJECT | typeof MARIADB_SUBJECT;
  readonly ways: Readonly<Record<string, Way>>;
}

/** An adapter of any client, whose driver the ways know. */
const any = (adapter: unknown) => adapter as Adapter<unknown>;

const SUBJECTS: readonly Subject[] = [
  {
    adapter: any(pgAdapter(pg)),
    subject: POSTGRES_SUBJECT,
    ways: {
      "end()": (client) => client.end(),
      "end(callback)": (client) => client.end(() => {}),
      "stream.destroy()": (client) => client.connection.stream.destroy(),
      "stream.end()": (client) => client.connection.stream.end(),
      "end() behind a query": (client) => {
        client.query("SELECT pg_sleep(0.05)").catch(() => {});
        return client.end();
      },
    },
  },
  {
    adapter: any(postgresjsAdapter(postgres)),
    subject: POSTGRES_SUBJECT,
    ways: {
      "end()": (sql) => sql.end(),
      "end({ timeout: 0 })": (sql) => sql.end({ timeout: 0 }),
      "close()": (sql) => sql.close(),
      "end() behind a query": (sql) => {
        sql`SELECT pg_sleep(0.05)`.catch(() => {});
        return sql.end();
      },
    },
  },
  {
    adapter: any(mysql2Adapter(mysql)),
    subject: MARIADB_SUBJECT,
    ways: {
      "end()": (client) => client.end(),
      "destroy()": (client) => client.destroy(),
      "connection.end()": (client) => client.connection.end(),
      "connection.destroy()": (client) => client.connection.destroy(),
      "connection.close()": (client) => client.connection.close(),
      "stream.destroy()": (client) => client.connection.stream.destroy(),
      "end() behind a query": (client) => {
        client.query("SELECT SLEEP(0.05)").catch(() => {});
        return client.end();
      },
      "[Symbol.asyncDispose]()": (client) =>
        (client[Symbol.asyncDispose] ?? client.end).call(client),
    },
  },
  {
    adapter: any(mariadbAdapter(mariadb)),
    subject: MARIADB_SUBJECT,
    ways: {
      "end()": (client) => client.end(),
      "close()": (client) => (client.close ?? client.end).call(client),
      "destroy()": (client) => client.destroy(),
      "destroy() during a query": (client) => {
        // So long that the driver's own KILL finds it: otherwise the driver (3.5) has a rejection that it does not catch.
        client.query("SELECT SLEEP(5)").catch(() => {});
        return client.destroy();
      },
      "end() behind a query": (client) => {
        client.query("SELECT SLEEP(0.05)").catch(() => {});
        return client.end();
      },
    },
  },
];

const servers: Map<unknown, TestServer> = new Map();
Deno.test.beforeAll(async () => {
  servers.set(POSTGRES_SUBJECT, await POSTGRES_SUBJECT.start());
  if (!ON_MARIADB.skipped) servers.set(MARIADB_SUBJECT, await MARIADB_SUBJECT.start());
});
Deno.test.afterAll(async () => {
  for (const server of servers.values()) await server.stop();
});

const SILENT = { debug() {}, info() {}, warn() {} };

/** What may matter for the checkin. */
const OPTIONS: readonly EngineOptions<unknown>[] = [
  {},
  { poolResetOnReturn: null },
  { poolResetOnReturn: "reset" },
  { poolClass: "static" },
];

for (const { adapter, subject, ways } of SUBJECTS) {
  const { test } = subject === MARIADB_SUBJECT ? ON_MARIADB : ALWAYS;
  for (const [name, end] of Object.entries(ways)) {
    test(`Engine with ${adapter.name}: a connection that its holder ended by ${name} is not handed out again`, async () => {
      for (const options of OPTIONS) {
        for (const awaited of [true, false]) {
          const server = servers.get(subject)!;
          const login = `${subject.user}:${encodeURIComponent(subject.password)}`;
          const url = `x://${login}@${server.host}:${server.port}/orders`;
          const single = options.poolClass ? {} : { poolSize: 1, maxOverflow: 0 };
          const engine = getDnsEngine(url, { adapter, logger: SILENT, ...single, ...options });
          const said = JSON.stringify([options, awaited]);
          await engine.use(async ({ client }) => {
            const ended = end(client);
            if (awaited) await ended;
            else Promise.resolve(ended).catch(() => {});
          }).catch(() => {}); // the end may be noticed before the function returns
          for (let each = 0; each < 3; each++) {
            const rows = await soon(engine.query("SELECT 7 AS n"));
            assertEquals(Number((rows[0] as { n: unknown }).n), 7, said);
          }
          assertGreater(engine.status().opened, 1, said);
          await soon(engine.close());
        }
      }
    });
  }
}
