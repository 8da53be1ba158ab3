import { assert, assertEquals } from "@std/assert";
import mariadb from "npm:mariadb@^3.5";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { pgAdapter } from "../../adapters/pg.ts";
import { getDnsEngine } from "../../engine.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { startMariadb } from "../../lab/mariadb.ts";
import { startPostgres } from "../../lab/postgres.ts";
import { ReplicatedPair } from "../../lab/replicated_pair.ts";
import { DnsServer } from "../../testing/mod.ts";
import { listen } from "../support/peers.ts";
import { until } from "../support/waiting.ts";

const LOGIN = { user: "app", password: "s3cret", database: "orders" };
/** So short that the second server is always tried beside the first. */
const AT_ONCE = 0.001;
const CONNECTS = 20;

Deno.test("several PostgreSQL hosts: the writer is found beside a silent server, and no session is left on the others", async () => {
  const [b, c] = await loopbackPair();
  const port = await freePort([b, c]);
  await using silent = await listen();
  await using reader = await startPostgres({
    ...LOGIN,
    host: b,
    port,
    settings: { default_transaction_read_only: "on" },
  });
  await using writer = await startPostgres({ ...LOGIN, host: c, port });
  const url = `postgresql://app:s3cret@127.0.0.1:${silent.port},${b}:${port},${c}:${port}/orders`;
  const engine = getDnsEngine(`${url}?target_session_attrs=read-write`, {
    adapter: pgAdapter(pg),
    poolSize: CONNECTS,
    maxOverflow: 0,
    connectStagger: AT_ONCE,
  });
  try {
    const leases = await Promise.all(Array.from({ length: CONNECTS }, () => engine.connect()));
    assertEquals(
      new Set(leases.map(({ address, port }) => `${address}:${port}`)),
      new Set([`${c}:${port}`]),
    );
    for (const lease of leases) await lease.release();
    const sessions = async (server: { url(): string }) => {
      const client = new pg.Client({ connectionString: server.url() });
      await client.connect();
      const text =
        "SELECT count(*)::int AS n FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
      const { rows: [{ n }] } = await client.query(text);
      await client.end();
      return n as number;
    };
    await until(async () => await sessions(reader) === 0);
    await until(async () => await sessions(writer) === engine.status().size);
    assertEquals(engine.status().size, CONNECTS);
  } finally {
    await engine.close();
  }
});

Deno.test("several MariaDB hosts: an attempt that lost the race is no aborted connection to its server", async () => {
  const [a, b] = await loopbackPair();
  const port = await freePort([a, b]);
  await using first = await startMariadb({ ...LOGIN, host: a, port });
  await using second = await startMariadb({ ...LOGIN, host: b, port });
  const engine = getDnsEngine(`mariadb://app:s3cret@${a}:${port},${b}:${port}/orders`, {
    adapter: mariadbAdapter(mariadb),
    poolSize: CONNECTS,
    maxOverflow: 0,
    connectStagger: AT_ONCE,
  });
  try {
    const leases = await Promise.all(Array.from({ length: CONNECTS }, () => engine.connect()));
    for (const lease of leases) await lease.release();
    let sessions = 0;
    let connects = 0;
    for (const server of [first, second]) {
      const client = await mariadb.createConnection({ ...LOGIN, host: server.host, port });
      client.on("error", () => {});
      const read = async () => {
        const rows: { Variable_name: string; Value: string }[] = await client.query(
          "SHOW GLOBAL STATUS",
        );
        const status = new Map(
          rows.map(({ Variable_name, Value }) => [Variable_name, Number(Value)]),
        );
        return (name: string) => status.get(name)!;
      };
      const own = engine.status().byAddress[`${server.host}:${port}`]?.idle ?? 0;
      await until(async () => (await read())("Threads_connected") === own + 1);
      const status = await read();
      assertEquals([status("Aborted_connects"), status("Aborted_clients")], [0, 0], server.host);
      sessions += own;
      connects += status("Connections");
      await client.end();
    }
    assertEquals(sessions, CONNECTS);
    assert(connects > CONNECTS, "some attempts must have lost the race");
  } finally {
    await engine.close();
  }
});

for (const loss of ["killed", "stopped"] as const) {
  Deno.test(`several PostgreSQL hosts: after the primary was ${loss} and the standby promoted, writers are served without any change of DNS`, async () => {
    await using pair = await ReplicatedPair.start("CREATE TABLE ledger (id int PRIMARY KEY)");
    const hosts = [pair.primary.host, pair.standbyAddress!];
    const { port } = pair.primary;
    const list = hosts.map((host) => `${host}:${port}`).join(",");
    const engine = getDnsEngine(
      `postgresql://app:s3cret@${list}/orders?target_session_attrs=read-write`,
      { adapter: pgAdapter(pg) },
    );
    let id = 0;
    const insert = () => engine.query("INSERT INTO ledger VALUES ($1)", [++id]);
    try {
      await insert();
      const removeOld = await pair.failOver(loss);
      const promoted = pair.terms.at(-1)!;
      const acknowledged: number[] = [];
      await until(async () => {
        const before = id + 1;
        return await insert().then(() => acknowledged.push(before) > 0, () => false);
      });
      const lease = await engine.connect();
      assertEquals(lease.address, promoted.address);
      await lease.release();
      await removeOld();
      // Without a failure from here on.
      for (let i = 0; i < 20; i++) await insert().then(() => acknowledged.push(id));
      const rows = await engine.query<{ id: number }>("SELECT id FROM ledger");
      const stored = new Set(rows.map(({ id }) => id));
      assertEquals(acknowledged.filter((id) => !stored.has(id)), []);
    } finally {
      await engine.close();
    }
  });
}

Deno.test("SRV records: the very next checkout after a switchover by another port goes to the new server", async () => {
  const [host] = await loopbackPair();
  const [first, second] = [await freePort([host]), await freePort([host])];
  await using old = await startPostgres({ ...LOGIN, host, port: first });
  await using next = await startPostgres({ ...LOGIN, host, port: second });
  assertEquals([old.host, next.host], [host, host]);
  await using dns = await DnsServer.start();
  const service = "_postgresql._tcp.db.internal";
  const set = (port: number) =>
    dns.set(service, { srv: [{ port, target: "db1.internal" }] }, { ttl: 1 });
  dns.set("db1.internal", [host], { ttl: 1 });
  set(first);
  const engine = getDnsEngine(`postgresql+srv://app:s3cret@${service}/orders`, {
    adapter: pgAdapter(pg),
    dnsNameservers: [dns.address],
  });
  try {
    const portOf = () =>
      engine.use(async ({ client, port }) => {
        const { rows: [{ p }] } = await client.query("SELECT inet_server_port() AS p");
        assertEquals(p, port);
        return port;
      });
    assertEquals(await portOf(), first);
    const changed = new Promise((resolve) => {
      engine.addEventListener("addresschange", resolve, { once: true });
    });
    set(second);
    await changed;
    for (let i = 0; i < 10; i++) assertEquals(await portOf(), second);
    assertEquals(Object.keys(engine.status().byAddress), [`${host}:${second} (db1.internal)`]);
    assertEquals(dns.count("db1.internal"), 0, "the address comes along with the records");
    // An alias, which the RFC does not allow, is followed.
    dns.set(service, { srv: [{ port: second, target: "alias.internal" }] }, { ttl: 1 });
    dns.set("alias.internal", { cname: "db1.internal" }, { ttl: 1 });
    await until(async () => await engine.use(({ host }) => host) === "alias.internal");
  } finally {
    await engine.close();
  }
});
