import { assert } from "@std/assert";
import process from "node:process";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import { pgAdapter } from "../../adapters/pg.ts";
import { postgresjsAdapter } from "../../adapters/postgresjs.ts";
import { hungUp, withMute } from "../support/bad_servers.ts";
import { WHO, YES_TLS } from "../support/postgres_subject.ts";
import { POSTGRES_TLS, startShowing } from "../support/tls_postgres.ts";
import { NAME } from "../support/tls_servers.ts";
import { pause } from "../support/waiting.ts";
import { tlsContract } from "../contracts/tls.ts";

tlsContract(
  [
    { ...POSTGRES_TLS, name: "pg", adapter: pgAdapter(pg) },
    { ...POSTGRES_TLS, name: "postgresjs", adapter: postgresjsAdapter(postgres) },
  ],
  startShowing,
  WHO.user,
);

Deno.test("pg: where the environment asks for TLS, the certificate is for the name all the same", async () => {
  process.env.PGSSLMODE = "verify-full";
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
    delete process.env.PGSSLMODE;
  }
});
