/**
 * The events of a pool and of its clients, and their order, as `pg.Pool` emits them: each course of events runs on the
 * original and on `DnsPgPool`, with a real PostgreSQL.
 */

import { assert, assertEquals } from "@std/assert";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { DnsPgPool } from "../../drop_in/pg_pool.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { untilSocketsClosed } from "../support/sockets.ts";
import { until } from "../support/waiting.ts";

const LOGIN = { user: "app", password: "s3cret", database: "orders" };

let server: PostgresServer;
let admin: pg.Client;

Deno.test.beforeAll(async () => {
  const [host] = await loopbackPair();
  server = await startPostgres({ host, port: await freePort([host]), ...LOGIN });
  admin = new pg.Client({ connectionString: server.url() });
  await admin.connect();
});

Deno.test.afterAll(async () => {
  await admin.end();
  await server.stop({ mode: "immediate" });
});

interface Client extends Omit<pg.PoolClient, "connection"> {
  readonly processID: number;
  readonly connection: { readonly stream: { destroy(error?: Error): void } };
}

interface Subject {
  readonly pool: pg.Pool;
  /** What happened: `"error 1 57P01"` is an `error` of the pool for its first client. */
  readonly log: string[];
  connect(): Promise<Client>;
  /** Waits until something happened. */
  seen(what: string): Promise<void>;
}

/** Terminates a session, and waits until the server has done so. */
async function kill({ processID }: Client): Promise<void> {
  await admin.query("SELECT pg_terminate_backend($1, 10000)", [processID]);
}

/** Starts a statement that runs until its session is terminated. */
async function sleep(client: Client): Promise<{ readonly failed: Promise<Error> }> {
  const failed = client.query("SELECT pg_sleep(600)").then(
    () => new Error("done"),
    (error) => error,
  );
  const sql = "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND state = 'active'";
  await until(async () => (await admin.query(sql, [client.processID])).rowCount === 1);
  return { failed };
}

const describe = (error: unknown) => {
  if (error === undefined) return "-";
  const { message, code } = error as { message?: string; code?: string };
  return code ?? message ?? String(error);
};

function subjectOf(pool: pg.Pool): Subject {
  const log: string[] = [];
  const names: unknown[] = [];
  const note = (what: string, client: unknown, error?: unknown) => {
    if (!names.includes(client)) names.push(client);
    const detail = /error|release/.test(what) ? ` ${describe(error)}` : "";
    log.push(`${what} ${names.indexOf(client) + 1}${detail}`);
  };
  pool.on("connect", (client) => {
    note("connect", client);
    client.on("error", (error) => note("client error", client, error));
    client.on("end", () => note("client end", client));
  });
  pool.on("acquire", (client) => note("acquire", client));
  pool.on("release", (error, client) => note("release", client, error ?? undefined));
  pool.on("remove", (client) => note("remove", client));
  pool.on("error", (error, client) => {
    assertEquals((error as Error & { client: unknown }).client, client);
    note("error", client, error);
  });
  return {
    pool,
    log,
    connect: async () => await pool.connect() as unknown as Client,
    seen: (what) => until(() => log.includes(what), what),
  };
}

/** A course of events. */
interface Course {
  run(subject: Subject): Promise<void>;
  /** What may happen, if it depends on whether the end of the socket is read with the server's last words. */
  readonly either?: string[][];
}

const COURSES: Record<string, Course> = {
  "killed while a query runs, and released without the error": {
    either: [
      ["connect 1", "acquire 1", "release 1 -", "remove 1", "client end 1"],
      [
        "connect 1",
        "acquire 1",
        "release 1 -",
        "client error 1 Connection terminated unexpectedly",
        "remove 1",
        "error 1 Connection terminated unexpectedly",
        "client end 1",
      ],
    ],
    async run({ connect }) {
      const client = await connect();
      const { failed } = await sleep(client);
      const killed = kill(client);
      await failed;
      client.release();
      await killed;
    },
  },
  "killed while a query runs, and released with the error": {
    async run({ connect }) {
      const client = await connect();
      const { failed } = await sleep(client);
      const killed = kill(client);
      client.release(await failed);
      await killed;
    },
  },
  "killed in use, and released when the client says so": {
    async run({ connect }) {
      const client = await connect();
      client.once("error", () => client.release());
      await kill(client);
    },
  },
  "killed in use, and released a moment later": {
    async run({ connect }) {
      const client = await connect();
      const heard = new Promise((resolve) => client.once("error", resolve));
      const killed = kill(client);
      await heard;
      client.release();
      await killed;
    },
  },
  "killed in use, and released after the end": {
    async run({ connect, seen }) {
      const client = await connect();
      await kill(client);
      await seen("client end 1");
      client.release();
    },
  },
  "released, and killed before the client can know": {
    async run({ connect }) {
      const client = await connect();
      const killed = kill(client);
      client.release();
      await killed;
    },
  },
  "killed while idle": {
    async run({ connect }) {
      const client = await connect();
      client.release();
      await kill(client);
    },
  },
  "killed while the pool runs a query": {
    async run({ pool, seen, log }) {
      let client!: Client;
      pool.once("connect", (connected) => client = connected as unknown as Client);
      const failed = pool.query("SELECT pg_sleep(600)").catch((error) => log.push(describe(error)));
      await seen("acquire 1");
      const sql = "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND state = 'active'";
      await until(async () => (await admin.query(sql, [client.processID])).rowCount === 1);
      await kill(client);
      await failed;
    },
  },
  "ended by its holder": {
    async run({ connect, seen }) {
      const client = await connect();
      await (client as unknown as pg.Client).end();
      await seen("client end 1");
      client.release();
    },
  },
  "released with true, and with an error": {
    async run({ connect, seen }) {
      (await connect()).release(true);
      await seen("client end 1");
      (await connect()).release(new Error("no good"));
    },
  },
  "a query that fails": {
    async run({ pool }) {
      await pool.query("SELECT nope").catch(() => {});
    },
  },
  "a query that times out, on a client and on the pool": {
    async run({ pool, connect }) {
      const slow = { text: "SELECT pg_sleep(0.3)", query_timeout: 50 };
      const client = await connect();
      await client.query(slow).catch(() => {});
      client.release();
      await pool.query("SELECT 1");
      await pool.query(slow).catch(() => {});
    },
  },
  "the socket is lost while the client is idle, and while a query runs": {
    async run({ connect, seen }) {
      const first = await connect();
      first.release();
      first.connection.stream.destroy();
      await seen("client end 1");
      const second = await connect();
      const { failed } = await sleep(second);
      second.connection.stream.destroy(new Error("lost"));
      await failed;
      second.release();
    },
  },
};

/** Runs a course of events on a pool, ends the pool, and returns what happened until the last client had ended. */
async function eventsOf(
  pool: pg.Pool,
  run: (subject: Subject) => Promise<void>,
): Promise<string[]> {
  const subject = subjectOf(pool);
  const { log } = subject;
  await run(subject);
  const clients = log.filter((line) => line.startsWith("connect")).length;
  await pool.end();
  for (let n = 1; n <= clients; n++) {
    await subject.seen(`client end ${n}`);
    await subject.seen(`remove ${n}`);
  }
  return log;
}

for (const [course, { run, either }] of Object.entries(COURSES)) {
  Deno.test(`DnsPgPool: events as of pg.Pool, in their order: ${course}`, () =>
    untilSocketsClosed(async () => {
      const base = { ...LOGIN, port: server.port, max: 1 };
      const dns = { dnsLookup: fakeLookup([server.host], 60), dnsFallback: false };
      const original = await eventsOf(new pg.Pool({ ...base, host: server.host }), run);
      const dropIn = new DnsPgPool(pg, { ...base, host: "db.internal", ...dns });
      const events = await eventsOf(dropIn, run);
      if (either) {
        for (const log of [original, events]) {
          assert(either.some((one) => `${one}` === `${log}`), JSON.stringify(log));
        }
        return;
      }
      assertEquals(events, original);
    }));
}

Deno.test("pool.query() sends the next statement in the driver's callback for the last one, as pg.Pool does", async () => {
  const base = { ...LOGIN, port: server.port, max: 1 };
  const dns = { dnsLookup: fakeLookup([server.host], 60), dnsFallback: false };
  const run = async (pool: pg.Pool): Promise<string[]> => {
    const log: string[] = [];
    pool.on("connect", (client) => {
      const { query } = client as { query: (...args: unknown[]) => unknown };
      Object.assign(client, {
        query(...args: unknown[]) {
          log.push(`sent ${args[0]}`);
          return query.apply(client, args);
        },
      });
    });
    await new Promise<void>((resolve) => {
      for (const text of ["SELECT 1", "SELECT 2", "SELECT 3"]) {
        pool.query(text, () => {
          log.push(`got ${text}`);
          if (text === "SELECT 3") resolve();
        });
      }
    });
    await pool.end();
    return log;
  };
  const original = await run(new pg.Pool({ ...base, host: server.host }));
  assertEquals(await run(new DnsPgPool(pg, { ...base, host: "db.internal", ...dns })), original);
  assertEquals(original.slice(0, 3), ["sent SELECT 1", "sent SELECT 2", "got SELECT 1"]);
});
