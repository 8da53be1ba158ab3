/**
 * What happens to a MariaDB server, to the nodes of a Galera cluster and to their sessions.
 *
 * @module
 */

import net from "node:net";
import process from "node:process";
import mysql from "npm:mysql2@^3.24/promise";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import type { GaleraCluster } from "../../lab/galera.ts";
import { type MariadbServer, startMariadb } from "../../lab/mariadb.ts";
import { pause } from "../../lab/processes.ts";
import type { Dialect, EventCase, Scene } from "./events.ts";
import { ALL } from "./events_postgres.ts";
import type { Login, Session } from "./session.ts";

/** The users of the servers; the administrator has the same password. */
export const LOGIN = { user: "app", password: "s3cret", database: "orders" };

export const MARIADB: Dialect = {
  id: "SELECT CONNECTION_ID() AS id",
  sleep: "SELECT SLEEP(8)",
  begin: ["BEGIN", "INSERT INTO notes VALUES (NULL, 'new')"],
  rows: "SELECT REPEAT('x', 1000) AS x FROM seq_1_to_100000",
  next: "SELECT 1 AS one",
};

/** The least that `max_connections` can be. */
const ROOM = 10;
/** More than the logins of all drivers need. */
const MAX_QUERIES = 40;

/** Runs a statement as the administrator, in a session of its own. */
async function asAdmin(where: { host: string; port: number }, text: string): Promise<unknown> {
  const client = await mysql.createConnection({ ...LOGIN, user: "root", ...where });
  client.on("error", () => {});
  try {
    return (await client.query(text))[0];
  } finally {
    await client.end().catch(() => {});
  }
}

const each = (scene: Scene, run: (session: Session) => Promise<unknown>) =>
  Promise.all(scene.sessions.filter(({ id }) => id !== undefined).map(run));

const TABLES = [
  "CREATE TABLE things (id int PRIMARY KEY, note varchar(100))",
  "CREATE TABLE notes (id int PRIMARY KEY AUTO_INCREMENT, note varchar(100))",
  "INSERT INTO things VALUES (1, ''), (2, '')",
];

/** Starts a server with the tables that the events need. */
export async function startServer(): Promise<MariadbServer> {
  const [host] = await loopbackPair();
  const settings = { max_user_connections: 1000, max_connect_errors: 3 };
  const server = await startMariadb({ host, port: await freePort([host]), ...LOGIN, settings });
  for (const text of TABLES) await asAdmin(server.address, text);
  return server;
}

/** The events of one server. */
export function mariadbEvents(server: MariadbServer): EventCase[] {
  const login: Login = { ...server.address, ...LOGIN };
  const base = { server: `MariaDB ${server.version}`, login };
  const admin = (text: string) => asAdmin(server.address, text);
  const held: mysql.Connection[] = [];
  const restart = async () => {
    await server.stop({ keep: true }).catch(() => {});
    await server.kill();
    await server.start();
  };
  const holdLock = async (id: number) => {
    const client = await mysql.createConnection(login);
    client.on("error", () => {});
    held.push(client);
    await client.query("BEGIN");
    await client.query(`UPDATE things SET note = 'held' WHERE id = ${id}`);
  };
  const release = () => Promise.resolve(held.splice(0).forEach((client) => client.destroy()));
  const toggle = (name: string, on: string | number, off: string | number) => ({
    run: () => admin(`SET GLOBAL ${name} = ${on}`),
    after: () => admin(`SET GLOBAL ${name} = ${off}`),
  });
  return [
    {
      ...{ ...base, name: "SHUTDOWN", states: [...ALL], after: restart },
      run: async () => {
        await admin("SHUTDOWN").catch(() => {});
        await pause(1000);
      },
    },
    {
      ...{ ...base, name: "kill -9 of the server", states: [...ALL, "login"], after: restart },
      freeze: () => server.freeze(),
      run: () => server.kill(),
    },
    {
      ...{ ...base, name: "KILL CONNECTION", states: ALL },
      run: (scene) => each(scene, ({ id }) => admin(`KILL CONNECTION ${id}`)),
    },
    {
      ...{ ...base, name: "KILL QUERY", states: ["idle", "statement"] },
      run: (scene) => each(scene, ({ id }) => admin(`KILL QUERY ${id}`)),
    },
    {
      ...{ ...base, name: "KILL QUERY of a statement on a table", states: ["statement"] },
      before: () => holdLock(1),
      statement: "UPDATE things SET note = 'b' WHERE id = 1",
      run: (scene) => each(scene, ({ id }) => admin(`KILL QUERY ${id}`)),
      after: release,
    },
    {
      ...{ ...base, name: "wait_timeout", states: ["idle", "transaction"] },
      prepare: ["SET wait_timeout = 1"],
      run: () => pause(1500),
    },
    {
      ...{ ...base, name: "idle_transaction_timeout", states: ["transaction"] },
      prepare: ["SET idle_transaction_timeout = 1"],
      run: () => pause(1500),
    },
    {
      ...{ ...base, name: "max_statement_time", states: ["statement"], run: () => pause(600) },
      prepare: ["SET max_statement_time = 0.4"],
      statement: "SELECT COUNT(*) FROM seq_1_to_100000 a, seq_1_to_100000 b",
    },
    {
      ...{ ...base, name: "too many connections (max_connections)", states: ["none"] },
      before: async () => {
        while (held.length < ROOM + 1) {
          const client = await mysql.createConnection(login);
          client.on("error", () => {});
          held.push(client);
        }
      },
      ...toggle("max_connections", ROOM, 100),
      after: async () => {
        await release();
        await pause(300);
        await admin("SET GLOBAL max_connections = 100");
      },
    },
    {
      ...{ ...base, name: "too many connections (max_user_connections)", states: ["none"] },
      before: async () => {
        const client = await mysql.createConnection(login);
        client.on("error", () => {});
        held.push(client);
      },
      ...toggle("max_user_connections", 1, 1000),
      after: async () => {
        await release();
        await admin("SET GLOBAL max_user_connections = 1000");
      },
    },
    {
      ...{ ...base, name: "too many connections (MAX_USER_CONNECTIONS of the user)" },
      states: ["none"],
      before: async () => {
        const client = await mysql.createConnection(login);
        client.on("error", () => {});
        held.push(client);
      },
      run: () => admin("ALTER USER app WITH MAX_USER_CONNECTIONS 1"),
      after: async () => {
        await release();
        await admin("ALTER USER app WITH MAX_USER_CONNECTIONS 0");
      },
    },
    {
      ...{ ...base, name: "MAX_QUERIES_PER_HOUR of the user", states: ["idle"] },
      before: () => admin(`ALTER USER app WITH MAX_QUERIES_PER_HOUR ${MAX_QUERIES}`),
      run: (scene) =>
        each(scene, async (session) => {
          for (let i = 0; i < MAX_QUERIES; i++) await session.ask("SELECT 2").catch(() => {});
        }),
      after: async () => {
        await admin("ALTER USER app WITH MAX_QUERIES_PER_HOUR 0");
        await admin("FLUSH USER_RESOURCES");
      },
    },
    {
      ...{ ...base, name: "read_only", states: ["statement", "transaction"] },
      statement: "SELECT SLEEP(0.2)",
      next: "INSERT INTO notes VALUES (NULL, 'after')",
      ...toggle("read_only", "ON", "OFF"),
    },
    {
      ...{ ...base, name: "lock wait timeout", states: ["statement"], before: () => holdLock(1) },
      prepare: ["SET innodb_lock_wait_timeout = 1", "BEGIN"],
      statement: "UPDATE things SET note = 'b' WHERE id = 1",
      run: () => pause(1500),
      after: release,
    },
    {
      ...{ ...base, name: "deadlock", states: ["statement"], alone: true },
      before: () => holdLock(2),
      prepare: ["BEGIN", "UPDATE things SET note = 'a' WHERE id = 1"],
      statement: "UPDATE things SET note = 'b' WHERE id = 2",
      run: async () => {
        const other = held.at(-1)!;
        // The transaction that did more is not the victim.
        await other.query("INSERT INTO notes SELECT NULL, 'x' FROM seq_1_to_50");
        other.query("UPDATE things SET note = 'b' WHERE id = 1").catch(() => {});
        await pause(500);
      },
      after: release,
    },
    {
      ...{ ...base, name: "wrong password", states: ["none"], run: () => Promise.resolve() },
      login: { ...login, password: "wrong" },
    },
    {
      ...{ ...base, name: "no such database", states: ["none"], run: () => Promise.resolve() },
      login: { ...login, database: "no_such" },
    },
    {
      ...{ ...base, name: "ACCOUNT LOCK", states: ["none"] },
      run: () => admin("ALTER USER app ACCOUNT LOCK"),
      after: () => admin("ALTER USER app ACCOUNT UNLOCK"),
    },
  ];
}

/** The address of a client that its server blocks. */
const BLOCKED = "127.0.0.9";

/** Starts a server that blocks the addresses of clients that did not log in; the server must look up names. */
export async function startBlocking(): Promise<MariadbServer> {
  const [host] = await loopbackPair();
  const settings = { max_connect_errors: 1, skip_name_resolve: false };
  return await startMariadb({ host, port: await freePort([host]), ...LOGIN, settings });
}

/** The event of a server that blocks the address of its client. */
export function blockingEvents(server: MariadbServer): EventCase[] {
  return [{
    server: `MariaDB ${server.version}`,
    // The address 127.0.0.1 is never blocked.
    login: { ...server.address, ...LOGIN, from: BLOCKED },
    name: "max_connect_errors",
    states: ["none"],
    async run() {
      for (let i = 0; i < 5; i++) await breakOff(server);
    },
  }];
}

/** Breaks a login off. */
function breakOff(server: MariadbServer): Promise<void> {
  return new Promise((resolve) => {
    const socket = net.connect({ ...server.address, localAddress: BLOCKED });
    socket.once("error", () => resolve());
    socket.once("close", () => resolve());
    socket.once("data", () => socket.destroy());
  });
}

/** The events of a cluster. */
export function galeraEvents(cluster: GaleraCluster, version: string): EventCase[] {
  const [first, second, third] = cluster.nodes as [
    GaleraCluster["nodes"][number],
    GaleraCluster["nodes"][number],
    GaleraCluster["nodes"][number],
  ];
  const login: Login = { host: third.host, port: third.port, ...LOGIN };
  const base = { server: `Galera 4 of MariaDB ${version}`, login };
  const next = "SELECT COUNT(*) FROM things";
  const others = [first, second];
  const cutOff = {
    async run(): Promise<void> {
      await third.isolate(true);
      await cluster.refusing(third);
    },
    async after(): Promise<void> {
      await third.isolate(false);
      await cluster.settled();
    },
  };
  return [
    {
      ...{ ...base, name: "a node without its cluster", next },
      states: ["idle", "statement", "transaction"],
      statement: "SELECT SLEEP(8) FROM things",
      ...cutOff,
    },
    {
      ...{ ...base, name: "a commit on a node without its cluster", next: "COMMIT" },
      states: ["transaction"],
      ...cutOff,
    },
    {
      ...{ ...base, name: "a commit while the cluster is lost", states: ["statement"], next },
      statement: "INSERT INTO notes VALUES (NULL, 'late')",
      before: async () => {
        for (const node of others) await node.freeze();
        await pause(300);
      },
      run: () => pause(9000),
      after: async () => {
        for (const node of others) await node.thaw();
        await cluster.settled().catch(() => {});
      },
    },
    {
      ...{ ...base, name: "wsrep_reject_queries = ALL", states: ["idle", "transaction"], next },
      run: () => third.ask("SET GLOBAL wsrep_reject_queries = 'ALL'"),
      after: () => third.ask("SET GLOBAL wsrep_reject_queries = 'NONE'"),
    },
    {
      ...{ ...base, name: "wsrep_reject_queries = ALL_KILL", states: ["idle", "transaction"] },
      run: () => third.ask("SET GLOBAL wsrep_reject_queries = 'ALL_KILL'").catch(() => {}),
      after: () => third.ask("SET GLOBAL wsrep_reject_queries = 'NONE'"),
    },
    {
      ...{ ...base, name: "a conflict with another node", states: ["transaction"], alone: true },
      transaction: ["BEGIN", "UPDATE things SET note = 'mine' WHERE id = 1"],
      next: "COMMIT",
      run: async () => {
        await asAdmin(first.address, "UPDATE things SET note = 'theirs' WHERE id = 1");
        await pause(500);
      },
    },
    {
      ...{ ...base, name: "a node that is a donor", states: ["idle", "statement"], next },
      run: async () => {
        await second.stop({ keep: true });
        second.joinEmpty().catch(() => {});
        await pause(1500);
      },
      after: () => cluster.settled().catch(() => {}),
    },
    {
      ...{ ...base, name: "a node is stopped", states: ["idle", "statement", "transaction"] },
      run: async () => {
        process.kill(third.pid!, "SIGTERM");
        await pause(3000);
      },
      after: async () => {
        await third.kill();
        await third.join();
        await cluster.settled();
      },
    },
  ];
}

/** Makes the tables of a cluster. */
export async function fillCluster(cluster: GaleraCluster): Promise<void> {
  for (const text of TABLES) await asAdmin(cluster.nodes[0]!.address, text);
  await cluster.settled();
}
