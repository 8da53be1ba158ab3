/**
 * mysql2's drop-ins with several hosts, and with SRV records, on real servers: the same address, a port and a certificate
 * for each, and the second one takes writes.
 */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { inspect } from "node:util";
import mysqlOfCallbacks from "npm:mysql2@^3.24";
import mysql from "npm:mysql2@^3.24/promise";
import { dnsMysql2, DnsMysql2Pool, type DnsPoolOptions } from "../../drop_in/mysql2_pool.ts";
import type { Engine } from "../../engine.ts";
import { clearDnsCache } from "../../resolver.ts";
import { makeAuthority } from "../../lab/certificates.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type MariadbServer, startMariadb } from "../../lab/mariadb.ts";
import { coreOf } from "../support/drop_in_mariadb.ts";
import { type FakeLookup, fakeLookup } from "../support/fake_lookup.ts";
import { mariadbTest, ON_MARIADB } from "../support/servers.ts";
import { untilSocketsClosed } from "../support/sockets.ts";
import { until } from "../support/waiting.ts";

const LOGIN = { user: "app", password: "s3cret", database: "orders" };
const SERVICE = "_mysql._tcp.db.internal";
const [A, B] = ["db1.internal", "db2.internal"];

let reader: MariadbServer;
let writer: MariadbServer;
let ca: string;

if (!ON_MARIADB.skipped) {
  Deno.test.beforeAll(async () => {
    const authority = await makeAuthority();
    ca = authority.cert;
    const [host] = await loopbackPair();
    const start = async (name: string, settings: Record<string, string>) =>
      await startMariadb({
        ...LOGIN,
        host,
        port: await freePort([host]),
        settings,
        tls: { ...await authority.issue({ names: [name] }), ca },
      });
    reader = await start(A, { read_only: "1" });
    writer = await start(B, {});
  });
  Deno.test.afterAll(async () => {
    await reader.stop({ mode: "immediate" });
    await writer.stop({ mode: "immediate" });
  });
}

type Records = Record<string, readonly string[]>;

/** Runs a test with a lookup for the two hosts and the service, at a TTL of half a second. */
async function withRecords(
  test: (setup: { readonly dns: FakeLookup; readonly records: Records }) => Promise<void>,
): Promise<void> {
  clearDnsCache();
  const records: Records = {
    [A]: [reader.host],
    [B]: [writer.host],
    [SERVICE]: [`10 0 ${reader.port} ${A}`, `20 0 ${writer.port} ${B}`],
  };
  const dns = fakeLookup([], 0.5);
  dns.respond = ({ name, family }) =>
    family === 6 || !records[name] ? undefined : { addresses: records[name]!, ttl: 0.5 };
  await untilSocketsClosed(() => test({ dns, records }));
}

const FORMS: Record<string, () => mysql.PoolOptions & { dnsSrv?: true }> = {
  "host, with ports": () => ({ ...LOGIN, host: `${A}:${reader.port},${B}:${writer.port}` }),
  "host and port": () => ({
    ...LOGIN,
    host: `${A},${B}`,
    port: `${reader.port},${writer.port}` as unknown as number,
  }),
  "a URI": () => ({
    uri: `mysql://app:s3cret@${A}:${reader.port},${B}:${writer.port}/orders`,
  }),
  "the URI's parameters": () => ({
    uri: `mysql://app:s3cret@/orders?host=${A},${B}&port=${reader.port},${writer.port}`,
  }),
  "SRV records": () => ({ uri: `mysql+srv://app:s3cret@${SERVICE}/orders` }),
  "the option dnsSrv": () => ({ ...LOGIN, host: SERVICE, dnsSrv: true }),
};

interface Core {
  readonly config: { readonly host: string; readonly port: number };
  readonly departed: boolean;
}

/** Where a connection is, as the server says, and as the connection does. */
async function placeOf(connection: mysql.Connection): Promise<unknown[]> {
  const [rows] = await connection.query<mysql.RowDataPacket[]>(
    "SELECT @@port AS port, @@read_only AS ro",
  );
  const { host, port } = coreOf<Core>(connection).config;
  assertEquals(rows[0]!.port, port);
  return [host, port];
}

for (const [form, make] of Object.entries(FORMS)) {
  mariadbTest(
    `DnsMysql2Pool, several hosts by ${form}: the first one, or the one with the role, at its port and with its name for TLS`,
    () =>
      withRecords(async ({ dns }) => {
        const open = async (own: DnsPoolOptions) => {
          const pool = new DnsMysql2Pool(mysql, {
            ...make(),
            ssl: { ca, verifyIdentity: true },
            dnsLookup: dns,
            dnsFallback: false,
            ...own,
          });
          try {
            const connection = await pool.getConnection();
            const place = await placeOf(connection);
            connection.release();
            return place;
          } finally {
            await pool.end();
          }
        };
        assertEquals(await open({}), [A, reader.port]);
        assertEquals(await open({ targetSessionAttrs: "read-write" }), [B, writer.port]);
      }),
  );

  mariadbTest(
    `createConnection of dnsMysql2, several hosts by ${form}: the first one, or the one with the role, at its port and with its name for TLS`,
    () =>
      withRecords(async ({ dns }) => {
        const { dnsSrv, ...given } = make();
        const open = async (own: DnsPoolOptions) => {
          const { createConnection } = dnsMysql2(mysql, {
            dnsLookup: dns,
            dnsFallback: false,
            ...(dnsSrv && { dnsSrv }),
            ...own,
          });
          const connection = await createConnection({
            ...given,
            ssl: { ca, verifyIdentity: true },
          });
          try {
            assertEquals(coreOf<Core>(connection).departed, false);
            return await placeOf(connection);
          } finally {
            await connection.end();
          }
        };
        assertEquals(await open({}), [A, reader.port]);
        assertEquals(await open({ targetSessionAttrs: "read-write" }), [B, writer.port]);
      }),
  );
}

mariadbTest(
  "dnsMysql2, several hosts: connections of callbacks, with the name of their host for TLS",
  () =>
    withRecords(async ({ dns, records }) => {
      const module = dnsMysql2(mysqlOfCallbacks, { dnsLookup: dns, dnsFallback: false });
      const open = (uri: string) => {
        const connection = module.createConnection({ uri, ssl: { ca, verifyIdentity: true } });
        return new Promise<number>((resolve, reject) => {
          connection.query("SELECT @@port AS port", (error, rows) => {
            connection.destroy();
            if (error) reject(error);
            else resolve((rows as mysql.RowDataPacket[])[0]!.port);
          });
        });
      };
      const login = "mysql://app:s3cret@";
      delete records[A];
      assertEquals(await open(`${login}${A}:1,${B}:${writer.port}/orders`), writer.port);
      records[A] = [reader.host];
      clearDnsCache();
      const wrong = `${login}${A}:${writer.port},${B}:${reader.port}/orders`;
      await assertRejects(() => open(wrong), Error);
    }),
);

mariadbTest(
  "dnsMysql2, several hosts: the settings of a connection open another one to the same server",
  () =>
    withRecords(async ({ dns }) => {
      const module = dnsMysql2(mysql, {
        dnsLookup: dns,
        dnsFallback: false,
        targetSessionAttrs: "read-write",
      });
      const connection = await module.createConnection(FORMS["a URI"]!());
      const { config } = coreOf<{ config: mysql.ConnectionOptions }>(connection);
      const other = await module.createConnection({ ...config });
      assertEquals(await placeOf(other), [B, writer.port]);
      await other.end();
      await connection.end();
    }),
);

mariadbTest(
  "DnsMysql2Pool and dnsMysql2, several hosts: connections leave with the address of their own host",
  () =>
    withRecords(async ({ dns, records }) => {
      const given = FORMS["a URI"]!();
      const options = { dnsLookup: dns, dnsFallback: false } as const;
      const pool = new DnsMysql2Pool(mysql, { ...given, ...options });
      const { engine } = pool as unknown as { engine: Engine<unknown> };
      const single = await dnsMysql2(mysql, options).createConnection(given);
      const connection = await pool.getConnection();
      assertEquals(Object.keys(engine.status().byAddress), [
        `${reader.host}:${reader.port} (${A})`,
      ]);
      connection.release();
      // Nothing listens there.
      records[A] = ["127.9.9.9"];
      await until(() => coreOf<Core>(single).departed);
      await until(() => Object.keys(engine.status().byAddress).length === 0);
      const next = await pool.getConnection();
      assertEquals(await placeOf(next), [B, writer.port]);
      next.release();
      await pool.end();
      await single.end();
    }),
);

mariadbTest(
  "DnsMysql2Pool, several hosts: after the server of one died, queries go to the other",
  () =>
    withRecords(async ({ dns }) => {
      const { host } = reader;
      await using dying = await startMariadb({ ...LOGIN, host, port: await freePort([host]) });
      const pool = new DnsMysql2Pool(mysql, {
        uri: `mysql://app:s3cret@${A}:${dying.port},${B}:${writer.port}/orders`,
        dnsLookup: dns,
        dnsFallback: false,
      });
      const { engine } = pool as unknown as { engine: Engine<unknown> };
      const portOf = async () => {
        const [rows] = await pool.query<mysql.RowDataPacket[]>("SELECT @@port AS port");
        return rows[0]!.port;
      };
      assertEquals(await portOf(), dying.port);
      await dying.stop({ mode: "immediate" });
      await until(() => engine.status().size === 0);
      assertEquals(await portOf(), writer.port);
      await pool.end();
    }),
);

mariadbTest(
  "DnsMysql2Pool and dnsMysql2, several hosts: credentials are asked for the host of each connection",
  () =>
    withRecords(async ({ dns }) => {
      const asked: unknown[] = [];
      const options = {
        dnsLookup: dns,
        dnsFallback: false,
        targetSessionAttrs: "read-write",
        credentials: ({ host, port }: { host: string; port: number }) => {
          asked.push(`${host}:${port}`);
          return { password: LOGIN.password };
        },
      } as const;
      const uri = `mysql://app@${A}:${reader.port},${B}:${writer.port}/orders`;
      const both = [`${A}:${reader.port}`, `${B}:${writer.port}`];
      const pool = new DnsMysql2Pool(mysql, { uri, ...options });
      await pool.query("SELECT 1");
      assertEquals([...new Set(asked.splice(0))], both);
      await pool.end();
      const connection = await dnsMysql2(mysql, options).createConnection(uri);
      assertEquals([...new Set(asked)], both);
      await connection.end();
    }),
);

const HOST = '"host of the database URL" must be';
const REFUSED: [given: object, message: string][] = [
  [{ host: "a,,b" }, `${HOST} a name or an IP address, got nothing between commas`],
  [
    { uri: "mysql://app:s3cret@a,/d" },
    `${HOST} a name or an IP address, got nothing between commas`,
  ],
  [
    { uri: "mysql://app:s3cret@a:1,b:70000/d" },
    '"port of the database URL" must be a whole number from 1 to 65535, got "70000"',
  ],
  [
    { uri: "mysql://app:s3cret@a,b/d?port=1,2,3" },
    '"parameter port of the database URL" must be one port, or one for each of the 2 hosts, got 3 ports',
  ],
  [
    { uri: "mysql://app:s3cret@a:1,b/d", port: 2 },
    '"parameter port of the database URL" must not be given: the hosts have ports already',
  ],
  [
    { host: Array(65).fill("a").join(",") },
    '"hosts of the database URL" must be an array of 1 to 64 hosts, got 65 hosts',
  ],
  [
    { uri: "mysql://app:s3cret@a:1,b:2/d?dnsTimeout=1" },
    '"dnsTimeout in the URI" must not be given: give it as an option beside "uri"',
  ],
  [
    { host: "10.0.0.1", dnsSrv: true },
    `${HOST} one name of a service, such as _postgresql._tcp.db.example, beside SRV, got an IP address`,
  ],
  [
    { uri: "mysql+srv://app:s3cret@a:1/d" },
    '"port of the database URL" must not be given: the ports are in the SRV records',
  ],
];

Deno.test("DnsMysql2Pool and dnsMysql2 refuse lists of hosts that cannot be used, by name, and show nothing of the password", () => {
  const credentials = () => Promise.resolve({ password: "s3cret" });
  const uri = "mysql://app:s3cret@a:1,b:2/d";
  const reason = '"password in the connection string" must not be given';
  assertThrows(() => new DnsMysql2Pool(mysql, { uri, credentials }), TypeError, reason);
  assertThrows(() => dnsMysql2(mysql, { credentials }).createConnection(uri), TypeError, reason);
  for (const [given, message] of REFUSED) {
    const { dnsSrv, ...config } = given as { dnsSrv?: true };
    const module = dnsMysql2(mysql, { ...(dnsSrv && { dnsSrv }) });
    const makes = [() => new DnsMysql2Pool(mysql, given), () => module.createConnection(config)];
    for (const make of makes) {
      const error = assertThrows(make, Error, message);
      assert(error instanceof TypeError || error instanceof RangeError);
      assert(!inspect(error, { depth: 9 }).includes("s3cret"));
    }
  }
});
