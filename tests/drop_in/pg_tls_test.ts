/**
 * TLS of pg's drop-ins: the socket is connected to an address, the server's certificate is checked for the name, and the
 * client's certificate is sent, by options and by connection string.
 */

import { assertEquals, assertRejects } from "@std/assert";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { dnsPg, DnsPgPool } from "../../drop_in/pg_pool.ts";
import { type Certificate, makeAuthority } from "../../lab/certificates.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { untilSocketsClosed } from "../support/sockets.ts";
import { fakeLookup } from "../support/fake_lookup.ts";

const LOGIN = { user: "app", password: "s3cret", database: "orders" };
const NAME = "db.internal";

let right: PostgresServer;
let other: PostgresServer;
let ca: string;
let own: Certificate;
let dir: string;

Deno.test.beforeAll(async () => {
  const authority = await makeAuthority();
  ca = authority.cert;
  own = await authority.issue({ client: LOGIN.user });
  const [first, second] = await loopbackPair();
  const port = await freePort([first, second]);
  const start = async (host: string, name: string) =>
    await startPostgres({
      ...LOGIN,
      host,
      port,
      tls: { ...await authority.issue({ names: [name] }), ca },
      hba: ["hostssl all all all scram-sha-256 clientcert=verify-full"],
    });
  right = await start(first, NAME);
  other = await start(second, "other.internal");
  dir = await mkdtemp(join(tmpdir(), "dnspool-"));
  await writeFile(`${dir}/ca.pem`, ca);
  await writeFile(`${dir}/cert.pem`, own.cert);
  await writeFile(`${dir}/key.pem`, own.key);
});

Deno.test.afterAll(async () => {
  await right.stop({ mode: "immediate" });
  await other.stop({ mode: "immediate" });
  await rm(dir, { recursive: true });
});

/** The same configuration in the ways that `pg` reads it. */
function configs(): Record<string, pg.ClientConfig> {
  const { user, password, database } = LOGIN;
  const url = `postgres://${user}:${password}@${NAME}:${right.port}/${database}`;
  const files = `sslrootcert=${dir}/ca.pem&sslcert=${dir}/cert.pem&sslkey=${dir}/key.pem`;
  return {
    options: { ...LOGIN, host: NAME, port: right.port, ssl: { ca, ...own } },
    "connection string": { connectionString: `${url}?sslmode=verify-full&${files}` },
  };
}

const QUERY = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

const cases: Record<string, (config: pg.ClientConfig, host: string) => Promise<unknown[]>> = {
  async DnsPgPool(config, host) {
    const pool = new DnsPgPool(pg, { ...config, dnsLookup: fakeLookup([host], 60) });
    try {
      // Several clients: `pg` makes the key non-enumerable at the first.
      await Promise.all([pool.query(QUERY), pool.query(QUERY)]);
      return (await pool.query(QUERY)).rows;
    } finally {
      await pool.end();
    }
  },
  async "Client of dnsPg"(config, host) {
    const { Client } = dnsPg(pg, { dnsLookup: fakeLookup([host], 60) });
    let rows: unknown[] = [];
    for (let i = 0; i < 2; i++) {
      const client = new Client(config);
      try {
        await client.connect();
        rows = (await client.query(QUERY)).rows;
      } finally {
        await client.end();
      }
    }
    return rows;
  },
};

for (const [name, ask] of Object.entries(cases)) {
  for (const way of ["options", "connection string"]) {
    Deno.test(`${name}, TLS by ${way}: the certificate is checked for the name, and the client's is sent`, () =>
      untilSocketsClosed(async () => {
        const config = configs()[way]!;
        assertEquals(await ask(config, right.host), [{ ssl: true }]);
        const error = await assertRejects(() => ask(config, other.host)) as Error & {
          code: string;
        };
        assertEquals(error.code, "ERR_TLS_CERT_ALTNAME_INVALID");
      }));
  }
}
