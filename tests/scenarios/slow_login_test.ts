/**
 * A healthy server whose login takes longer than `probeTimeout` keeps its leases: after a move of its name, and with
 * `leaseProbeAfter`, on PostgreSQL and on MariaDB, in engines and in the drop-ins.
 */

import { assert, assertEquals, assertGreater } from "@std/assert";
import mysqlModule from "npm:mysql2@^3.24/promise";
import * as mariadbModule from "npm:mariadb@^3.5";
import net from "node:net";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import type { Adapter } from "../../adapters/adapter.ts";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { pgAdapter } from "../../adapters/pg.ts";
import { postgresjsAdapter } from "../../adapters/postgresjs.ts";
import { getDnsEngine } from "../../engine.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { startMariadb } from "../../lab/mariadb.ts";
import { startPostgres } from "../../lab/postgres.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { ALWAYS, ON_MARIADB } from "../support/servers.ts";
import { pause, until } from "../support/waiting.ts";

/** Delay of each message, in milliseconds: less than `probeTimeout` for an answer, more for a login. */
const DELAY_MS = 300;
/** Delay of an end that no message precedes: a busy machine still has time for both ends within `probeTimeout`. */
const END_DELAY_MS = 50;
const PROBE_TIMEOUT = 0.8;

const LOGIN = { user: "app", password: "s3cret" };

/** Opens a way to a server on which each message takes its time. */
async function slowWay(host: string, server: { host: string; port: number }) {
  const sockets = new Set<net.Socket>();
  const listener = net.createServer({ allowHalfOpen: true }, (near) => {
    const far = net.connect({ port: server.port, host: server.host, allowHalfOpen: true });
    for (const [from, to] of [[near, far], [far, near]] as const) {
      sockets.add(from);
      let underWay = 0;
      from.on("data", (bytes) => {
        underWay++;
        setTimeout(() => {
          underWay--;
          if (to.writable) to.write(bytes);
        }, DELAY_MS);
      });
      from.on("end", () => setTimeout(() => to.end(), underWay > 0 ? DELAY_MS : END_DELAY_MS));
      from.on("error", () => to.destroy());
      from.on("close", () => sockets.delete(from));
    }
  });
  await new Promise<void>((resolve) => listener.listen(server.port, host, resolve));
  return {
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
      await pause(DELAY_MS + 50); // what was under way
    },
  };
}

interface Kind {
  readonly start: (options: { host: string; port: number }) => Promise<
    AsyncDisposable & { readonly host: string; readonly port: number; readonly log: string }
  >;
  readonly url: string;
  readonly sleep: string;
}

const POSTGRES: Kind = {
  start: (options) => startPostgres({ ...options, ...LOGIN, database: "orders" }),
  url: "postgresql",
  sleep: "SELECT pg_sleep(3)",
};
const MARIADB: Kind = {
  start: (options) => startMariadb({ ...options, ...LOGIN, database: "orders" }),
  url: "mysql",
  sleep: "SELECT SLEEP(3)",
};

/** Holds a lease during a move of the name and slow probes. */
async function holdLease(adapter: Adapter<unknown>, { start, url, sleep }: Kind): Promise<void> {
  const [host, away] = await loopbackPair();
  const own = host.replace(/\.2$/, ".4");
  const port = await freePort([host, away, own]);
  await using server = await start({ host: own, port });
  await using _way = await slowWay(host, server);
  await using _otherWay = await slowWay(away, server);
  const dns = fakeLookup([host], 1);
  const logins: number[] = [];
  const engine = getDnsEngine<unknown>(`${url}://app:s3cret@db.internal:${port}/orders`, {
    adapter,
    dnsLookup: dns,
    dnsFallback: false,
    leaseProbeAfter: 1,
    probeTimeout: PROBE_TIMEOUT,
    hooks: { connect: () => void logins.push(performance.now()) },
  });
  try {
    const startMs = performance.now();
    await engine.use(() => {});
    assertGreater(performance.now() - startMs, PROBE_TIMEOUT * 1000, "the login is slow");
    const before = server.log;
    const terminated: unknown[] = [];
    engine.addEventListener("terminate", ({ detail }) => terminated.push(detail));
    const call = engine.query(sleep);
    await pause(500);
    dns.addresses = [away];
    await call;
    assertEquals(terminated, []);
    await until(() => engine.status().byAddress[host] === undefined, "the end of the old lease");
    const lines = server.log.slice(before.length);
    assert(!/abort|could not/i.test(lines), lines);
  } finally {
    await engine.close();
  }
}

/** Both drivers of a kind wait at the same time. */
function testKind(kind: Kind, test: typeof ALWAYS.test, adapters: readonly unknown[]): void {
  const all = adapters as Adapter<unknown>[];
  const names = all.map(({ name }) => name).join(" and ");
  test(`Engine with ${names}: a slow login costs a healthy server no lease, and its log no line`, async () => {
    const ends = await Promise.allSettled(all.map((adapter) => holdLease(adapter, kind)));
    const failed = ends.flatMap((end, index) =>
      end.status === "fulfilled" ? [] : [`${all[index]!.name}: ${end.reason?.stack ?? end.reason}`]
    );
    assertEquals(failed, []);
  });
}

testKind(POSTGRES, ALWAYS.test, [pgAdapter(pg), postgresjsAdapter(postgres)]);
testKind(MARIADB, ON_MARIADB.test, [mysql2Adapter(mysqlModule), mariadbAdapter(mariadbModule)]);
