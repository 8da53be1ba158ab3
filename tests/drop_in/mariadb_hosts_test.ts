/**
 * mariadb's drop-ins with several hosts, and with SRV records, on real servers: the same address, a port and a
 * certificate for each, and the second one takes writes.
 */

import { assertEquals, assertRejects } from "@std/assert";
import * as mariadb from "npm:mariadb@^3.5";
import { dnsMariadb, DnsMariadbPool, type DnsPoolOptions } from "../../drop_in/mariadb_pool.ts";
import { clearDnsCache } from "../../resolver.ts";
import { freePort } from "../../lab/free_port.ts";
import { startMariadb } from "../../lab/mariadb.ts";
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

type Given = mariadb.PoolConfig & { uri?: string; dnsSrv?: true };

const FORMS: Record<string, () => Given> = {
  "host, with ports": () => ({ ...LOGIN, host: `${A}:${lab.reader.port},${B}:${lab.writer.port}` }),
  "host and port": () => ({
    ...LOGIN,
    host: `${A},${B}`,
    port: `${lab.reader.port},${lab.writer.port}` as unknown as number,
  }),
  "a URI": () => ({
    uri: `mariadb://app:s3cret@${A}:${lab.reader.port},${B}:${lab.writer.port}/orders`,
  }),
  "the URI's parameters": () => ({
    uri: `mysql://app:s3cret@/orders?host=${A},${B}&port=${lab.reader.port},${lab.writer.port}`,
  }),
  "SRV records": () => ({ uri: `mariadb+srv://app:s3cret@${SERVICE}/orders` }),
  "the option dnsSrv": () => ({ ...LOGIN, host: SERVICE, dnsSrv: true }),
};

const portOf = async (on: Pick<mariadb.Connection, "query">): Promise<unknown> =>
  Number((await on.query("SELECT @@port AS port"))[0].port);

/** Options that find the certificate of each server by the name of its host. */
const secured = () => ({ ssl: { ca: lab.ca, rejectUnauthorized: true } });

for (const [form, make] of Object.entries(FORMS)) {
  mariadbTest(
    `DnsMariadbPool and dnsMariadb, several hosts by ${form}: the first one, or the one with the role, at its port and with its name for TLS`,
    () =>
      withRecords(async ({ dns }) => {
        const all = { dnsLookup: dns, dnsFallback: false } as const;
        const open = async (own: DnsPoolOptions) => {
          const given = { ...make(), ...secured(), minimumIdle: 0 };
          const pool = new DnsMariadbPool(mariadb, { ...given, ...all, ...own });
          const pooled = await portOf(pool).finally(() => pool.end());
          const { dnsSrv, ...config } = make();
          const module = dnsMariadb(mariadb, { ...all, ...(dnsSrv && { dnsSrv }), ...own });
          const another = module.createPool({ ...config, ...secured(), minimumIdle: 0 });
          assertEquals(await portOf(another).finally(() => another.end()), pooled);
          const connection = await module.createConnection({
            ...config,
            ...secured(),
            connectTimeout: 20_000,
          });
          const single = await portOf(connection).finally(() => connection.end());
          return [pooled, single];
        };
        const { reader, writer } = lab;
        assertEquals(await open({}), [reader.port, reader.port]);
        const role = { targetSessionAttrs: "read-write" } as const;
        assertEquals(await open(role), [writer.port, writer.port]);
      }),
  );
}

mariadbTest(
  "DnsMariadbPool and dnsMariadb, several hosts: a certificate of another host's name is refused",
  () =>
    withRecords(async ({ dns }) => {
      const all = { dnsLookup: dns, dnsFallback: false } as const;
      const login = "mariadb://app:s3cret@";
      const uri = `${login}${A}:${lab.writer.port},${B}:${lab.reader.port}/orders`;
      const own = { ...secured(), acquireTimeout: 1500, initializationTimeout: 1000 };
      const pool = new DnsMariadbPool(mariadb, { uri, ...own, ...all, minimumIdle: 0 });
      await assertRejects(() => portOf(pool), Error);
      await pool.end();
      const config = { uri, ...secured() } as mariadb.ConnectionConfig;
      await assertRejects(() => dnsMariadb(mariadb, all).createConnection(config), Error);
    }),
);

mariadbTest(
  "DnsMariadbPool, several hosts: connections leave with the address of their own host, and go to the other",
  () =>
    withRecords(async ({ dns, records }) => {
      const given = { ...FORMS["a URI"]!(), minimumIdle: 0 };
      const pool = new DnsMariadbPool(mariadb, { ...given, dnsLookup: dns, dnsFallback: false });
      assertEquals(await portOf(pool), lab.reader.port);
      const addresses = () => Object.keys(pool.engine!.status().byAddress);
      assertEquals(addresses(), [`${lab.reader.host}:${lab.reader.port} (${A})`]);
      // Nothing listens there.
      records[A] = ["127.9.9.9"];
      await until(() => addresses().length === 0);
      assertEquals(await portOf(pool), lab.writer.port);
      await pool.end();
    }),
);

mariadbTest(
  "DnsMariadbPool, several hosts: after the server of one died, or when a host does not resolve, queries go to the other",
  () =>
    withRecords(async ({ dns, records }) => {
      const { host } = lab.reader;
      await using dying = await startMariadb({ ...LOGIN, host, port: await freePort([host]) });
      const make = () =>
        new DnsMariadbPool(mariadb, {
          uri: `mariadb://app:s3cret@${A}:${dying.port},${B}:${lab.writer.port}/orders`,
          minimumIdle: 0,
          dnsLookup: dns,
          dnsFallback: false,
        });
      const pool = make();
      assertEquals(await portOf(pool), dying.port);
      await dying.stop({ mode: "immediate" });
      await until(() => pool.engine!.status().size === 0);
      assertEquals(await portOf(pool), lab.writer.port);
      await pool.end();
      delete records[A];
      clearDnsCache();
      const other = make();
      assertEquals(await portOf(other), lab.writer.port);
      await other.end();
    }),
);

mariadbTest(
  "DnsMariadbPool, several hosts: credentials are asked for the host of each connection",
  () =>
    withRecords(async ({ dns }) => {
      const asked = new Set<string>();
      const pool = new DnsMariadbPool(mariadb, {
        uri: `mariadb://app@${A}:${lab.reader.port},${B}:${lab.writer.port}/orders`,
        minimumIdle: 0,
        targetSessionAttrs: "read-write",
        dnsLookup: dns,
        dnsFallback: false,
        credentials: ({ host, port }) => {
          asked.add(`${host}:${port}`);
          return { password: LOGIN.password };
        },
      });
      assertEquals(await portOf(pool), lab.writer.port);
      assertEquals([...asked], [`${A}:${lab.reader.port}`, `${B}:${lab.writer.port}`]);
      await pool.end();
    }),
);

const HOST = '"host of the database URL" must be';
const REFUSED: [given: object, message: string][] = [
  [{ host: "a,,b" }, `${HOST} a name or an IP address, got nothing between commas`],
  [{ uri: "mariadb://app:s3cret@a,/d" }, `${HOST} a name or an IP address`],
  [
    { uri: "mariadb://app:s3cret@a:1,b:70000/d" },
    '"port of the database URL" must be a whole number from 1 to 65535, got "70000"',
  ],
  [
    { uri: "mariadb://app:s3cret@a,b/d?port=1,2,3" },
    '"parameter port of the database URL" must be one port, or one for each of the 2 hosts, got 3 ports',
  ],
  [{ host: "10.0.0.1", dnsSrv: true }, `${HOST} one name of a service`],
  [
    { uri: "mariadb+srv://app:s3cret@a:1/d" },
    '"port of the database URL" must not be given: the ports are in the SRV records',
  ],
];

Deno.test("DnsMariadbPool and dnsMariadb refuse lists of hosts that cannot be used, by name, and show nothing of the password", () => {
  for (const [given, message] of REFUSED) {
    const { dnsSrv, ...config } = given as { dnsSrv?: true };
    const module = dnsMariadb(mariadb, { ...(dnsSrv && { dnsSrv }) });
    assertRefused(message, [
      () => new DnsMariadbPool(mariadb, given),
      () => module.createConnection(config),
    ]);
  }
});
