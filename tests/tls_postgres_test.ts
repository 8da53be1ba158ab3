import { assert } from "@std/assert";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import type { Adapter } from "../adapters/adapter.ts";
import { dbPostgresAdapter } from "../adapters/db_postgres.ts";
import { pgAdapter } from "../adapters/pg.ts";
import { postgresjsAdapter } from "../adapters/postgresjs.ts";
import { startPostgres } from "../scripts/lab/postgres.ts";
import { hungUp, withMute } from "./_bad_servers.ts";
import { Client, names } from "./_db_postgres_stand_in.ts";
import { WHO, YES_TLS } from "./_postgres_subject.ts";
import { NAME, type StartShowing } from "./_tls_servers.ts";
import { pause } from "./_waiting.ts";
import { tlsContract } from "./contract_tls.ts";

const start: StartShowing = async (where, tls) => {
  const server = await startPostgres({
    ...where,
    ...WHO,
    database: "orders",
    tls,
    hba: tls?.ca
      ? ["hostssl all all all scram-sha-256 clientcert=verify-full", "hostnossl all all all reject"]
      : [],
  });
  return { ...where, stop: () => server.stop({ mode: "immediate" }) };
};

const POSTGRES_TLS = {
  ...WHO,
  encrypted: "SELECT ssl AS encrypted FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
  prelude: { replies: [YES_TLS] },
};

/**
 * The stand-in for `@db/postgres`, everywhere: it dials by name, and the operating system does not know ours. So it is
 * told, at each connect, what DNS is supposed to say.
 */
function byName(adapter: Adapter<Client>): Adapter<Client> {
  return {
    ...adapter,
    connect(ip, target) {
      names.set(target.host, ip);
      return adapter.connect(ip, target);
    },
  };
}

tlsContract(
  [
    { ...POSTGRES_TLS, name: "pg", adapter: pgAdapter(pg) },
    { ...POSTGRES_TLS, name: "postgresjs", adapter: postgresjsAdapter(postgres) },
    {
      ...POSTGRES_TLS,
      name: "db-postgres",
      adapter: byName(dbPostgresAdapter({ Client })),
      knocks: true,
      refuses: {
        "require":
          "Cannot use sslmode=require: @db/postgres always verifies the certificate in full",
        "verify-ca":
          "Cannot use sslmode=verify-ca: @db/postgres always verifies the certificate in full",
        "client certificate": "@db/postgres has no client certificates",
      },
    },
  ],
  start,
  WHO.user,
);

Deno.test("pg: where the environment asks for TLS, the certificate is for the name all the same", async () => {
  Deno.env.set("PGSSLMODE", "verify-full");
  try {
    await withMute([YES_TLS], async ({ port, conn, silent }) => {
      const controller = new AbortController();
      const connecting = pgAdapter(pg).connect("127.0.0.1", {
        host: NAME,
        port,
        params: {},
        connectArgs: {},
        keepAlive: true,
        addresses: () => ["127.0.0.1"],
        signal: controller.signal,
      });
      connecting.catch(() => {});
      await silent;
      const heard = hungUp(await conn);
      await pause(100); // for its hello
      controller.abort();
      assert((await heard).includes(NAME));
    });
  } finally {
    Deno.env.delete("PGSSLMODE");
  }
});
