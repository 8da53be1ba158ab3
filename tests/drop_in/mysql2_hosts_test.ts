/**
 * mysql2's drop-ins with several hosts, and with SRV records, on real servers: the same address, a port and a certificate
 * for each, and the second one takes writes.
 */

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import mysqlOfCallbacks from "npm:mysql2@^3.24";
import mysql from "npm:mysql2@^3.24/promise";
import { dnsMysql2, DnsMysql2Pool, type DnsPoolOptions } from "../../drop_in/mysql2_pool.ts";
import type { Engine } from "../../engine.ts";
import { clearDnsCache } from "../../resolver.ts";
import { freePort } from "../../lab/free_port.ts";
import { startMariadb } from "../../lab/mariadb.ts";
import { coreOf } from "../support/drop_in_mariadb.ts";
import { mariadbTest, ON_MARIADB } from "../support/servers.ts";
import { A, assertRefused, B, LOGIN, severalHosts } from "../support/several_hosts.ts";
import { until } from "../support/waiting.ts";

const SERVICE = "_mysql._tcp.db.internal";
const lab = severalHosts(SERVICE, {
  start: startMariadb,
  readOnly: { read_only: "1" },
  skipped: ON_MARIADB.skipped,
});
const { withRecords } = lab;

const FORMS: Record<string, () => mysql.PoolOptions & { dnsSrv?: true }> = {
  "host, with ports": () => ({ ...LOGIN, host: `${A}:${lab.reader.port},${B}:${lab.writer.port}` }),
  "host and port": () => ({
    ...LOGIN,
    host: `${A},${B}`,
    port: `${lab.reader.port},${lab.writer.port}` as unknown as number,
  }),
  "a URI": () => ({
    uri: `mysql://app:s3cret@${A}:${lab.reader.port},${B}:${lab.writer.port}/orders`,
  }),
  "the URI's parameters": () => ({
    uri: `mysql://app:s3cret@/orders?host=${A},${B}&port=${lab.reader.port},${lab.writer.port}`,
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
            ssl: { ca: lab.ca, verifyIdentity: true },
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
        assertEquals(await open({}), [A, lab.reader.port]);
        assertEquals(await open({ targetSessionAttrs: "read-write" }), [B, lab.writer.port]);
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
            ssl: { ca: lab.ca, verifyIdentity: true },
          });
          try {
            assertEquals(coreOf<Core>(connection).departed, false);
            return await placeOf(connection);
          } finally {
            await connection.end();
          }
        };
        assertEquals(await open({}), [A, lab.reader.port]);
        assertEquals(await open({ targetSessionAttrs: "read-write" }), [B, lab.writer.port]);
      }),
  );
}

mariadbTest(
  "dnsMysql2, several hosts: connections of callbacks, with the name of their host for TLS",
  () =>
    withRecords(async ({ dns, records }) => {
      const module = dnsMysql2(mysqlOfCallbacks, { dnsLookup: dns, dnsFallback: false });
      const open = (uri: string) => {
        const connection = module.createConnection({
          uri,
          ssl: { ca: lab.ca, verifyIdentity: true },
        });
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
      assertEquals(await open(`${login}${A}:1,${B}:${lab.writer.port}/orders`), lab.writer.port);
      records[A] = [lab.reader.host];
      clearDnsCache();
      const wrong = `${login}${A}:${lab.writer.port},${B}:${lab.reader.port}/orders`;
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
      assertEquals(await placeOf(other), [B, lab.writer.port]);
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
        `${lab.reader.host}:${lab.reader.port} (${A})`,
      ]);
      connection.release();
      // Nothing listens there.
      records[A] = ["127.9.9.9"];
      await until(() => coreOf<Core>(single).departed);
      await until(() => Object.keys(engine.status().byAddress).length === 0);
      const next = await pool.getConnection();
      assertEquals(await placeOf(next), [B, lab.writer.port]);
      next.release();
      await pool.end();
      await single.end();
    }),
);

mariadbTest(
  "DnsMysql2Pool, several hosts: after the server of one died, queries go to the other",
  () =>
    withRecords(async ({ dns }) => {
      const { host } = lab.reader;
      await using dying = await startMariadb({ ...LOGIN, host, port: await freePort([host]) });
      const pool = new DnsMysql2Pool(mysql, {
        uri: `mysql://app:s3cret@${A}:${dying.port},${B}:${lab.writer.port}/orders`,
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
      assertEquals(await portOf(), lab.writer.port);
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
      const uri = `mysql://app@${A}:${lab.reader.port},${B}:${lab.writer.port}/orders`;
      const both = [`${A}:${lab.reader.port}`, `${B}:${lab.writer.port}`];
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
    assertRefused(message, [
      () => new DnsMysql2Pool(mysql, given),
      () => module.createConnection(config),
    ]);
  }
});
