/** examples/open_telemetry.ts, scraped and read while a name moves from one real server to another. */

import { assert, assertEquals } from "@std/assert";
import * as api from "npm:@opentelemetry/api@^1.9";
import type { ReadableSpan } from "npm:@opentelemetry/sdk-trace@^3.1";
import { countTables, openEngine, startTelemetry } from "../../examples/open_telemetry.ts";
import { freePort } from "../../lab/free_port.ts";
import { DnsServer } from "../../testing/mod.ts";
import { startPair } from "../support/drop_in_failover.ts";
import { startOrders } from "../support/example_postgres.ts";
import { untilSocketsClosed } from "../support/sockets.ts";
import { pause, soon } from "../support/waiting.ts";

const NAME = "db.internal";

/** Reads the metrics as Prometheus does; returns the value of a sample by its name and labels. */
async function scrape(port: number): Promise<(name: string, ...labels: string[]) => number> {
  const response = await soon(fetch(`http://localhost:${port}/metrics`));
  const lines = (await response.text()).split("\n").filter((line) => !/^(#|$)/.test(line));
  return (name, ...labels) => {
    const wanted = ['db_client_connection_pool_name="orders"', ...labels];
    const found = lines.filter((line) =>
      line.startsWith(`${name}{`) && wanted.every((label) => line.includes(label))
    );
    assertEquals(found.length, 1, `${name}: ${lines.join("\n")}`);
    return Number(found[0]!.split(" ").at(-1));
  };
}

Deno.test("examples/open_telemetry.ts tells Prometheus and the traces of a switchover", () =>
  untilSocketsClosed(async () => {
    const pair = await startPair(startOrders);
    const { first, second } = pair;
    const port = await freePort(["127.0.0.1"]);
    const finished: ReadableSpan[] = [];
    const endTelemetry = startTelemetry(port, {
      export(spans, done) {
        finished.push(...spans);
        done({ code: 0 });
      },
      shutdown: () => Promise.resolve(),
    });
    try {
      await using dns = await DnsServer.start({ ttl: 0 });
      dns.set(NAME, [first.host]);
      const engine = openEngine(first.url(NAME), { dnsNameservers: [dns.address], dnsMinTtl: 0 });
      assertEquals((await countTables(engine)).length, 1);
      const before = await scrape(port);
      assertEquals(before("db_client_connection_count", 'state="idle"'), 1);
      assertEquals(before("db_client_connection_create_time_count"), 1);

      const lease = await engine.connect();
      dns.set(NAME, [second.host]);
      await countTables(engine);
      await lease.release();
      const after = await scrape(port);
      assertEquals(after("dnspool_address_changes_total"), 1);
      assertEquals(after("dnspool_connections_retired_total"), 1);
      assertEquals(after("db_client_connection_create_time_count"), 2);
      assertEquals(after("db_client_connection_count", 'state="idle"'), 1);
      assertEquals(after("db_client_connection_count", 'state="used"'), 0);
      assert(after("dnspool_resolve_duration_count") >= 2);
      await engine.close();
      assertEquals((await scrape(port))("db_client_connection_count", 'state="idle"'), 0);

      await endTelemetry();
      const named = (name: string) => finished.filter((span) => span.name === name);
      assertEquals(
        named("dnspool.connect").map(({ attributes }) => attributes["network.peer.address"]),
        [first.host, second.host],
      );
      const [own] = named("count tables");
      const [checkout] = named("dnspool.checkout");
      assertEquals(checkout!.parentSpanContext?.spanId, own!.spanContext().spanId);
    } finally {
      await endTelemetry();
      api.metrics.disable();
      api.trace.disable();
      api.context.disable();
      await pair.stop();
    }
  }));

Deno.test("examples/open_telemetry.ts runs as it stands", async () => {
  const pair = await startPair(startOrders);
  const port = await freePort(["127.0.0.1"]);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-lock", "--config=deno.json", "examples/open_telemetry.ts"],
    cwd: new URL("../../", import.meta.url),
    env: {
      DATABASE_URL: pair.first.url(),
      OTEL_EXPORTER_PROMETHEUS_PORT: String(port),
      NO_COLOR: "1",
    },
    stdout: "piped",
  }).spawn();
  let over = false;
  child.status.then(() => over = true);
  try {
    let said = "";
    const hearing = (async () => {
      for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) said += text;
    })();
    while (!over && !said.includes("[ { n: ")) await pause(20);
    const sample = await scrape(port);
    assert(sample("db_client_connection_create_time_count") >= 1);
    child.kill("SIGINT");
    assertEquals((await soon(child.status)).code, 0);
    await hearing;
    assert(said.includes("count tables") && said.includes("dnspool.connect"), said);
  } finally {
    if (!over) child.kill("SIGKILL");
    await child.status;
    await pair.stop();
  }
});
