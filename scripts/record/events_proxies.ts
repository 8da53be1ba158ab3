/**
 * What happens to PgBouncer, to HAProxy and to the servers behind them.
 *
 * @module
 */

import process from "node:process";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import type { LabServer } from "../../lab/server.ts";
import type { PostgresServer } from "../../lab/postgres.ts";
import { pause } from "../../lab/processes.ts";
import { type ProxyServer, startHaproxy, startPgbouncer } from "../../lab/proxies.ts";
import type { EventCase } from "./events.ts";
import { ALL, asBoss } from "./events_postgres.ts";
import type { Login } from "./session.ts";

const CLIENT = { user: "client", password: "s3cret", database: "orders" };

/** Starts a PgBouncer whose limits are short. */
export async function startBouncer(server: PostgresServer): Promise<ProxyServer> {
  const [host] = await loopbackPair();
  const where = { host, port: await freePort([host]) };
  const settings = {
    pool_mode: "transaction",
    default_pool_size: 6,
    admin_users: "client",
    query_wait_timeout: 2,
    server_login_retry: 1,
    server_connect_timeout: 2,
    ignore_startup_parameters: "extra_float_digits",
  };
  return await startPgbouncer({
    ...where,
    ...CLIENT,
    server: server.address,
    settings,
  });
}

/** The events of a PgBouncer. */
export function pgbouncerEvents(server: PostgresServer, proxy: ProxyServer): EventCase[] {
  const login: Login = { ...proxy.address, ...CLIENT };
  const base = { server: `PgBouncer ${proxy.version}`, login };
  const console = async (text: string) => {
    const client = new pg.Client({ ...CLIENT, ...proxy.address, database: "pgbouncer" });
    client.on("error", () => {});
    await client.connect();
    try {
      await client.query(text);
    } finally {
      await client.end().catch(() => {});
    }
  };
  const restart = async () => {
    await proxy.kill();
    await proxy.start();
  };
  const bring = async () => {
    if (!server.running) await server.start();
    await restart();
  };
  const states = ["idle", "statement", "transaction"] as const;
  const held: pg.Client[] = [];
  const take = async (count: number) => {
    for (let i = 0; i < count; i++) {
      const client = new pg.Client(login);
      client.on("error", () => {});
      await client.connect();
      held.push(client);
      await client.query("BEGIN");
    }
  };
  const release = async () => {
    await Promise.all(held.splice(0).map((client) => client.end().catch(() => {})));
  };
  return [
    {
      ...{ ...base, name: "its server is stopped", states, after: bring },
      run: () => server.stop({ keep: true }),
    },
    {
      ...{ ...base, name: "its server is killed", states, after: bring },
      run: () => server.kill(),
    },
    {
      ...{ ...base, name: "pg_terminate_backend of its session", states },
      run: async () => {
        await asBoss(
          server,
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'client'",
        );
      },
    },
    {
      ...{ ...base, name: "query_wait_timeout", states: ["idle"] as const },
      run: () => take(6),
      after: release,
    },
    {
      ...{ ...base, name: "max_client_conn", states: ["none"] as const },
      run: () => console("SET max_client_conn = 1"),
      before: async () => {
        const client = new pg.Client(login);
        client.on("error", () => {});
        await client.connect();
        held.push(client);
      },
      after: async () => {
        await release();
        await restart();
      },
    },
    {
      ...{ ...base, name: "client_idle_timeout", states: ["idle"] as const },
      run: async () => {
        await console("SET client_idle_timeout = 1");
        await pause(2500);
      },
      after: restart,
    },
    {
      ...{ ...base, name: "idle_transaction_timeout", states: ["transaction"] as const },
      run: async () => {
        await console("SET idle_transaction_timeout = 1");
        await pause(2500);
      },
      after: restart,
    },
    {
      ...{ ...base, name: "query_timeout", states: ["statement"] as const },
      run: async () => {
        await console("SET query_timeout = 1");
        await pause(2500);
      },
      after: restart,
    },
    {
      ...{ ...base, name: "PAUSE", states: ["idle"] as const },
      run: () => console("PAUSE"),
      after: restart,
    },
    {
      ...{ ...base, name: "KILL", states: ["idle", "statement"] as const, after: restart },
      run: () => console("KILL orders"),
    },
    {
      ...{ ...base, name: "SHUTDOWN", states, after: restart },
      run: () => console("SHUTDOWN").catch(() => {}),
    },
    {
      ...{ ...base, name: "kill -9", states, after: restart },
      run: () => Promise.resolve(process.kill(proxy.pid!, "SIGKILL")),
    },
    {
      ...{ ...base, name: "no such database", states: ["none"] as const },
      login: { ...login, database: "no_such" },
      run: () => Promise.resolve(),
    },
    {
      ...{ ...base, name: "its server refuses its login", states: ["idle"] as const },
      run: async () => {
        await asBoss(server, "ALTER ROLE client CONNECTION LIMIT 0");
        await asBoss(
          server,
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'client'",
        );
      },
      after: async () => {
        await asBoss(server, "ALTER ROLE client CONNECTION LIMIT -1");
        await restart();
      },
    },
  ];
}

/** Starts an HAProxy. */
export async function startProxy(server: LabServer): Promise<ProxyServer> {
  const [host] = await loopbackPair();
  const listen = [
    `server one ${server.where} check inter 200ms fall 2 rise 1 on-marked-down shutdown-sessions`,
  ];
  return await startHaproxy({ host, port: await freePort([host]), listen });
}

/** The events of an HAProxy. */
export function haproxyEvents(
  server: LabServer,
  proxy: ProxyServer,
  { title, login }: { readonly title: string; readonly login: Login },
): EventCase[] {
  const base = { server: `HAProxy ${proxy.version.split("-")[0]} before ${title}`, login };
  const restart = async () => {
    await proxy.kill();
    await proxy.start();
    await pause(600);
  };
  const bring = async () => {
    if (server.running) await server.kill();
    await server.start();
    await pause(1000);
  };
  const states = ["idle", "statement"] as const;
  return [
    {
      ...{ ...base, name: "its server is killed", states, after: bring },
      run: async () => {
        await server.kill();
        await pause(1000);
      },
    },
    {
      ...{ ...base, name: "its server is frozen", states },
      run: async () => {
        await server.freeze();
        await pause(3000);
      },
      after: async () => {
        await server.thaw();
        await bring();
      },
    },
    {
      ...{ ...base, name: "stopped", states, after: restart },
      run: () => Promise.resolve(process.kill(proxy.pid!, "SIGTERM")),
    },
    {
      ...{ ...base, name: "kill -9", states: ALL, after: restart },
      run: () => proxy.kill(),
    },
  ];
}
