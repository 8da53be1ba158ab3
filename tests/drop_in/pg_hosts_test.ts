/**
 * pg's drop-ins with several hosts, and with SRV records, on real servers: the same address, a port and a certificate for
 * each, and the second one takes writes.
 */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import process from "node:process";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { dnsPg, DnsPgPool } from "../../drop_in/pg_pool.ts";
import type { Engine } from "../../engine.ts";
import { clearDnsCache } from "../../resolver.ts";
import { freePort } from "../../lab/free_port.ts";
import { startPostgres } from "../../lab/postgres.ts";
import { listen } from "../support/peers.ts";
import { A, assertRefused, B, LOGIN, severalHosts } from "../support/several_hosts.ts";
import { REFUSING_PORT } from "../support/sockets.ts";
import { until } from "../support/waiting.ts";

const SERVICE = "_postgresql._tcp.db.internal";
const lab = severalHosts(SERVICE, {
  start: startPostgres,
  readOnly: { default_transaction_read_only: "on" },
});
const { withRecords } = lab;

/** The two hosts in the ways in which they may be given. */
function configs(): Record<string, pg.PoolConfig> {
  const login = `postgresql://${LOGIN.user}:${LOGIN.password}@`;
  const hosts = `${A}:${lab.reader.port},${B}:${lab.writer.port}`;
  const ports = `${lab.reader.port},${lab.writer.port}`;
  const apart = { ...LOGIN, host: `${A},${B}`, port: ports } as unknown as pg.PoolConfig;
  const uri = (text: string) => ({ connectionString: `${login}${text}` });
  return {
    "host and port": apart,
    "a connection string": uri(`${hosts}/orders`),
    "the parameters of libpq": uri(`/orders?host=${A},${B}&port=${ports}`),
    "the parameters of SQLAlchemy": uri(
      `/orders?host=${A}:${lab.reader.port}&host=${B}:${lab.writer.port}`,
    ),
    "SRV records": { connectionString: `${login}${SERVICE}/orders`.replace(":", "+srv:") },
    "the option dnsSrv": { ...LOGIN, host: SERVICE, dnsSrv: true } as pg.PoolConfig,
  };
}

/** Returns a configuration that asks for a role, in the way of libpq or of dnspool. */
function withRole(config: pg.PoolConfig, role: string): pg.PoolConfig {
  const { connectionString: uri } = config;
  if (uri === undefined) return { ...config, target_session_attrs: role } as pg.PoolConfig;
  const param = `target_session_attrs=${role}`;
  return { ...config, connectionString: uri + (uri.includes("?") ? "&" : "?") + param };
}

interface Place {
  host: string;
  port: number;
  connectionParameters: { host: string; port: number };
}

const QUERY =
  "SELECT inet_server_port() AS port, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

/** Where a client is, as the server says, and as the client does. */
async function placeOf(client: pg.ClientBase): Promise<unknown[]> {
  const { rows: [row] } = await client.query(QUERY);
  const { host, port, connectionParameters: own } = client as unknown as Place;
  assertEquals([row.port, own.port], [port, port]);
  return [host, port, own.host, row.ssl];
}

const FORMS = [
  "host and port",
  "a connection string",
  "the parameters of libpq",
  "the parameters of SQLAlchemy",
  "SRV records",
  "the option dnsSrv",
];

for (const form of FORMS) {
  Deno.test(`DnsPgPool, several hosts by ${form}: the first one, or the one with the role, at its port and with its name for TLS`, () =>
    withRecords(async ({ dns }) => {
      const config = configs()[form]!;
      const open = async (given: pg.PoolConfig) => {
        const pool = new DnsPgPool(pg, { ...given, dnsLookup: dns, dnsFallback: false });
        try {
          const client = await pool.connect();
          const place = await placeOf(client);
          client.release();
          return place;
        } finally {
          await pool.end();
        }
      };
      assertEquals(await open({ ...config, ssl: { ca: lab.ca } }), [
        lab.reader.host,
        lab.reader.port,
        A,
        true,
      ]);
      const wanted = withRole({ ...config, ssl: { ca: lab.ca } }, "read-write");
      assertEquals(await open(wanted), [lab.writer.host, lab.writer.port, B, true]);
    }));

  Deno.test(`a client of dnsPg, several hosts by ${form}: the first one, or the one with the role, at its port and with its name for TLS`, () =>
    withRecords(async ({ dns }) => {
      const { dnsSrv, ...config } = configs()[form]! as pg.ClientConfig & { dnsSrv?: true };
      const { Client } = dnsPg(pg, {
        dnsLookup: dns,
        dnsFallback: false,
        ...(dnsSrv && { dnsSrv }),
      });
      const open = async (given: pg.ClientConfig) => {
        const client = new Client(given);
        try {
          await client.connect();
          assertEquals((client as unknown as { departed: boolean }).departed, false);
          return await placeOf(client);
        } finally {
          await client.end();
        }
      };
      assertEquals(await open({ ...config, ssl: { ca: lab.ca } }), [
        lab.reader.host,
        lab.reader.port,
        A,
        true,
      ]);
      const wanted = withRole({ ...config, ssl: { ca: lab.ca } }, "read-write");
      assertEquals(await open(wanted), [lab.writer.host, lab.writer.port, B, true]);
    }));
}

Deno.test("DnsPgPool, several hosts: a certificate of another host's name is refused", () =>
  withRecords(async ({ dns, records }) => {
    const [first, second] = [`${A}:${lab.writer.port}`, `${B}:${lab.reader.port}`];
    records[A] = records[B] = [lab.reader.host];
    const pool = new DnsPgPool(pg, {
      connectionString: `postgresql://app:s3cret@${first},${second}/orders`,
      ssl: { ca: lab.ca },
      dnsLookup: dns,
      dnsFallback: false,
    });
    const error = await assertRejects(() => pool.query("SELECT 1")) as Error & { code: string };
    assertEquals(error.code, "ERR_TLS_CERT_ALTNAME_INVALID");
    await pool.end();
  }));

Deno.test("DnsPgPool, SRV records: with dnsSrvTlsName, the certificate is checked for the service", () =>
  withRecords(async ({ dns }) => {
    const connectionString = `postgresql+srv://app:s3cret@${SERVICE}/orders`;
    const options = { ssl: { ca: lab.ca }, dnsLookup: dns, dnsFallback: false } as const;
    const pool = new DnsPgPool(pg, { connectionString, ...options, dnsSrvTlsName: "service" });
    const { Client } = dnsPg(pg, {
      dnsLookup: dns,
      dnsFallback: false,
      dnsSrvTlsName: "service",
    });
    const client = new Client({ connectionString, ssl: { ca: lab.ca } });
    for (const connect of [() => pool.query("SELECT 1"), () => client.connect()]) {
      const error = await assertRejects(async () => void await connect(), Error, SERVICE);
      assertEquals((error as Error & { code: string }).code, "ERR_TLS_CERT_ALTNAME_INVALID");
    }
    await pool.end();
    await client.end();
  }));

Deno.test("DnsPgPool, several hosts: when a host moves away, its clients go, and the next one is open to the other host", () =>
  withRecords(async ({ dns, records }) => {
    const given = { ...configs()["host and port"]!, dnsLookup: dns, dnsFallback: false };
    const pool = new DnsPgPool(pg, given);
    const { engine } = pool as unknown as { engine: Engine<unknown> };
    const client = await pool.connect();
    assertEquals(Object.keys(engine.status().byAddress), [
      `${lab.reader.host}:${lab.reader.port} (${A})`,
    ]);
    client.release();
    const options = (pool as unknown as { options: { host: string; port: string } }).options;
    assertEquals([options.host, options.port], [
      `${A},${B}`,
      `${lab.reader.port},${lab.writer.port}`,
    ]);
    // Nothing listens there.
    records[A] = ["127.9.9.9"];
    await until(() => pool.totalCount === 0);
    const next = await pool.connect();
    assertEquals(await placeOf(next), [lab.writer.host, lab.writer.port, B, false]);
    next.release();
    await pool.end();
  }));

Deno.test("a client of dnsPg, several hosts: it departs with its own host's address", () =>
  withRecords(async ({ dns, records }) => {
    const { Client } = dnsPg(pg, { dnsLookup: dns, dnsFallback: false });
    const client = new Client(configs()["host and port"]!) as pg.Client & { departed: boolean };
    await client.connect();
    const questions = dns.questions.length;
    records[B] = ["127.9.9.9"];
    await until(() => dns.questions.length >= questions + 4);
    assertEquals(client.departed, false);
    records[A] = ["127.9.9.9"];
    await until(() => client.departed);
    await client.end();
  }));

Deno.test("DnsPgPool and dnsPg, several hosts: the first host does not resolve, or its server refuses", () =>
  withRecords(async ({ dns, records }) => {
    const open = async () => {
      const base = configs()["host and port"]!;
      const pool = new DnsPgPool(pg, { ...base, dnsLookup: dns, dnsFallback: false });
      const { Client } = dnsPg(pg, { dnsLookup: dns, dnsFallback: false });
      const client = new Client(base);
      await client.connect();
      const pooled = await pool.connect();
      const ports = [await placeOf(client), await placeOf(pooled)].map(([, port]) => port);
      pooled.release();
      await pool.end();
      await client.end();
      return ports;
    };
    delete records[A];
    assertEquals(await open(), [lab.writer.port, lab.writer.port]);
    clearDnsCache();
    records[A] = ["127.9.9.9"];
    assertEquals(await open(), [lab.writer.port, lab.writer.port]);
  }));

Deno.test("DnsPgPool and dnsPg, several hosts: a cancel and pg_cancel_backend() go to the server of the session", () =>
  withRecords(async ({ dns }) => {
    const given = withRole(configs()["host and port"]!, "read-write");
    const pool = new DnsPgPool(pg, { ...given, dnsLookup: dns, dnsFallback: false });
    const client = await pool.connect();
    const pid = (client as unknown as { processID: number }).processID;
    const { Client } = pool as unknown as { Client: typeof pg.Client };
    // A cancel that comes before the statement has begun there does nothing.
    const untilCanceled = async (sleeper: pg.ClientBase, cancel: () => unknown) => {
      let isCanceled = false;
      const rejected = assertRejects(() => sleeper.query("SELECT pg_sleep(60)"), Error, "canceling")
        .then(() => isCanceled = true);
      await until(async () => {
        await cancel();
        return isCanceled;
      });
      await rejected;
    };
    await untilCanceled(client, async () => {
      const other = new Client(given);
      await other.connect();
      await other.query(`SELECT pg_cancel_backend(${pid})`);
      assertEquals((other as unknown as Place).port, lab.writer.port);
      await other.end();
    });
    client.release();
    await pool.end();

    const module = dnsPg(pg, { dnsLookup: dns, dnsFallback: false });
    const holder = new module.Client(given);
    await holder.connect();
    await untilCanceled(holder, () => {
      // deno-lint-ignore no-explicit-any -- the types of pg leave these out
      const [canceller, internals] = [new module.Client(given) as any, holder as any];
      const query = internals._getActiveQuery?.() ?? internals.activeQuery;
      if (query) canceller.cancel(holder, query);
    });
    await holder.end();
  }));

Deno.test("DnsPgPool and dnsPg, several hosts: credentials are asked for the host of each connection", () =>
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
    const connectionString =
      `postgresql://app@${A}:${lab.reader.port},${B}:${lab.writer.port}/orders`;
    const both = [`${A}:${lab.reader.port}`, `${B}:${lab.writer.port}`];
    const pool = new DnsPgPool(pg, { connectionString, ...options });
    await pool.query("SELECT 1");
    assertEquals([...new Set(asked.splice(0))], both);
    await pool.end();
    const client = new (dnsPg(pg, options).Client)(connectionString);
    await client.connect();
    assertEquals([...new Set(asked)], both);
    await client.end();
  }));

Deno.test("DnsPgPool, several hosts: PGHOST and PGPORT may have them too", () =>
  withRecords(async ({ dns }) => {
    const { PGHOST, PGPORT } = process.env;
    try {
      process.env.PGHOST = `${A},${B}`;
      process.env.PGPORT = `${lab.reader.port},${lab.writer.port}`;
      const pool = new DnsPgPool(pg, {
        ...LOGIN,
        targetSessionAttrs: "read-write",
        dnsLookup: dns,
        dnsFallback: false,
      });
      const client = await pool.connect();
      assertEquals((client as unknown as Place).port, lab.writer.port);
      client.release();
      await pool.end();
    } finally {
      for (const [name, value] of Object.entries({ PGHOST, PGPORT })) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
  }));

Deno.test("DnsPgPool and dnsPg, several hosts: after the server of one died, queries go to the other", () =>
  withRecords(async ({ dns }) => {
    const { host } = lab.reader;
    await using dying = await startPostgres({ ...LOGIN, host, port: await freePort([host]) });
    const given = {
      connectionString: `postgresql://app:s3cret@${A}:${dying.port},${B}:${lab.writer.port}/orders`,
    };
    const pool = new DnsPgPool(pg, { ...given, dnsLookup: dns, dnsFallback: false });
    const { Client } = dnsPg(pg, { dnsLookup: dns, dnsFallback: false });
    const portOf = async (one: pg.Pool | pg.Client) => (await one.query(QUERY)).rows[0].port;
    const open = async () => {
      const client = new Client(given);
      await client.connect();
      return client;
    };
    const first = await open();
    assertEquals([await portOf(pool), await portOf(first)], [dying.port, dying.port]);
    await dying.stop({ mode: "immediate" });
    await until(() => pool.totalCount === 0);
    const next = await open();
    assertEquals([await portOf(pool), await portOf(next)], [lab.writer.port, lab.writer.port]);
    await pool.end();
    await next.end();
    await first.end();
  }));

Deno.test("DnsPgPool and dnsPg: connect_timeout limits a connect, unless connectionTimeoutMillis does", () =>
  withRecords(async ({ dns }) => {
    await using silent = await listen();
    dns.respond = undefined;
    dns.addresses = ["127.0.0.1"];
    for (
      const [param, millis, seconds] of [[1, undefined, 1], [60, 500, 0.5]] as const
    ) {
      const given = {
        connectionString:
          `postgresql://app@db3.internal:${silent.port}/orders?connect_timeout=${param}`,
        ...(millis !== undefined && { connectionTimeoutMillis: millis }),
      };
      const pool = new DnsPgPool(pg, { ...given, dnsLookup: dns, dnsFallback: false });
      const { Client } = dnsPg(pg, { dnsLookup: dns, dnsFallback: false });
      const client = new Client(given);
      const beganMs = performance.now();
      const took = async (connecting: Promise<unknown>) => {
        const error = await assertRejects(() => connecting, Error);
        assert(error.message.includes("timeout"), error.message);
        return (performance.now() - beganMs) / 1000;
      };
      for (const time of await Promise.all([took(pool.connect()), took(client.connect())])) {
        assert(time > seconds - 0.05 && time < 20, `${time} seconds`);
      }
      await pool.end();
      await client.end();
    }
  }));

const HOST = '"host of the database URL" must be';
const REFUSED: [given: object, message: string][] = [
  [{ host: "a,,b" }, `${HOST} a name or an IP address, got nothing between commas`],
  [{ host: "a," }, `${HOST} a name or an IP address, got nothing between commas`],
  [
    { host: "a,b", port: "1,2,3" },
    '"parameter port of the database URL" must be one port, or one for each of the 2 hosts, got 3 ports',
  ],
  [
    { host: "a,b", port: "1,70000" },
    '"port of the database URL" must be a whole number from 1 to 65535, got 70000',
  ],
  [
    { host: "a,b", port: 0.5 },
    '"port of the database URL" must be a whole number from 1 to 65535, got "0.5"',
  ],
  [{ host: "a,b c" }, '"host" must be'],
  [
    { host: Array(65).fill("a").join(",") },
    '"hosts of the database URL" must be an array of 1 to 64 hosts, got 65 hosts',
  ],
  [
    { dnsSrv: true, host: "10.0.0.1" },
    `${HOST} one name of a service, such as _postgresql._tcp.db.example, beside SRV, got an IP address`,
  ],
  [
    { dnsSrv: true, host: "a,b" },
    `${HOST} one name of a service, such as _postgresql._tcp.db.example, beside SRV, got 2 hosts`,
  ],
  [
    { dnsSrv: true, host: "a", port: 1 },
    '"port of the database URL" must not be given: the ports are in the SRV records',
  ],
  [
    { connectionString: "postgresql+srv://app@a:1/d" },
    '"port of the database URL" must not be given: the ports are in the SRV records',
  ],
  [
    { connectionString: "postgresql://app:s3cret@a,,b/d" },
    `${HOST} a name or an IP address, got nothing between commas`,
  ],
  [
    { connectionString: "postgresql://app:s3cret@a:1,b:0/d" },
    '"port of the database URL" must be a whole number from 1 to 65535, got "0"',
  ],
  [
    { connectionString: "postgresql://app:s3cret@a,b/d?port=1,2,3" },
    '"parameter port of the database URL" must be one port, or one for each of the 2 hosts, got 3 ports',
  ],
  [
    { connectionString: "postgresql://app@a,b/d?target_session_attrs=write" },
    '"target_session_attrs of the database URL" must be one of',
  ],
  [
    {
      connectionString: "postgresql://app@a,b/d?target_session_attrs=standby",
      targetSessionAttrs: "primary",
    },
    '"targetSessionAttrs" must not be given: the database URL has target_session_attrs=standby',
  ],
  [
    { connectionString: "postgresql://app@a,b/d?connect_timeout=0" },
    '"connect_timeout of the database URL" must be a whole number of seconds from 1 to 3600, got "0"',
  ],
];

Deno.test("DnsPgPool and dnsPg refuse lists of hosts that cannot be used, by name, and show nothing of the password", () => {
  const credentials = () => Promise.resolve({ password: "s3cret" });
  const connectionString = "postgresql://app:s3cret@a:1,b:2/d";
  const reason = '"password in the connection string" must not be given';
  assertThrows(() => new DnsPgPool(pg, { connectionString, credentials }), TypeError, reason);
  assertThrows(() => new (dnsPg(pg, { credentials }).Client)(connectionString), TypeError, reason);
  for (const [given, message] of REFUSED) {
    const { targetSessionAttrs, dnsSrv, ...config } = given as Record<string, string>;
    const module = dnsPg(pg, { targetSessionAttrs, dnsSrv } as object);
    assertRefused(message, [() => new DnsPgPool(pg, given), () => new module.Client(config)]);
  }
});

Deno.test("DnsPgPool, several hosts: no server at all is one error that names each", () =>
  withRecords(async ({ dns, records }) => {
    records[A] = records[B] = ["127.9.9.9"];
    const connectionString =
      `postgresql://app:s3cret@${A}:${REFUSING_PORT},${B}:${REFUSING_PORT}/d`;
    const pool = new DnsPgPool(pg, { connectionString, dnsLookup: dns, dnsFallback: false });
    const error = await assertRejects(() => pool.query("SELECT 1")) as Error & { code: string };
    assertEquals(error.code, "ECONNREFUSED");
    delete records[A];
    delete records[B];
    clearDnsCache();
    const unresolved = await assertRejects(() => pool.query("SELECT 1")) as
      & Error
      & Record<"code" | "hostname", string>;
    assertEquals([unresolved.code, unresolved.hostname], ["ENOTFOUND", `${A},${B}`]);
    await pool.end();
  }));
