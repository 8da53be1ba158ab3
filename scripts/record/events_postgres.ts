/**
 * What happens to a PostgreSQL server, its standby and their sessions.
 *
 * @module
 */

import process from "node:process";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { childrenOf, pause } from "../../lab/processes.ts";
import type { Dialect, EventCase, Scene } from "./events.ts";
import type { Login, Session, State } from "./session.ts";

export const BOSS = { user: "boss", password: "s3cret", database: "orders" };
const CLIENT = { user: "client", password: "s3cret" };
const ROOM = 40;

export const POSTGRES: Dialect = {
  id: "SELECT pg_backend_pid() AS id",
  sleep: "SELECT pg_sleep(8)",
  begin: ["BEGIN", "SELECT count(*) FROM things"],
  rows: "SELECT repeat('x', 1000) AS x FROM generate_series(1, 100000)",
  next: "SELECT 1 AS one",
};

export const ALL: readonly State[] = ["idle", "statement", "transaction", "half a result"];

/** Runs a statement in a session of its own. */
export async function asBoss(
  where: { host: string; port: number },
  text: string,
  login = BOSS,
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ ...login, host: where.host, port: where.port });
  client.on("error", () => {});
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end().catch(() => {});
  }
}

const each = (scene: Scene, run: (session: Session) => Promise<unknown>) =>
  Promise.all(scene.sessions.filter(({ id }) => id !== undefined).map(run));

/** Kills one process only. */
export function kill(pid: number | undefined): void {
  if (pid !== undefined) process.kill(pid, "SIGKILL");
}

/** Starts a primary with the tables that the events need. */
export async function startPrimary(): Promise<PostgresServer> {
  const [host] = await loopbackPair();
  const settings = {
    max_connections: ROOM,
    superuser_reserved_connections: 3,
    deadlock_timeout: "200ms",
    wal_retrieve_retry_interval: "100ms",
    max_standby_streaming_delay: "300ms",
  };
  const server = await startPostgres({ host, port: await freePort([host]), ...BOSS, settings });
  await asBoss(server, "CREATE ROLE client LOGIN PASSWORD 's3cret'");
  await asBoss(server, "CREATE TABLE things (id int PRIMARY KEY, note text)");
  await asBoss(server, "INSERT INTO things VALUES (1, ''), (2, '')");
  await asBoss(server, "GRANT ALL ON things TO client");
  return server;
}

/** The events of one server. */
export function postgresEvents(server: PostgresServer): EventCase[] {
  const title = `PostgreSQL ${server.version}`;
  const login: Login = { ...server.address, ...CLIENT, database: "orders" };
  const base = { server: title, login };
  const boss = (text: string) => asBoss(server, text);
  const restart = async () => {
    await server.stop({ keep: true }).catch(() => {});
    await server.kill();
    await server.start();
  };
  const signal = (name: "SIGTERM" | "SIGINT" | "SIGQUIT") => () =>
    Promise.resolve(process.kill(server.pid!, name));
  const held: pg.Client[] = [];
  return [
    { ...base, name: "pg_ctl stop -m smart", states: ALL, run: signal("SIGTERM"), after: restart },
    { ...base, name: "pg_ctl stop -m fast", states: ALL, run: signal("SIGINT"), after: restart },
    {
      ...{ ...base, name: "pg_ctl stop -m immediate", states: ALL, run: signal("SIGQUIT") },
      after: restart,
    },
    {
      ...{ ...base, name: "kill -9 of the postmaster", states: [...ALL, "login"], after: restart },
      freeze: () => server.freeze(),
      async run() {
        kill(server.pid);
        await pause(300);
        await server.thaw();
      },
    },
    {
      ...{ ...base, name: "kill -9 of another session", states: ALL, after: restart },
      run: async () => {
        const client = new pg.Client({ ...BOSS, ...server.address });
        client.on("error", () => {});
        await client.connect();
        const { rows: [row] } = await client.query("SELECT pg_backend_pid() AS pid");
        kill(row.pid);
      },
    },
    {
      ...{ ...base, name: "kill -9 of this session", states: ALL, after: restart },
      run: ({ sessions }) => Promise.resolve(sessions.forEach(({ id }) => kill(id as number))),
    },
    {
      ...{ ...base, name: "pg_terminate_backend", states: ALL },
      run: (scene) => each(scene, ({ id }) => boss(`SELECT pg_terminate_backend(${id})`)),
    },
    {
      ...{ ...base, name: "pg_cancel_backend", states: ["idle", "statement", "transaction"] },
      run: (scene) => each(scene, ({ id }) => boss(`SELECT pg_cancel_backend(${id})`)),
    },
    {
      ...{ ...base, name: "statement_timeout", states: ["statement"], run: () => pause(600) },
      prepare: ["SET statement_timeout = '400ms'"],
    },
    {
      ...{ ...base, name: "lock_timeout", states: ["statement"], run: () => pause(600) },
      prepare: ["SET lock_timeout = '400ms'", "BEGIN"],
      statement: "UPDATE things SET note = 'b' WHERE id = 1",
      before: async () => {
        const client = new pg.Client({ ...BOSS, ...server.address });
        client.on("error", () => {});
        await client.connect();
        held.push(client);
        await client.query("BEGIN");
        await client.query("UPDATE things SET note = 'a' WHERE id = 1");
      },
      after: () => release(held),
    },
    {
      ...{ ...base, name: "idle_session_timeout", states: ["idle"], run: () => pause(600) },
      prepare: ["SET idle_session_timeout = '300ms'"],
    },
    {
      ...{ ...base, name: "idle_in_transaction_session_timeout", states: ["transaction"] },
      prepare: ["SET idle_in_transaction_session_timeout = '300ms'"],
      run: () => pause(600),
    },
    {
      ...{ ...base, name: "transaction_timeout", states: ["statement", "transaction"] },
      prepare: ["SET transaction_timeout = '700ms'"],
      run: () => pause(1000),
    },
    {
      ...{ ...base, name: "starting up", states: ["none"] },
      after: async () => {
        await server.kill();
        await server.start();
      },
      // A startup process that is stopped keeps the server starting.
      async run() {
        await boss(
          "CREATE TABLE work AS SELECT i, repeat('x', 100) FROM generate_series(1, 300000) AS i",
        );
        await server.kill();
        const started = server.start();
        started.catch(() => {});
        await stopStartup(server);
      },
    },
    {
      ...{ ...base, name: "too many connections (max_connections)", states: ["none"] },
      before: async () => {
        for (;;) {
          const client = new pg.Client({ ...login });
          client.on("error", () => {});
          try {
            await client.connect();
          } catch {
            break;
          }
          held.push(client);
        }
      },
      run: () => Promise.resolve(),
      after: () => release(held),
    },
    {
      ...{ ...base, name: "too many connections (CONNECTION LIMIT of the role)", states: ["none"] },
      run: () => boss("ALTER ROLE client CONNECTION LIMIT 0"),
      after: () => boss("ALTER ROLE client CONNECTION LIMIT -1"),
    },
    {
      ...{ ...base, name: "DROP DATABASE WITH (FORCE)", states: ALL.slice(0, 2) },
      login: { ...login, database: "short_lived" },
      before: () => boss("CREATE DATABASE short_lived"),
      run: () => boss("DROP DATABASE short_lived WITH (FORCE)"),
    },
    {
      ...{ ...base, name: "default_transaction_read_only", states: ["statement"] },
      statement: "UPDATE things SET note = 'b' WHERE id = 2",
      before: () => readOnly("on"),
      run: () => pause(200),
      after: () => readOnly("off"),
    },
    {
      ...{ ...base, name: "wrong password", states: ["none"], run: () => Promise.resolve() },
      login: { ...login, password: "wrong" },
    },
    {
      ...{ ...base, name: "no such role", states: ["none"], run: () => Promise.resolve() },
      login: { ...login, user: "no_such" },
    },
    {
      ...{ ...base, name: "role without LOGIN", states: ["none"] },
      run: () => boss("ALTER ROLE client NOLOGIN"),
      after: () => boss("ALTER ROLE client LOGIN"),
    },
    {
      ...{ ...base, name: "no such database", states: ["none"], run: () => Promise.resolve() },
      login: { ...login, database: "no_such" },
    },
    {
      ...{ ...base, name: "deadlock", states: ["statement"], alone: true },
      prepare: ["BEGIN", "UPDATE things SET note = 'a' WHERE id = 1"],
      ...deadlock(server, held),
    },
  ];

  async function readOnly(value: string): Promise<void> {
    const own = "SET default_transaction_read_only = off";
    await boss(`${own}; ALTER ROLE client SET default_transaction_read_only = ${value}`);
  }
}

async function release(held: pg.Client[]): Promise<void> {
  await Promise.all(held.splice(0).map((client) => client.end().catch(() => {})));
}

/** Stops the startup process as soon as there is one. */
async function stopStartup(server: PostgresServer): Promise<void> {
  const endMs = performance.now() + 5000;
  while (performance.now() < endMs) {
    for (const pid of server.pid === undefined ? [] : childrenOf(server.pid)) {
      try {
        const title = await titleOf(pid);
        if (!title.includes("startup")) continue;
        process.kill(pid, "SIGSTOP");
        return;
      } catch { /* it has ended */ }
    }
    await pause(1);
  }
  throw new Error("Cannot stop the startup process: there is none");
}

async function titleOf(pid: number): Promise<string> {
  const { readFile } = await import("node:fs/promises");
  return await readFile(`/proc/${pid}/cmdline`, "utf8");
}

/** A session of the administrator has the second row, and then waits for the first. */
function deadlock(server: PostgresServer, held: pg.Client[]) {
  return {
    statement: "UPDATE things SET note = 'a' WHERE id = 2",
    async before() {
      const client = new pg.Client({ ...BOSS, ...server.address });
      client.on("error", () => {});
      await client.connect();
      held.push(client);
      await client.query("SET deadlock_timeout = '10s'");
      await client.query("BEGIN");
      await client.query("UPDATE things SET note = 'b' WHERE id = 2");
    },
    async run() {
      held.at(-1)!.query("UPDATE things SET note = 'b' WHERE id = 1").catch(() => {});
      await pause(700);
    },
    after: () => release(held),
  };
}

/** The events of a standby. */
export function standbyEvents(primary: PostgresServer, standby: PostgresServer): EventCase[] {
  const login: Login = { ...standby.address, ...CLIENT, database: "orders" };
  const base = { server: `PostgreSQL ${standby.version}`, login };
  const snapshot = ["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM victims"];
  const conflict = {
    before: async () => {
      await asBoss(primary, "DROP TABLE IF EXISTS victims");
      await asBoss(primary, "CREATE TABLE victims AS SELECT i FROM generate_series(1, 100) AS i");
      await asBoss(primary, "GRANT ALL ON victims TO client");
      await pause(700);
    },
    run: async () => {
      await asBoss(primary, "DROP TABLE victims");
      await pause(1500);
    },
  };
  return [
    {
      ...{ ...base, name: "a write on a standby", states: ["statement"], run: () => pause(200) },
      statement: "UPDATE things SET note = 'b' WHERE id = 2",
    },
    {
      ...{ ...base, name: "recovery conflict", states: ["transaction"], ...conflict },
      transaction: snapshot,
    },
    {
      ...{ ...base, name: "recovery conflict, statement", states: ["statement"], ...conflict },
      statement: "SELECT pg_sleep(8) FROM victims",
    },
    {
      ...{ ...base, name: "DROP DATABASE on the primary", states: ["idle", "statement"] },
      login: { ...login, database: "short_lived" },
      before: async () => {
        await asBoss(primary, "CREATE DATABASE short_lived");
        await pause(1500);
      },
      run: async () => {
        await asBoss(primary, "DROP DATABASE short_lived");
        await pause(1500);
      },
    },
    {
      ...{ ...base, name: "pg_promote", states: ["idle", "statement", "transaction"] },
      run: async () => {
        await asBoss(standby, "SELECT pg_promote()");
        await pause(500);
      },
    },
  ];
}
