import { assert } from "@std/assert";
import process from "node:process";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import { pgAdapter } from "../../adapters/pg.ts";
import { postgresjsAdapter } from "../../adapters/postgresjs.ts";
import { hungUp, withMute } from "../support/bad_servers.ts";
import { LOGIN, TLS_ACCEPTED } from "../support/postgres_subject.ts";
import { POSTGRES_TLS, startTlsServer } from "../support/tls_postgres.ts";
import { NAME } from "../support/tls_servers.ts";
import { pause } from "../support/waiting.ts";
import { tlsContract } from "../contracts/tls.ts";

tlsContract(
  [
    { ...POSTGRES_TLS, factory: "pgAdapter", adapter: pgAdapter(pg) },
    { ...POSTGRES_TLS, factory: "postgresjsAdapter", adapter: postgresjsAdapter(postgres) },
  ],
  startTlsServer,
  LOGIN.user,
);

/** Makes a client in an environment that asks for TLS; no other code sees that environment. */
const ClientWithTls = function (config?: pg.ClientConfig) {
  process.env.PGSSLMODE = "verify-full";
  try {
    return new pg.Client(config);
  } finally {
    delete process.env.PGSSLMODE;
  }
} as unknown as typeof pg.Client;

Deno.test("pgAdapter().connect(): sends the host name if the environment asks for TLS", async () => {
  await withMute([TLS_ACCEPTED], async ({ port, conn, silent }) => {
    const controller = new AbortController();
    const connecting = pgAdapter({ Client: ClientWithTls }).connect("127.0.0.1", {
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
    const received = hungUp(await conn);
    await pause(100); // until the ClientHello has arrived
    controller.abort();
    assert((await received).includes(NAME));
  });
});
