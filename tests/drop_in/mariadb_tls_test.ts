/**
 * TLS of mariadb's drop-ins: the socket is connected to an address, the server's certificate is checked for the name, and
 * the client's certificate is sent.
 */

import { assert, assertRejects, assertStringIncludes } from "@std/assert";
import * as mariadb from "npm:mariadb@^3.5";
import { dnsMariadb, DnsMariadbPool } from "../../drop_in/mariadb_pool.ts";
import { makeAuthority } from "../../lab/certificates.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type MariadbServer, startMariadb } from "../../lab/mariadb.ts";
import { untilSocketsClosed } from "../support/sockets.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { asAdmin, LOGIN as USER } from "../support/mysql_subject.ts";
import { mariadbTest, ON_MARIADB } from "../support/servers.ts";

const LOGIN = { ...USER, database: "orders" };
const NAME = "db.internal";

let right: MariadbServer;
let other: MariadbServer;
let options: mariadb.PoolConfig;

if (!ON_MARIADB.skipped) {
  Deno.test.beforeAll(async () => {
    const authority = await makeAuthority();
    const ca = authority.cert;
    const own = await authority.issue({ client: LOGIN.user });
    const [first, second] = await loopbackPair();
    const port = await freePort([first, second]);
    const start = async (host: string, name: string) => {
      const tls = { ...await authority.issue({ names: [name] }), ca };
      const server = await startMariadb({ ...LOGIN, host, port, tls });
      await asAdmin(server, `ALTER USER '${LOGIN.user}'@'%' REQUIRE X509`);
      return server;
    };
    right = await start(first, NAME);
    other = await start(second, "other.internal");
    options = { ...LOGIN, host: NAME, port, ssl: { ca, ...own }, acquireTimeout: 2000 };
  });
  Deno.test.afterAll(async () => {
    await right.stop({ mode: "immediate" });
    await other.stop({ mode: "immediate" });
  });
}

async function cipher(client: mariadb.Pool | mariadb.Connection): Promise<string> {
  const [row] = await client.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'");
  return row.Value;
}

const cases: Record<string, (host: string) => Promise<string>> = {
  async DnsMariadbPool(host) {
    const pool = new DnsMariadbPool(mariadb, { ...options, dnsLookup: fakeLookup([host], 60) });
    try {
      return await cipher(pool);
    } catch (error) {
      throw (error as Error).cause;
    } finally {
      await pool.end();
    }
  },
  async "createConnection of dnsMariadb"(host) {
    const module = dnsMariadb(mariadb, { dnsLookup: fakeLookup([host], 60) });
    const connection = await module.createConnection(options);
    try {
      return await cipher(connection);
    } finally {
      await connection.end();
    }
  },
};

for (const [name, ask] of Object.entries(cases)) {
  mariadbTest(
    `${name}, TLS: the certificate is checked for the name, and the client's is sent`,
    () =>
      untilSocketsClosed(async () => {
        assert((await ask(right.host)).length > 0);
        const error = await assertRejects(() => ask(other.host)) as Error;
        assertStringIncludes(error.message, "altnames");
      }),
  );
}
