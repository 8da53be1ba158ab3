/** examples/headless_service.ts, on three real servers behind one name. */

import { assertEquals, assertRejects } from "@std/assert";
import type pg from "npm:@types/pg@^8";
import { openEngine, report, spread } from "../../examples/headless_service.ts";
import { ConnectionLostError, type Engine, type EngineOptions } from "../../mod.ts";
import { clearDnsCache } from "../../resolver.ts";
import { freePort } from "../../lab/free_port.ts";
import type { PostgresServer } from "../../lab/postgres.ts";
import { DnsServer } from "../../testing/mod.ts";
import { adminOf, startOrders } from "../support/example_postgres.ts";
import { untilSocketsClosed } from "../support/sockets.ts";
import { soon, until } from "../support/waiting.ts";

/** As it is written in a pod. */
const NAME = "replicas.shop.svc.cluster.local";
const PODS = ["127.0.0.2", "127.0.0.3", "127.0.0.4"] as const;
const [A, B, C] = PODS;
/** Reports that were begun together wait for the same lock. */
let locks = 0;

let pods: PostgresServer[] = [];
Deno.test.beforeAll(async () => {
  const port = await freePort(PODS);
  for (const host of PODS) pods.push(await startOrders({ host, port }));
});
Deno.test.afterAll(async () => {
  for (const pod of pods) await pod.stop({ mode: "immediate" });
  pods = [];
});

/** An engine of the example, and the cluster's DNS. */
async function inCluster(
  { host = NAME, ...options }: EngineOptions<pg.Client> & { host?: string },
  body: (engine: Engine<pg.Client>, dns: DnsServer) => Promise<void>,
): Promise<void> {
  clearDnsCache();
  await using dns = await DnsServer.start({ ttl: 0 });
  dns.set(NAME, [...PODS]);
  const engine = openEngine(pods[0]!.url(host), {
    dnsNameservers: [dns.address],
    dnsMinTtl: 0,
    ...options,
  });
  await untilSocketsClosed(async () => {
    try {
      await body(engine, dns);
    } finally {
      await engine.close({ drain: 0 });
    }
  });
}

/** Begins reports that last until the returned function is called. */
async function begin(engine: Engine<pg.Client>, count: number) {
  const admins = await Promise.all(pods.map(adminOf));
  const lock = ++locks;
  for (const admin of admins) await admin.rows(`SELECT pg_advisory_lock(${lock})`);
  const text = `SELECT pg_advisory_xact_lock_shared(${lock})`;
  const { inUse } = engine.status();
  const reports = Array.from({ length: count }, () => report(engine, text));
  for (const each of reports) each.catch(() => {});
  await until(() => engine.status().inUse === inUse + count, "all reports are under way");
  return {
    reports,
    async end(): Promise<string[]> {
      for (const admin of admins) await admin.end();
      return (await soon(Promise.all(reports))).map(({ pod }) => pod).sort();
    },
  };
}

Deno.test("examples/headless_service.ts spreads its connections, lets the work on a pod that left end, and uses a pod that came", () =>
  inCluster({}, async (engine, dns) => {
    const retired: string[] = [];
    engine.addEventListener("retire", ({ detail }) => retired.push(detail.address));
    const first = await begin(engine, 6);
    assertEquals(spread(engine), { [A]: 2, [B]: 2, [C]: 2 });

    dns.set(NAME, [B, C]);
    const second = await begin(engine, 4);
    assertEquals(retired, [A]);
    assertEquals(spread(engine), { [A]: 2, [B]: 4, [C]: 4 });
    const [ended, later] = await Promise.all([first.end(), second.end()]);
    assertEquals(ended, [A, A, B, B, C, C]);
    assertEquals(later, [B, B, C, C]);
    assertEquals(spread(engine), { [B]: 4, [C]: 4 });

    dns.set(NAME, [...PODS]);
    const third = await begin(engine, 12);
    assertEquals(spread(engine), { [A]: 4, [B]: 4, [C]: 4 });
    await third.end();
  }));

Deno.test("examples/headless_service.ts lets the work on a pod that left go on for retireGrace and no longer", () =>
  inCluster({ retireGrace: 0.5 }, async (engine, dns) => {
    const first = await begin(engine, 3);
    dns.set(NAME, [B, C]);
    await engine.use(() => {}); // sees that it left
    const lost = await assertRejects(() => soon(Promise.all(first.reports)), ConnectionLostError);
    assertEquals(lost.address, A);
    assertEquals(Object.keys(spread(engine)).sort(), [B, C]);
    await first.end().catch(() => {});
    assertEquals((await Promise.allSettled(first.reports)).map(({ status }) => status).sort(), [
      "fulfilled",
      "fulfilled",
      "rejected",
    ]);
  }));

Deno.test("examples/headless_service.ts asks for the name as it stands, with a dot at its end or without", async () => {
  for (const host of [NAME, `${NAME}.`]) {
    await inCluster({ host }, async (engine, dns) => {
      await report(engine, "SELECT 1");
      assertEquals(new Set(dns.queries.map(({ name }) => name)), new Set([NAME]));
    });
  }
});

/** Makes `pg_sleep(0.1)` end when 9 sessions are in it, so that none of them is free for the next report. */
const SLEEP_TOGETHER = `
  CREATE FUNCTION public.pg_sleep(numeric) RETURNS void LANGUAGE plpgsql AS $$
  BEGIN
    WHILE (SELECT count(*) < 9 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(0.1)') LOOP
      PERFORM pg_catalog.pg_sleep(0.01::double precision);
      PERFORM pg_stat_clear_snapshot();
    END LOOP;
  END $$`;

Deno.test("examples/headless_service.ts runs as it stands", async () => {
  const admin = await adminOf(pods[0]!);
  await admin.rows(SLEEP_TOGETHER);
  await admin.end();
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-lock", "--config=deno.json", "examples/headless_service.ts"],
    cwd: new URL("../../", import.meta.url),
    env: { DATABASE_URL: pods[0]!.url(), NO_COLOR: "1" },
    signal: AbortSignal.timeout(60_000),
  }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
  assertEquals([code, out, err], [0, `{ "${A}": 9 }`, ""]);
});
