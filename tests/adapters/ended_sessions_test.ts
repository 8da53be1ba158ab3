/**
 * What the holder of a connection is told when the server ends its session, with the drivers that notice it. A real
 * server says why, in one error, before it closes the socket.
 */

import mysql from "npm:mysql2@^3.24/promise";
import * as mariadb from "npm:mariadb@^3.5";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import Cursor from "npm:pg-cursor@^2";
import QueryStream from "npm:pg-query-stream@^4";
import postgres from "npm:postgres@^3.4";
import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import type { Adapter } from "../../adapters/adapter.ts";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { pgAdapter } from "../../adapters/pg.ts";
import { postgresjsAdapter } from "../../adapters/postgresjs.ts";
import { ConnectionLostError, type Engine, getDnsEngine } from "../../mod.ts";
import type { TestServer } from "../contracts/adapter.ts";
import { keepLines } from "../support/checks.ts";
import { GREETING, MARIADB_SUBJECT, packet } from "../support/mysql_subject.ts";
import { listen } from "../support/peers.ts";
import { message, POSTGRES_SUBJECT, READY } from "../support/postgres_subject.ts";
import { ON_MARIADB } from "../support/servers.ts";
import { soon, until } from "../support/waiting.ts";

/** What MySQL says when it closes a session for inactivity (error 4031). */
const INACTIVE =
  "The client was disconnected by the server because of inactivity. See wait_timeout and interactive_timeout for configuring this behavior.";

/** A way in which a server ends a session that is between two statements. */
interface End {
  /** Statements of the session after which the server ends it. */
  readonly statements: readonly string[];
  /** Whether the administrator ends it. */
  readonly killed?: boolean;
  /** The code and a part of the message of what the server says. */
  readonly said: readonly [code: string | undefined, text: string];
}

const POSTGRES_ENDS: Readonly<Record<string, End>> = {
  "idle_in_transaction_session_timeout": {
    statements: ["SET idle_in_transaction_session_timeout = '100ms'", "BEGIN"],
    said: ["25P03", "idle-in-transaction timeout"],
  },
  "idle_session_timeout": {
    statements: ["SET idle_session_timeout = '100ms'"],
    said: ["57P05", "idle-session timeout"],
  },
  "transaction_timeout": {
    statements: ["SET transaction_timeout = '100ms'", "BEGIN"],
    said: ["25P04", "transaction timeout"],
  },
  "pg_terminate_backend": {
    statements: [],
    killed: true,
    said: ["57P01", "administrator command"],
  },
};

/** MariaDB ends a session between two statements without a word: so the driver's own error is all there is. */
const MARIADB_ENDS: Readonly<Record<string, End>> = {
  "KILL": { statements: [], killed: true, said: [undefined, ""] },
  "idle_transaction_timeout": {
    statements: ["SET idle_transaction_timeout = 1", "BEGIN", "SELECT 1"],
    said: [undefined, ""],
  },
  "wait_timeout": { statements: ["SET wait_timeout = 1"], said: [undefined, ""] },
};

const SUBJECTS = [
  { subject: POSTGRES_SUBJECT, ends: POSTGRES_ENDS, adapter: pgAdapter(pg) as Adapter<unknown> },
  {
    subject: POSTGRES_SUBJECT,
    ends: POSTGRES_ENDS,
    adapter: postgresjsAdapter(postgres) as Adapter<unknown>,
  },
  {
    subject: MARIADB_SUBJECT,
    ends: MARIADB_ENDS,
    adapter: mysql2Adapter(mysql) as Adapter<unknown>,
  },
  {
    subject: MARIADB_SUBJECT,
    ends: MARIADB_ENDS,
    adapter: mariadbAdapter(mariadb) as Adapter<unknown>,
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

for (const { subject, ends, adapter } of SUBJECTS) {
  const { dialect, user, password } = subject;
  const test = subject === MARIADB_SUBJECT ? ON_MARIADB.test : Deno.test;
  for (const [how, { statements, killed, said: [code, text] }] of Object.entries(ends)) {
    test(`Engine.use() with ${adapter.name} rejects with what the server said when it ends a session by ${how}`, async () => {
      const server = servers.get(subject)!;
      const logger = keepLines();
      const login = `${user}:${encodeURIComponent(password)}`;
      const url = `${adapter.name}://${login}@${server.host}:${server.port}/orders`;
      const engine = getDnsEngine(url, { adapter, logger }) as Engine<unknown>;
      try {
        let signal: AbortSignal | undefined;
        const used = engine.use(async (lease) => {
          signal = lease.signal;
          const ask = (text: string) => adapter.query!(lease.client, text);
          for (const statement of statements) await ask(statement);
          if (killed) {
            const [session] = await ask(dialect.session) as { id: unknown }[];
            await subject.asAdmin(server, dialect.kill(session!.id));
          }
          await new Promise(() => {});
        });
        const error = await soon(used.then(() => undefined, (error) => error));
        assertInstanceOf(error, ConnectionLostError);
        const cause = error.cause as Error & { code?: unknown; errno?: unknown };
        assertInstanceOf(cause, Error);
        assertStringIncludes(cause.message, text);
        if (code !== undefined) assertEquals(cause.code, code);
        assertEquals(signal!.reason, error);
        assert(engine.isDisconnect(error) && engine.isDisconnect(cause));
        assertEquals(engine.status().inUse, 0);
        if (code !== undefined) assertSaid(logger, text);
        await engine.query(dialect.session);
      } finally {
        await engine.close({ drain: 0 });
      }
    });
  }
}

// deno-lint-ignore no-explicit-any -- the clients of four drivers
type Client = any;

const ROWS = "SELECT i, repeat('x', 1000) AS x FROM generate_series(1, 100000) AS i";
const MARIADB_ROWS = "SELECT seq AS i, REPEAT('x', 1000) AS x FROM seq_1_to_100000";

/** Reads batch after batch of a cursor of pg. */
async function* batchesOf(cursor: Cursor): AsyncIterable<unknown> {
  for (;;) yield await cursor.read(10);
}

/** The streams of the drivers, and whether a holder is told while it does not read on. */
const STREAMS: readonly (readonly [
  driver: string,
  name: string,
  open: (client: Client) => AsyncIterable<unknown> | Promise<AsyncIterable<unknown>>,
  toldAtOnce: boolean,
])[] = [
  ["pg", "a query stream", (client) => client.query(new QueryStream(ROWS)), true],
  ["pg", "a cursor", (client) => batchesOf(client.query(new Cursor(ROWS))), true],
  ["postgresjs", "a cursor", (sql) => sql.unsafe(ROWS).cursor(10), true],
  ["postgresjs", "a COPY", (sql) => sql.unsafe(`COPY (${ROWS}) TO STDOUT`).readable(), false],
  ["mysql2", "a stream", (client) => client.connection.query(MARIADB_ROWS).stream(), false],
  ["mariadb", "a stream", (client) => client.queryStream(MARIADB_ROWS), false],
];

for (const [driver, name, open, toldAtOnce] of STREAMS) {
  const { subject, adapter } = SUBJECTS.find(({ adapter }) => adapter.name === driver)!;
  const test = subject === MARIADB_SUBJECT ? ON_MARIADB.test : Deno.test;
  const when = toldAtOnce ? "at once" : "when it reads on";
  test(`Engine.use() with ${driver} rejects ${when} if the server ends the session while its holder reads ${name}`, async () => {
    const server = servers.get(subject)!;
    const login = `${subject.user}:${encodeURIComponent(subject.password)}`;
    const url = `${driver}://${login}@${server.host}:${server.port}/orders`;
    const engine = getDnsEngine(url, {
      adapter,
      logger: keepLines(),
      poolSize: 1,
      maxOverflow: 0,
    }) as Engine<unknown>;
    try {
      let goOn!: () => void;
      const maySee = new Promise<void>((resolve) => goOn = resolve);
      let signal: AbortSignal | undefined;
      const used = engine.use(async (lease) => {
        signal = lease.signal;
        const [session] = await adapter.query!(lease.client, subject.dialect.session) as {
          id: unknown;
        }[];
        let isFirst = true;
        for await (const _ of await open(lease.client)) {
          if (isFirst) {
            await subject.asAdmin(server, subject.dialect.kill(session!.id));
            await maySee;
          }
          isFirst = false;
        }
      });
      const outcome = used.then(() => undefined, (error) => error);
      if (!toldAtOnce) goOn();
      const error = await soon(outcome);
      assert(engine.isDisconnect(error), String(error));
      assert(signal!.aborted);
      assertInstanceOf(signal!.reason, ConnectionLostError);
      assertEquals(engine.status().inUse, 0);
      await soon(engine.query(subject.dialect.session));
      goOn();
    } finally {
      await engine.close({ drain: 0 });
    }
  });
}

const POSTGRES_ADAPTERS = [pgAdapter(pg), postgresjsAdapter(postgres)] as Adapter<unknown>[];

/** What a server of PostgreSQL, or PgBouncer, says before it closes a connection in use, and what its holder is told. */
async function holderIsTold(
  adapter: Adapter<unknown>,
  { words, told, code }: { words: Uint8Array; told: string; code: string },
): Promise<void> {
  await using server = await listen();
  const logger = keepLines();
  const isPostgresjs = adapter.name === "postgresjs";
  const query = isPostgresjs ? "?fetch_types=false" : "";
  const url = `x://app:x@127.0.0.1:${server.port}/orders${query}`;
  const engine = getDnsEngine(url, { adapter, logger });
  let markUsed!: () => void;
  const used = new Promise<void>((resolve) => markUsed = resolve);
  const ending = (async () => {
    const peer = await server.accept();
    await peer.read();
    await peer.write(READY);
    if (isPostgresjs) { // it makes sure that the session works
      await peer.read();
      await peer.write(new Uint8Array([...message("C", "SELECT 0\0"), ...message("Z", "I")]));
    }
    await used;
    await peer.write(words);
    await peer.close();
  })();
  const error = await soon(
    engine.use(() => {
      markUsed();
      return new Promise(() => {});
    }).then(() => undefined, (error) => error),
  );
  await ending;
  assertInstanceOf(error, ConnectionLostError);
  assertEquals((error.cause as Error).message, told);
  assertEquals((error.cause as { code?: unknown }).code, code);
  assert(engine.isDisconnect(error.cause));
  assertSaid(logger, told);
  await engine.close();
}

for (const adapter of POSTGRES_ADAPTERS) {
  Deno.test(`Engine.use() with ${adapter.name} rejects with what PgBouncer said, which sends one severity alone`, () =>
    holderIsTold(adapter, {
      words: message("E", "SFATAL\0C08P01\0Mquery_wait_timeout\0\0"),
      ...{ told: "query_wait_timeout", code: "08P01" },
    }));
}

for (const adapter of [mysql2Adapter(mysql), mariadbAdapter(mariadb)] as Adapter<unknown>[]) {
  Deno.test(`Engine.use() with ${adapter.name} rejects with what a MySQL says that closes a session for inactivity`, async () => {
    await using server = await listen();
    const logger = keepLines();
    const { host, port } = { host: "127.0.0.1", port: server.port };
    const engine = getDnsEngine(`x://app:x@${host}:${port}/orders?`, { adapter, logger });
    let markUsed!: () => void;
    const used = new Promise<void>((resolve) => markUsed = resolve);
    const mysqld = (async () => {
      const peer = await server.accept();
      await peer.write(GREETING);
      await peer.read();
      await peer.write(packet(2, [0, 0, 0, 2, 0, 0, 0]));
      let ended = false;
      used.then(() => ended = true);
      // Whatever the driver asks for right after its login.
      const answers = (async () => {
        while (!ended && await peer.read()) {
          if (!ended) await peer.write(packet(1, [0, 0, 0, 2, 0, 0, 0]));
        }
      })();
      await used;
      await peer.write(packet(0, [0xff, 0xbf, 0x0f], "#HY000", INACTIVE));
      await peer.close();
      await answers.catch(() => {});
    })();
    const error = await soon(
      engine.use(() => {
        markUsed();
        return new Promise(() => {});
      }).then(() => undefined, (error) => error),
    );
    await mysqld;
    assertInstanceOf(error, ConnectionLostError);
    assertEquals((error.cause as { errno?: unknown }).errno, 4031);
    assertSaid(logger, INACTIVE);
    await engine.close();
  });
}

const CRASH = "terminating connection because of crash of another server process";

for (const adapter of POSTGRES_ADAPTERS) {
  Deno.test(`Engine.use() with ${adapter.name} rejects with the warning that is all a server says that crashes`, () =>
    holderIsTold(adapter, {
      words: message("N", `SWARNING\0VWARNING\0C57P02\0M${CRASH}\0Rquickdie\0\0`),
      ...{ told: CRASH, code: "57P02" },
    }));
}

/** How a server ends an idle session: the administrator does, or the server itself after a while. */
const IDLE_ENDS: Readonly<Record<string, readonly string[]>> = {
  "pg_terminate_backend": [],
  "wait_timeout": ["SET wait_timeout = 1"],
};

for (const { subject, adapter } of SUBJECTS) {
  const isMariadb = subject === MARIADB_SUBJECT;
  const [how, statements] = Object.entries(IDLE_ENDS)[isMariadb ? 1 : 0]!;
  const test = isMariadb ? ON_MARIADB.test : Deno.test;
  test(`Engine with ${adapter.name} keeps its other connections if a server ends an idle session by ${how}`, async () => {
    const server = servers.get(subject)!;
    const login = `${subject.user}:${encodeURIComponent(subject.password)}`;
    const url = `${adapter.name}://${login}@${server.host}:${server.port}/orders`;
    const engine = getDnsEngine(url, { adapter, logger: keepLines() }) as Engine<unknown>;
    try {
      const idOf = async (client: unknown) => {
        const [row] = await adapter.query!(client, subject.dialect.session) as [{ id: unknown }];
        return String(row.id);
      };
      const [ended, kept] = await Promise.all([engine.connect(), engine.connect()]);
      const [endedId, keptId] = [await idOf(ended.client), await idOf(kept.client)];
      for (const statement of statements) await adapter.query!(ended.client, statement);
      await ended.release();
      if (!isMariadb) await subject.asAdmin(server, subject.dialect.kill(endedId));
      await until(() => engine.status().closed === 1);
      assertEquals(await idOf(kept.client), keptId);
      await kept.release();
      assertEquals(await engine.use(({ client }) => idOf(client)), keptId);
      assertEquals(engine.status().closed, 1);
    } finally {
      await engine.close({ drain: 0 });
    }
  });
}

/** Asserts that one log line says why the server ended the session. */
function assertSaid({ lines }: { readonly lines: readonly string[] }, text: string): void {
  assertEquals(lines.length, 1, lines.join("\n"));
  assertStringIncludes(lines[0]!, "The server ended a connection in use to ");
  assertStringIncludes(lines[0]!, text);
}
