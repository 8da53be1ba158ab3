import { assertEquals, assertRejects } from "@std/assert";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import postgres from "npm:postgres@^3.4";
import { postgresjsAdapter } from "../../adapters/postgresjs.ts";
import { getDnsEngine } from "../../mod.ts";
import { handoverContract } from "../contracts/handover.ts";
import { HANDOVER_LOGIN, ignore, POSTGRES_HANDOVER } from "../support/handover_postgres.ts";

const files = await mkdtemp(`${tmpdir()}/dnspool-`);
const ONE_STATEMENT = `${files}/one.sql`;
const BEGIN = `${files}/begin.sql`;
await writeFile(ONE_STATEMENT, "SELECT 7 AS n, false AS own");
await writeFile(BEGIN, "BEGIN");
Deno.test.afterAll(() => rm(files, { recursive: true }));

const MANY = "SELECT i FROM generate_series(1, 20000) AS i";

const HANDOVER = POSTGRES_HANDOVER<postgres.Sql>((sql, text) => sql.unsafe(text).execute());

handoverContract<postgres.Sql>({
  ...HANDOVER,
  factory: "postgresjsAdapter",
  adapter: postgresjsAdapter(postgres),
  deeds: {
    ...HANDOVER.deeds,
    "a statement with a value": (sql) => sql`SELECT ${7}::int AS n`,
    "a statement with a value that is not awaited": (sql) =>
      ignore(sql`SELECT ${7}::int AS n, false AS own`),
    "a fragment that is not sent": (sql) => void sql`WHERE false`,
    "a value that cannot be sent": (sql) => ignore(sql`SELECT ${undefined as never}`),
    "a value that cannot be sent, beside a statement": async (sql) => {
      const both = [sql`SELECT 7 AS n`, sql`SELECT ${undefined as never}`];
      both.forEach((query) => ignore(query));
      await Promise.all(both);
    },
    "too many values, beside a statement": async (sql) => {
      const both = [sql`SELECT 7 AS n`, sql.unsafe("SELECT $1::int", Array(70000).fill(1))];
      both.forEach((query) => ignore(query));
      await Promise.all(both);
    },
    "COPY behind a value that cannot be sent, beside a statement": async (sql) => {
      const both = [sql`SELECT 7 AS n`, sql`SELECT ${undefined as never}`];
      both.forEach((query) => ignore(query));
      const stream = await sql`COPY things FROM STDIN`.writable();
      stream.on("error", () => {});
      stream.destroy();
    },
    "COPY behind too many values, beside a statement": async (sql) => {
      const both = [sql`SELECT 7 AS n`, sql.unsafe("SELECT $1::int", Array(70000).fill(1))];
      both.forEach((query) => ignore(query));
      const stream = await sql.unsafe(`COPY (${MANY}) TO STDOUT`).readable();
      stream.on("error", () => {});
      stream.destroy();
    },
    "a file that is not awaited": (sql) => ignore(sql.file(ONE_STATEMENT).execute()),
    "a file that is not awaited, behind another statement": (sql) => {
      ignore(sql.unsafe("SELECT pg_sleep(0.05)").execute());
      ignore(sql.file(ONE_STATEMENT).execute());
    },
    "a file that begins a transaction, not awaited": (sql) => ignore(sql.file(BEGIN).execute()),
    "a file that does not exist, not awaited": (sql) =>
      ignore(sql.file("/nowhere/at/all.sql").execute()),
    "a cursor that is left": async (sql) => {
      for await (const _ of sql.unsafe(MANY).cursor(10)) break;
    },
    "a cursor that fails": async (sql) => {
      const failing = "SELECT 1 / (i - 15) FROM generate_series(1, 20) AS i";
      for await (const _ of sql.unsafe(failing).cursor(10)) continue;
    },
    "a cursor with a function that is not awaited": (sql) =>
      ignore(sql.unsafe("SELECT 7 AS n FROM generate_series(1, 30)").cursor(10, () => {})),
    "a cancel": (sql) => {
      const query = sql.unsafe("SELECT pg_sleep(3)").execute();
      ignore(query);
      query.cancel();
    },
    "a late cancel": async (sql) => {
      const query = sql.unsafe("SELECT pg_sleep(0.01)").execute();
      ignore(query);
      await new Promise((resolve) => setTimeout(resolve, 8));
      query.cancel();
      await query;
    },
    "a cancel of a statement that waits": (sql) => {
      const queries = ["SELECT 1", "SELECT pg_sleep(1), 7 AS n", "SELECT 8 AS n"].map((text) =>
        sql.unsafe(text).execute()
      );
      queries.forEach(ignore);
      queries[1]!.cancel();
    },
    "COPY TO STDOUT that is left": async (sql) => {
      const stream = await sql.unsafe(`COPY (${MANY}) TO STDOUT`).readable();
      stream.on("error", () => {});
      stream.destroy();
    },
    "a transaction of the driver": (sql) => sql.begin((own) => own`SELECT 1`),
    "a transaction of the driver that fails": (sql) => sql.begin((own) => own`SELECT 1 / 0`),
    "a reservation that is released": async (sql) => {
      const own = await sql.reserve();
      await own`SELECT 1`;
      own.release();
    },
    "end": (sql) => ignore(sql.end()),
  },
  stuck: {
    "a cursor": async (sql) => {
      const iterator = sql.unsafe(MANY).cursor(10)[Symbol.asyncIterator]();
      await iterator.next();
    },
    "a cursor whose function does not return": async (sql) => {
      await new Promise<void>((resolve) =>
        ignore(sql.unsafe(MANY).cursor(10, () => new Promise(() => resolve())))
      );
    },
    "COPY FROM STDIN": async (sql) => {
      const stream = await sql`COPY things FROM STDIN`.writable();
      stream.on("error", () => {});
    },
    "COPY TO STDOUT that is not read": async (sql) => {
      const rows = "SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) AS i";
      const stream = await sql.unsafe(`COPY (${rows}) TO STDOUT`).readable();
      stream.on("error", () => {});
    },
    "a transaction of the driver that does not end": async (sql) => {
      await new Promise<void>((resolve) =>
        ignore(sql.begin(async () => {
          resolve();
          await new Promise(() => {});
        }))
      );
    },
    "a reservation": (sql) => sql.reserve(),
  },
});

/** A proxy that connects the first client at once, and each later one after a wait. */
async function slowProxy(target: { readonly host: string; readonly port: number }, waitMs: number) {
  let count = 0;
  const sockets = new Set<net.Socket>();
  const server = net.createServer(async (client) => {
    const isFirst = count++ === 0;
    sockets.add(client.on("error", () => {}));
    if (!isFirst) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const upstream = net.connect(target).on("error", () => {});
    sockets.add(upstream);
    client.pipe(upstream).pipe(client);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as net.AddressInfo;
  return {
    port,
    get count() {
      return count;
    },
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

Deno.test("postgresjsAdapter() in an engine: a late cancel does not reach the next holder's statement", async () => {
  const server = await HANDOVER.start();
  const proxy = await slowProxy(server, 150);
  const { user, password } = HANDOVER_LOGIN;
  const engine = getDnsEngine<postgres.Sql>(
    `postgresql://${user}:${password}@127.0.0.1:${proxy.port}/orders`,
    { adapter: postgresjsAdapter(postgres), poolSize: 1, maxOverflow: 0 },
  );
  try {
    await engine.use(async ({ client }) => {
      const query = client.unsafe("SELECT pg_sleep(0.05)").execute();
      await new Promise((resolve) => setTimeout(resolve, 5));
      query.cancel();
      await query; // it ends before the cancel arrives
    });
    assertEquals(proxy.count, 2);
    const [row] = await engine.query("SELECT 7 AS n, pg_sleep(0.4)") as [{ n: number }];
    assertEquals(row.n, 7);
    assertEquals(engine.status().opened, 1);
    // A cancel in time works as ever.
    await engine.use(async ({ client }) => {
      const query = client.unsafe("SELECT pg_sleep(30)").execute();
      setTimeout(() => query.cancel(), 5);
      await assertRejects(async () => await query);
    });
    assertEquals((await engine.query("SELECT 8 AS n") as [{ n: number }])[0].n, 8);
  } finally {
    await engine.close();
    proxy.close();
    await server.stop();
  }
});
