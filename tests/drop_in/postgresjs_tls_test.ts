/**
 * TLS of `dnsPostgres()`: the socket is connected to an address, the server's certificate is checked for the name as the
 * option `ssl` says, and the client's certificate is sent.
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "npm:postgres@^3.4";
import { dnsPostgres, type DnsPostgresOptions } from "../../drop_in/postgresjs.ts";
import { type Certificate, makeAuthority } from "../../lab/certificates.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { type FakeLookup, fakeLookup } from "../support/fake_lookup.ts";
import { runProgram } from "../support/program.ts";
import { untilSocketsClosed } from "../support/sockets.ts";
import { until } from "../support/waiting.ts";

/** The database `postgres` takes clients without a certificate too. */
const LOGIN = { user: "app", password: "s3cret", database: "orders" };
const ANY_CLIENT = { ...LOGIN, database: "postgres" };
const NAME = "db.internal";
const OTHER = "other.internal";

let right: PostgresServer;
let other: PostgresServer;
let plain: PostgresServer;
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
      hba: [
        `hostssl ${LOGIN.database} all all scram-sha-256 clientcert=verify-full`,
        `hostssl ${ANY_CLIENT.database} all all scram-sha-256`,
        "hostnossl all all all reject",
      ],
    });
  [right, other, plain] = await Promise.all([
    start(first, NAME),
    start(second, OTHER),
    startPostgres({ ...LOGIN, host: first, port: await freePort([first]) }),
  ]);
  dir = await mkdtemp(join(tmpdir(), "dnspool-"));
  await writeFile(`${dir}/ca.pem`, ca);
});

Deno.test.afterAll(async () => {
  for (const server of [right, other, plain]) await server.stop({ mode: "immediate" });
  await rm(dir, { recursive: true });
});

type Options =
  & Omit<postgres.Options<Record<string, never>>, "types" | "host">
  & DnsPostgresOptions
  & { host?: string | string[] };

/** Makes a pool for a name that points at an address. */
function open(host: string, { host: name = NAME, ...options }: Options) {
  return dnsPostgres(postgres)({
    ...LOGIN,
    host: name as string,
    port: right.port,
    dnsLookup: fakeLookup([host], 60),
    dnsFallback: false,
    ...options,
  });
}

interface Session {
  readonly ssl: boolean;
  readonly cn: string | null;
  readonly host: string;
}

/** Returns what the server says of a session. */
async function ask(host: string, options: Options): Promise<Session> {
  const sql = open(host, options);
  try {
    const [row] = await sql<[Session]>`
      SELECT ssl, client_dn AS cn, host(inet_server_addr()) AS host
      FROM pg_stat_ssl WHERE pid = pg_backend_pid()`;
    return { ...row };
  } finally {
    await sql.end();
  }
}

const ALTNAME = "ERR_TLS_CERT_ALTNAME_INVALID";

async function refusal(host: string, options: Options): Promise<unknown> {
  const error = await assertRejects(() => ask(host, options)) as Error & { code?: string };
  return error.code;
}

function testTls(sentence: string, test: () => Promise<void>): void {
  Deno.test(`dnsPostgres, TLS: ${sentence}`, () => untilSocketsClosed(test));
}

testTls("the certificate is checked for the name, and the client's is sent", async () => {
  const ssl = { ca, ...own };
  assertEquals(await ask(right.host, { ssl }), { ssl: true, cn: "/CN=app", host: right.host });
  assertEquals(await refusal(other.host, { ssl }), ALTNAME);
  assert(await refusal(right.host, { ssl: { ca } }) !== undefined); // without the client's
});

testTls(
  "several connections send the client's certificate, and so do a cancel and listen()",
  async () => {
    const sql = open(right.host, { ssl: { ca, ...own }, max: 3 });
    await Promise.all(Array.from({ length: 3 }, () => sql`SELECT pg_sleep(0.05)`));
    const running = sql`SELECT pg_sleep(60)`.execute();
    const cancelled = assertRejects(() => running.then(), Error, "canceling statement");
    await until(() => sql.engine!.status().inUse === 1);
    running.cancel();
    await cancelled;
    const heard: string[] = [];
    await sql.listen("news", (payload) => heard.push(payload));
    await sql.notify("news", "one");
    await until(() => heard.length === 1);
    await sql.end();
  },
);

testTls("an object: the name of servername and the own check come first", async () => {
  const ssl = { ca, servername: OTHER };
  assertEquals((await ask(other.host, { ...ANY_CLIENT, ssl })).ssl, true);
  assertEquals(await refusal(right.host, { ...ANY_CLIENT, ssl }), ALTNAME);
  const names: string[] = [];
  const checkServerIdentity = (name: string) => void names.push(name);
  assertEquals(
    (await ask(other.host, { ...ANY_CLIENT, ssl: { ca, checkServerIdentity } })).ssl,
    true,
  );
  assertEquals([...new Set(names)], [NAME]);
  assertEquals(
    (await ask(other.host, { ...ANY_CLIENT, ssl: { rejectUnauthorized: false } })).ssl,
    true,
  );
});

for (const ssl of ["require", "allow", "prefer"] as const) {
  testTls(`"${ssl}" encrypts, and checks no certificate`, async () => {
    for (const { host } of [right, other]) {
      assertEquals((await ask(host, { ...ANY_CLIENT, ssl })).ssl, true);
    }
  });
}

testTls('a server without TLS is spoken to in plain text with "prefer" alone', async () => {
  const { port } = plain;
  assertEquals((await ask(plain.host, { port, ssl: "prefer" })).ssl, false);
  for (const ssl of ["require", "allow", "verify-full", true, { ca }] as const) {
    await assertRejects(() => ask(plain.host, { port, ssl }), Error);
  }
  assertEquals((await ask(plain.host, { port, ssl: false })).ssl, false);
});

testTls('"verify-full" and true refuse an authority that the system does not know', async () => {
  for (const ssl of ["verify-full", true] as const) {
    const code = await refusal(right.host, { ...ANY_CLIENT, ssl });
    assert(code !== undefined && code !== ALTNAME, String(code));
  }
});

testTls('with "verify-full" and an authority of the system, the name is checked', async () => {
  const { user, password, database } = ANY_CLIENT;
  const url = (query: string) =>
    `postgres://${user}:${password}@${NAME}:${right.port}/${database}${query}`;
  const cases = [
    [url(""), { ssl: "verify-full" }],
    [url("?sslmode=verify-full"), {}],
    [url("?sslrootcert=system"), {}],
  ];
  const { code, out, err } = await runProgram(
    `
    import postgres from "npm:postgres@^3.4";
    import { dnsPostgres } from "root/drop_in/postgresjs.ts";
    for (const [url, options] of ${JSON.stringify(cases)}) {
      for (const host of ${JSON.stringify([right.host, other.host])}) {
        const dnsLookup = { name: "one", lookup: async () => ({ addresses: [host], ttl: 60 }) };
        const sql = dnsPostgres(postgres)(url, { ...options, dnsLookup, dnsFallback: false });
        const ask = sql\`SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()\`;
        await ask.then(([{ ssl }]) => console.log(ssl), ({ code }) => console.log(code));
        await sql.end();
      }
    }
  `,
    { NODE_EXTRA_CA_CERTS: `${dir}/ca.pem`, DENO_CERT: `${dir}/ca.pem` },
  );
  const expected = cases.flatMap(() => ["true", ALTNAME]);
  assertEquals([out.split("\n"), code], [expected, 0], err);
});

testTls("of several hosts, each needs a certificate for its own name", async () => {
  const ssl = { ca, ...own };
  const lookup = (addresses: Record<string, string>): FakeLookup => {
    const dns = fakeLookup([], 60);
    dns.respond = ({ name, family }) =>
      family === 4 ? { addresses: [addresses[name]!], ttl: 60 } : undefined;
    return dns;
  };
  const first = lookup({ [NAME]: right.host, [OTHER]: other.host });
  for (const [hosts, server] of [[[NAME, OTHER], right], [[OTHER, NAME], other]] as const) {
    for (const host of [[...hosts], hosts.join(",")]) {
      assertEquals((await ask("", { host, ssl, dnsLookup: first })).host, server.host);
    }
  }
  const dnsLookup = lookup({ [NAME]: other.host, [OTHER]: other.host });
  assertEquals((await ask("", { host: [NAME, OTHER], ssl, dnsLookup })).host, other.host);
  const swapped = lookup({ [NAME]: other.host, [OTHER]: right.host });
  assertEquals(await refusal("", { host: [NAME, OTHER], ssl, dnsLookup: swapped }), ALTNAME);
});

testTls(
  "when the name moves to a server with a certificate for another one, no statement runs there",
  async () => {
    const dnsLookup = fakeLookup([right.host], 0.2);
    const sql = open("", { ...ANY_CLIENT, ssl: { ca }, dnsLookup });
    await sql`SELECT 1`;
    dnsLookup.addresses = [other.host];
    await until(() => sql.engine!.status().size === 0);
    const error = await assertRejects(() => sql`SELECT 1`.then()) as Error & { code?: string };
    assertEquals(error.code, ALTNAME);
    await sql.end();
  },
);
