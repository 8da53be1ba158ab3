import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import net from "node:net";
import mysql from "npm:mysql2@^3.24/promise";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import {
  type Authority,
  type Certificate,
  type IssueOptions,
  makeAuthority,
} from "../../lab/certificates.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type MariadbServer, startMariadb } from "../../lab/mariadb.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { mariadbTest } from "../support/servers.ts";

const NAME = "db.internal";
const WHO = { user: "app", password: "it's a s3cret", database: "orders" };

const [authority, stranger] = await Promise.all([makeAuthority(), makeAuthority()]);

/** Certificates, and how a handshake ends if the client trusts `authority` and expects `db.internal`. */
const SHOWN: readonly [what: string, by: Authority, IssueOptions, ends: RegExp][] = [
  ["the right name", authority, { names: [NAME] }, /^ok$/],
  ["one of several names", authority, { names: ["db.test", NAME], ips: ["::1"] }, /^ok$/],
  ["another name", authority, { names: ["other.internal"] }, /not valid for name/],
  ["an address only", authority, { ips: ["127.0.0.1"] }, /not valid for name/],
  ["one that has expired", authority, { names: [NAME], expired: true }, /expired/],
  ["one of another authority", stranger, { names: [NAME] }, /UnknownIssuer/],
  ["a client's", authority, { client: NAME }, /extended key usage/],
];

/** How the handshake of a client ends that connects to an address and expects a name. */
async function handshake({ cert, key }: Certificate): Promise<string> {
  const hostname = "127.0.0.1";
  using listener = Deno.listenTls({ hostname, port: 0, cert, key });
  const accepted = listener.accept().then(async (conn) => {
    await conn.handshake().catch(() => {});
    conn.close();
  });
  const { port } = listener.addr as Deno.NetAddr;
  const plain = await Deno.connect({ hostname, port });
  const secure = await Deno.startTls(plain, { hostname: NAME, caCerts: [authority.cert] });
  const end = await secure.handshake().then(() => "ok", ({ message }) => String(message));
  secure.close();
  await accepted;
  return end;
}

Deno.test("Authority.issue() makes certificates that are taken, or refused for the reason meant", async (t) => {
  for (const [what, by, options, ends] of SHOWN) {
    await t.step(what, async () => assertMatch(await handshake(await by.issue(options)), ends));
  }
});

Deno.test("Authority.issue() asks for the names of a server or the one of a client, not both", async () => {
  for (const options of [{}, { names: [NAME], client: "app" }]) {
    await assertRejects(() => authority.issue(options), TypeError, "Cannot issue a certificate");
  }
});

/** The first value of the answer, from a client that expects `db.internal` at the server's address. */
async function askPostgres(server: PostgresServer, sql: string, own: Partial<Certificate> = {}) {
  const ssl = { ca: authority.cert, servername: NAME, ...own };
  const client = new pg.Client({ connectionString: server.url(), ssl });
  await client.connect();
  try {
    return (await client.query({ text: sql, rowMode: "array" })).rows[0]?.[0];
  } finally {
    await client.end();
  }
}

Deno.test("a PostgresServer with TLS shows its certificate, and a new one when told", async () => {
  const [host] = await loopbackPair();
  const tls = await authority.issue({ names: [NAME] });
  await using server = await startPostgres({ host, port: await freePort([host]), ...WHO, tls });
  const encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
  assertEquals(await askPostgres(server, encrypted), true);

  await server.putTls(await authority.issue({ names: ["other.internal"] }));
  assertEquals(await askPostgres(server, "SELECT pg_reload_conf()"), true);
  const again = () => askPostgres(server, encrypted).then(() => "ok", ({ message }) => message);
  let end = await again();
  for (let tries = 0; end === "ok" && tries < 100; tries++) end = await again();
  assertStringIncludes(end, "does not match certificate");
});

Deno.test("a PostgresServer asks clients for certificates where its hba says so", async () => {
  const [host] = await loopbackPair();
  await using server = await startPostgres({
    ...{ host, port: await freePort([host]), ...WHO },
    tls: { ...await authority.issue({ names: [NAME] }), ca: authority.cert },
    hba: [
      "hostssl all all all scram-sha-256 clientcert=verify-full",
      "hostnossl all all all reject",
    ],
  });
  const name = "SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
  assertEquals(
    await askPostgres(server, name, await authority.issue({ client: WHO.user })),
    `/CN=${WHO.user}`,
  );
  await assertRejects(() => askPostgres(server, name), Error, "valid client certificate");
  const eve = await authority.issue({ client: "eve" });
  await assertRejects(() => askPostgres(server, name, eve), Error, "authentication failed");
  await server.logged(
    /provided user name \(app\) and authenticated user name \(eve\) do not match/,
  );
  const forged = await stranger.issue({ client: WHO.user });
  await assertRejects(() => askPostgres(server, name, forged), Error); // an alert, or a closed socket
  const plain = new pg.Client({ connectionString: server.url() });
  await assertRejects(() => plain.connect(), Error, "no encryption");
});

/** The same through mysql2, which takes the name from `host`: the socket is made for it. */
async function askMariadb(server: MariadbServer, sql: string, own: Partial<Certificate> = {}) {
  const { host, port } = server.address;
  const connection = await mysql.createConnection({
    uri: server.url(NAME),
    stream: () => net.connect(port, host),
    ssl: { ca: authority.cert, verifyIdentity: true, ...own },
  });
  try {
    const [rows] = await connection.query({ sql, rowsAsArray: true });
    return (rows as unknown[][])[0]?.[1];
  } finally {
    await connection.end();
  }
}

const CIPHER = "SHOW STATUS LIKE 'Ssl_cipher'";

mariadbTest("a MariadbServer with TLS shows its certificate, and a new one when told", async () => {
  const [host] = await loopbackPair();
  const tls = await authority.issue({ names: [NAME] });
  await using server = await startMariadb({ host, port: await freePort([host]), ...WHO, tls });
  assertMatch(String(await askMariadb(server, CIPHER)), /^TLS_|-/);

  await server.putTls(await authority.issue({ names: ["other.internal"] }));
  await askMariadb(server, "FLUSH SSL");
  await assertRejects(() => askMariadb(server, CIPHER), Error, "does not match certificate");
});

mariadbTest(
  "a MariadbServer asks clients for certificates where the user's account says so",
  async () => {
    const [host] = await loopbackPair();
    await using server = await startMariadb({
      ...{ host, port: await freePort([host]), ...WHO },
      tls: { ...await authority.issue({ names: [NAME] }), ca: authority.cert },
    });
    const admin = await mysql.createConnection(server.adminUrl());
    await admin.query(`ALTER USER ${WHO.user} REQUIRE SUBJECT '/CN=${WHO.user}'`);
    await admin.end();
    const own = await authority.issue({ client: WHO.user });
    assertMatch(String(await askMariadb(server, CIPHER, own)), /^TLS_|-/);
    await assertRejects(() => askMariadb(server, CIPHER), Error, "Access denied");
    const eve = await authority.issue({ client: "eve" });
    await assertRejects(() => askMariadb(server, CIPHER, eve), Error, "Access denied");
    const forged = await stranger.issue({ client: WHO.user });
    await assertRejects(() => askMariadb(server, CIPHER, forged), Error); // an alert, or a closed socket
    const plain = await assertRejects(() => mysql.createConnection(server.url()), Error);
    assertStringIncludes(plain.message, "Access denied");
  },
);
