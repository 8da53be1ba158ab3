/**
 * dnsPostgres with several hosts, and with SRV records, on real servers: the same address, a port and a certificate for
 * each, and the second one takes writes.
 */

import { assertEquals, assertRejects } from "@std/assert";
import process from "node:process";
import postgres from "npm:postgres@^3.4";
import { type DnsPoolOptions, dnsPostgres } from "../../drop_in/postgresjs.ts";
import { clearDnsCache } from "../../resolver.ts";
import { freePort } from "../../lab/free_port.ts";
import { startPostgres } from "../../lab/postgres.ts";
import { A, assertRefused, B, LOGIN, severalHosts } from "../support/several_hosts.ts";
import { until } from "../support/waiting.ts";

const SERVICE = "_postgresql._tcp.db.internal";
const lab = severalHosts(SERVICE, {
  start: startPostgres,
  readOnly: { default_transaction_read_only: "on" },
});
const { withRecords } = lab;

type Arguments = [url: string, options?: object] | [options: object];

/** The two hosts in the ways in which they may be given. */
const FORMS: Record<string, () => Arguments> = {
  "host, with ports": () => [{
    ...LOGIN,
    host: `${A}:${lab.reader.port},${B}:${lab.writer.port}`,
  }],
  "host and port": () => [{
    ...LOGIN,
    host: `${A},${B}`,
    port: `${lab.reader.port},${lab.writer.port}`,
  }],
  "arrays": () => [{ ...LOGIN, host: [A, B], port: [lab.reader.port, lab.writer.port] }],
  "a connection string": () => [
    `postgres://app:s3cret@${A}:${lab.reader.port},${B}:${lab.writer.port}/orders`,
  ],
  "the parameters of libpq": () => [
    `postgres://app:s3cret@/orders?host=${A},${B}&port=${lab.reader.port},${lab.writer.port}`,
  ],
  "the parameters of SQLAlchemy": () => [
    `postgres://app:s3cret@/orders?host=${A}:${lab.reader.port}&host=${B}:${lab.writer.port}`,
  ],
  "SRV records": () => [`postgres+srv://app:s3cret@${SERVICE}/orders`],
  "the option dnsSrv": () => [{ ...LOGIN, host: SERVICE, dnsSrv: true }],
};

const portOf = async (sql: postgres.Sql) =>
  (await sql`SELECT inet_server_port() AS port, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`)[
    0
  ];

for (const [form, make] of Object.entries(FORMS)) {
  Deno.test(`dnsPostgres, several hosts by ${form}: the first one, or the one with the role, at its port and with its name for TLS`, () =>
    withRecords(async ({ dns }) => {
      const open = async (own: DnsPoolOptions & { target_session_attrs?: string }) => {
        const ssl = { ca: lab.ca, rejectUnauthorized: true };
        const all = { dnsLookup: dns, dnsFallback: false } as const;
        const [first, second] = make() as [string, object?];
        const sql = typeof first === "string"
          ? dnsPostgres(postgres, all)(first, { ...second, ...own, ssl } as object)
          : dnsPostgres(postgres, all)({ ...first as object, ...own, ssl } as object);
        try {
          return await portOf(sql);
        } finally {
          await sql.end();
        }
      };
      const writer = { port: lab.writer.port, ssl: true };
      assertEquals(await open({}), { port: lab.reader.port, ssl: true });
      assertEquals(await open({ targetSessionAttrs: "read-write" }), writer);
      assertEquals(await open({ target_session_attrs: "read-write" }), writer);
    }));
}

Deno.test("dnsPostgres, several hosts: PGHOST and PGPORT may have them too", () =>
  withRecords(async ({ dns }) => {
    const { PGHOST, PGPORT } = process.env;
    try {
      process.env.PGHOST = `${A},${B}`;
      process.env.PGPORT = `${lab.reader.port},${lab.writer.port}`;
      const make = dnsPostgres(postgres, { dnsLookup: dns, dnsFallback: false });
      const sql = make({ ...LOGIN, targetSessionAttrs: "read-write" });
      assertEquals((await portOf(sql))!.port, lab.writer.port);
      await sql.end();
    } finally {
      for (const [name, value] of Object.entries({ PGHOST, PGPORT })) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
  }));

Deno.test("dnsPostgres, several hosts: connections leave with the address of their own host, and go to the other", () =>
  withRecords(async ({ dns, records }) => {
    const sql = dnsPostgres(postgres, { dnsLookup: dns, dnsFallback: false })({
      ...LOGIN,
      host: `${A}:${lab.reader.port},${B}:${lab.writer.port}`,
    });
    assertEquals((await portOf(sql))!.port, lab.reader.port);
    const addresses = () => Object.keys(sql.engine!.status().byAddress);
    assertEquals(addresses(), [`${lab.reader.host}:${lab.reader.port} (${A})`]);
    // Nothing listens there.
    records[A] = ["127.9.9.9"];
    await until(() => addresses().length === 0);
    assertEquals((await portOf(sql))!.port, lab.writer.port);
    await sql.end();
  }));

Deno.test("dnsPostgres, several hosts: after the server of one died, or when a host does not resolve, statements go to the other", () =>
  withRecords(async ({ dns, records }) => {
    const { host } = lab.reader;
    await using dying = await startPostgres({ ...LOGIN, host, port: await freePort([host]) });
    const make = () =>
      dnsPostgres(postgres, { dnsLookup: dns, dnsFallback: false })(
        `postgres://app:s3cret@${A}:${dying.port},${B}:${lab.writer.port}/orders`,
        { onnotice() {} },
      );
    const sql = make();
    assertEquals((await portOf(sql))!.port, dying.port);
    await dying.stop({ mode: "immediate" });
    await until(() => sql.engine!.status().size === 0);
    assertEquals((await portOf(sql))!.port, lab.writer.port);
    await sql.end();
    delete records[A];
    clearDnsCache();
    const other = make();
    assertEquals((await portOf(other))!.port, lab.writer.port);
    await other.end();
  }));

Deno.test("dnsPostgres, several hosts: a certificate of another host's name is refused, and credentials are asked for the host of each connection", () =>
  withRecords(async ({ dns }) => {
    const asked = new Set<string>();
    const all = {
      dnsLookup: dns,
      dnsFallback: false,
      credentials: ({ host, port }: { host: string; port: number }) => {
        asked.add(`${host}:${port}`);
        return { password: LOGIN.password };
      },
    } as const;
    const login = "postgres://app@";
    const sql = dnsPostgres(postgres, all)(
      `${login}${A}:${lab.reader.port},${B}:${lab.writer.port}/orders`,
      { targetSessionAttrs: "read-write" },
    );
    assertEquals((await portOf(sql))!.port, lab.writer.port);
    assertEquals([...asked], [`${A}:${lab.reader.port}`, `${B}:${lab.writer.port}`]);
    await sql.end();
    const wrong = dnsPostgres(postgres, all)(
      `${login}${A}:${lab.writer.port},${B}:${lab.reader.port}/orders`,
      { ssl: { ca: lab.ca, rejectUnauthorized: true } },
    );
    await assertRejects(() => portOf(wrong), Error);
    await wrong.end();
  }));

const HOST = '"host of the database URL" must be';
const REFUSED: [given: Arguments, message: string][] = [
  [[{ host: "10.0.0.1", dnsSrv: true }], `${HOST} one name of a service`],
  [[{ host: "a,b", dnsSrv: true }], `${HOST} one name of a service`],
  [[{ host: ["a", "b"], dnsSrv: true }], `${HOST} one name of a service`],
  [[{ host: "a", port: 7, dnsSrv: true }], '"port of the database URL" must not be given'],
  [["postgres+srv://app:s3cret@a:1/d"], '"port of the database URL" must not be given'],
  [["postgres://app:s3cret@a,/d?port=1,2"], `${HOST} a name or an IP address`],
  [
    ["postgres://app:s3cret@a,b/d?port=1,2,3"],
    '"parameter port of the database URL" must be one port, or one for each of the 2 hosts, got 3 ports',
  ],
  [
    [{ host: ["a", "b"], port: [1, 2, 3] }],
    '"port" must be one port, or one for each of the 2 hosts, got 3 ports',
  ],
  [[{ host: [] }], '"host" must be an array of hosts, got an empty one'],
  [[{ host: 5 }], '"host" must be a host or an array of hosts, got 5'],
  [[{ host: [1] }], '"host" must be a name or an IP address, got 1'],
  [[{ host: ["a", "b"], port: [1, 70000] }], '"port of the database URL" must be a whole number'],
  [[{ host: Array(65).fill("a") }], "an array of 1 to 64 hosts, got 65 hosts"],
  [["postgres://app:s3cret@/d"], '"url" must be like "postgres://user@host:5432/database"'],
];

Deno.test("dnsPostgres refuses lists of hosts that cannot be used, by name, and shows nothing of the password", () => {
  for (const [given, message] of REFUSED) {
    assertRefused(message, [() => dnsPostgres(postgres)(...given as [object])]);
  }
});

Deno.test("dnsPostgres: an IPv6 address is a host, alone and in a list, and a path in a parameter is that of a socket", async () => {
  const table: [given: Arguments, host: string[], port: number[]][] = [
    [[{ host: "fd00::1", port: 7 }], ["fd00::1"], [7]],
    [[{ host: "[fd00::1]:7,b" }], ["fd00::1", "b"], [7, 5432]],
    [["postgres://app@[fd00::1]:7/d"], ["fd00::1"], [7]],
    [["postgres://app@a,[fd00::1]:8/d"], ["a", "fd00::1"], [5432, 8]],
    [["postgres://app@a:1,b:2/d", { port: 9 }], ["a", "b"], [1, 2]],
    [["postgres:///d?port=9"], ["localhost"], [9]],
    [["postgres://app@/d?host=/tmp&port=9"], ["/tmp"], [9]],
  ];
  for (const [given, host, port] of table) {
    const sql = dnsPostgres(postgres)(...given as [object]);
    const { options } = sql as unknown as { options: { host: string[]; port: number[] } };
    assertEquals([options.host, options.port], [host, port], JSON.stringify(given));
    await sql.end();
  }
});
