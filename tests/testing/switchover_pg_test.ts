/** A rehearsed switchover between two real PostgreSQL servers: an engine follows, an ordinary pool does not. */

import { assertEquals, assertLess } from "@std/assert";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { pgAdapter } from "../../adapters/pg.ts";
import { getDnsEngine } from "../../engine.ts";
import { plainPool } from "../../scripts/demo/lanes.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { preparePostgres, startPostgres } from "../../lab/postgres.ts";
import { DnsServer, switchover } from "../../testing/mod.ts";

const HOST = "db.internal";
const WHO = { user: "app", password: "s3cret", database: "orders" };
const ADDRESS = "SELECT host(inet_server_addr()) AS address";

Deno.test("switchover() on real servers", async (t) => {
  await using stack = new AsyncDisposableStack();
  const [from, to] = await loopbackPair();
  const port = await freePort([from, to]);
  stack.use(await preparePostgres());
  const old = stack.use(await startPostgres({ ...WHO, host: from, port }));
  stack.use(await startPostgres({ ...WHO, host: to, port }));
  const dns = stack.use(await DnsServer.start());
  const url = `postgresql://app:s3cret@${HOST}:${port}/orders`;

  await t.step("an engine follows while the old server runs", async () => {
    await using engine = getDnsEngine(url, {
      adapter: pgAdapter(pg),
      dnsNameservers: [dns.address],
      dnsFamily: "both",
      dnsFallback: false,
    });
    const result = await switchover(dns, HOST, {
      from,
      to,
      follower: async () => (await engine.query(ADDRESS) as { address: string }[])[0]!.address,
    });
    const { followed, misrouted, failed } = result;
    assertEquals({ followed, misrouted, failed }, { followed: true, misrouted: 0, failed: 0 });
    assertLess(result.all!, 3);
  });

  await t.step("an ordinary pool stays on the old server", async () => {
    const pool = plainPool({ ...WHO, host: HOST, port, max: 4, dnsServer: dns.address });
    try {
      const { followed, first, misrouted } = await switchover(dns, HOST, {
        from,
        to,
        deadline: 3,
        follower: async () => (await pool.query<{ address: string }>(ADDRESS)).rows[0]!.address,
      });
      assertEquals([followed, first, misrouted > 0], [false, undefined, true]);
    } finally {
      await pool.end();
    }
  });

  await t.step("an engine follows when the old server is killed", async () => {
    await using engine = getDnsEngine(url, {
      adapter: pgAdapter(pg),
      dnsNameservers: [dns.address],
      dnsFamily: "both",
      dnsFallback: false,
    });
    const { followed, misrouted, failed, unanswered } = await switchover(dns, HOST, {
      from,
      to,
      workers: 4,
      follower: async () => (await engine.query(ADDRESS) as { address: string }[])[0]!.address,
      atMove: () => old.kill(),
    });
    assertEquals([followed, misrouted, unanswered], [true, 0, 0]);
    assertLess(failed, 5); // the statements under way
  });
});
