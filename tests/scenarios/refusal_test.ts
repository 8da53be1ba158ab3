import { assert, assertEquals, assertRejects } from "@std/assert";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import { dnsPg, DnsPgPool } from "../../drop_in/pg_pool.ts";
import { getDnsEngine } from "../../mod.ts";
import { postgresjsAdapter } from "../../adapters/postgresjs.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { type FakePgBouncer, startFakePgBouncer } from "../support/fake_pgbouncer.ts";

const CONNECTIONS = 10;
/** Statements that are refused in an outage: more than there are connections. */
const MAX_REFUSALS = CONNECTIONS + 5;
const dns = { dnsLookup: fakeLookup(["127.0.0.1"], 60), dnsFallback: false } as const;

/** A client of the server, which keeps up to ten connections. */
interface Subject {
  query(): Promise<unknown>;
  end(): Promise<unknown>;
}

const engineUrl = ({ port }: FakePgBouncer) => `postgresql://app@db.internal:${port}/orders`;
const engineLimits = { ...dns, poolSize: CONNECTIONS, maxOverflow: 0 };

const SUBJECTS: Readonly<
  Record<string, (bouncer: FakePgBouncer, options?: { poolPrePing: boolean }) => Subject>
> = {
  "pg.Pool": ({ port }) => {
    const login = { user: "app", database: "orders" };
    const pool = new pg.Pool({ ...login, host: "127.0.0.1", port, max: CONNECTIONS });
    pool.on("error", () => {});
    return { query: () => pool.query("work"), end: () => pool.end() };
  },
  DnsPgPool: ({ port }, more) => {
    const login = { user: "app", database: "orders" };
    const options = { ...login, host: "db.internal", port, max: CONNECTIONS, ...dns };
    // As with pg.Pool, without a timeout a connect that fails rejects at once.
    const pool = new DnsPgPool(pg, { ...options, connectionTimeoutMillis: 20_000, ...more });
    return { query: () => pool.query("work"), end: () => pool.end() };
  },
  "an engine with pg": (bouncer, more) => {
    const engine = getDnsEngine(engineUrl(bouncer), { ...engineLimits, ...more });
    return {
      query: () => engine.use(({ client }) => (client as pg.Client).query("work")),
      end: () => engine.close(),
    };
  },
  "an engine with postgresjs": (bouncer, more) => {
    const engine = getDnsEngine(engineUrl(bouncer), {
      ...engineLimits,
      ...more,
      adapter: postgresjsAdapter(postgres),
      connectArgs: { fetch_types: false },
    });
    return {
      query: () => engine.use(({ client }) => client.unsafe("work").simple()),
      end: () => engine.close(),
    };
  },
};

for (const [name, make] of Object.entries(SUBJECTS)) {
  Deno.test(`${name}: an overloaded PgBouncer gets one login for each client that it refuses`, async () => {
    await using bouncer = await startFakePgBouncer();
    const { query, end } = make(bouncer);
    while (bouncer.logins < CONNECTIONS) {
      await Promise.all(Array.from({ length: 2 * CONNECTIONS }, query));
    }
    let statements = 0;
    bouncer.refusesStatement = () => ++statements % 20 === 0;
    let failed = 0;
    for (let round = 0; round < 40; round++) {
      const results = await Promise.allSettled(Array.from({ length: 2 * CONNECTIONS }, query));
      failed += results.filter(({ status }) => status === "rejected").length;
    }
    // One that is refused while it opens is replaced, and its caller waits.
    assert(failed > 0 && failed <= bouncer.refusals, `${failed} calls failed`);
    const logins = bouncer.logins - CONNECTIONS;
    assert(bouncer.refusals >= 35, `${bouncer.refusals} refusals`);
    assert(logins <= bouncer.refusals, `${logins} logins for ${bouncer.refusals} refusals`);
    await end();
  });
}

for (const poolPrePing of [false, true]) {
  for (const name of ["DnsPgPool", "an engine with pg", "an engine with postgresjs"]) {
    const which = poolPrePing ? ", with poolPrePing" : "";
    Deno.test(`${name}${which}: behind a PgBouncer that has lost its server, only what was in flight fails`, async () => {
      await using bouncer = await startFakePgBouncer();
      const { query, end } = SUBJECTS[name]!(bouncer, { poolPrePing });
      await Promise.all(Array.from({ length: CONNECTIONS }, query));
      // It accepts every login, as one does that knew the server, and refuses every statement.
      bouncer.refusesStatement = () => bouncer.refusals < MAX_REFUSALS;
      let failed = 0;
      await Promise.all(Array.from({ length: CONNECTIONS }, async () => {
        for (let done = 0; done < 5;) await query().then(() => done++, () => failed++);
      }));
      assertEquals(bouncer.refusals, MAX_REFUSALS);
      assert(failed <= CONNECTIONS, `${failed} calls failed`);
      await end();
    });
  }
}

Deno.test("dnsPg(): a client that is refused brings no probe connection before the next one", async () => {
  await using bouncer = await startFakePgBouncer();
  const { Client } = dnsPg(pg, dns);
  const connect = async () => {
    const client = new Client({
      host: "db.internal",
      port: bouncer.port,
      user: "app",
      database: "orders",
      connectionTimeoutMillis: 20_000,
    });
    await client.connect();
    return client;
  };
  bouncer.refusesLogin = () => true;
  await assertRejects(connect, Error, "no more connections allowed");
  bouncer.refusesLogin = () => false;
  const second = await connect();
  bouncer.refusesStatement = () => true;
  await assertRejects(() => second.query("work"), Error, "query_wait_timeout");
  const third = await connect();
  assertEquals(bouncer.logins, 3);
  await Promise.all([second, third].map((client) => client.end().catch(() => {})));
});

Deno.test("a password that PgBouncer refuses fails at once, and credentials are asked for again", async () => {
  await using bouncer = await startFakePgBouncer();
  const adapters = { pg: undefined, postgresjs: postgresjsAdapter(postgres) };
  for (const [name, adapter] of Object.entries(adapters)) {
    let calls = 0;
    const engine = getDnsEngine(engineUrl(bouncer), {
      ...engineLimits,
      ...(adapter && { adapter, connectArgs: { fetch_types: false } }),
      credentials: () => ({ password: `password ${++calls}`, expiresAt: Infinity }),
    });
    await engine.use((lease) => lease.invalidate());
    // The texts of PgBouncer 1.18 with md5 and scram-sha-256.
    for (const text of ["password authentication failed", "SASL authentication failed"]) {
      const before = bouncer.logins;
      bouncer.refusesLogin = () => text;
      const error = await assertRejects(() => engine.connect(), Error, text);
      assertEquals([error.name, bouncer.logins - before], ["ConnectError", 2], name);
      bouncer.refusesLogin = () => bouncer.logins === before + 3 && text;
      await engine.use((lease) => lease.invalidate()); // the third is refused, the fourth is not
      bouncer.refusesLogin = () => false;
    }
    assertEquals(calls, 5);
    await engine.close();
  }
});
