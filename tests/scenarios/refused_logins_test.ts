/**
 * A server that has no room for more connections refuses single logins: 1203 and 1040 of MariaDB, 53300 of PostgreSQL.
 * That says nothing about the connections that are open, and callers wait: for one of these, or for room.
 */

import { assertEquals, assertGreater, assertLessOrEqual } from "@std/assert";
import mysql from "npm:mysql2@^3.24/promise";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { startMariadb } from "../../lab/mariadb.ts";
import { startPostgres } from "../../lab/postgres.ts";
import { TcpProxy } from "../../testing/mod.ts";
import { type Subject, SUBJECTS } from "../faults/subjects.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { ALWAYS, ON_MARIADB } from "../support/servers.ts";
import { until } from "../support/waiting.ts";

const LOGIN = { user: "app", password: "s3cret", database: "orders" };
const POOL = 10;
/** Number of connections that the server has room for. */
const ROOM = 5;
const CALLERS = 2 * POOL;

/** A server that can be told how many connections of the user it has room for. */
interface Server extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** Leaves room for a number of connections; `Infinity`: for all. */
  limit(room: number): Promise<void>;
}

async function startRestricted(code: number): Promise<Server> {
  const closers: (() => unknown)[] = [];
  const [host] = await loopbackPair();
  const where = { host, port: await freePort([host]) };
  const end = {
    async [Symbol.asyncDispose]() {
      for (const close of closers.reverse()) await close();
    },
  };
  if (code === 53300) {
    const admin = { ...LOGIN, user: "boss" };
    const server = await startPostgres({ ...where, ...admin });
    closers.push(() => server.stop());
    const client = new pg.Client({ connectionString: server.url() });
    await client.connect();
    closers.push(() => client.end());
    await client.query(`CREATE ROLE ${LOGIN.user} LOGIN PASSWORD '${LOGIN.password}'`);
    const limit = async (room: number) => {
      const number = room === Infinity ? -1 : room;
      await client.query(`ALTER ROLE ${LOGIN.user} CONNECTION LIMIT ${number}`);
    };
    return { ...where, limit, ...end };
  }
  const settings = { max_user_connections: 1000 };
  const server = await startMariadb({ ...where, ...LOGIN, settings });
  closers.push(() => server.stop());
  const admin = await mysql.createConnection(server.adminUrl());
  closers.push(() => admin.end());
  if (code === 1203) {
    const limit = async (room: number) => {
      await admin.query(`SET GLOBAL max_user_connections = ${room === Infinity ? 1000 : room}`);
    };
    return { ...where, limit, ...end };
  }
  // 10 is the least that max_connections can be; the administrator has one of them.
  const taken: mysql.Connection[] = [];
  closers.push(() => taken.forEach((connection) => connection.destroy()));
  const limit = async (room: number) => {
    if (room !== Infinity) {
      while (taken.length < 9 - room) {
        const connection = await mysql.createConnection(server.url());
        connection.on("error", () => {});
        taken.push(connection);
      }
    }
    await admin.query(`SET GLOBAL max_connections = ${room === Infinity ? 100 : 10}`);
  };
  return { ...where, limit, ...end };
}

const CODES = { MariaDB: [1203, 1040], PostgreSQL: [53300] } as const;

function makeCaller(subject: Subject, { host, port }: { host: string; port: number }) {
  const scheme = subject.database === "PostgreSQL" ? "postgresql" : "mysql";
  const { user, password, database } = LOGIN;
  return subject.make(
    `${scheme}://${user}:${password}@db.internal:${port}/${database}`,
    { poolSize: POOL, poolTimeout: 20, connectTimeout: 10 },
    { dnsLookup: fakeLookup([host], 60), dnsFallback: false },
  );
}

for (const subject of SUBJECTS) {
  const { test } = subject.database === "MariaDB" ? ON_MARIADB : ALWAYS;
  const statement = subject.database === "PostgreSQL"
    ? "SELECT pg_sleep(0.3)"
    : "SELECT SLEEP(0.3)";
  for (const code of CODES[subject.database]) {
    test(`${subject.name}: refused logins (${code}) condemn no open connection and fail no call, and are few`, async () => {
      await using server = await startRestricted(code);
      const { host, port } = server;
      await using proxy = await TcpProxy.start({ to: { host, port } });
      const { engine, run, end } = makeCaller(subject, proxy);
      await Promise.all(Array.from({ length: ROOM }, () => run(statement)));
      await until(() => engine.status().idle === ROOM, "that the connections are idle");
      await server.limit(ROOM);
      const logins = proxy.counts.accepted;
      const startMs = performance.now();
      await Promise.all(Array.from({ length: CALLERS }, () => run(statement)));
      const seconds = (performance.now() - startMs) / 1000;
      const status = engine.status();
      assertEquals([status.closed, status.opened], [0, ROOM]);
      // The first ones at once; after that one at a time, with pauses of up to half a second.
      const tried = proxy.counts.accepted - logins;
      assertGreater(tried, 0);
      assertLessOrEqual(tried, POOL + 10 * seconds, `${tried} logins in ${seconds} seconds`);
      await server.limit(Infinity);
      await Promise.all(Array.from({ length: CALLERS }, () => run(statement)));
      assertGreater(engine.status().opened, ROOM);
      await end();
    });
  }
}
